"""The command line of the report."""

import argparse
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError
from rich.console import Console

from benchmarks._shapes import HEADLINE
from scripts.base.exits import FAILED
from scripts.gap import tables, words
from scripts.gap.report import build_report, exit_code_of
from scripts.history.read import History, read_history

ABOUT = "The gap report: when the cost of unwind info changed, and what to do."
CHECK = (
    "exit with 1 if the newest release changed the cost, 0 if it did not, 3 if that is unknown, "
    "2 on any error"
)
WIDE = 200  # columns of the details in a pipe


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.gap", description=ABOUT)
    parser.add_argument("--machine", help="a folder of results/; all by default")
    parser.add_argument(
        "--shape", "--size", type=shape, help="such as 1000x8; --size 8 is the same"
    )
    parser.add_argument("--since", metavar="RELEASE", help="leave out older releases")
    parser.add_argument("--details", action="store_true", help="every series, shape and reason")
    parser.add_argument("--releases", action="store_true", help="every release instead of eras")
    parser.add_argument("--format", choices=("table", "markdown", "json", "csv"), default="table")
    parser.add_argument("--check", action="store_true", help=CHECK)
    return parser.parse_args(arguments)


def shape(name: str) -> str:
    """Return the name of a shape; a number of functions names a headline shape."""
    by_functions = {str(shape.functions): name for name, shape in HEADLINE.items()}
    return by_functions.get(name, name)


def require_rows(history: History) -> None:
    """Raise UserError, with what was left out, if the history has no values."""
    if not history.rows:
        raise UserError("\n".join([words.describe_empty(history), *history.left_out]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit code is that of `--check`, or 2 on an error."""
    options = parse(arguments)
    try:
        history = read_history(Config.load("asv.conf.json"))
        require_rows(history)
        report = build_report(history, options.machine, options.shape, options.since)
        if not report.series:
            raise UserError(f"Nothing is measured on {options.machine}.")
    except UserError as error:
        print(error, file=sys.stderr)
        return FAILED
    detailed = options.details or options.releases
    if options.format == "table" and detailed:
        width = None if sys.stdout.isatty() else WIDE
        tables.print_details(report, Console(width=width), releases=options.releases)
    elif options.format == "table":
        tables.print_short(report, Console(width=None if sys.stdout.isatty() else 80))
    elif options.format == "markdown":
        print(tables.to_markdown(report, releases=options.releases), end="")
    else:
        print((tables.to_json if options.format == "json" else tables.to_csv)(report), end="")
    return exit_code_of(report.verdicts) if options.check else 0
