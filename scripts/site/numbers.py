"""The tables of numbers: what makes unloading dearer, and every release."""

from collections.abc import Sequence
from typing import NamedTuple

from packaging.version import Version

from scripts.base.numbers import format_count
from scripts.gap import tables, words
from scripts.gap.changes import Value
from scripts.gap.report import Report, Series
from scripts.gap.tables import TableText
from scripts.history.benchmarks import DEREGISTER, EXTRA, GAP
from scripts.history.rows import Row

# what differs between two shapes, and in which order they are compared
COMPARED = [
    ("More modules loaded", "250x8", "1000x8"),
    ("The first one first", "250x8", "250x8 fifo"),
    ("Random order", "250x8", "250x8 random"),
    ("Beside 10,000 FDEs of others", "1x2000", "1x2000 beside 10,000 FDEs"),
]


class Grid(NamedTuple):
    """One benchmark by release and shape."""

    title: str
    shapes: list[str]
    rows: list[tuple[str, list[str]]]


def build_effect_table(series: Series) -> TableText:
    """Return what makes unloading a module dearer, by era, in instructions."""
    eras = [words.format_span(era.first, era.last) for era in series.eras_of("1000x8")]
    rows = []
    for what, plain, other in COMPARED:
        cells = []
        for first, second in zip(series.eras_of(plain), series.eras_of(other), strict=False):
            values = [era.values.get(DEREGISTER) for era in (first, second)]
            cells.append(
                " → ".join(format_count(value.value) if value else "n/a" for value in values)
            )
        if len(cells) == len(eras):
            rows.append([f"{what} ({plain} → {other})", *cells])
    return TableText(f"Instructions per module, {series.name}", ["what differs", *eras], rows)


def build_grids(report: Report, series: Series) -> list[Grid]:
    """Return the count, the gap and the extra time of every release, newest first."""
    here = [row for row in report.rows if row.series == (series.machine, series.unwinder)]
    titles = {
        DEREGISTER: "Instructions of the unwinder to deregister one module",
        GAP: "Gap: time with unwind info / without",
        EXTRA: "Extra milliseconds per 1000 modules",
    }
    return [
        build_grid(f"{series.machine}, {series.name}: {title}", report.shapes, rows)
        for benchmark, title in titles.items()
        if (rows := [row for row in here if row.benchmark == benchmark])
    ]


def build_grid(title: str, shapes: Sequence[str], rows: Sequence[Row]) -> Grid:
    """Return the values of one benchmark, a row for each release."""
    values = {(row.release, row.shape): row for row in rows}
    releases = sorted({row.release for row in rows}, key=Version, reverse=True)
    columns = [shape for shape in shapes if any(key[1] == shape for key in values)]
    return Grid(
        title,
        columns,
        [
            (release, [format_row(values.get((release, shape))) for shape in columns])
            for release in releases
        ],
    )


def format_row(row: Row | None) -> str:
    """Return a value as the tables show it."""
    if row is None:
        return "n/a"
    return tables.format_value(row.benchmark, Value(row.value, row.low, row.high), ranges=True)
