"""`python -m scripts.gap.picture`: the chart at the top of README.md, from the recorded history."""

import itertools
import sys
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from asv.config import Config
from asv.util import UserError
from packaging.version import Version

from scripts.files import replacing
from scripts.gap.charts import COLOURS
from scripts.gap.history import Gap, read
from scripts.gap.report import Report, report

MACHINE = "linux-x86_64"
SIZES = {"1000x8": "1000 modules of 8 functions", "250x100": "250 modules of 100 functions"}
UNWINDERS = {"libunwind": "LLVM's libunwind", "system": "libgcc"}
INK = {"light": "#1f2328", "dark": "#e6edf3"}  # GitHub's own, on its grounds
FOLDER = Path("docs")


def headline(found: Report, ink: str) -> dict[str, Any]:
    """Vega-Lite of the gap by release: two sizes, two unwinders, the change points."""
    gaps = [gap for gap in found.gaps if gap.size in SIZES]
    releases = sorted({gap.release for gap in gaps}, key=Version)
    rows = [_row(gap) for gap in gaps]
    x = alt.X("release:O", sort=releases, title="wasmtime-py release").scale(domain=releases)
    y = alt.Y("gap:Q", title="gap: teardown time with unwind info over without")
    y = y.scale(type="log", domain=[0.8, 500], nice=False).axis(
        values=[1, 2, 5, 10, 20, 50, 100, 200], labelExpr="datum.label + '×'"
    )
    colour = alt.Color("unwinder:N", legend=None).scale(
        domain=[*UNWINDERS.values()], range=[COLOURS[5 if ink == INK["dark"] else 0], COLOURS[1]]
    )
    base = alt.Chart({"values": rows}).encode(x=x, color=colour, detail="size:N")
    line = base.mark_line(point=alt.OverlayMarkDef(size=22)).encode(y=y)
    band = base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q"), y2="high:Q")
    names = alt.Chart({"values": _names(gaps)}).encode(x=x, y="gap:Q", color=colour, text="name:N")
    rule = alt.Chart({"values": _marks(found)}).encode(x=x)
    layers = [
        rule.mark_rule(strokeDash=[4, 4], color=ink, opacity=0.6),
        rule.mark_text(angle=270, align="right", dy=-7, y=4, color=ink).encode(text="pr:N"),
        band, line, names.mark_text(dy=-12, fontSize=12),
    ]  # fmt: skip
    axis = {"labelColor": ink, "titleColor": ink, "gridColor": "#8883", "domainColor": "#8888"}
    chart: dict[str, Any] = (
        alt.layer(*layers)
        .properties(width=760, height=340, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(**axis, tickColor="#8888", titleFontWeight="normal")
        .configure_axisX(labelAngle=-90, labelOverlap=False, grid=False, labelFontSize=9)
        .to_dict()
    )
    return chart


def _row(gap: Gap) -> dict[str, Any]:
    return {"release": gap.release, "unwinder": UNWINDERS[gap.unwinder], "size": SIZES[gap.size],
            "gap": gap.ratio, "low": gap.low, "high": gap.high}  # fmt: skip


def _names(gaps: list[Gap]) -> list[dict[str, Any]]:
    """What is written at each line; libgcc's lines are one."""
    names = []
    for (_, unwinder, size), of_one in itertools.groupby(
        sorted(gaps, key=lambda gap: gap.series), key=lambda gap: gap.series
    ):
        if unwinder == "libunwind" or size == "1000x8":
            mine = list(of_one)
            what = SIZES[size] if unwinder == "libunwind" else "both sizes"
            row = _row(mine[len(mine) * 3 // 5])  # between the change points
            names.append({**row, "name": f"{UNWINDERS[unwinder]}, {what}"})
    return names


def _marks(found: Report) -> list[dict[str, str]]:
    """The change points, each once."""
    marks = {step.release: step.label for step in found.steps if step.size in SIZES}
    return [{"release": release, "pr": f"{release}: {pr}"} for release, pr in marks.items()]


def main() -> int:
    """Write the chart for light and for dark ground; 1 when nothing is recorded."""
    try:
        found = report(read(Config.load("asv.conf.json")), MACHINE)
        if not found.gaps:
            raise UserError(f"No gap is measured on {MACHINE}.")
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    for ground, ink in INK.items():
        path = FOLDER / f"gap-{ground}.svg"
        with replacing(path) as scratch:
            svg = vl_convert.vegalite_to_svg(headline(found, ink))
            scratch.write_text(svg, encoding="utf-8", newline="\n")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
