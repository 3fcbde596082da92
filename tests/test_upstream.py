"""Wasmtime's dev release against the newest pinned one, on archives made from pinned wheels."""

import json
import os
import re
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.util import UserError

from scripts import alert, upstream

from .conftest import ROOT
from .test_alert import fake_gh
from .test_probe import valgrind
from .test_probe_builds import library_of
from .test_workflows import Runner, steps

__all__ = ["valgrind"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="its steps are those of Linux runners")


def archive(path: Path, library: Path) -> Path:
    """A C API archive such as Wasmtime's releases have."""
    with tarfile.open(path, "w:xz", preset=0) as files:
        files.add(ROOT / "LICENSE", "wasmtime-dev-x86_64-linux-c-api/LICENSE")
        files.add(library, "wasmtime-dev-x86_64-linux-c-api/lib/libwasmtime.so")
        files.add(library, "wasmtime-dev-x86_64-linux-c-api/min/lib/libwasmtime.so")
    return path


@linux
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_the_newest_release_itself_has_not_moved(
    tmp_path: Path, install: Callable[[str], Path]
) -> None:
    runner = Runner(tmp_path)
    archive(runner.temporary / "archive.tar.xz", library_of(install("50.0.1")))
    step = "Count it against the newest pinned release"
    answer = runner.step(step, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "nothing has moved\n"
    assert not (runner.temporary / "issue.json").exists()
    assert not (runner.temporary / "output").exists()


@linux
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_from_the_archive_to_the_issue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[[str], Path]
) -> None:
    """As if 49.0.0 were the newest that is pinned: what comes after it is a tenth of it."""
    runner = Runner(tmp_path)
    issues = fake_gh(tmp_path, monkeypatch)
    file = runner.temporary / "issue.json"
    made = archive(runner.temporary / "archive.tar.xz", library_of(install("50.0.1")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    against = ["--against", "49.0.0", "--module", "fixtures/functions-8.wasm"]
    assert upstream.main([str(file), "--archive", str(made), *against]) == 0
    title, body = json.loads(file.read_text())
    assert title.startswith("Wasmtime's dev release moved against 49.0.0: ")
    assert "- calls to remove 17 → 1, functions-8.wasm, 1000 loaded" in body
    assert re.search(r"- instructions to remove 1,15\d,\d+ → 6\d,\d+, functions-8.wasm", body)
    # one issue, which is kept up to date
    path = os.environ["PATH"]
    for _ in range(2):
        step = runner.step("Open an issue when a count has moved upstream", PATH=path)
        assert step.returncode == 0, step.stderr
    ((issue,), _) = json.loads(issues.read_text())
    assert issue["label"] == upstream.LABEL
    assert issue["title"] == title
    failed = runner.step("Open an issue when the check failed", RUN="https://run", PATH=path)
    assert failed.returncode == 0
    assert json.loads(issues.read_text())[0][1]["label"] == alert.FAILED


@linux
def test_a_library_that_does_not_fit_fails_with_its_symbol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = archive(tmp_path / "archive.tar.xz", library_of(install("49.0.0")))
    assert upstream.main([str(tmp_path / "issue.json"), "--archive", str(made)]) == 2
    said = capfd.readouterr().err
    assert "has no wasmtime_config_wasm_compact_imports_set" in said
    assert not (tmp_path / "issue.json").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"\xfd7zXZ\0\0\x04"])
def test_an_archive_that_cannot_be_read_is_said(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "archive.tar.xz"
    path.write_bytes(content)
    assert upstream.main([str(tmp_path / "issue.json"), "--archive", str(path)]) == 2
    assert f"{path} cannot be read" in capsys.readouterr().err


def test_an_archive_that_is_cut_short_or_of_another_kind_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "archive.tar.xz", ROOT / "CONTRIBUTING.md")
    path.write_bytes(path.read_bytes()[:-2000])
    assert upstream.main([str(tmp_path / "issue.json"), "--archive", str(path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    with tarfile.open(path, "w:xz") as files:
        files.add(ROOT / "LICENSE", "wasmtime-dev/LICENSE")
    assert upstream.main([str(tmp_path / "issue.json"), "--archive", str(path)]) == 2
    assert "has no lib/libwasmtime.so" in capsys.readouterr().err


def test_one_percent_is_news_and_less_is_not() -> None:
    def of(growth: float | None, now: float) -> list[list[dict[str, Any]]]:
        one = {"module": "m.wasm", "counted": 1000}
        was, grown = ({"instructions_to_remove": {"1000": count}} for count in (1000.0, now))
        growths = {"instructions_to_remove": growth}
        return [[one | {"counts": was}, one | {"counts": grown, "growth_in_percent": growths}]]

    assert upstream.moved(of(0.9, 1009)) == upstream.moved(of(-0.9, 991)) == []
    for growth, now in ((1.0, 1010), (-1.0, 990), (None, 5)):
        ((_, said),) = upstream.moved(of(growth, now))
        assert said == f"instructions to remove 1,000 → {now:,}, m.wasm, 1000 loaded"
    several = upstream.moved([*of(2.0, 1020), *of(-50.0, 500)])
    assert [percent for percent, _ in several] == [50, 2]


def test_what_was_not_counted_is_an_error() -> None:
    before, after = {"module": "m.wasm", "counted": 8}, {"module": "m.wasm", "error": "it died"}
    with pytest.raises(UserError, match=r"m\.wasm was not compared\. it died"):
        upstream.moved([[before, after]])


def test_the_workflow_fetches_what_it_counts() -> None:
    fetch = steps()["Fetch the archive"]
    assert fetch["env"]["ARCHIVE"].startswith("${{ inputs.archive || 'wasmtime-dev-")
    assert '--output "$RUNNER_TEMP/archive.tar.xz"' in fetch["run"]
