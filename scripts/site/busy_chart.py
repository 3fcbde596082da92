"""The chart of the time to unload one module from a busy process."""

from scripts.cost.advice import THRESHOLD
from scripts.cost.model import find_registration
from scripts.history.benchmarks import BUSY, OFF, ON
from scripts.report.build import Report, Series
from scripts.site.line_chart import Curve, LineChart


def build_busy_chart(report: Report) -> LineChart | None:
    """Return the chart of the most relevant series that has times of a busy process, if any.

    It has a line for the newest release of each kind of registration, and one without unwind info.
    """
    for series in report.series:
        is_libunwind = series.key.unwinder.family == "libunwind"
        curves = list_curves(report, series) if is_libunwind else []
        if curves:
            return LineChart(
                caption=(
                    "CPU time to unload one module of 8 functions while others stay loaded, median "
                    f"of eight processes, on {series.key.machine} with {series.key.unwinder.name}."
                ),
                x_title="FDEs of other modules, which stay loaded",
                y_title="milliseconds to unload one module",
                curves=curves,
                threshold=(THRESHOLD, "0.1 ms, the limit"),
            )
    return None


def list_curves(report: Report, series: Series) -> list[Curve]:
    """Return the lines of a series, or nothing if it has no times of a busy process."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in report.rows:
        if row.series == series.key and row.benchmark in (f"{BUSY}{ON}", f"{BUSY}{OFF}"):
            milliseconds = 1e3 * row.value
            if milliseconds > 0:
                points.setdefault((row.benchmark, row.release), []).append(
                    (float(row.shape), milliseconds)
                )
    measured = [release for benchmark, release in points if benchmark == f"{BUSY}{ON}"]
    newest = {find_registration(release): release for release in measured}
    curves = [
        Curve(f"{release}, on", sorted(points[f"{BUSY}{ON}", release]))
        for release in newest.values()
    ]
    off = points.get((f"{BUSY}{OFF}", measured[-1])) if measured else None
    return [*curves, *([Curve("off", sorted(off))] if off else [])]
