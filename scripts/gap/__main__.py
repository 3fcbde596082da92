"""`python -m scripts.gap`: the gap report in the terminal."""

import argparse
import io
import sys
from collections.abc import Sequence

from asv.config import Config
from asv.util import UserError
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.base.names import known
from scripts.base.numbers import number
from scripts.gap import eras, tables
from scripts.gap.words import Report, report
from scripts.history.benchmarks import SIZES
from scripts.history.read import Gap, History, read

MOVED, ERROR, NO_SESSION = 1, 2, 3  # exit codes of --check


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m scripts.gap", description=__doc__)
    options.add_argument("--machine", help="a folder of results/; all by default")
    options.add_argument("--size", help=f"one of {', '.join(SIZES)}; all by default")
    options.add_argument("--since", metavar="RELEASE", help="leave out what is older")
    options.add_argument("--format", choices=("table", "markdown", "json", "csv"), default="table")
    options.add_argument(
        "--check", action="store_true",
        help="exit 1 when the newest release moved the gap, 0 when it did not, 2 on an error, 3 "
        "when it was not measured in one session with the release before it",
    )  # fmt: skip
    commands = options.add_subparsers(dest="command", metavar="compare A B | eras")
    commands.add_parser("eras", help="everything that is measured, between the change points")
    compare = commands.add_parser("compare", help="put two side by side, also of two machines")
    for name in ("a", "b"):
        compare.add_argument(name, metavar=name.upper(), help="machine/unwinder/release")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit code is that of `--check`, or 2 on an error."""
    options = parser().parse_args(arguments)
    try:
        history = read(Config.load("asv.conf.json"))
        if not history.gaps:
            raise UserError(no_gap(history))
        if options.command == "compare":
            if options.check or options.machine or options.size or options.since:
                raise UserError("compare takes two machine/unwinder/release and nothing else.")
            compare(history, options.a, options.b)
            return 0
        found = report(history, options.machine, options.size, options.since)
        if not found.newest:
            raise UserError(f"No gap is measured on {options.machine}.")
        if options.command == "eras":
            if options.check or options.size or options.since or options.format != "table":
                raise UserError("eras takes --machine and nothing else.")
            for table in eras.tables(history, found):
                tables.print_table(*table, console())
            return 0
    except UserError as error:
        print(error, file=sys.stderr)
        return ERROR
    print_report(found, options.format)
    return exit_code(found) if options.check else 0


def no_gap(history: History) -> str:
    """Why there is nothing to report."""
    if not history.files:
        reason = "results/ holds no results. Run `uv run asv run`."
    else:
        reason = (
            f"No gap is measured in the {len(history.files)} results: it is n/a on Windows, "
            "where unwind info cannot be turned off, and without the unwinder that was asked for; "
            "or TeardownGap was left out."
        )
    return "\n".join([reason, *history.left_out])


def print_report(found: Report, form: str) -> None:
    """Print the report in the form that was asked for."""
    if form == "table":
        tables.terminal(found, console())
    else:
        forms = {"markdown": tables.markdown, "json": tables.to_json, "csv": tables.to_csv}
        print(forms[form](found), end="")


def console() -> Console:
    """A terminal of its own width; a pipe is as wide as the table needs."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def exit_code(found: Report) -> int:
    """What `--check` answers; a move that is certain comes before what cannot be told."""
    if any(newest.moved for newest in found.newest):
        return MOVED
    return NO_SESSION if any(newest.reason for newest in found.newest) else 0


def compare(history: History, a: str, b: str) -> None:
    """Print two releases of any machine and unwinder side by side.

    Raises:
        UserError: one of them was not measured; it names the near ones.
    """
    by_name: dict[str, dict[str, Gap]] = {}
    for gap in history.gaps:
        by_name.setdefault("/".join((*gap.series[:2], gap.release)), {})[gap.size] = gap
    for name in (a, b):
        known(name, by_name, "measured machine/unwinder/release")
    table = Table(box=SIMPLE)
    for column in ("size", a, "99 %", b, "99 %", "B / A"):
        table.add_column(column, justify="right", overflow="fold")
    for size in SIZES:
        left, right = by_name[a].get(size), by_name[b].get(size)
        cells = [*tables.cells(left), *tables.cells(right)]
        factor = number(right.ratio / left.ratio) if left and right else "n/a"
        table.add_row(size, *cells, factor)
    console().print(table)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows knows neither × nor →
    sys.exit(main())
