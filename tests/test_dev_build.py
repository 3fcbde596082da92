"""Unreleased builds: the record of the newest one, and how the pages show it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asv.config import Config
from asv.util import UserError

from scripts.history import dev_build
from scripts.history.benchmarks import DEREGISTER, GAP
from scripts.history.dev_build import DEV, RECORDED, DevBuild, ShapeCounts, read_dev_build
from scripts.history.read import History, read_history
from scripts.releases import pins
from scripts.report.build import build_report
from scripts.site import charts, pages, picture
from scripts.site.staircase import NARROW, WIDE, draw_staircase

from .conftest import ROOT
from .test_upstream import REMOVE, compare

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = {"version": "51.0.0", "commit": COMMIT}
DEV_BUILD = DevBuild(
    "2026-11-28", "51.0.0", COMMIT, "50.0.1",
    {"libunwind": {"1000x8": ShapeCounts(4_321, 4_062, pinned=68_045)}},
)  # fmt: skip


def record(folder: Path, counts: Any = None, name: Any = NAME) -> int:
    """Write the files of the job that counts, and record them in a results folder."""
    content = [*compare("functions-1.wasm"), *compare()] if counts is None else counts
    (folder / "upstream.json").write_text(json.dumps(content))
    (folder / "build.json").write_text(json.dumps(name))
    return dev_build.main([str(folder), "--results", str(folder)])


def test_counts_are_recorded_by_unwinder_and_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(tmp_path, compare(counts={REMOVE: 4321})) == 0
    assert capsys.readouterr().out == "Record the dev build of Wasmtime 51.0.0 at 01234567\n"
    recorded = read_dev_build(tmp_path, pins.load_pins())
    assert recorded
    assert recorded.counts == {"libunwind": {"1000x8": ShapeCounts(4321, 4062.142, 68_043)}}
    assert (recorded.version, recorded.commit, recorded.against) == ("51.0.0", COMMIT, "50.0.1")


def test_build_of_a_pinned_version_is_neither_recorded_nor_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(tmp_path, name={**NAME, "version": "50.0.1"}) == 0
    assert "50.0.1 is pinned" in capsys.readouterr().out
    assert not (tmp_path / RECORDED).exists()
    assert read_dev_build(tmp_path, pins.load_pins()) is None
    assert record(tmp_path) == 0
    newest = pins.load_pins()[-1]
    for version in ("51.0.0", "51.0.1", "52.0.0"):
        assert read_dev_build(tmp_path, [replace(newest, version=version)]) is None


@pytest.mark.parametrize(
    ("counts", "name", "problem"),
    [
        (compare("evil.wasm"), NAME, "has a module that is not of fixtures/"),
        (compare("functions-8.wasm\n"), NAME, "has a module that is not of fixtures/"),
        (compare("functions-\u0668.wasm"), NAME, "has a module that is not of fixtures/"),
        ([*compare(), *compare()], NAME, "has 1000x8 twice"),
        (compare()[:1], NAME, "upstream.json is damaged"),
        (None, {**NAME, "version": ""}, "build.json is damaged"),
        (None, {**NAME, "version": "51.0.0<script>"}, "build.json is damaged"),
        (None, {**NAME, "version": "\u0665\u0661.0.0"}, "build.json is damaged"),
        (None, {**NAME, "commit": "main"}, "build.json is damaged"),
        (None, [], "build.json is damaged"),
    ],
)
def test_untrusted_files_are_refused_and_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counts: Any, name: Any, problem: str
) -> None:
    assert record(tmp_path) == 0
    before = (tmp_path / RECORDED).read_bytes()
    capsys.readouterr()
    assert record(tmp_path, counts, name) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert problem in message
    assert message.endswith("See the log of the job that wrote it.")
    assert (tmp_path / RECORDED).read_bytes() == before


def read_recorded(tmp_path: Path, content: str = "") -> History:
    """Read the recorded results, with a dev.json beside them if there is content."""
    results = tmp_path / "results"
    results.mkdir()
    for path in (ROOT / "results").iterdir():
        if path.name != RECORDED.name and not path.name.startswith("local"):
            (results / path.name).symlink_to(path)
    if content:
        (results / RECORDED).write_text(content)
    configuration = Config.load("asv.conf.json")
    configuration.results_dir = str(results)
    return read_history(configuration)


def test_damaged_record_is_named_and_nothing_else_is_lost(tmp_path: Path) -> None:
    history = read_recorded(tmp_path, "{")
    assert history.dev is None
    assert history.rows
    (message,) = history.left_out
    assert "dev.json is damaged" in message
    assert message.endswith("Delete it: upstream.yml writes it again.")


def test_impossible_day_and_folder_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(tmp_path) == 0
    path = tmp_path / RECORDED
    path.write_text(path.read_text().replace(json.loads(path.read_text())["date"], "2026-99-99"))
    with pytest.raises(UserError, match=r"dev\.json is damaged"):
        read_dev_build(tmp_path, pins.load_pins())
    path.unlink()
    path.mkdir()
    (path / "x").touch()
    with pytest.raises(UserError, match=r"is not a regular file\. Delete it"):
        read_dev_build(tmp_path, pins.load_pins())
    capsys.readouterr()
    assert record(tmp_path) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert "dev.json cannot be written: " in message


def test_pages_show_the_build_as_unreleased(tmp_path: Path) -> None:
    history = read_recorded(tmp_path)
    assert history.dev is None
    report = charts.name_series(build_report(history), history)
    bare = charts.build_chart(report, history, DEREGISTER)
    assert bare
    assert (bare.unreleased, bare.releases[-1]) == ("", "50.0.1")
    history.dev = DEV_BUILD
    chart = charts.build_chart(report, history, DEREGISTER)
    assert chart
    assert chart.releases == [*bare.releases, DEV]
    assert chart.releases[chart.newest] == "50.0.1"
    assert chart.hints[DEV].splitlines() == [
        "dev (unreleased 51.0.0, commit 01234567, 2026-11-28)",
        "macOS path: LLVM libunwind: 4,321 instructions per module",
    ]
    for size in (WIDE, NARROW):
        assert draw_staircase(chart, size, "wide").count("step unreleased") == 1
        assert "step unreleased" not in draw_staircase(bare, size, "wide")
    assert "step unreleased" not in picture.draw_picture(report, history, "light")
    (counts,) = DEV_BUILD.counts["libunwind"].values()
    history.dev = msgspec.structs.replace(
        DEV_BUILD, counts={"libunwind": {"1000x8": msgspec.structs.replace(counts, pinned=76_562)}}
    )
    foreign = charts.build_chart(report, history, DEREGISTER)
    assert foreign
    assert foreign.unreleased == ""  # counted on another processor than the series
    history.dev = DEV_BUILD
    gaps = charts.build_chart(report, history, GAP)
    assert gaps
    assert DEV not in gaps.releases  # times were not measured
    pages.write_releases(tmp_path, "wasmtime-py", report, history)
    page = (tmp_path / "releases.html").read_text()
    assert '<tr class="unreleased"><th scope="row">dev <small>unreleased 51.0.0</small>' in page
    assert f"https://github.com/bytecodealliance/wasmtime/commit/{COMMIT}" in page
    assert '"dev"' not in page  # it cannot be compared
