"""The report as text: a table for a terminal, Markdown, JSON or CSV. All hold the same numbers."""

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.gap import words
from scripts.gap.changes import Era
from scripts.gap.words import Report
from scripts.history.read import Point

WIDTH = 130  # columns that the tables take with ranges
COSTS = ("instructions", "gap", "extra ms per 1000", "FDEs")


def sections(report: Report) -> dict[str, list[str]]:
    """What stands beside the tables: headings and their sentences."""
    changes = [
        say(change) for change in report.changes for say in (words.say_change, words.say_functions)
    ]
    found = {
        "What to do": [*words.say_advice(report.advice), words.RULE, words.UNTIMED, report.note],
        "Newest release": list(map(words.say_newest, report.newest)),
        "Changes": [*(changes or ["none found"]), report.macs, *words.CHANGES],
        "Left out": report.left_out,
    }
    return {heading: said for heading, all_ in found.items() if (said := list(filter(None, all_)))}


def tables(
    report: Report, *, releases: bool = False
) -> Iterator[tuple[tuple[str, str], str, list[str], list[list[str]]]]:
    """Key, title, head and rows for every machine and unwinder: a row for each era, or release."""
    head = ["release" if releases else "releases", "functions", *COSTS]
    points = report.points if releases else report.eras
    for key, group in itertools.groupby(points, key=lambda point: point.key):
        rows = [row(point) for point in group if point.size in report.sizes]
        series = report.series[", ".join(key)]
        yield key, series, head if releases else [*head, "what to do", "since"], rows


def row(point: Point) -> list[str]:
    """The cells of a release or of an era."""
    if not isinstance(point, Era):
        return [point.release, point.size, *cells(point)]
    releases = f"{words.span(point.release, point.last)} ({point.releases})"
    return [releases, point.size, *cells(point), point.says, point.why]


def cells(point: Point | None) -> list[str]:
    """What unwind info costs: instructions, gap, extra time and FDEs."""
    if point is None:
        return ["n/a"] * len(COSTS)
    gap, extra = words.ranged(point.gap, "×"), words.ranged(point.extra)
    return [words.count(point.instructions), gap, extra, words.count(point.fdes)]


def terminal(report: Report, console: Console, *, releases: bool) -> None:
    """Print it all. Nothing depends on colour; ranges for which there is no room are left out."""
    said, narrow = sections(report), console.width < WIDTH
    lines = [report.verdict, "", "What to do", *(f"  {line}" for line in said.pop("What to do"))]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    for _, title, head, rows in tables(report, releases=releases):
        if narrow:
            rows = [[line[0], *(cell.split(" (")[0] for cell in line[1:])] for line in rows]
        print_table(title, head, rows, console)
    lines = ["A wider terminal shows the ranges."] * narrow
    for heading, sentences in said.items():
        lines += [heading, *(f"  {sentence}" for sentence in sentences)]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def print_table(title: str, head: Sequence[str], rows: list[list[str]], console: Console) -> None:
    """Print a table: the first column is aligned left, the numbers right."""
    table = Table(
        title=f"What unwind info costs: {title}", box=SIMPLE, title_justify="left",
        collapse_padding=console.width < WIDTH,
    )  # fmt: skip
    for index, column in enumerate(head):
        whole = column in ("functions", "instructions")  # a narrow terminal would break the words
        table.add_column(
            column, justify="right" if index else "left", no_wrap=whole, overflow="fold"
        )
    for line in rows:
        table.add_row(*line)
    console.print(table)


def markdown(report: Report, *, releases: bool = False) -> str:
    """The same for a pull request or an issue."""
    lines = [report.verdict, ""]
    for _, title, head, rows in tables(report, releases=releases):
        ruled = (head, ["---", *["--:"] * (len(head) - 1)], *rows)
        lines += [f"### What unwind info costs: {title}", ""]
        lines += [*(f"| {' | '.join(line)} |" for line in ruled), ""]
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
