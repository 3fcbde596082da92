"""The tables of numbers: factors that increase the cost, and the values of every release."""

from collections.abc import Sequence
from typing import NamedTuple

from scripts.base.numbers import format_count
from scripts.history.benchmarks import DEREGISTER, EXTRA, GAP
from scripts.history.rows import Row
from scripts.report import tables, words
from scripts.report.build import Report, Series
from scripts.report.changes import Value
from scripts.report.tables import TableText

# the factor that differs between two shapes, and the shapes
COMPARED = [
    ("More modules loaded", "250x8", "1000x8"),
    ("First loaded, first unloaded", "250x8", "250x8 fifo"),
    ("Unloaded in random order", "250x8", "250x8 random"),
    ("10,000 FDEs of other modules", "1x2000", "1x2000 beside 10,000 FDEs"),
]


class Grid(NamedTuple):
    """One benchmark by release and shape."""

    title: str
    shapes: list[str]
    rows: list[tuple[str, list[str]]]


def build_effect_table(series: Series) -> TableText:
    """Return the factors that increase the cost, in instructions per module by era."""
    eras = [words.format_span(era.first, era.last) for era in series.eras_of("1000x8")]
    rows = []
    for factor, base, other in COMPARED:
        cells = []
        for first, second in zip(series.eras_of(base), series.eras_of(other), strict=False):
            values = [era.values.get(DEREGISTER) for era in (first, second)]
            cells.append(
                " → ".join(format_count(value.value) if value else "n/a" for value in values)
            )
        if len(cells) == len(eras):
            rows.append([f"{factor} ({base} → {other})", *cells])
    return TableText(f"Instructions per module, {series.name}", ["factor", *eras], rows)


def build_grids(report: Report, series: Series) -> list[Grid]:
    """Return a grid of each benchmark of a series, with every release, newest first."""
    of_series = [row for row in report.rows if row.series == series.key]
    titles = {
        DEREGISTER: "Instructions of the unwinder to deregister one module",
        GAP: "Gap: time with unwind info / time without",
        EXTRA: "Extra milliseconds per 1000 modules",
    }
    return [
        build_grid(f"{series.key.machine}, {series.name}: {title}", report.shapes, rows)
        for benchmark, title in titles.items()
        if (rows := [row for row in of_series if row.benchmark == benchmark])
    ]


def build_grid(title: str, shapes: Sequence[str], rows: Sequence[Row]) -> Grid:
    """Return the values of one benchmark, a row for each release."""
    values = {(row.release, row.shape): row for row in rows}
    releases = list(dict.fromkeys(row.release for row in reversed(rows)))
    columns = [shape for shape in shapes if any(key[1] == shape for key in values)]
    cells = [
        (release, [format_row(values.get((release, shape))) for shape in columns])
        for release in releases
    ]
    return Grid(title, columns, cells)


def format_row(row: Row | None) -> str:
    """Return the value of a row as the tables show it, with its range."""
    if row is None:
        return "n/a"
    return tables.format_value(row.benchmark, Value(row.value, row.low, row.high), ranges=True)
