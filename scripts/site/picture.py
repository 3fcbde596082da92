"""`python -m scripts.site.picture`: the page's chart, as the pictures at the top of README.md."""

import sys
from dataclasses import replace
from pathlib import Path

import vl_convert
from asv.config import Config
from asv.util import UserError

from scripts.base.files import write
from scripts.gap.words import report
from scripts.history.read import read
from scripts.history.results import LOCAL
from scripts.site.charts import picture

INK = {"light": "#1f2328", "dark": "#e6edf3"}  # GitHub's own, on its grounds
FOLDER = Path("docs")


def main() -> int:
    """Write the chart for light and for dark ground and name the files; 1 on an error.

    They show what is recorded, and stay as they are where that is nothing.
    """
    try:
        history = read(Config.load("asv.conf.json"))
        points = [point for point in history.points if not point.machine.startswith(LOCAL)]
        if not points:
            print("Nothing is recorded: nothing is drawn.", file=sys.stderr)
            return 0
        recorded = report(replace(history, points=points))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    for ground, ink in INK.items():
        path = FOLDER / f"gap-{ground}.svg"
        write(path, vl_convert.vegalite_to_svg(picture(recorded, ink)))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
