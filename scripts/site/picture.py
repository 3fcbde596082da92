"""`python -m scripts.site.picture`: draw the first chart of the page for README.md."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asv.config import Config
from asv.util import UserError

from scripts.base.files import write_atomically
from scripts.history.benchmarks import DEREGISTER
from scripts.history.read import History, read_history
from scripts.report.build import Report, build_report
from scripts.site.charts import build_chart, name_series
from scripts.site.staircase import PICTURE, draw_staircase

TEMPLATES = Path(__file__).parent / "templates"
STYLES = {"light": ["chart.css"], "dark": ["chart.css", "dark.css"]}
FOLDER = Path("docs")


def draw_picture(report: Report, history: History, ground: str) -> str:
    """Return the chart as an SVG file for a light or dark ground, or nothing without counts.

    Unreleased builds are left out, because the file would be out of date every week.
    """
    chart = build_chart(report, replace(history, dev=None), DEREGISTER)
    if chart is None:
        return ""
    styles = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES[ground])
    drawing = str(draw_staircase(chart, PICTURE, "picture"))
    return drawing.replace("><", f"><style>{styles}</style><", 1) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the chart for a light and a dark ground and print the paths; return 1 on an error.

    The chart leaves out local machines. Without recorded counts the files stay unchanged.
    """
    parser = argparse.ArgumentParser(prog="python -m scripts.site.picture", description=__doc__)
    parser.parse_args(arguments)
    try:
        history = read_history(Config.load("asv.conf.json"))
        rows = [row for row in history.rows if not history.machines[row.series.machine].is_local]
        recorded = replace(history, rows=rows)
        report = name_series(build_report(recorded), recorded)
        for ground in STYLES:
            path = FOLDER / f"gap-{ground}.svg"
            if drawing := draw_picture(report, recorded, ground):
                write_atomically(path, drawing)
                print(path)
            else:
                print(f"No counts are recorded: {path} is unchanged.", file=sys.stderr)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
