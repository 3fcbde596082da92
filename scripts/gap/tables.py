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

from scripts.base.numbers import interval, number, times
from scripts.gap.changes import WORTH
from scripts.gap.words import Report, say_advice, say_newest, say_step
from scripts.history.benchmarks import PAIRED, SIZES
from scripts.history.read import Gap

WIDTH = 110  # columns that the table of all sizes takes
RULE = (
    f"Unwind info is worth turning off where it costs more than {WORTH:.0f} ms per 1000 modules, "
    "by the lower end of the interval."
)


def sections(report: Report) -> Iterator[tuple[str, list[str]]]:
    """What stands below the tables: a heading and its sentences."""
    yield "Change points", [say_step(step) for step in report.steps] or ["none found"]
    yield "Newest release", [say_newest(newest) for newest in report.newest]
    notes = [report.note] if report.note else []
    yield "Advice", [*map(say_advice, report.advice), RULE, *notes]
    if report.libraries:
        yield "Counted libraries", report.libraries
    if report.left_out:
        yield "Left out", report.left_out


def tables(
    gaps: Sequence[Gap], measured: Sequence[tuple[str, str, str]]
) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """A title, a head and rows for every machine and unwinder: one row a measured release."""
    for (machine, unwinder), group in itertools.groupby(gaps, key=lambda gap: gap.series[:2]):
        points = list(group)
        sizes = [size for size in SIZES if any(gap.size == size for gap in points)]
        columns = _details if len(sizes) == 1 else cells
        head = (
            ["gap", "99 %", "≈ ms per 1000 modules", "≈ µs per FDE"]
            if len(sizes) == 1
            else list(itertools.chain.from_iterable((size, "99 %") for size in sizes))
        )
        by_size = {(gap.release, gap.size): gap for gap in points}
        rows = [
            [release, *itertools.chain(*(columns(by_size.get((release, size))) for size in sizes))]
            for *key, release in measured
            if key == [machine, unwinder]
        ]
        title = f"{machine}, {unwinder}" + (f", {sizes[0]}" if len(sizes) == 1 else "")
        yield title, ["release", *head], rows


def cells(gap: Gap | None) -> list[str]:
    """The gap and its interval."""
    if gap is None:
        return ["n/a", ""]
    if gap.size not in PAIRED:
        return [f"≈{times(gap.ratio)}", ""]
    return [times(gap.ratio), interval(gap.low, gap.high)]


def _details(gap: Gap | None) -> list[str]:
    costs = (gap.excess, gap.per_fde) if gap else (None, None)
    return [*cells(gap), *map(number, costs)]


def terminal(report: Report, console: Console) -> None:
    """Print tables and sentences; nothing depends on colour.

    Where there is no room for intervals, they are left out, and that is said.
    """
    narrow = console.width < WIDTH and len({gap.size for gap in report.gaps}) > 1
    for title, head, rows in tables(report.gaps, report.measured):
        if narrow:
            head, *rows = (line[:1] + line[1::2] for line in (head, *rows))
        print_table(title, head, rows, console)
    if narrow:
        console.print("A wider terminal, or --size, shows the intervals.\n")
    for heading, sentences in sections(report):
        console.print(f"[bold]{heading}[/bold]", highlight=False)
        for sentence in sentences:
            console.print(f"  {sentence}", highlight=False, markup=False, soft_wrap=True)


def print_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], console: Console
) -> None:
    """Print a table: the first column is aligned left, the numbers right."""
    table = Table(title=f"What unwind info costs: {title}", box=SIMPLE, title_justify="left")
    for index, column in enumerate(head):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def markdown(report: Report) -> str:
    """The same for a pull request or an issue."""
    lines = []
    for title, head, rows in tables(report.gaps, report.measured):
        lines += [f"### What unwind info costs: {title}", "", _line(head)]
        lines += [_line(["---", *["--:"] * (len(head) - 1)]), *map(_line, rows), ""]
    for heading, sentences in sections(report):
        lines += [f"### {heading}", "", *(f"- {sentence}" for sentence in sentences), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_json(report: Report) -> str:
    """Every number in full."""
    return json.dumps(asdict(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """One row for each gap."""
    out = io.StringIO()
    columns = [name for name in Gap.__annotations__ if name != "samples"]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(gap) for gap in report.gaps)
    return out.getvalue()
