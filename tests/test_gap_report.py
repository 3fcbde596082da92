"""The report on result files: its formats, its exit codes and bad input."""

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config

from benchmarks._axis import LLVM
from scripts.cost.advice import Decision
from scripts.cost.platforms import Platform
from scripts.gap import main
from scripts.history.benchmarks import DEREGISTER, EXTRA, GAP, TIME_OFF, TIME_ON
from scripts.history.read import read_history
from scripts.report import tables
from scripts.report.build import build_report

from .conftest import COMMITS, DEADLINE, ROOT, environment
from .histories import LINUX, make_counts, make_history
from .results import (
    FDES,
    REMOVAL,
    SHAPES,
    TEARDOWN,
    describe_machine,
    edit,
    repository,
    write_results,
)

RELEASES = ("19.0.0", "21.0.0", "22.0.0", "40.0.0", "49.0.0", "50.0.1")
OLD = {"1000x1": 1.4, "1000x8": 16.0, "100x100": 60.0}
HALF = {"1000x1": 1.2, "1000x8": 8.0, "100x100": 50.0}
NEW = {"1000x1": 1.1, "1000x8": 1.3, "100x100": 1.9}
FLAT = dict.fromkeys(OLD, 1.02)
STORY = dict(zip(RELEASES, (OLD, OLD, HALF, HALF, HALF, NEW), strict=True))
COUNTED_SHAPES = (
    "1000x1", "250x8", "1000x8", "100x100", "250x8 fifo", "250x8 random", "1x2000",
    "1x2000 beside 10,000 FDEs", "4x real program", "1000x8 off",
)  # fmt: skip
# counts per era and shape, as recorded with libunwind 19.1.7 of Debian 12
PER_MODULE = (
    (64_180, 626_125, 2_501_125, 5_295_175, 1_015_187.5, 823_675, 16_331_575, 178_740_575, 9e7, 0),
    (36_135, 289_765, 1_156_765, 4_670_460, 469_667.5, 381_112, 16_218_616, 177_501_176, 4e7, 0),
    (12_029, 17_043, 68_043, 43_334, 27_625.5, 22_416.36, 10_066, 90_386, 29_657, 0),
)
COUNTS = {
    release: dict(zip(COUNTED_SHAPES, PER_MODULE[era], strict=True))
    for release, era in zip(RELEASES, (0, 0, 1, 1, 1, 2), strict=True)
}
LIBGCC = dict(zip(COUNTED_SHAPES, (51, 51, 51, 51, 1047, 556.728, 51, 51, 51, 0), strict=True))


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write results like the recorded ones, for libunwind and libgcc; return their folder."""
    folder = repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_results(folder, STORY, counts=COUNTS)
    flat = dict.fromkeys(STORY, FLAT)
    write_results(folder, flat, unwinder="system", counts=dict.fromkeys(STORY, LIBGCC))
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, standard output and standard error."""
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run the command with JSON output, and return its content."""
    return json.loads(run(capsys, "--format", "json", *arguments)[1])


def list_changes(report: Any) -> list[tuple[str, str]]:
    """Return the unwinder and the release of each change."""
    return [
        (series["unwinder"], change["release"])
        for series in report["series"]
        for change in series["changes"]
    ]


EXPECTED = [("libunwind", "22.0.0"), ("libunwind", "50.0.1")]


def test_all_formats_have_the_same_numbers_and_changes(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results
    full = run_json(capsys)
    rows = list(csv.DictReader(io.StringIO(run(capsys, "--format", "csv")[1])))
    assert tuple(rows[0]) == tables.CSV_COLUMNS
    assert len(rows) == len(full["rows"])
    for row, same in zip(rows, full["rows"], strict=True):
        assert float(row["value"]) == same["value"]
        assert (row["low"] == "") == (same["low"] is None)
    assert list_changes(full) == EXPECTED
    for options in (("--details",), ("--format", "markdown")):
        printed = run(capsys, *options)[1]
        for sentence in (
            "22.0.0: instructions per module 2,501,125 → 1,156,765 at 1000x8, 64,180 → 36,135",
            "(#14304: a module is registered with libunwind in one call",
            "by function at 1000x8: __unw_remove_dynamic_fde 2,501,125 → 1,156,765",
            "50.0.1 changed the cost compared with 49.0.0.",
            "libgcc 12: 50.0.1 did not change the cost",
            "no Mac is recorded",
        ):
            assert sentence in " ".join(printed.split())
        assert re.search(r"22.0.0 to 49.0.0[ |]+1000x8[ |]+1,156,765[ |]+n/a[ |]+(7.9|8)", printed)
        assert "\x1b[" not in printed  # no colour in a pipe


def test_short_report_fits_a_terminal_and_starts_with_the_answer(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results
    lines = run(capsys)[1].splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    first = " ".join(lines[:4])
    assert first.startswith(
        "macOS: 50.0.1 (#14304) made deregistering a module 17 times cheaper: 68,043"
    )
    assert "instead of 1,156,765 in 49.0.0" in first
    shown = "\n".join(lines)
    assert re.search(r"19.0.0 to 21.0.0 +2,501,125", shown)
    assert "50.0.1: no deregister count grew by 1 % or more" in " ".join(shown.split())
    assert not any(line.endswith(" ") for line in lines)
    assert "All go, up to 49.0.0: keep below f × T = " in shown
    assert "libgcc 12" not in shown  # one table


@pytest.mark.parametrize("arguments", [("--details",), ("--releases",)])
def test_details_have_whole_numbers_in_a_narrow_terminal(
    arguments: tuple[str, ...],
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert results
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(capsys, *arguments)[1].splitlines()
    assert "linux-x86_64, LLVM libunwind (macOS path), 1x2000" in lines
    assert any("16,331,575" in line for line in lines)
    assert not any("…" in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert any(re.match(r"With \d+ columns, there is one table", line) for line in lines)
    monkeypatch.setenv("COLUMNS", "50")
    assert "16,331,575" in run(capsys, *arguments)[1]
    for columns in ("0", "", "wide", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        assert "1x2000  " in run(capsys, *arguments)[1]  # one table of all shapes


def test_local_machine_comes_first_in_the_short_report(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"50.0.1": NEW}, "local-linux-x86_64", counts=COUNTS)
    write_results(
        results, {"50.0.1": FLAT}, "local-linux-x86_64", "system", counts={"50.0.1": LIBGCC}
    )
    lines = run(capsys)[1].splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    local, recorded = (
        next(number for number, line in enumerate(lines) if line.startswith(name))
        for name in ("local-linux-x86_64", "linux-x86_64")
    )
    assert local < recorded


def test_count_off_by_two_percent_is_a_change_and_a_problem(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def add_two_percent(content: Any) -> None:
        values = content["results"][REMOVAL][content["result_columns"].index("result")]
        values[SHAPES.index("1x2000")] *= 1.02

    edit(results, "40.0.0", add_two_percent)
    full = run_json(capsys)
    assert list_changes(full) == [EXPECTED[0], ("libunwind", "40.0.0"), ("libunwind", "49.0.0"),
                             EXPECTED[1]]  # fmt: skip
    (problem,) = full["problems"]
    assert "1x2000: 16,542,988.32 instructions per module, but the model predicts 16,2" in problem


def test_times_show_the_change_without_counts(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(results / "linux-x86_64")
    write_results(results, STORY, "macos-15-arm64", "system")
    full = run_json(capsys)
    assert list_changes(full) == [("system", "22.0.0"), ("system", "50.0.1")]
    assert full["headline"][-1] == "Basis: macos-15-arm64."
    assert "no Mac" not in run(capsys)[1]
    assert run(capsys, "--check")[0] == 1


def test_check_returns_whether_the_newest_release_changed_the_cost(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "--check")[0] == 1
    shutil.rmtree(results / "linux-x86_64")
    same = dict.fromkeys(("49.0.0", "50.0.1"), NEW)
    write_results(results, same, counts=dict.fromkeys(same, COUNTS["50.0.1"]))
    assert run(capsys, "--check")[0] == 0
    write_results(results, {"50.0.1": NEW}, "macos-15-arm64", "system")
    assert run(capsys, "--check")[0] == 3  # no earlier release
    # a certain change on another machine outweighs an unknown verdict
    write_results(results, {"49.0.0": OLD, "50.0.1": NEW}, "macos-26-arm64", "system")
    assert run(capsys, "--check")[0] == 1
    assert run(capsys, "--check", "--machine", "linux-x86_64")[0] == 0


def test_check_is_unknown_if_no_machine_has_measured_the_newest_pin(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in results.glob(f"*/{COMMITS['50.0.1'][:8]}*"):
        path.unlink()
    code, output, _ = run(capsys, "--check")
    assert code == 3
    assert "50.0.1 has not been measured yet." in " ".join(output.split())
    assert (
        "49.0.0 did not change the cost compared with 40.0.0. 50.0.1 was not measured there."
        in (" ".join(run(capsys, "--details")[1].split()))
    )


def test_machine_that_lags_behind_does_not_make_the_newest_release_unknown(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {release: FLAT for release in STORY if release != "50.0.1"}
    write_results(results, old, "debian-13-x86_64", "system")
    code, output, _ = run(capsys, "--check", "--details")
    assert code == 1
    assert "has not been measured yet" not in output
    assert "50.0.1 was not measured there." in output
    assert run(capsys, "--check", "--machine", "debian-13-x86_64")[0] == 3


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_verdict_is_unknown_without_the_newest_result_file(
    state: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for unwinder in ("libunwind", "system") if state == "damaged" else ("libunwind",):
        (path,) = results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*{unwinder}.json")
        path.write_text("{") if state == "damaged" else path.unlink()
    code, printed, _ = run(capsys, "--check")
    assert code == 3
    first = " ".join(printed.split())
    assert first.startswith(
        "macOS: whether 50.0.1 changed the cost is unknown: it was not measured"
    )


def test_headline_has_no_count_of_an_earlier_release(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def forget_counts(content: Any) -> None:
        del content["results"][REMOVAL]

    edit(results, "50.0.1", forget_counts)
    code, _, _ = run(capsys, "--check")
    assert code == 3
    answer, time, _ = run_json(capsys)["headline"]
    assert answer.startswith("macOS: whether 50.0.1 changed the cost is unknown")
    milliseconds = float(re.findall(r"adds ([\d.]+) ms", time)[0])
    assert milliseconds == pytest.approx(14 * 0.3, rel=0.1)
    eras = run_json(capsys)["series"][0]["eras"]
    last = [era for era in eras if era["shape"] == "1000x8"][-1]
    assert (last["first"], last["known"], DEREGISTER in last["values"]) == ("50.0.1", False, False)


def test_verdict_is_unknown_if_a_count_of_one_shape_is_missing(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"50.0.1": NEW}, counts={"50.0.1": {"1000x1": 12_029}})
    code, printed, _ = run(capsys, "--check", "--details")
    assert code == 3
    assert "compared with 49.0.0 is unknown: it was not measured at 250x8, 1000x8" in printed


def test_zero_is_a_valid_count(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for release in ("49.0.0", "50.0.1"):
        edit(results, release, set_column(REMOVAL, "result", [0] * len(SHAPES)))
    full = run_json(capsys)
    assert list_changes(full) == [("libunwind", "22.0.0"), ("libunwind", "49.0.0")]
    assert all("model predicts" in problem for problem in full["problems"])


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("--machine", "linux-x86-64"), "Did you mean linux-x86_64?"),
        (("--shape", "1000x9"), "Did you mean"),
        (("--since", "50.0.99"), "Did you mean 50.0.1"),
    ],
)
def test_mistyped_name_is_an_error_with_a_suggestion(
    arguments: tuple[str, ...], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert suggestion in error


def test_filters_limit_what_is_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert results
    full, recent = run_json(capsys), run_json(capsys, "--since", "49.0.0")
    assert recent["headline"] == full["headline"]
    filtered = run_json(capsys, "--since", "49.0.0", "--shape", "1x2000")
    assert filtered["headline"][0] == (
        "macOS: 50.0.1 (#14304) made deregistering a module 1,611 times cheaper: 10,066 "
        "instructions instead of 16,218,616 in 49.0.0 (shape 1x2000)."
    )
    assert {row["release"] for row in filtered["rows"]} == {"49.0.0", "50.0.1"}
    assert {row["shape"] for row in filtered["rows"]} == {"1x2000"}
    assert run_json(capsys, "--size", "8")["rows"] == run_json(capsys, "--shape", "1000x8")["rows"]
    printed = run(capsys, "--since", "49.0.0")[1]
    assert "19.0.0" not in printed


def set_column(name: str, column: str, value: Any) -> Callable[[Any], None]:
    """Return a function that sets a column of a benchmark in the content of a result file."""

    def change(content: Any) -> None:
        content["results"][name][content["result_columns"].index(column)] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_column(TEARDOWN, "result", [0, 0.1, 0.1, 0.1, 0.1, 0.1]),
        set_column(TEARDOWN, "result", [-0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
        set_column(TEARDOWN, "result", [math.inf, 0.1, 0.1, 0.1, 0.1, 0.1]),
        set_column(TEARDOWN, "result", ["0.1"] * 6),
        set_column(TEARDOWN, "result", 0.1),
        set_column(TEARDOWN, "result", [0.1] * 6),  # not the medians of the samples
        set_column(REMOVAL, "result", [51] * 9 + [-1]),
        set_column(FDES, "result", [-1, 0, 0]),
        lambda content: content.update(env_vars=None),
        lambda content: content.update(commit_hash=None),
        lambda content: content.update(commit_hash="0" * 40),
    ],
)
def test_file_with_impossible_values_is_named_with_a_remedy(
    change: Callable[[Any], None], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edit(results, "50.0.1", change)
    (problem,) = run_json(capsys)["problems"]
    assert path.name in problem
    assert "elete " in problem
    code, table, errors = run(capsys, "--format", "csv")
    assert (code, errors) == (0, f"{problem}\n")
    assert "libunwind,50.0.1" not in table
    assert run(capsys, "--check", "--machine", "linux-x86_64")[0] == 3


def test_file_of_an_unknown_unwinder_is_named_before_a_machine_is_called_unknown(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*libunwind.json")
    other = results / "local-linux-x86_64" / file.name.replace("UNWINDERlibunwind", "UNWINDERother")
    describe_machine(results, other.parent.name)
    text = file.read_text().replace("UNWINDERlibunwind", "UNWINDERother")
    text = text.replace('"UNWINDER": "libunwind"', '"UNWINDER": "other"')
    other.write_text(text.replace('"linux-x86_64"', '"local-linux-x86_64"'))
    assert main(["--machine", "local-linux-x86_64"]) == 2
    left_out, unknown = capsys.readouterr().err.splitlines()
    assert left_out.startswith(f"{other.relative_to(results.parent)}: UNWINDER=other is not an ")
    assert unknown.startswith("local-linux-x86_64 is not a machine with results.")
    (problem,) = run_json(capsys)["problems"]
    assert problem == left_out


@pytest.mark.parametrize("content", ["", '{"version": 2, "resu', "[]", "7", '{"a": 1}'])
def test_damaged_file_is_named_and_the_others_are_reported(
    content: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(results.glob(f"linux-x86_64/{COMMITS['40.0.0'][:8]}-*libunwind.json"))
    path.write_text(content)
    full = run_json(capsys)
    (problem,) = full["problems"]
    assert path.name in problem
    assert list_changes(full) == EXPECTED


def test_second_file_of_a_release_is_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next(results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*libunwind.json"))
    file.with_name(file.name.replace("3.11", "3.12")).write_text(
        file.read_text().replace('"3.11"', '"3.12"').replace("py3.11", "py3.12")
    )
    (problem,) = run_json(capsys)["problems"]
    assert "50.0.1 on linux-x86_64 with UNWINDER=libunwind has a second file" in problem


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"machine": "other", "version": 1}'])
def test_machine_without_a_valid_description_is_left_out(
    content: str | None, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, STORY, "macos-15-arm64", "system")
    path = results / "linux-x86_64/machine.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    full = run_json(capsys)
    assert {series["machine"] for series in full["series"]} == {"macos-15-arm64"}
    (problem,) = full["problems"]
    assert "linux-x86_64/machine.json" in problem
    assert "Restore it from git" in problem


def test_report_without_values_is_an_error(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"49.0.0": {}, "50.0.1": {}}, "windows-2025-x86_64", "system")
    for path in (results / "windows-2025-x86_64").glob("*-*.json"):
        content = json.loads(path.read_text())
        del content["results"][FDES]
        path.write_text(json.dumps(content))
    assert "on windows-2025-x86_64" in run(capsys, "--details")[1]
    code, _, error = run(capsys, "--machine", "windows-2025-x86_64", "--check")
    assert (code, error) == (2, "No cost was measured on windows-2025-x86_64.\n")
    shutil.rmtree(results / "linux-x86_64")
    assert "unwind info cannot be turned off" in run(capsys)[2]
    shutil.rmtree(results / "windows-2025-x86_64")
    assert "results/ holds no results. Run `uv run asv run`" in run(capsys)[2]


def test_headline_ignores_a_local_mac(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(results, dict.fromkeys(("22.0.0", "30.0.0"), OLD), "local-macos-arm64", "system")
    path = results / "local-macos-arm64/machine.json"
    path.write_text(path.read_text().replace("Debian 12, libgcc 12", "macOS 15"))
    headline = " ".join(run_json(capsys)["headline"])
    assert headline.startswith("macOS: 50.0.1")
    assert "Basis: linux-x86_64" in headline


def test_matrix_names_its_evidence(results: Path) -> None:
    report = build_report(read_history(Config.load("asv.conf.json")))
    assert [(column.first, column.last) for column in report.columns] == [
        ("19.0.0", "21.0.0"), ("22.0.0", "49.0.0"), ("50.0.1", "50.0.1"),
    ]  # fmt: skip
    mac, libunwind = (report.matrix[name] for name in (Platform.APPLE_SILICON, Platform.LIBUNWIND))
    assert [cell.decision for cell in mac] == [
        Decision.TURN_OFF,
        Decision.TURN_OFF,
        Decision.EITHER,
    ]
    assert all(cell.measured[0][1:] == ("linux-x86_64", True) for cell in mac)
    assert all(cell.measured[0][1:] == ("linux-x86_64", False) for cell in libunwind)
    assert [len(cell.reports) for cell in mac] == [0, 1, 0]  # #10287 is of 30.0.1
    assert mac[0].mac_registration == "function by function"
    assert mac[2].mac_registration == "a section at a time"
    write_results(results, STORY, "macos-15-x86_64", "system")
    report = build_report(read_history(Config.load("asv.conf.json")))
    intel = report.matrix[Platform.INTEL_MAC]
    assert all(cell.measured[0][1:] == ("macos-15-x86_64", False) for cell in intel)


def test_matrix_gives_apple_silicon_the_counts_of_emulated_arm64(results: Path) -> None:
    emulated = "debian-12-arm64-emulated"
    counts = {"49.0.0": {"1000x8": 1_300_000}, "50.0.1": {"1000x8": 76_000}}
    write_results(results, dict.fromkeys(counts, NEW), emulated, "libunwind", counts=counts)
    report = build_report(read_history(Config.load("asv.conf.json")))
    cells = report.matrix[Platform.APPLE_SILICON]
    assert [cell.counted for cell in cells] == [
        [],
        [f"1,300,000 instructions to deregister a module, counted on {emulated} with LLVM "
         "libunwind, the stand-in"],
        [f"76,000 instructions to deregister a module, counted on {emulated} with LLVM libunwind, "
         "the stand-in"],
    ]  # fmt: skip
    assert not any(cell.counted for cell in report.matrix[Platform.INTEL_MAC])
    shown = {row.benchmark for row in report.rows if row.series.machine == emulated}
    assert not shown & {TIME_ON, TIME_OFF, GAP, EXTRA}  # an emulated clock means nothing


def test_fit_recovers_the_nanoseconds_of_generated_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    # 14 ms without unwind info; 1000 modules × 144,508 entries × 0.5 ns add 72.3 ms
    write_results(folder, {"49.0.0": {"1000x8": 1 + 72.254 / 14}}, counts=COUNTS, noise=0.0001)
    (fit,) = build_report(read_history(Config.load("asv.conf.json"))).fits
    assert fit.nanoseconds == pytest.approx(0.5, rel=0.01)


@pytest.mark.usefixtures("results")
def test_output_to_a_pipe_is_utf8() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.gap", "--check", "--format", "markdown"],
        capture_output=True, check=False, timeout=DEADLINE,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "→" in answer.stdout.decode()


def run_check(*wrapper: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the report with `--check` in a new process."""
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "scripts.gap", "--check"],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        check=False, timeout=DEADLINE,
        env={**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{ROOT}",
             "PYTHONUNBUFFERED": ""},
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.usefixtures("results")
def test_full_disk_exits_with_2() -> None:
    with Path("/dev/full").open("w") as full:
        answer = run_check(stdout=full)
        script = (
            "import sys; from scripts.base.exits import exit_code\n"
            "sys.exit(exit_code(lambda: print('short') or 1))"
        )
        short = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stdout=full, stderr=subprocess.PIPE,
            check=False, env={**environment(), "PYTHONUNBUFFERED": ""},
        )  # fmt: skip
    for process in (answer, short):
        assert process.returncode == 2
        assert b"cannot be written" in process.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="runs a shell")
@pytest.mark.usefixtures("results")
def test_closed_standard_output_exits_with_2() -> None:
    answer = run_check("sh", "-c", 'exec "$@" >&-', "sh")
    assert answer.returncode == 2
    assert answer.stderr == b"The output cannot be written: standard output is closed\n"
    answer = run_check("sh", "-c", '"$@" | true; exit "${PIPESTATUS:-0}"', "sh")
    assert answer.returncode != 1


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("package", ["rich", "numpy", "asv", "msgspec", "packaging"])
def test_missing_package_exits_with_2(package: str) -> None:
    Path(f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}')")
    answer = run_check()
    assert answer.returncode == 2
    assert answer.stderr.decode().startswith(f"No module named {package}. Use `uv run ")


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("error", ["MemoryError", "LookupError('x')", "RecursionError"])
def test_traceback_exits_with_2(error: str) -> None:
    Path("rich.py").write_text(f"raise {error}")
    assert run_check().returncode == 2


@pytest.mark.parametrize("fixture", ["releases", "reported", "upstream_changes"])
def test_damaged_fixture_exits_with_2(
    fixture: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results.parent / f"fixtures/{fixture}.json"
    path.write_text("{}")
    code, _, error = run(capsys, "--check")
    assert code == 2
    assert re.fullmatch(rf"fixtures/{fixture}\.json is damaged \(.*\)\. Restore .*`\.\n", error)


def test_gap_and_extra_time_are_computed_from_the_medians(results: Path) -> None:
    history = read_history(Config.load("asv.conf.json"))
    assert results
    values = {
        (row.benchmark, row.release): row
        for row in history.rows
        if (row.series.unwinder, row.shape) == (LLVM, "1000x8")
    }
    for release, gap in ((release, by_shape["1000x8"]) for release, by_shape in STORY.items()):
        ratio, extra = values[GAP, release], values[EXTRA, release]
        assert ratio.value == pytest.approx(gap, rel=0.02)
        assert extra.value == pytest.approx(14 * (gap - 1), rel=0.1)
        for row in (ratio, extra):
            assert row.low is not None
            assert row.high is not None
            assert row.low <= row.value <= row.high


def test_counts_of_an_unknown_processor_are_called_unchecked() -> None:
    machine = replace(LINUX, name="linux-riscv64", arch="riscv64")
    history = make_history(make_counts({"49.0.0": 7.0, "50.0.1": 7.0}, machine), machine)
    assert build_report(history).not_measured == [
        "The counts of linux-riscv64 are not checked: scripts/cost/model.py has no build of "
        "libunwind for riscv64."
    ]
