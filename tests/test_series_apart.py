"""Series apart from the cost: memory left, and what unwind info gives."""

from dataclasses import replace

from benchmarks._axis import LLVM
from scripts.cost.benefit import Benefit
from scripts.history.benchmarks import BOTTOM_ON, BUSY, FRAMES_ON, MEMORY, OFF, ON
from scripts.history.rows import Row, SeriesKey
from scripts.report.benefits import find_benefits, read_backtraces
from scripts.report.build import build_report, exit_code_of

from .histories import LINUX, MAC, make_counts, make_history, make_times

KEY = SeriesKey(LINUX.name, LLVM)
RELEASES = ("36.0.0", "37.0.0", "47.0.1", "48.0.0", "49.0.0", "50.0.1")
FLAT = make_counts(dict.fromkeys(RELEASES, 100.0))


def test_memory_is_a_series_of_its_own_with_its_cause() -> None:
    left = dict(zip(RELEASES, (1.1e6, 1.1e6, 1.1e6, 2.4e6, 0.7e6, 0.7e6), strict=True))
    rows = [
        Row(KEY, release, f"{MEMORY}{ON}", "30 engines", value) for release, value in left.items()
    ]
    report = build_report(make_history([*FLAT, *rows]))
    assert report.memory
    assert report.memory.short == (
        "48.0.0 leaves more memory, 49.0.0 leaves less memory; "
        "no other measured release from 36.0.0 to 50.0.1 changed the memory left (linux)."
    )
    more, less = report.memory.lines
    assert more.startswith(
        "48.0.0 leaves more memory than 47.0.1 after 30 engines: 2.40 MB instead of 1.10 MB (#13912"
    )
    assert less.startswith(
        "49.0.0 leaves less memory than 48.0.0 after 30 engines: 0.70 MB instead of 2.40 MB (#14314"
    )
    assert build_report(make_history(FLAT)).memory is None
    flat = [row._replace(value=1e6) for row in rows]
    unchanged = build_report(make_history([*FLAT, *flat])).memory
    assert unchanged
    assert unchanged.lines == []
    assert unchanged.short == (
        "No measured release from 36.0.0 to 50.0.1 changed the memory left (linux)."
    )
    assert report.changes == []
    assert exit_code_of(report.verdicts, "50.0.1") == 0
    assert len(report.series[0].eras) == 1


def test_benefit_changes_only_where_backtraces_do() -> None:
    frames = dict(zip(RELEASES, (0, 5, 5, 5, 4, 4), strict=True))
    rows = []
    for release, passed in frames.items():
        rows.append(Row(KEY, release, FRAMES_ON, "", passed))
        rows.append(Row(KEY, release, BOTTOM_ON, "", min(passed, 1)))
    history = make_history([*FLAT, *rows])
    assert find_benefits(read_backtraces(history)[KEY]) == [
        ("36.0.0", "36.0.0", Benefit.NOTHING), ("37.0.0", "50.0.1", Benefit.ALL),
    ]  # fmt: skip
    (line,) = build_report(history).benefits
    assert line.endswith("nothing in 36.0.0; all frames in 37.0.0 to 50.0.1")


def test_machine_that_measured_a_busy_process_has_rules_of_its_own() -> None:
    rows = []
    for release, per_entry in (("49.0.0", 17 * 1e-9), ("50.0.1", 1e-9)):
        for fdes in (2_008, 100_400):
            for setting, seconds in ((ON, 1e-5 + per_entry * fdes), (OFF, 1e-5)):
                samples = (seconds,) * 8
                rows.append(
                    Row(KEY, release, f"{BUSY}{setting}", str(fdes), seconds, samples=samples)
                )
    report = build_report(make_history([*FLAT, *rows]))
    curves = report.curves[LINUX.name]
    assert [round(point.nanoseconds, 2) for point in curves.high.first] == [0.99, 1.0]


def test_mac_that_contradicts_the_sdks_is_a_problem() -> None:
    old = replace(MAC, os="macOS 12", sections=True)
    history = make_history(make_times({"49.0.0": 9.0, "50.0.1": 1.0}), old)
    (problem,) = build_report(history).problems
    assert problem.startswith(
        "mac (macOS 12) registers sections, but fixtures/macos_libunwind.json"
    )
    new = replace(MAC, sections=True)
    history = make_history(make_times({"49.0.0": 9.0, "50.0.1": 1.0}), new)
    assert build_report(history).problems == []
