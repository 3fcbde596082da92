"""The chart of unloading one module from a busy process."""

from benchmarks._axis import LIBGCC, LLVM
from scripts.history.benchmarks import BUSY, OFF, ON
from scripts.history.rows import Row, SeriesKey
from scripts.report.build import build_report
from scripts.site.busy_chart import build_busy_chart

from .histories import LINUX, make_counts, make_history

KEY = SeriesKey(LINUX.name, LLVM)
COUNTS = make_counts(dict.fromkeys(("48.0.0", "49.0.0", "50.0.1"), 7.0))


def test_chart_has_a_line_for_each_registration_and_one_without_unwind_info() -> None:
    rows = [
        Row(KEY, release, f"{BUSY}{setting}", fdes, seconds)
        for release, on in (("48.0.0", 3e-4), ("49.0.0", 2e-4), ("50.0.1", 1e-5))
        for fdes in ("10040", "2008")
        for setting, seconds in ((ON, on), (OFF, 1e-6))
    ]
    other = [Row(SeriesKey(LINUX.name, LIBGCC), "50.0.1", f"{BUSY}{ON}", "2008", 1e-6)]
    chart = build_busy_chart(build_report(make_history([*COUNTS, *rows, *other])))
    assert chart is not None
    assert [curve.name for curve in chart.curves] == ["49.0.0, on", "50.0.1, on", "off"]
    assert [fdes for fdes, _ in chart.curves[0].points] == [2008, 10040]
    assert [round(value, 6) for _, value in chart.curves[1].points] == [0.01, 0.01]
    assert chart.threshold[0] == 0.1


def test_history_without_a_busy_process_has_no_chart() -> None:
    assert build_busy_chart(build_report(make_history(COUNTS))) is None
