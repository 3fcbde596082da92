"""`python -m scripts.gap`: the gap report in the terminal."""

import argparse
import io
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError
from rich.console import Console

from scripts.base.names import known
from scripts.base.numbers import number
from scripts.gap import tables
from scripts.gap.changes import cost
from scripts.gap.words import functions, report
from scripts.history.benchmarks import SIZES
from scripts.history.read import History, Point, read

MOVED, ERROR, UNKNOWN = 1, 2, 3  # exit codes of --check


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m scripts.gap", description=__doc__)
    options.add_argument("--machine", help="a folder of results/; all by default")
    options.add_argument(
        "--size", help=f"functions per module ({', '.join(SIZES)}), or what else is counted"
    )
    options.add_argument("--since", metavar="RELEASE", help="leave out what is older")
    options.add_argument("--releases", action="store_true", help="every release, not eras")
    options.add_argument("--format", choices=("table", "markdown", "json", "csv"), default="table")
    options.add_argument(
        "--check", action="store_true",
        help="exit 1 when the newest release moved the cost, 0 when it did not, 2 on an error, 3 "
        "when that is not known",
    )  # fmt: skip
    commands = options.add_subparsers(dest="command", metavar="compare A B")
    compare = commands.add_parser("compare", help="put two side by side, also of two machines")
    for name in ("a", "b"):
        compare.add_argument(name, metavar=name.upper(), help="machine/unwinder/release")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit code is that of `--check`, or 2 on an error."""
    options = parser().parse_args(arguments)
    try:
        history = read(Config.load("asv.conf.json"))
        if not history.points:
            raise UserError(no_point(history))
        if options.command == "compare":
            if options.check or options.machine or options.size or options.since:
                raise UserError("compare takes two machine/unwinder/release and nothing else.")
            compare(history, options.a, options.b)
            return 0
        found = report(history, options.machine, options.size, options.since)
        if not found.newest:
            raise UserError(f"Nothing is measured on {options.machine}.")
    except UserError as error:
        print(error, file=sys.stderr)
        return ERROR
    if options.format == "table":
        tables.terminal(found, console(), releases=options.releases)
    elif options.format == "markdown":
        print(tables.markdown(found, releases=options.releases), end="")
    else:
        print((tables.to_json if options.format == "json" else tables.to_csv)(found), end="")
    moved, unknown = any(one.moved for one in found.newest), any(one.reason for one in found.newest)
    # a move that is certain comes before what is not known
    return options.check and (MOVED if moved else UNKNOWN if unknown else 0)


def no_point(history: History) -> str:
    """Why there is nothing to report."""
    reason = (
        f"Nothing is measured in the {len(history.files)} results: it is n/a on Windows, where "
        "unwind info cannot be turned off, and without the unwinder that was asked for; or "
        "TeardownGap was left out."
        if history.files
        else "results/ holds no results. Run `uv run asv run`."
    )
    return "\n".join([reason, *history.left_out])


def console() -> Console:
    """A terminal of its own width; a pipe is as wide as the table needs."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def compare(history: History, a: str, b: str) -> None:
    """Print two releases of any machine and unwinder side by side.

    Raises:
        UserError: one of them was not measured; it names the near ones.
    """
    by_name: dict[str, dict[str, Point]] = {}
    for point in history.points:
        by_name.setdefault("/".join((*point.key, point.release)), {})[point.size] = point
    for name in (a, b):
        known(name, by_name, "measured machine/unwinder/release")
    left, right = by_name[a], by_name[b]
    rows = [
        [functions(size), *tables.cells(left.get(size)), *tables.cells(right.get(size)),
         factor(left.get(size), right.get(size))]
        for size in dict.fromkeys((*left, *right))
    ]  # fmt: skip
    head = ["size", *(f"{name}: {what}" for name in "AB" for what in tables.COSTS), "B / A"]
    tables.print_table(f"A = {a}, B = {b}", head, rows, console())


def factor(left: Point | None, right: Point | None) -> str:
    """How many times as much one costs as the other: instructions, or else the gap."""
    for counted in (True, False):
        old, new = (one and cost(one, counted=counted) for one in (left, right))
        if old and new:
            return number(new / old)
    return "n/a"


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows knows neither × nor →
    sys.exit(main())
