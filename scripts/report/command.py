"""The command line of the report."""

import argparse
import os
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError
from rich.console import Console

from benchmarks._shapes import HEADLINE
from scripts.base.exits import FAILED
from scripts.history.read import History, read_history
from scripts.report import tables, words
from scripts.report.build import build_report, exit_code_of

ABOUT = "The gap report: when the cost of unwind info changed, and what to do."
CHECK = (
    "exit with 0 if the newest pinned release did not change the cost, 1 if it did, 2 on any "
    "error, 3 if that is unknown, for example because it was not measured yet"
)
SHORT_WIDTH, DETAILS_WIDTH = 80, 200  # columns, in a pipe, unless COLUMNS is set


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.gap", description=ABOUT)
    parser.add_argument("--machine", help="report on one folder of results/ (default: all)")
    parser.add_argument(
        "--shape",
        "--size",
        type=parse_shape,
        help="show one shape, such as 1000x8, or 8 for short",
    )
    parser.add_argument("--since", metavar="RELEASE", help="hide older releases")
    parser.add_argument(
        "--details",
        action="store_true",
        help="show all machines and shapes, advice by platform, and causes",
    )
    parser.add_argument(
        "--releases", action="store_true", help="like --details, by release instead of era"
    )
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "json", "csv"),
        default="table",
        help="output format (default: table)",
    )
    parser.add_argument("--check", action="store_true", help=CHECK)
    return parser.parse_args(arguments)


def parse_shape(name: str) -> str:
    """Return the name of a shape. A number of functions selects the headline shape with it."""
    by_functions = {str(shape.functions): name for name, shape in HEADLINE.items()}
    return by_functions.get(name, name)


def choose_width(width: int) -> int | None:
    """Return a width for output to a pipe, unless COLUMNS has one; None for a terminal."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) > 0:
        return int(columns)
    return None if sys.stdout.isatty() else width


def require_rows(history: History) -> None:
    """Check that the history has values.

    Raises:
        UserError: there are none.
    """
    if not history.rows:
        raise UserError(words.describe_empty(history))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report. Return the exit code of `--check`, or 2 on an error."""
    options = parse(arguments)
    left_out: list[str] = []
    try:
        history = read_history(Config.load("asv.conf.json"))
        left_out = history.left_out
        require_rows(history)
        report = build_report(history, options.machine, options.shape, options.since)
        if not report.series:
            where = options.machine or "any machine"
            raise UserError(f"No cost was measured on {where}.")
    except UserError as error:
        # a file that was left out may be the reason why a name is unknown
        print(*left_out, error, sep="\n", file=sys.stderr)
        return FAILED
    if options.format == "json":
        print(tables.to_json(report), end="")
    elif options.format == "csv":
        print(tables.to_csv(report), end="")
        for problem in report.problems:  # the other formats have them in their text
            print(problem, file=sys.stderr)
    elif options.format == "markdown":
        print(tables.to_markdown(report, releases=options.releases), end="")
    elif options.details or options.releases:
        console = Console(width=choose_width(DETAILS_WIDTH))
        tables.print_details(report, console, releases=options.releases)
    else:
        tables.print_short(report, Console(width=choose_width(SHORT_WIDTH)))
    return exit_code_of(report.verdicts, report.newest) if options.check else 0
