"""`python -m scripts.site.picture`: the page's chart, as the pictures at the top of README.md."""

import sys
from pathlib import Path

import vl_convert
from asv.config import Config
from asv.util import UserError

from scripts.base.files import write
from scripts.gap.words import report
from scripts.history.read import read
from scripts.site.charts import picture

MACHINE = "linux-x86_64"
INK = {"light": "#1f2328", "dark": "#e6edf3"}  # GitHub's own, on its grounds
FOLDER = Path("docs")


def main() -> int:
    """Write the chart for light and for dark ground and name the files; 1 on an error.

    They stay as they are where there is nothing to show: history may have moved to other machines.
    """
    try:
        recorded = read(Config.load("asv.conf.json"))
        if all(point.machine != MACHINE for point in recorded.points):
            print(f"Nothing is measured on {MACHINE}: nothing is drawn.", file=sys.stderr)
            return 0
        history = report(recorded, MACHINE)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    for ground, ink in INK.items():
        path = FOLDER / f"gap-{ground}.svg"
        write(path, vl_convert.vegalite_to_svg(picture(history, ink)))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
