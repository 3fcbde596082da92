"""The charts of the page, as Vega-Lite; Altair is imported here, and so only when publishing."""

from collections.abc import Sequence
from typing import Any

import altair as alt
from packaging.version import Version

from scripts.base.numbers import number
from scripts.gap import tables
from scripts.gap.words import Report
from scripts.history.benchmarks import HEADLINE

# Okabe and Ito's: told apart by all kinds of eyes, on light and on dark ground
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
COLOUR = alt.Color("series:N").scale(range=COLOURS)
AXIS = 48  # pixels left of every chart, so that releases stand below each other
SIZE = alt.param("size", value=HEADLINE)  # set by the page's selector


def charts(report: Report) -> dict[str, dict[str, Any]]:
    """Vega-Lite by the id of the element it is drawn in."""
    releases = sorted({gap.release for gap in report.gaps}, key=Version)
    x = alt.X("release:O", sort=releases, title=None).scale(domain=releases)
    drawn = {"gap-chart": _gap(report, x), "fde-chart": _fdes(report, x)}
    return {
        name: _configured(chart.properties(width="container")).to_dict()
        for name, chart in drawn.items()
    }


def picture(report: Report, ink: str) -> dict[str, Any]:
    """The chart of the gap as a picture of its own, in a colour for letters and lines."""
    releases = sorted({gap.release for gap in report.gaps}, key=Version)
    x = alt.X("release:O", sort=releases, title="wasmtime-py release").scale(domain=releases)
    size = {"width": 760, "height": 340, "background": "transparent"}
    axis = {"labelColor": ink, "titleColor": ink, "gridColor": "#8883", "domainColor": "#8888"}
    chart: dict[str, Any] = (
        _configured(_gap(report, x).properties(**size))
        .configure_axis(**axis, tickColor="#8888")
        .configure_legend(labelColor=ink, orient="top", title=None, labelLimit=0, symbolOpacity=1)
        .configure_rule(color=ink)
        .configure_text(color=ink)
        .configure_view(stroke=None)
        .to_dict()
    )
    return chart


def _configured(chart: Any) -> Any:
    return (
        chart.configure_axisY(minExtent=AXIS, maxExtent=AXIS)
        .configure_axisX(labelOverlap=True, labelAngle=-90)
        .configure_legend(orient="top", labelLimit=0, title=None, symbolOpacity=1)
    )


def _line(rows: Sequence[dict[str, Any]], x: alt.X, y: alt.Y, tooltip: list[str]) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart({"values": list(rows)})
        .mark_line(point=alt.OverlayMarkDef(size=50, filled=True))
        .encode(x=x, y=y, color=COLOUR, tooltip=["release:O", "series:N", *tooltip])
    )
    return chart


def _gap(report: Report, x: alt.X) -> Any:
    rows = [
        {
            "release": gap.release,
            "series": f"{gap.machine}, {gap.unwinder}",
            "size": gap.size,
            "gap": gap.ratio,
            "low": gap.low,
            "high": gap.high,
            "99 %": tables.cells(gap)[1],
            "ms per 1000 modules": number(gap.excess),
        }
        for gap in report.gaps
    ]
    marks = sorted({(step.size, step.release, step.label) for step in report.steps})
    y = alt.Y("gap:Q", title="gap (×)").scale(type="log", nice=False, padding=8)
    line = _line(rows, x, y, ["gap:Q", "99 %:N", "ms per 1000 modules:N"])
    band = (
        alt.Chart({"values": rows})
        .mark_area(opacity=0.25)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=COLOUR)
    )
    step = alt.Chart(
        {"values": [dict(zip(("size", "release", "pr"), mark, strict=True)) for mark in marks]}
    )
    rule = step.mark_rule(strokeDash=[4, 4]).encode(x=x)
    label = step.mark_text(angle=270, align="right", dy=-8, y=4).encode(x=x, text="pr:N")
    layers = [chart.transform_filter("datum.size == size") for chart in (band, rule, label, line)]
    return alt.layer(*layers).add_params(SIZE).properties(
        height=320,
        description="Line chart of the gap by release, with 99 % intervals and change points.",
    )  # fmt: skip


def _fdes(report: Report, x: alt.X) -> alt.Chart:
    rows = [
        {"release": gap.release, "size": gap.size, "FDEs": gap.fdes,
         "series": f"{gap.machine}, {gap.unwinder}"}
        for gap in report.gaps
        if gap.fdes is not None
    ]  # fmt: skip
    y = alt.Y("FDEs:Q", title="FDEs").scale(zero=True)
    chart = _line(rows, x, y, ["FDEs:Q"]).encode(color=COLOUR.legend(None))
    return chart.transform_filter("datum.size == size").add_params(SIZE).properties(
        height=110, description="Line chart of the FDEs of one module, by release."
    )  # fmt: skip
