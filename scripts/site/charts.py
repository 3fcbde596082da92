"""The content of the charts of the page: a line for each unwinder, at the main shape."""

from dataclasses import replace

from scripts.base.numbers import format_count, format_interval, format_number, format_ratio
from scripts.cost.benefit import Benefit
from scripts.history.benchmarks import DEREGISTER, EXTRA, GAP, MAIN_SHAPE
from scripts.history.dev_build import DEV, DevBuild, find_count
from scripts.history.read import History
from scripts.report import tables, words
from scripts.report.benefits import choose_backtraces, find_benefits
from scripts.report.build import Report, Series
from scripts.report.changes import Era, Value
from scripts.site.links import address_of
from scripts.site.staircase import Band, Line, Mark, Plateau, Point, Segment, Staircase

COLOURS = 6  # number of colours in chart.css
BAND_HEADING = "Unwind info gives backtraces (C API, on Linux):"
# how a benefit is called in the band, from long to short, and its class in chart.css
BENEFITS = {
    Benefit.ALL: (("all frames", "all"), "gives-all"),
    Benefit.WASM_FRAMES: (("the wasm frames only", "wasm only", "wasm"), "gives-wasm"),
    Benefit.NOTHING: (("nothing",), "gives-nothing"),
    Benefit.UNKNOWN: (("unknown", "?"), "gives-nothing"),
}


def name_series(report: Report, history: History) -> Report:
    """Return the report with the series names of the page, one name for each unwinder."""
    renamed = [
        replace(
            series, name=words.name_line(history.machines[series.key.machine], series.key.unwinder)
        )
        for series in report.series
    ]
    return replace(report, series=renamed)


def select_drawn_series(report: Report, benchmark: str) -> dict[str, Series]:
    """Return the most relevant series of each unwinder that has the benchmark, by name.

    The same library executes the same instructions on every machine, so the lines of all machines
    would hide each other. Tables have all series.
    """
    drawn: dict[str, Series] = {}
    for series in report.series:
        if series.key.unwinder.is_by_function:
            continue  # until 49.0.0 its line would hide that of the other stand-in
        if any(benchmark in era.values for era in series.eras_of(MAIN_SHAPE)):
            drawn.setdefault(series.name, series)
    return drawn


def assign_colours(report: Report) -> dict[str, int]:
    """Return the colour number of each series name, the same in all charts."""
    names = dict.fromkeys(series.name for series in report.series)
    return {name: i % COLOURS for i, name in enumerate(names)}


def build_chart(report: Report, history: History, benchmark: str) -> Staircase | None:
    """Return the chart of the count or the gap at the main shape, or None without values."""
    drawn, colours = select_drawn_series(report, benchmark), assign_colours(report)
    if not drawn:
        return None
    counted = benchmark == DEREGISTER
    lines = [
        Line(name, colours[name], find_points(report, series, benchmark), plateaus)
        for name, series in drawn.items()
        if (plateaus := find_plateaus(series.eras_of(MAIN_SHAPE), benchmark))
    ]
    measured = {row.release for row in report.rows}
    releases = [release.version for release in history.releases if release.version in measured]
    marks = find_marks(drawn, report.releases)
    band = build_band(history, releases) if counted else None
    hints = build_hints(report, lines, drawn, releases)
    unreleased = ""
    if counted and history.dev and (dev := find_dev_counts(report, history.dev, drawn)):
        unreleased = DEV
        releases.append(DEV)
        hints[DEV] = describe_dev(history.dev, dev)
        for line in lines:
            if line.name in dev:
                line.points[DEV] = Point(dev[line.name])
    return Staircase(
        title=describe_chart(lines, band, counted=counted),
        releases=releases,
        lines=lines,
        # labels name the effect on the count, so the chart of the gap has none
        marks=marks if counted else [mark._replace(label="") for mark in marks],
        hints=hints,
        counted=counted,
        measure=name_measure(counted=counted),
        band=band,
        unreleased=unreleased,
    )


def find_dev_counts(report: Report, dev: DevBuild, drawn: dict[str, Series]) -> dict[str, float]:
    """Return the counts of Wasmtime's dev release at the main shape, by the name of the series."""
    counts = {
        name: find_count(dev, series.key, MAIN_SHAPE, report.rows) for name, series in drawn.items()
    }
    return {name: count for name, count in counts.items() if count is not None}


def describe_dev(dev: DevBuild, counts: dict[str, float]) -> str:
    """Return the numbers of the dev release as text, which says that it is not released."""
    about = f"{DEV} (unreleased {dev.version}, commit {dev.commit[:8]}, {dev.date})"
    lines = [f"{name}: {format_count(count)} instructions per module"
             for name, count in counts.items()]  # fmt: skip
    return "\n".join([about, *lines])


def build_band(history: History, releases: list[str]) -> Band | None:
    """Return what unwind info gives by release, or None if no backtrace is recorded."""
    backtraces = choose_backtraces(history)
    drawn = {release: backtraces[release] for release in releases if release in backtraces}
    segments = [
        Segment(first, last, *BENEFITS[benefit]) for first, last, benefit in find_benefits(drawn)
    ]
    return Band(BAND_HEADING, segments) if segments else None


def find_points(report: Report, series: Series, benchmark: str) -> dict[str, Point]:
    """Return the values of a series at the main shape, by release."""
    return {
        row.release: Point(row.value, row.low, row.high)
        for row in report.rows
        if row.series == series.key and (row.benchmark, row.shape) == (benchmark, MAIN_SHAPE)
    }


def find_plateaus(eras: list[Era], benchmark: str) -> list[Plateau]:
    """Return a plateau for each era that has the benchmark."""
    show = format_count if benchmark == DEREGISTER else format_ratio
    return [
        Plateau(era.first, era.last, era.values[benchmark].value, show(era.values[benchmark].value))
        for era in eras
        if benchmark in era.values
    ]


def find_marks(drawn: dict[str, Series], releases: list[str]) -> list[Mark]:
    """Return a mark for each change, with the numbers of the most relevant series that has it."""
    marks: dict[str, Mark] = {}
    for series in drawn.values():
        for change in series.changes:
            label = "cost changed"
            if MAIN_SHAPE in change.shapes:
                label = words.abbreviate_cost_change(*change.shapes[MAIN_SHAPE])
            pulls = {f"#{cause['pull_request']}": address_of(cause) for cause in change.causes}
            marks.setdefault(change.release, Mark(change.release, label, pulls))
    return sorted(marks.values(), key=lambda mark: releases.index(mark.release))


def name_measure(*, counted: bool) -> str:
    """Return what a chart shows."""
    if counted:
        return "Instructions to deregister one of 1000 modules of 8 functions"
    return "Time to unload 1000 modules of 8 functions with unwind info, divided by that without"


def describe_chart(lines: list[Line], band: Band | None, *, counted: bool) -> str:
    """Return a description of the chart for screen readers."""
    values = "; ".join(
        f"{line.name}: "
        + ", ".join(
            f"{era.label} in {words.format_span(era.first, era.last)}" for era in line.plateaus
        )
        for line in lines
    )
    description = f"{name_measure(counted=counted)}, by release, on a logarithmic scale. {values}."
    if band is None:
        return description
    segments = ", ".join(
        f"{segment.labels[0]} in {words.format_span(segment.first, segment.last)}"
        for segment in band.segments
    )
    return f"{description} {band.heading} {segments}."


def build_hints(
    report: Report, lines: list[Line], drawn: dict[str, Series], releases: list[str]
) -> dict[str, str]:
    """Return the numbers of each release as text: counts, and times if they were measured."""
    names = {series.key: name for name, series in drawn.items()}
    values: dict[tuple[str, str], dict[str, Value]] = {}
    for row in report.rows:
        if row.shape == MAIN_SHAPE and row.series in names:
            of_series = values.setdefault((row.release, names[row.series]), {})
            of_series[row.benchmark] = Value(row.value, row.low, row.high)
    hints = {}
    for release in releases:
        numbers = [format_hint(line.name, values.get((release, line.name), {})) for line in lines]
        hints[release] = "\n".join([release, *filter(None, numbers)])
    return hints


def format_hint(name: str, values: dict[str, Value]) -> str:
    """Return the numbers of a series in a release, or nothing if there are none."""
    parts = []
    if DEREGISTER in values:
        parts.append(f"{format_count(values[DEREGISTER].value)} instructions per module")
    extra, gap = values.get(EXTRA), values.get(GAP)
    if gap and tables.is_noise(GAP, gap):
        interval = format_interval(gap.low, gap.high)
        parts.append(f"time within noise ({interval} times that without unwind info)")
        return f"{name}: {', '.join(parts)}"
    if extra:
        parts.append(f"{format_number(extra.value)} ms added by unwind info per 1000 modules")
    if gap:
        parts.append(f"{format_ratio(gap.value)} the time without unwind info")
    return f"{name}: {', '.join(parts)}" if parts else ""
