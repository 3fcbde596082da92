"""The report as text: for a terminal, as Markdown, JSON or CSV, with the same numbers in all."""

import csv
import dataclasses
import io
import json
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from scripts.base.numbers import format_count, format_interval, format_number
from scripts.cost import advice
from scripts.history.benchmarks import DEREGISTER, EXTRA, FDES, GAP, MAIN_SHAPE, REGISTER
from scripts.history.machine import LOCAL
from scripts.history.rows import Row, SeriesKey
from scripts.report import words
from scripts.report.build import Report, Series
from scripts.report.changes import Change, Value
from scripts.report.matrix import Cell, MeasuredCost
from scripts.report.recent import describe_recent

COLUMNS = {  # benchmarks by column heading
    "deregister": DEREGISTER,
    "register": REGISTER,
    "gap": GAP,
    "extra ms": EXTRA,
    "FDEs": FDES,
}
LEGEND = (
    "deregister, register: instructions of the unwinder per module; gap: time with unwind info / "
    "time without; extra ms: added by unwind info, per 1000 modules; noise: the range includes no "
    "cost."
)
EXCEPTIONS = (
    "macOS 11, 12: as up to 49.0.0. libgcc: keep it (13 or later: below {fdes:,} FDEs a module). "
    "Apple silicon up to 49.0.0: turn off, nothing is lost (inferred)."
)
CSV_COLUMNS = (
    "machine", "unwinder", "release", "benchmark", "shape", "value", "low", "high", "samples",
)  # fmt: skip


WIDEST = 1000  # columns; no table is wider

# keys of the JSON that differ from the names in the code; readers of the JSON rely on them
JSON_KEYS = {(Change, "mac_registration"): "wheels", (Cell, "mac_registration"): "way"}


class TableText(NamedTuple):
    """One table as text."""

    title: str
    head: list[str]
    rows: list[list[str]]


def build_era_table(series: Series, shapes: Sequence[str], *, ranges: bool) -> TableText:
    """Return a table of the eras of one series, with a row for each era and shape."""
    eras = [era for era in series.eras if era.shape in shapes]
    head = ["releases", *["shape"] * (len(shapes) > 1), *COLUMNS, "since"]
    rows = []
    for era in eras:
        releases = words.format_span(era.first, era.last)
        cells = [format_value(name, era.values.get(name), ranges) for name in COLUMNS.values()]
        since = era.change.label if era.change is not None else ""
        if not era.known:
            since = "unknown"
        rows.append([releases, *[era.shape] * (len(shapes) > 1), *cells, since])
    return TableText(name_table(series, shapes), head, rows)


def build_release_table(
    report: Report, series: Series, shapes: Sequence[str], *, ranges: bool
) -> TableText:
    """Return a table of the releases of one series, with a row for each release and shape."""
    by_release: dict[tuple[str, str], dict[str, Value]] = {}
    for row in report.rows:
        if row.series == series.key and row.shape in shapes:
            values = by_release.setdefault((row.release, row.shape), {})
            values[row.benchmark] = Value(row.value, row.low, row.high)
    rows = []
    for (release, shape), values in by_release.items():
        if {DEREGISTER, GAP} & values.keys():
            cells = [format_value(name, values.get(name), ranges) for name in COLUMNS.values()]
            rows.append([release, *[shape] * (len(shapes) > 1), *cells])
    head = ["release", *["shape"] * (len(shapes) > 1), *COLUMNS]
    return TableText(name_table(series, shapes), head, rows)


def name_table(series: Series, shapes: Sequence[str]) -> str:
    """Return the title of a table: the series, and the shape if it is the only one."""
    only_shape = f", {shapes[0]}" if len(shapes) == 1 else ""
    return f"{series.key.machine}, {series.name}{only_shape}"


def format_value(benchmark: str, value: Value | None, ranges: bool) -> str:
    """Return a value as the tables show it, with its range if `ranges` is set."""
    if value is None:
        return "n/a"
    if benchmark in (DEREGISTER, REGISTER, FDES):
        return format_count(value.value)
    text = format_number(value.value) + "×" * (benchmark == GAP)
    if value.low is None or value.high is None:
        return text
    if is_noise(benchmark, value):
        text = "noise"
    return f"{text} ({format_interval(value.low, value.high)})" if ranges else text


def is_noise(benchmark: str, value: Value) -> bool:
    """Return whether the range of a gap or of extra time includes the value of no cost."""
    no_cost = {GAP: 1, EXTRA: 0}.get(benchmark)
    if no_cost is None or value.low is None or value.high is None:
        return False
    return value.low <= no_cost <= value.high


def select_short_series(report: Report) -> list[Series]:
    """Return the series of the short report: those of local machines, then the most relevant."""
    local = [series for series in report.series if series.key.machine.startswith(LOCAL)]
    recorded = [series for series in report.series if series not in local]
    return [*local[::-1], *recorded[:1]]


def print_short(report: Report, console: Console) -> None:
    """Print the short report, at most 25 lines of 80 columns. It does not rely on colour."""
    say = make_line_printer(console)
    all_series = select_short_series(report)
    # The tables have the times of the headline, and those of the user's machine need the room of
    # the line on the last releases.
    recent = recent_lines(report) if len(all_series) == 1 else []
    for line in dict.fromkeys([*report.headline[:1], *report.headline[-1:], *recent]):
        say(line)
    say("")
    shapes = report.shapes if len(report.shapes) == 1 else [MAIN_SHAPE]
    for series in all_series:
        print_table(build_era_table(series, shapes, ranges=False), console)
    say("deregister, register: instructions per module; extra ms: per 1000 modules")
    say(
        f"Rules for libunwind, {advice.THRESHOLD} ms a module (T FDEs in all, f in one; else "
        "measure):"
    )
    for line in advice.describe_rules():
        say(f"  {line}")
    say(describe_exceptions())
    say("More: --details, --releases, --format; uv run asv publish builds the site.")
    for line in report.problems[:1]:
        say(line)


def describe_exceptions() -> str:
    """Return the platforms to which the rules do not apply."""
    return EXCEPTIONS.format(fdes=advice.libgcc_limits()[0])


def print_details(report: Report, console: Console, *, releases: bool) -> None:
    """Print the full report: all series and shapes, advice by platform, changes and problems."""
    say = make_line_printer(console)
    for line in [*report.headline, *recent_lines(report)]:
        say(line)
    tables = [
        build_table(report, series, report.shapes, releases=releases, ranges=True)
        for series in report.series
    ]
    width = max(map(measure_width, tables), default=0)
    if width > console.width:
        tables = [
            build_table(report, series, [shape], releases=releases, ranges=False)
            for series in report.series
            for shape in report.shapes
        ]
    for table in tables:
        if table.rows:
            say("")
            print_table(table, console)
    if width > console.width:
        say(f"With {width} columns, there is one table for each series, with ranges.")
    say(LEGEND)
    for heading, sentences in build_sections(report).items():
        say("")
        say(heading)
        for sentence in sentences:
            say(f"  {sentence}")


def build_table(
    report: Report, series: Series, shapes: Sequence[str], *, releases: bool, ranges: bool
) -> TableText:
    """Return a table of a series by release or by era."""
    if releases:
        return build_release_table(report, series, shapes, ranges=ranges)
    return build_era_table(series, shapes, ranges=ranges)


def recent_lines(report: Report) -> list[str]:
    """Return the line on the last releases, if there is one."""
    recent = describe_recent(report)
    return [recent.text] if recent else []


def make_line_printer(console: Console) -> Any:
    """Return a function that prints a line, wrapped at spaces to the width of the console."""

    def say(line: str) -> None:
        indent = line[: len(line) - len(line.lstrip())]
        wrapped = textwrap.fill(
            line, console.width, subsequent_indent=indent, break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
        console.print(wrapped, highlight=False, markup=False, soft_wrap=True)

    return say


def print_table(table: TableText, console: Console) -> None:
    """Print a table with names aligned left and numbers right. No number is ever cut off."""
    drawn = io.StringIO()
    wide = Console(width=WIDEST, file=drawn, force_terminal=console.is_terminal)
    wide.print(lay_out(table))
    console.out(table.title, style="bold", highlight=False)
    for line in drawn.getvalue().splitlines():
        console.out(line.rstrip(), highlight=False)


def measure_width(table: TableText) -> int:
    """Return how many columns a table needs."""
    return Console(width=WIDEST).measure(lay_out(table)).maximum


def lay_out(table: TableText) -> Table:
    """Return a table for printing, without its title."""
    grid = Table(box=None, pad_edge=False)
    for column in table.head:
        left = column in ("release", "releases", "shape", "since")
        grid.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*row)
    return grid


def build_sections(report: Report) -> dict[str, list[str]]:
    """Return the sentences of the full report, by heading."""
    changes, functions = [], []
    for series in report.series:
        prefix = f"{series.key.machine}, {series.name}, "
        changes += [prefix + words.describe_change(change) for change in series.changes]
        functions += [
            prefix + words.describe_functions(change)
            for change in series.changes
            if change.functions
        ]
    fits = [
        f"{fit.machine}: {fit.nanoseconds} ns per table entry; by shape and era: "
        + ", ".join(
            f"{residual.nanoseconds} "
            f"({residual.shape}, {words.format_span(residual.first, residual.last)})"
            for residual in fit.residuals
        )
        for fit in report.fits
    ]
    all_sections = {
        "Advice (T FDEs loaded in all, f in a module; milliseconds per module unloaded)": [
            *advice.describe_rules(),
            describe_exceptions(),
            *matrix_lines(report),
        ],
        "Changes": [
            *(changes or ["None found."]),
            *functions,
            report.mac_registration,
            *report.recorded_macs,
            words.METHOD,
        ],
        "Newest release": [
            f"{series.key.machine}, {series.name}: "
            + words.describe_verdict(series.verdict, report.newest)
            for series in report.series
        ],
        "Time per table entry": fits,
        "Rules with a machine's own rates": [
            f"{machine}: {rule}"
            for machine, curves in report.curves.items()
            for rule in advice.describe_rules(curves)
        ],
        "What unwind info gives to users of the C API and wasmtime-py": report.benefits,
        "Memory left after modules are dropped": (
            [report.memory.short, *report.memory.lines] if report.memory else []
        ),
        "Not measured": report.not_measured,
        "Problems": report.problems,
    }
    without_empty = {
        heading: [sentence for sentence in sentences if sentence]
        for heading, sentences in all_sections.items()
    }
    return {heading: sentences for heading, sentences in without_empty.items() if sentences}


def matrix_lines(report: Report) -> Iterator[str]:
    """Yield the advice by platform, era and load."""
    for platform, cells in report.matrix.items():
        for cell in cells:
            loads = "; ".join(
                f"{load}: {answer.decision.value} ({advice.describe_cost(answer)})"
                for load, answer in cell.advice.items()
            )
            yield f"{platform.value}, {words.format_span(cell.first, cell.release)}: {loads}"


def to_markdown(report: Report, *, releases: bool = False) -> str:
    """Return the full report as Markdown, for a pull request or an issue."""
    lines = [*report.headline, *recent_lines(report), ""]
    for series in report.series:
        title, head, rows = build_table(
            report, series, report.shapes, releases=releases, ranges=True
        )
        ruled = (head, ["---", *["--:"] * (len(head) - 1)], *rows)
        lines += [f"### {title}", "", *(f"| {' | '.join(row)} |" for row in ruled), ""]
    lines += [LEGEND, ""]
    for heading, sentences in build_sections(report).items():
        lines += [f"### {heading}", "", *(f"- {sentence}" for sentence in sentences), ""]
    return "\n".join(lines)


def to_json(report: Report) -> str:
    """Return all values and conclusions as JSON."""
    content = {
        "headline": report.headline,
        "recent": recent_lines(report),
        "series": [to_json_value(series) for series in report.series],
        "columns": to_json_value(report.columns),
        "matrix": {
            platform.value: to_json_value(cells) for platform, cells in report.matrix.items()
        },
        "rules": advice.describe_rules(),
        "fits": to_json_value(report.fits),
        "problems": report.problems,
        "not_measured": report.not_measured,
        "benefits": report.benefits,
        "memory": to_json_value(report.memory),
        "wheels": report.mac_registration,
        "rows": [dict(zip(CSV_COLUMNS, build_csv_row(row), strict=True)) for row in report.rows],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_json_value(value: Any) -> Any:
    """Return dataclasses, tuples and enumerations as types that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        content: dict[str, Any] = {}
        for field in fields:
            item = getattr(value, field.name)
            if isinstance(item, SeriesKey):
                content |= {"machine": item.machine, "unwinder": item.unwinder.option}
            else:
                content[JSON_KEYS.get((type(value), field.name), field.name)] = to_json_value(item)
        return content
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, MeasuredCost):
        return words.describe_measured(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return to_json_value(value._asdict())
    if isinstance(value, dict):
        return {to_json_value(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    return value


def to_csv(report: Report) -> str:
    """Return all values as CSV, one line each. The columns and their order are fixed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(build_csv_row(row) for row in report.rows)
    return out.getvalue()


def build_csv_row(row: Row) -> list[Any]:
    """Return the values of a row, with the number of its samples instead of the samples."""
    machine, unwinder = row.series
    return [
        *(machine, unwinder.option, row.release, row.benchmark, row.shape),
        *(row.value, row.low, row.high, len(row.samples)),
    ]
