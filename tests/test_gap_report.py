"""The report in the terminal: one set of numbers in every form, exit codes and bad input."""

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config
from rich.console import Console

from scripts.base.numbers import times
from scripts.gap import tables
from scripts.gap.__main__ import main
from scripts.gap.words import report, verdict
from scripts.history.benchmarks import FDES, RATIO, REMOVAL, TIME
from scripts.history.read import read
from scripts.history.results import load

from .conftest import COMMITS, DEADLINE, ROOT
from .results import HOUR, SESSION, write_results

SIZES = ("1000x1", "1000x8", "250x100", "1000x100")
OLD = dict(zip(SIZES, (1.4, 16.0, 66.0, 500.0), strict=True))
HALF = dict(zip(SIZES, (1.2, 8.0, 65.0, 490.0), strict=True))
NEW = dict(zip(SIZES, (1.1, 1.6, 2.0, 5.0), strict=True))
FLAT = dict(zip(SIZES, (1.0, 1.0, 1.0, 1.0), strict=True))
STORY = {
    "19.0.0": OLD, "20.0.0": OLD, "21.0.0": OLD, "22.0.0": HALF, "40.0.0": HALF, "48.0.0": HALF,
    "49.0.0": HALF, "50.0.1": NEW,
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose results tell the story of libunwind, and a flat one of libgcc."""
    for name in ("asv.conf.json", "fixtures", "results/benchmarks.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    write_results(tmp_path / "results", STORY)
    write_results(tmp_path / "results", dict.fromkeys(STORY, FLAT), unwinder="system")
    return tmp_path / "results"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.usefixtures("results")
def test_every_form_has_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    code, table, _ = run(capsys)
    assert code == 0
    full = json.loads(run(capsys, "--format", "json")[1])
    rows = list(csv.DictReader(io.StringIO(run(capsys, "--format", "csv")[1])))
    markdown = run(capsys, "--format", "markdown")[1]
    assert len(full["gaps"]) == len(rows) == 2 * len(STORY) * len(SIZES)
    for gap, row in zip(full["gaps"], rows, strict=True):
        assert float(row["ratio"]) == gap["ratio"]
        assert row["release"] == gap["release"]
        expected = STORY if gap["unwinder"] == "libunwind" else dict.fromkeys(STORY, FLAT)
        assert gap["ratio"] == pytest.approx(expected[gap["release"]][gap["size"]], rel=0.02)
        said = f"{gap['ratio']:.0f}×" if gap["ratio"] >= 100 else f"{gap['ratio']:.3g}×"
        for form in (table, markdown):
            (line, *_) = [
                line
                for line in form[form.index(f"linux-x86_64, {gap['unwinder']}") :].splitlines()
                if line.strip("| ").startswith(gap["release"])
            ]
            assert said in line
    for sentence in (
        "1000x8: 16× up to 21.0.0, 7.99× from 22.0.0 on (#8629",
        "50.0.1 moved the gap against 49.0.0",
        "libunwind on Linux stands in",
    ):
        assert sentence in table
        assert sentence in markdown
    assert "\x1b[" not in table  # no colour in a pipe


@pytest.mark.usefixtures("results")
def test_costs_are_those_of_the_times(capsys: pytest.CaptureFixture[str]) -> None:
    gaps = json.loads(run(capsys, "--format", "json", "--since", "49.0.0")[1])["gaps"]
    (one,) = [gap for gap in gaps if gap["release"] == "49.0.0" and gap["size"] == "1000x8"
              and gap["unwinder"] == "libunwind"]  # fmt: skip
    assert one["excess"] == pytest.approx(14 * 8 - 14)  # the times are clearly apart
    (near,) = [gap for gap in gaps if gap["release"] == "50.0.1" and gap["size"] == "1000x8"
               and gap["unwinder"] == "libunwind"]  # fmt: skip
    assert near["excess"] == pytest.approx(14 * (near["ratio"] - 1))
    (large,) = [gap for gap in gaps if gap["release"] == "50.0.1" and gap["size"] == "1000x100"
                and gap["unwinder"] == "libunwind"]  # fmt: skip
    assert large["excess"] == pytest.approx(14 * 5 - 14)
    assert large["at_least"] == pytest.approx(14 * 5 / 2 - 14)
    assert one["per_fde"] == pytest.approx(one["excess"] / 17)
    _, table, _ = run(capsys, "--size", "1000x8", "--since", "49.0.0")
    assert "ms per 1000 modules" in table
    assert "µs per FDE" in table
    assert f"{one['excess']:.3g}" in table
    assert "22.0.0" not in table[: table.index("Change points")]


def test_change_points_do_not_depend_on_what_is_shown(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that begins later still tells of the same story."""
    assert results.exists()
    full = json.loads(run(capsys, "--format", "json")[1])["steps"]
    assert {(step["size"], step["release"]) for step in full} >= {("1000x8", "22.0.0")}
    assert not [step for step in full if step["unwinder"] == "system"]
    since = json.loads(run(capsys, "--format", "json", "--since", "49.0.0")[1])
    assert since["steps"] == full
    assert {gap["release"] for gap in since["gaps"]} == {"49.0.0", "50.0.1"}


def test_check_tells_by_its_exit_code(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--check")[0] == 1
    shutil.rmtree(results / "linux-x86_64")
    write_results(results, {"49.0.0": NEW, "50.0.1": NEW})
    assert run(capsys, "--check")[0] == 0
    write_results(results, {"50.0.1": HALF}, started=SESSION + 7 * HOUR)
    code, said, _ = run(capsys, "--check")
    assert code == 3
    assert "not measured in one session, but 7 hours apart" in said
    # what is certain on another machine comes first
    write_results(results, {"49.0.0": HALF, "50.0.1": NEW}, machine="macos-15-arm64")
    assert run(capsys, "--check")[0] == 1
    assert run(capsys, "--check", "--machine", "linux-x86_64")[0] == 3
    shutil.rmtree(results / "linux-x86_64")
    assert "stands in" not in run(capsys)[1]


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--machine", "linux-x86-64"),
            "linux-x86-64 is no machine with results. Did you mean linux-x86_64?",
        ),
        (("--size", "1000x9"), "Did you mean 1000x8"),
        (("--since", "50.0.99"), "50.0.99 is no measured release. Did you mean 50.0.1"),
        (("compare", "linux-x86_64/libunwind/49.0.0", "linux-x86_64/libunwind/51"), "Did you mean"),
    ],
)
def test_unknown_names_are_errors_with_the_near_ones(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert said in error


def test_any_two_can_be_compared(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(results, {"49.0.0": OLD}, machine="macos-15-arm64", unwinder="system")
    code, said, _ = run(
        capsys, "compare", "linux-x86_64/libunwind/49.0.0", "macos-15-arm64/system/49.0.0"
    )
    assert code == 0
    (line,) = [line for line in said.splitlines() if line.split()[:1] == ["1000x8"]]
    cells = line.split()
    assert float(cells[-1]) == pytest.approx(2, rel=0.02)


def the_one_left_out(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of the one file that is left out, while all others are reported."""
    code, said, _ = run(capsys, "--format", "json")
    assert code == 0
    found = json.loads(said)
    assert len(found["gaps"]) == (2 * len(STORY) - 1) * len(SIZES)
    (problem,) = found["left_out"]
    assert path.name in problem
    return str(problem)


def damage(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    "content", ["", '{"version": 2, "resu', "[]", "7", '{"version": 2}', b"\xff\xfe",
                '{"version": 2, "results": [], "params": {}, "requirements": {}}', '{"a": 1}'],
)  # fmt: skip
def test_a_damaged_result_is_named_and_the_rest_is_reported(
    content: str | bytes, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = (
        results / f"linux-x86_64/{COMMITS['40.0.0'][:8]}-virtualenv-py3.11-UNWINDERlibunwind.json"
    )
    damage(path, content)
    problem = the_one_left_out(path, capsys)
    assert "Restore it from git, or remove it" in problem


def test_a_result_of_no_pinned_release_is_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(results.glob(f"linux-x86_64/{COMMITS['40.0.0'][:8]}-*libunwind.json"))
    content = json.loads(path.read_text())
    content["commit_hash"] = "0" * 40
    path.write_text(json.dumps(content))
    assert "00000000 is no pinned release" in run(capsys)[1]


def test_missing_benchmarks_and_na_are_no_numbers(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(results / "linux-x86_64")
    write_results(results, {"49.0.0": {"1000x8": 8.0}, "50.0.1": NEW})
    path = next(results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*.json"))
    content = json.loads(path.read_text())
    del content["results"]["teardown_gap.TeardownGap.track_ratio"]
    path.write_text(json.dumps(content))
    _, said, _ = run(capsys)
    assert f"{path.name}: has no teardown_gap" in said
    (line,) = [line for line in said.splitlines() if line.strip().startswith("49.0.0")]
    assert line.split()[-1] == "n/a"


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"machine": "other", "version": 1}'])
def test_a_machine_without_a_sound_description_stops_everything(
    content: str | None, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "linux-x86_64/machine.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    code, _, error = run(capsys)
    assert code == 2
    assert "linux-x86_64/machine.json" in error
    assert "or restore it from git" in error


def test_no_results_at_all(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(results / "linux-x86_64")
    code, _, error = run(capsys)
    assert code == 2
    assert "results/ holds no results. Run `uv run asv run`" in error


def edit(results: Path, version: str, change: Callable[[Any], None]) -> Path:
    """Change the content of the result file of a release, with libunwind."""
    path = next(results.glob(f"linux-x86_64/{COMMITS[version][:8]}-*libunwind.json"))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def set_value(name: str, column: str, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        content["results"][name][content["result_columns"].index(column)] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_value(RATIO, "result", [0, 8.0, 60.0]),
        set_value(RATIO, "result", [1.1, -8.0, 60.0]),
        set_value(RATIO, "result", [1.1, math.inf, 60.0]),
        set_value(RATIO, "result", [1.1, "8.0", 60.0]),
        set_value(RATIO, "result", 8.0),
        set_value(RATIO, "samples", [[1.1] * 8, [math.inf] * 8, [60.0] * 8]),
        set_value(FDES, "result", [0, 0, 0]),
        set_value(TIME, "result", [0.1, 0.1, 0.1, 0.0, 0.0, 0.0]),
        lambda content: content.update(env_vars=None),
        lambda content: content.update(commit_hash=None),
    ],
)
def test_values_that_cannot_be_are_damage(
    change: Callable[[Any], None], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    the_one_left_out(edit(results, "50.0.1", change), capsys)


def test_a_second_file_of_a_release_is_left_out(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*libunwind.json"))
    shutil.copy(path, path.with_name(path.name.replace("3.11", "3.12")))
    found = json.loads(run(capsys, "--format", "json")[1])
    assert len(found["gaps"]) == 2 * len(STORY) * len(SIZES)
    assert "linux-x86_64 libunwind 50.0.1 has another file" in found["left_out"][0]


def test_a_size_that_is_not_measured_in_pairs_is_about(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results
    found = json.loads(run(capsys, "--format", "json")[1])
    unpaired = [gap for gap in found["gaps"] if gap["size"] == "1000x100"]
    assert all(gap["low"] is None and gap["high"] is None for gap in unpaired)
    # a factor below two may be the machine's
    assert all((gap["excess"] is None) == (gap["ratio"] < 2) for gap in unpaired)
    assert not [step for step in found["steps"] if step["size"] == "1000x100"]
    assert "≈500×" in run(capsys)[1]


def test_advice_and_verdict_do_not_depend_on_the_size_shown(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*"):
        path.unlink()
    everything = json.loads(run(capsys, "--format", "json")[1])
    one = json.loads(run(capsys, "--format", "json", "--size", "1000x100")[1])
    assert one["advice"] == everything["advice"]
    assert one["newest"] == everything["newest"]
    (libunwind,) = [advice for advice in one["advice"] if advice["unwinder"] == "libunwind"]
    assert "1000x100" in libunwind["too_much"]
    assert "many modules of 100 functions" in run(capsys)[1]


def test_a_newest_release_without_a_gap_is_not_passed_over(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(results, "50.0.1", set_value(RATIO, "result", [math.nan] * 3))
    code, said, _ = run(capsys, "--check")
    assert code == 3
    assert "50.0.1 cannot be compared with 49.0.0: its gap is not measured" in said


def test_a_local_mac_does_not_speak_for_the_recorded_history(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"22.0.0": OLD, "30.0.0": OLD}, "local-macos-arm64", "system")
    assert "No result of a Mac is recorded" in run(capsys)[1]
    assert verdict(report(read(Config.load("asv.conf.json")))).startswith(
        "With unwind info, dropping 1000 modules of 8 functions takes 1.6× as long in 50.0.1 "
        "(linux-x86_64, libunwind)"
    )


def test_where_everything_is_na_the_reason_is_said(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(results / "linux-x86_64")
    write_results(results, {"50.0.1": {}}, "windows-2025-x86_64", "system")
    code, _, error = run(capsys)
    assert code == 2
    assert "n/a on Windows, where unwind info cannot be turned off" in error


@pytest.mark.usefixtures("results")
def test_eras_lie_between_the_change_points(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(capsys, "--machine", "linux-x86_64", "eras")
    assert code == 0
    libunwind, libgcc = (
        {
            cells[0]: cells[1:]
            for line in part.splitlines()
            if len(cells := re.split(" {2,}", line.strip())) > 1
        }
        for part in said.split("linux-x86_64, system")
    )
    assert libunwind["times as long with unwind info"] == [
        "19.0.0 to 21.0.0", "22.0.0 to 49.0.0", "50.0.1",
    ]  # fmt: skip
    # of single samples, which the synthetic results have of times
    assert libunwind["ModuleTeardown.time_teardown 8"] == ["16× (16–16)", "8× (8–8)", "1.6×"]
    gaps = [float(cell.split("×")[0]) for cell in libunwind["TeardownGap.track_ratio 1000x8"]]
    assert gaps == pytest.approx([16, 8, 1.6], rel=0.02)
    assert libgcc["times as long with unwind info"] == ["19.0.0 to 50.0.1"]
    assert run(capsys, "--size", "1000x8", "eras")[0] == 2


def test_a_machine_without_a_gap_is_no_machine_that_did_not_move(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"49.0.0": {}, "50.0.1": {}}, "windows-2025-x86_64", unwinder="system")
    for arguments in (("--check",), (), ("eras",)):
        code, _, said = run(capsys, "--machine", "windows-2025-x86_64", *arguments)
        assert (code, said) == (2, "No gap is measured on windows-2025-x86_64.\n")


def test_compare_takes_no_other_options(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("linux-x86_64/libunwind/49.0.0", "linux-x86_64/libunwind/50.0.1")
    assert run(capsys, "--check", "compare", *names)[0] == 2
    assert run(capsys, "compare", *names)[0] == 0


def test_a_narrow_terminal_shows_no_half_numbers(results: Path) -> None:
    out = io.StringIO()
    found = report(read(Config.load("asv.conf.json")))
    tables.terminal(found, Console(file=out, width=80))
    assert results
    assert "…" not in out.getvalue()
    assert "A wider terminal, or --size, shows the intervals." in out.getvalue()
    for gap in found.gaps:
        assert times(gap.ratio) in out.getvalue()


@pytest.mark.usefixtures("results")
def test_a_pipe_with_another_encoding_is_written_to() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.gap", "--check", "--format", "markdown"],
        capture_output=True, check=False, timeout=DEADLINE,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "→" in answer.stdout.decode()


def test_another_build_of_the_counted_library_is_no_change_of_wasmtime(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def host(since: str, build: str) -> str:
        facts = {"package": "libunwind-19 1:19.1.7", "build_id": build * 40, "file": "x"}
        return json.dumps({"since": since, "facts": {"unwinders": {"libunwind": facts}}}) + "\n"

    path = results / "linux-x86_64/hosts.jsonl"
    path.write_text(host("2026-01-01T00:00:00+00:00", "a"))
    assert "another library is counted" not in run(capsys)[1]
    path.write_text(host("2026-01-01T00:00:00+00:00", "a") + host("2026-09-22T00:00:00+00:00", "b"))
    write_results(results, {"50.0.1": NEW}, started=SESSION + 24 * HOUR)
    for form in ("table", "markdown", "json"):
        said = run(capsys, "--format", form)[1]
        assert said.count("libunwind: from 50.0.1 on another library is counted") == 1
        assert (
            "(libunwind-19 1:19.1.7, build aaaaaaaa → libunwind-19 1:19.1.7, build bbbbbbbb)"
            in said
        )
    path.write_text("{")
    assert run(capsys)[1].count("hosts.jsonl is damaged") == 1


def test_zero_is_a_count_and_no_time(results: Path) -> None:
    count = {REMOVAL: [[0.0], [["'1000x8 off'"]]]}
    path = edit(results, "50.0.1", lambda content: content["results"].update(count))
    stored = load(str(path))
    assert stored.get_result_value(REMOVAL, stored.get_result_params(REMOVAL)) == [0.0]
