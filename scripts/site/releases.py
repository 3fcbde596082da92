"""The table of releases, and the data to compare two of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from scripts.base.numbers import format_count, format_ratio
from scripts.cost.benefit import Backtrace, Embedder, find_benefit
from scripts.history.benchmarks import DEREGISTER, FDES, GAP, MAIN_SHAPE, MEMORY_ON, REGISTER
from scripts.history.dev_build import DevBuild, find_count
from scripts.history.memory import ABSOLUTE_THRESHOLD, RELATIVE_THRESHOLD
from scripts.history.rows import Row, SeriesKey
from scripts.releases.pins import Release
from scripts.report.build import Report, Series
from scripts.report.changes import UpstreamChange
from scripts.site.links import address_of, release_addresses

COMPARED = {  # title and kind, in the order of the comparison: exact counts first
    DEREGISTER: ("instructions to deregister a module", "count"),
    REGISTER: ("instructions to register a module", "count"),
    GAP: ("gap", "gap"),
    MEMORY_ON: ("with unwind info", "memory"),
}
LEFT_AFTER = "memory left after "  # in the place of a shape


class ReleaseRow(NamedTuple):
    """One release, with a cell for each unwinder.

    Attributes:
        release: the pin.
        addresses: links by project.
        fdes: FDEs of a module of the main shape.
        cells: the cost with each unwinder.
        gives: what unwind info gives to users of the released library, or `n/a`.
        changed: whether the cost changed.
    """

    release: Release
    addresses: dict[str, str]
    fdes: str
    cells: list[str]
    gives: str
    changed: bool


def select_columns(report: Report) -> list[Series]:
    """Return the most relevant series of each unwinder; the front page has all of them."""
    columns: dict[str, Series] = {}
    for series in report.series:
        if not series.key.unwinder.is_by_function:
            columns.setdefault(series.name, series)
    return list(columns.values())


def build_rows(
    report: Report, releases: list[Release], backtraces: Mapping[str, Backtrace]
) -> list[ReleaseRow]:
    """Return every release, newest first, with its count at the main shape, or else its gap."""
    values = {(row.series, row.release, row.benchmark): row for row in at_main_shape(report)}
    changed = {change.release for change in report.changes}
    rows = []
    for release in reversed(releases):
        cells, fdes = [], set()
        for series in select_columns(report):
            key = (series.key, release.version)
            cells.append(format_cost(values.get((*key, DEREGISTER)), values.get((*key, GAP))))
            if entries := values.get((*key, FDES)):
                fdes.add(format_count(entries.value))
        addresses = release_addresses(release.version)
        fdes_text = " or ".join(sorted(fdes))
        gives = "n/a"
        if release.version in backtraces:
            backtrace = backtraces[release.version]
            gives = find_benefit(Embedder.C_API, release.version, backtrace).benefit.value
        is_changed = release.version in changed
        rows.append(ReleaseRow(release, addresses, fdes_text, cells, gives, is_changed))
    return rows


def build_dev_cells(report: Report, dev: DevBuild) -> list[str]:
    """Return the counts of Wasmtime's dev release at the main shape, a cell for each column."""
    counts = [
        find_count(dev, series.key, MAIN_SHAPE, report.rows) for series in select_columns(report)
    ]
    return ["n/a" if count is None else format_count(count) for count in counts]


def at_main_shape(report: Report) -> list[Row]:
    """Return the rows of the main shape."""
    return [row for row in report.rows if row.shape == MAIN_SHAPE]


def format_cost(counted: Row | None, gap: Row | None) -> str:
    """Return the count if there is one, else the gap, else n/a."""
    if counted is not None:
        return format_count(counted.value)
    return format_ratio(gap.value) if gap is not None else "n/a"


def build_comparison(report: Report, backtraces: Mapping[str, Backtrace]) -> dict[str, Any]:
    """Return all values by which two releases can be compared, in types that JSON has.

    The values of a series are a list with one entry for each release: a count, a gap with its
    range, or bytes.
    """
    releases = report.releases
    names = {series.key: series.name for series in report.series}
    at = {release: i for i, release in enumerate(releases)}
    lists: dict[tuple[str, SeriesKey, str], list[Any]] = {}
    for row in report.rows:
        is_memory = row.benchmark == MEMORY_ON  # its loads are no shapes
        is_shown = row.benchmark in COMPARED and (is_memory or row.shape in report.shapes)
        if is_shown and row.series in names:
            key = (row.benchmark, row.series, LEFT_AFTER * is_memory + row.shape)
            values = lists.setdefault(key, [None] * len(releases))
            ranged = [row.value, row.low, row.high]
            values[at[row.release]] = ranged if row.benchmark == GAP else round(row.value, 1)
    shapes = list(dict.fromkeys([MAIN_SHAPE, *report.shapes, *(shape for *_, shape in lists)]))
    measured = {row.release for row in report.rows}
    in_order = sorted(
        lists.items(),
        key=lambda item: (shapes.index(item[0][2]), list(names).index(item[0][1])),
    )
    return {
        "releases": releases,
        "measured": [release for release in releases if release in measured],
        "steps": [
            {"release": release, "causes": causes}
            for release, causes in find_causes(report).items()
        ],
        "series": [
            {
                "machine": series.machine,
                "unwinder": names[series],
                "shape": shape,
                "benchmark": title,
                "kind": kind,
                "values": values,
            }
            for (benchmark, series, shape), values in in_order
            for title, kind in [COMPARED[benchmark]]
        ],
        "gives": {
            release: find_benefit(Embedder.C_API, release, backtrace).benefit.value
            for release, backtrace in backtraces.items()
        },
        "memoryThresholds": [RELATIVE_THRESHOLD, ABSOLUTE_THRESHOLD],
    }


def describe_cause(upstream: UpstreamChange) -> dict[str, str]:
    """Return the name of an upstream change, its address, and what it does."""
    return {
        "name": f"#{upstream['pull_request']}",
        "address": address_of(upstream),
        "what": upstream["what"],
    }


def find_causes(report: Report) -> dict[str, list[dict[str, str]]]:
    """Return the causes of each change of the cost and of the memory left, by release."""
    causes: dict[str, list[dict[str, str]]] = {}
    for change in report.changes:
        known = causes.setdefault(change.release, [])
        for upstream in change.causes:
            cause = describe_cause(upstream)
            if cause not in known:
                known.append(cause)
    for release, upstream_changes in (report.memory.causes if report.memory else {}).items():
        causes.setdefault(release, []).extend(map(describe_cause, upstream_changes))
    unknown = {"name": "no upstream change is known", "address": "", "what": ""}
    return {release: known or [unknown] for release, known in causes.items()}
