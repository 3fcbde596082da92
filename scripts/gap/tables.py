"""The report as text: a table for a terminal, Markdown, JSON or CSV. All hold the same numbers."""

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as RichTable

from scripts.gap import words
from scripts.gap.changes import Era
from scripts.gap.words import Report
from scripts.history.read import Point

WIDTH = 130  # columns that the tables take with ranges
COSTS = ("instructions", "gap", "extra ms per 1000")
Table = tuple[str, Sequence[str], list[list[str]]]  # title, head and rows


def sections(report: Report) -> dict[str, list[str]]:
    """What stands beside the tables: headings and their sentences."""
    rules = [words.RULE, words.UNTIMED, *[report.note] * bool(report.note)]
    changes = list(map(words.say_change, report.changes)) or ["none found"]
    said = {
        "What to do": [*words.say_advice(report.advice), *rules],
        "Newest release": list(map(words.say_newest, report.newest)),
        "Changes": [*changes, *words.CHANGES],
        "Left out": [*report.nothing, *report.left_out],
    }
    return {heading: sentences for heading, sentences in said.items() if sentences}


def era_tables(report: Report, sizes: Sequence[str]) -> Iterator[Table]:
    """One for every machine and unwinder: a row for each size in each era."""
    for key, group in itertools.groupby(report.eras, key=lambda era: (era.machine, era.unwinder)):
        rows = [
            [f"{words.span(era.first, era.last)} ({era.releases})", era.size,
             *cells(era), era.says, era.why]
            for era in group if era.size in sizes
        ]  # fmt: skip
        yield ", ".join(key), ("releases", "functions", *COSTS, "rule", "since"), rows


def release_tables(report: Report, sizes: Sequence[str]) -> Iterator[Table]:
    """One for every machine and unwinder: a row for each size in each release."""
    for key, group in itertools.groupby(report.points, key=lambda point: point.key):
        rows = [
            [point.release, point.size, *cells(point), words.count(point.fdes)]
            for point in group
            if point.size in sizes
        ]
        yield ", ".join(key), ("release", "functions", *COSTS, "FDEs"), rows


def cells(one: Era | Point | None) -> list[str]:
    """What unwind info costs: instructions, gap and extra time."""
    if one is None:
        return ["n/a"] * len(COSTS)
    return [words.count(one.instructions), words.ranged(one.gap, "×"), words.ranged(one.extra)]


def terminal(report: Report, console: Console, *, releases: bool) -> None:
    """Print sentences and tables; nothing depends on colour.

    Where there is no room for ranges, they are left out, and that is said.
    """
    said, made = sections(report), release_tables if releases else era_tables
    console.print(report.verdict, "", highlight=False, markup=False, soft_wrap=True, sep="\n")
    _print({"What to do": said.pop("What to do")}, console)
    for title, head, rows in made(report, report.sizes):
        if console.width < WIDTH:
            rows = [[row[0], *(cell.split(" (")[0] for cell in row[1:])] for row in rows]
        print_table(title, head, rows, console)
    if console.width < WIDTH:
        console.print("A wider terminal shows the ranges.\n")
    _print(said, console)


def _print(said: dict[str, list[str]], console: Console) -> None:
    for heading, sentences in said.items():
        console.print(f"[bold]{heading}[/bold]", highlight=False)
        for sentence in sentences:
            console.print(f"  {sentence}", highlight=False, markup=False, soft_wrap=True)


def print_table(title: str, head: Sequence[str], rows: list[list[str]], console: Console) -> None:
    """Print a table: the first column is aligned left, the numbers right."""
    table = RichTable(title=f"What unwind info costs: {title}", box=SIMPLE, title_justify="left")
    for index, column in enumerate(head):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def markdown(report: Report, *, releases: bool = False) -> str:
    """The same for a pull request or an issue."""
    lines, made = [report.verdict, ""], release_tables if releases else era_tables
    for title, head, rows in made(report, report.sizes):
        rule = ["---", *["--:"] * (len(head) - 1)]
        lines += [f"### What unwind info costs: {title}", ""]
        lines += [*(f"| {' | '.join(row)} |" for row in (head, rule, *rows)), ""]
    for heading, sentences in sections(report).items():
        lines += [f"### {heading}", "", *(f"- {sentence}" for sentence in sentences), ""]
    return "\n".join(lines)


def to_json(report: Report) -> str:
    """Every number in full."""
    return json.dumps(asdict(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One row for each point; a value has columns for its range and samples."""
    rows = [
        {
            name if part == "value" else f"{name}_{part}": one
            for name, cell in asdict(point).items()
            for part, one in (cell if isinstance(cell, dict) else {"value": cell}).items()
        }
        for point in report.points
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(itertools.chain(*rows))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
