"""The charts of the page, as Vega-Lite; Altair is imported here, and so only when publishing."""

from collections.abc import Sequence
from typing import Any

import altair as alt
from packaging.version import Version

from scripts.gap import tables
from scripts.gap.words import Report
from scripts.history.benchmarks import BESIDE, COUNTED, FEWER, HEADLINE, MORE, ORDERS

# Okabe and Ito's: told apart by all kinds of eyes, on light and on dark ground
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
COLOUR = alt.Color("series:N").scale(range=COLOURS)
AXIS = 64  # pixels left of every chart, so that releases stand below each other
SIZE = alt.param("size", value=HEADLINE)  # set by the page's selector
Rows = Sequence[dict[str, Any]]


def charts(report: Report) -> dict[str, dict[str, Any]]:
    """Vega-Lite by the id of the element it is drawn in."""
    rows = [row for row in _rows(report) if row["instructions"]]
    drawn = {"gap-chart": _by_release(report, "gap")}
    if rows:
        drawn = {"count-chart": _by_release(report, "instructions"), **drawn}
    for name, labels in kinds(rows).items():
        drawn[name] = _kinds(report, [row for row in rows if row["size"] in labels], labels)
    return {
        name: _configured(chart.properties(width="container")).to_dict()
        for name, chart in drawn.items()
    }


def kinds(rows: Rows) -> dict[str, dict[str, str]]:
    """What else is counted, by the chart that it is in: sizes, and what they are called there."""
    sizes = {row["size"] for row in rows}
    found = {}
    if FEWER in sizes:
        modules = (f"{shape.split('x')[0]} modules" for shape in (FEWER, MORE))
        found["growth-chart"] = dict(zip((FEWER, COUNTED[MORE]), modules, strict=True))
    for size in sorted(sizes):
        for ends, chart, other in (
            *((order, "order-chart", "last first") for order in ORDERS),
            (BESIDE, "busy-chart", "alone"),
        ):
            if size.endswith(ends):
                plain, name = size.split(" ", 1)
                name = {"fifo": "first first"}.get(name, name)
                found.setdefault(chart, {COUNTED.get(plain, plain): other})[size] = name
    return found


def picture(report: Report, ink: str) -> dict[str, Any]:
    """The first chart of the page as a picture of its own, in a colour for letters and lines."""
    counted = any(point.instructions for point in report.points)
    size = {"width": 760, "height": 340, "background": "transparent"}
    axis = {"labelColor": ink, "titleColor": ink, "gridColor": "#8883", "domainColor": "#8888"}
    chart = _by_release(report, "instructions" if counted else "gap")
    made: dict[str, Any] = (
        _configured(chart.properties(**size))
        .configure_axis(**axis, tickColor="#8888")
        .configure_legend(labelColor=ink, orient="top", title=None, labelLimit=0, symbolOpacity=1)
        .configure_rule(color=ink)
        .configure_text(color=ink)
        .configure_view(stroke=None)
        .to_dict()
    )
    return made


def _configured(chart: Any) -> Any:
    return (
        chart.configure_axisY(minExtent=AXIS, maxExtent=AXIS)
        .configure_axisX(labelOverlap=True, labelAngle=-90)
        .configure_legend(orient="top", labelLimit=0, title=None, symbolOpacity=1)
    )


def _rows(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "release": point.release,
            "series": ", ".join(point.key),
            "size": point.size,
            "instructions": point.instructions,
            "gap": point.gap and point.gap.value,
            "low": point.gap and point.gap.low,
            "high": point.gap and point.gap.high,
            **dict(zip(("count", "gap and range", "extra ms"), tables.cells(point), strict=True)),
        }
        for point in report.points
    ]


def _x(report: Report) -> alt.X:
    releases = sorted({point.release for point in report.points}, key=Version)
    return alt.X("release:O", sort=releases, title=None).scale(domain=releases)


def _line(rows: Rows, x: alt.X, field: str, title: str, line: Any) -> alt.Chart:
    y = alt.Y(f"{field}:Q", title=title).scale(type="log", nice=False, padding=8)
    shown = ["release:O", "series:N", "count:N", "gap and range:N", "extra ms:N"]
    chart: alt.Chart = (
        alt.Chart({"values": list(rows)})
        .mark_line(interpolate=line, point=alt.OverlayMarkDef(size=50, filled=True))
        .encode(x=x, y=y.axis(format="~s"), color=COLOUR, tooltip=shown)
    )
    return chart


def _by_release(report: Report, field: str) -> Any:
    """A line for each machine and unwinder at the chosen size, the changes, and the ranges."""
    rows, x = [row for row in _rows(report) if row[field]], _x(report)
    counted = field == "instructions"
    what = "instructions per module" if counted else "gap (×)"
    line = _line(rows, x, field, what, "step-after" if counted else "linear")
    marks = {
        (change.release, change.label, size)
        for change in report.changes
        for size in {row["size"] for row in rows}
    }
    step = alt.Chart(
        {"values": [dict(zip(("release", "label", "size"), m, strict=True)) for m in sorted(marks)]}
    )
    rule = step.mark_rule(strokeDash=[4, 4]).encode(x=x)
    label = step.mark_text(angle=270, align="right", dy=-8, y=4).encode(x=x, text="label:N")
    layers = [rule, label, line]
    if not counted:
        ranges = alt.Chart({"values": rows}).mark_rule(strokeWidth=4, opacity=0.4)
        layers.insert(0, ranges.encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=COLOUR))
    layers = [layer.transform_filter("datum.size == size") for layer in layers]
    return alt.layer(*layers).add_params(SIZE).properties(
        height=320, description=f"Line chart of the {what} by release, on a log scale, with changes."
    )  # fmt: skip


def _kinds(report: Report, rows: Rows, labels: dict[str, str]) -> Any:
    """A line for each machine, unwinder and kind."""
    named = [{**row, "kind": labels[row["size"]]} for row in rows]
    dash = alt.StrokeDash("kind:N", sort=list(labels.values()))
    chart = _line(named, _x(report), "instructions", "instructions per module", "step-after")
    return chart.encode(
        strokeDash=dash.legend(symbolType="stroke", symbolStrokeColor="#888888")
    ).properties(
        height=200, description=f"Line chart of instructions: {', '.join(labels.values())}."
    )
