"""The charts of the page, as Vega-Lite; Altair is imported here, and so only when publishing."""

from typing import Any

import altair as alt
from packaging.version import Version

from scripts.gap import tables
from scripts.gap.words import Report
from scripts.history.benchmarks import BESIDE, COUNTED, FEWER, HEADLINE, MORE, ORDERS

# Okabe and Ito's: told apart by all kinds of eyes, on light and on dark ground
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
SIZE = alt.param("size", value=HEADLINE)  # set by the page's selector
CONFIG: dict[str, dict[str, Any]] = {
    "axisY": {"minExtent": 64, "maxExtent": 64},  # so that releases stand below each other
    "axisX": {"labelOverlap": True, "labelAngle": -90},
    "legend": {"orient": "top", "labelLimit": 0, "title": None, "symbolOpacity": 1},
}


def charts(report: Report) -> dict[str, dict[str, Any]]:
    """Vega-Lite by the id of the element it is drawn in."""
    fields = {"count-chart": "instructions", "gap-chart": "gap"}
    drawn = {name: _by_release(report, field) for name, field in fields.items()}
    counted = _rows(report, "instructions")
    for name, kinds in kinds_of({row["size"] for row in counted}).items():
        named = [row | {"kind": kinds[row["size"]]} for row in counted if row["size"] in kinds]
        line = _line(report, named, "instructions")
        line = line.encode(color=line.encoding.color.legend(None))
        dash = alt.StrokeDash("kind:N", sort=list(kinds.values()))
        dash = dash.legend(symbolType="stroke", symbolStrokeColor="#888888", columns=1)
        points = line.encode(detail="kind:N").mark_point(filled=True)
        what = f"Line chart of instructions: {', '.join(kinds.values())}."
        layers = alt.layer(line.encode(strokeDash=dash), points)
        drawn[name] = layers.properties(height=200, description=what)
    return {
        name: chart.properties(width="container").to_dict() | {"config": CONFIG}
        for name, chart in drawn.items()
        if chart is not None
    }


def kinds_of(sizes: set[str]) -> dict[str, dict[str, str]]:
    """By chart, the sizes that are compared in it, and what they are called there."""
    found: dict[str, dict[str, str]] = {}
    if FEWER in sizes:
        found["growth-chart"] = {
            COUNTED.get(shape, shape): f"{shape.split('x')[0]} modules" for shape in (FEWER, MORE)
        }
    for size in sorted(sizes):
        if size.endswith((*ORDERS, BESIDE)):
            chart, plain = ("busy", "alone") if size.endswith(BESIDE) else ("order", "last first")
            shape, kind = size.split(" ", 1)
            kinds = found.setdefault(f"{chart}-chart", {COUNTED.get(shape, shape): plain})
            kinds[size] = {"fifo": "first first", "random": "random order"}.get(kind, kind)
    return found


def picture(report: Report, ink: str) -> dict[str, Any]:
    """The first chart of the page as a picture of its own, in a colour for letters and lines."""
    chart = _by_release(report, "instructions") or _by_release(report, "gap")
    faint = {"gridColor": "#8883", "domainColor": "#8888", "tickColor": "#8888"}
    config = CONFIG | {
        "axis": {"labelColor": ink, "titleColor": ink, **faint},
        "legend": {**CONFIG["legend"], "labelColor": ink},
        "rule": {"color": ink}, "text": {"color": ink}, "view": {"stroke": None},
    }  # fmt: skip
    chart = chart.properties(width=760, height=340, background="transparent")
    made: dict[str, Any] = chart.to_dict() | {"config": config}
    return made


def _rows(report: Report, field: str) -> list[dict[str, Any]]:
    """The points that have something, as Vega-Lite takes them, with what a pointer shows."""
    shown = ("count", "gap and range", "extra ms")
    return [
        {"release": point.release, "size": point.size, "instructions": point.instructions,
         "series": report.series[", ".join(point.key)], "gap": point.gap and point.gap.value,
         "low": point.gap and point.gap.low, "high": point.gap and point.gap.high,
         **dict(zip(shown, tables.cells(point), strict=False))}
        for point in report.points if getattr(point, field)
    ]  # fmt: skip


def _line(report: Report, rows: list[dict[str, Any]], field: str) -> Any:
    """A line for each machine and unwinder; what is counted goes in steps."""
    counted = field == "instructions"
    releases = sorted({point.release for point in report.points}, key=Version)
    ticks = [10**n for n in range(10)] if counted else [1, 2, 5, 10, 20, 50, 100, 200, 500]
    y = alt.Y(f"{field}:Q", title="instructions per module" if counted else "gap (×)")
    chart = alt.Chart({"values": rows}).encode(
        x=alt.X("release:O", sort=releases, title=None).scale(domain=releases),
        y=y.axis(format="~s", values=ticks).scale(type="log", nice=False, padding=8),
        color=alt.Color("series:N").scale(domain=[*report.series.values()], range=COLOURS),
        tooltip=["release:O", "series:N", "count:N", "gap and range:N", "extra ms:N"],
    )
    return chart.mark_line(interpolate="step-after" if counted else "linear")


def _by_release(report: Report, field: str) -> Any:
    """Lines at the chosen size, with ranges and changes, or None where there is nothing."""
    if not (rows := _rows(report, field)):
        return None
    line = _line(report, rows, field)
    x = line.encoding.x
    marks = sorted({(change.release, change.mark) for change in report.changes})
    step = alt.Chart({"values": [{"release": at, "label": label} for at, label in marks]})
    chosen = [line, line.mark_point(size=50, filled=True, opacity=1)]
    if field == "gap":
        ranges = line.mark_rule(strokeWidth=4, opacity=0.4)
        chosen.append(ranges.encode(y=alt.Y("low:Q"), y2="high:Q"))
    layers = [
        step.mark_rule(strokeDash=[4, 4]).encode(x=x),
        step.mark_text(angle=270, dy=-8, y=160).encode(x=x, text="label:N"),
        *(chart.transform_filter("datum.size == size") for chart in chosen),
    ]
    what = f"Line chart of the {field} by release, on a log scale, with changes."
    return alt.layer(*layers).add_params(SIZE).properties(height=320, description=what)
