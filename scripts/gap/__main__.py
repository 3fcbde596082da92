"""`python -m scripts.gap`: the gap report in the terminal."""

import argparse
import io
import signal
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError
from rich.console import Console

from scripts.base.names import known
from scripts.base.numbers import number
from scripts.gap import tables
from scripts.gap.changes import costs
from scripts.gap.words import functions, report
from scripts.history.benchmarks import SIZES
from scripts.history.read import History, Point, read

MOVED, ERROR, UNKNOWN = 1, 2, 3  # exit codes of --check
CHECK = (
    "exit 1 when the newest release changed the cost, 0 when it did not, 3 when that is not known, "
    "2 on an error"
)
NO_RESULTS = "results/ holds no results. Run `uv run asv run`."
ALL_NA = (
    "Nothing is measured in the {} results: it is n/a on Windows, where unwind info cannot be "
    "turned off, and without the unwinder that was asked for; or TeardownGap was left out."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit code is that of `--check`, or 2 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.gap", description=__doc__)
    sizes = f"functions per module ({', '.join(SIZES)}), or what else is counted"
    parser.add_argument("--machine", help="a folder of results/; all by default")
    parser.add_argument("--size", help=sizes)
    parser.add_argument("--since", metavar="RELEASE", help="leave out what is older")
    parser.add_argument("--releases", action="store_true", help="every release, not eras")
    parser.add_argument("--format", choices=("table", "markdown", "json", "csv"), default="table")
    parser.add_argument("--check", action="store_true", help=CHECK)
    commands = parser.add_subparsers(dest="command", metavar="compare A B")
    two = commands.add_parser("compare", help="put two side by side, also of two machines")
    two.add_argument("a", metavar="A", help="machine/unwinder/release")
    two.add_argument("b", metavar="B", help="the other one")
    options = parser.parse_args(arguments)
    # a terminal has its own width; a pipe is as wide as the table needs
    console = Console(width=None if sys.stdout.isatty() else 200)
    try:
        history = read(Config.load("asv.conf.json"))
        if not history.points:
            reason = ALL_NA.format(len(history.files)) if history.files else NO_RESULTS
            raise UserError("\n".join([reason, *history.left_out]))
        if options.command == "compare":
            if options.check or options.machine or options.size or options.since:
                raise UserError("compare takes two machine/unwinder/release and nothing else.")
            compare(history, options.a, options.b, console)
            return 0
        found = report(history, options.machine, options.size, options.since)
        if not found.newest:
            raise UserError(f"Nothing is measured on {options.machine}.")
    except UserError as error:
        print(error, file=sys.stderr)
        return ERROR
    if options.format == "table":
        tables.terminal(found, console, releases=options.releases)
    elif options.format == "markdown":
        print(tables.markdown(found, releases=options.releases), end="")
    else:
        print((tables.to_json if options.format == "json" else tables.to_csv)(found), end="")
    moved = any(verdict.moved for verdict in found.newest)
    unknown = any(verdict.reason for verdict in found.newest)
    # a change that is certain comes before what is not known
    return options.check and (MOVED if moved else UNKNOWN if unknown else 0)


def compare(history: History, a: str, b: str, console: Console) -> None:
    """Print two releases of any machine and unwinder side by side.

    Raises:
        UserError: one of them was not measured; it names the near ones.
    """
    by_name: dict[str, dict[str, Point]] = {}
    for point in history.points:
        by_name.setdefault("/".join((*point.key, point.release)), {})[point.size] = point
    for name in (a, b):
        known(name, by_name, "measured machine/unwinder/release")
    rows = []
    for size in dict.fromkeys((*by_name[a], *by_name[b])):
        pair = by_name[a].get(size), by_name[b].get(size)
        both = (costs(filter(None, pair), counted=counted) for counted in (True, False))
        factor = next(
            (number(two[1] / one[1]) for one, two in (p for p in both if len(p) == 2) if one[1]),
            "n/a",
        )
        rows.append(
            [functions(size), *(cell for point in pair for cell in tables.cells(point)), factor]
        )
    head = ["size", *(f"{name}: {what}" for name in "AB" for what in tables.COSTS), "B / A"]
    tables.print_table(f"A = {a}, B = {b}", head, rows, console)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows knows neither × nor →
    # a traceback would end with 1, which says that the cost has changed
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
