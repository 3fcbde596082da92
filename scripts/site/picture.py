"""`python -m scripts.site.picture`: the page's first chart, as the pictures of README.md."""

import sys
from dataclasses import replace
from pathlib import Path

from asv.config import Config
from asv.util import UserError

from scripts.base.files import write_atomically
from scripts.gap.report import Report, build_report
from scripts.history.benchmarks import DEREGISTER
from scripts.history.read import History, read_history
from scripts.site.charts import build_chart, name_series
from scripts.site.staircase import PICTURE, draw_staircase

TEMPLATES = Path(__file__).parent / "templates"
STYLES = {"light": ["chart.css"], "dark": ["chart.css", "dark.css"]}
FOLDER = Path("docs")


def draw_picture(report: Report, history: History, ground: str) -> str:
    """Return the chart as a file of its own, for light or for dark ground; nothing without one."""
    chart = build_chart(report, history, DEREGISTER)
    if chart is None:
        return ""
    styles = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES[ground])
    drawing = str(draw_staircase(chart, PICTURE, "picture"))
    return drawing.replace("><", f"><style>{styles}</style><", 1) + "\n"


def main() -> int:
    """Write the chart for light and for dark ground and name the files; 1 on an error.

    They show what is recorded, and stay as they are where that is nothing.
    """
    try:
        history = read_history(Config.load("asv.conf.json"))
        rows = [row for row in history.rows if not history.machines[row.machine].is_local]
        recorded = replace(history, rows=rows)
        report = name_series(build_report(recorded), recorded)
        for ground in STYLES:
            path = FOLDER / f"gap-{ground}.svg"
            if drawn := draw_picture(report, recorded, ground):
                write_atomically(path, drawn)
                print(path)
            else:
                print(f"No count is recorded: {path} stays as it is.", file=sys.stderr)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
