"""Releases that leave more or less memory after modules are dropped than the one before.

Memory is a series of its own: it starts no era, and does not decide `--check` or the advice.
"""

from collections.abc import Sequence
from typing import NamedTuple

from packaging.version import Version

from scripts.base.schema import read_json, suggest_restore
from scripts.history.benchmarks import MEMORY_ON
from scripts.history.memory import MemoryChange, find_memory_changes
from scripts.history.read import History
from scripts.history.rows import SeriesKey
from scripts.report import words
from scripts.report.changes import UPSTREAM, UpstreamChange, UpstreamFile


class MemoryGroup(NamedTuple):
    """The same change of memory in several series: a release, a load, and the direction."""

    previous: str
    release: str
    load: str
    is_worse: bool


class MemorySummary(NamedTuple):
    """The changes of the memory left.

    Attributes:
        short: all of them in a sentence.
        lines: a sentence for each.
        steps: `leaves more memory` or `leaves less memory`, by release.
        causes: the upstream changes behind them, by release.
    """

    short: str
    lines: list[str]
    steps: dict[str, str]
    causes: dict[str, list[UpstreamChange]]


def summarize_memory(history: History) -> MemorySummary | None:
    """Return the changes with unwind info on, or None if memory is not recorded."""
    values: dict[tuple[SeriesKey, str], list[tuple[str, float]]] = {}
    for row in history.rows:
        if row.benchmark == MEMORY_ON:
            values.setdefault((row.series, row.shape), []).append((row.release, row.value))
    if not values:
        return None
    groups: dict[MemoryGroup, list[tuple[SeriesKey, MemoryChange]]] = {}
    for (series, load), by_release in values.items():
        for change in find_memory_changes(by_release):
            group = MemoryGroup(change.previous, change.release, load, change.is_worse)
            groups.setdefault(group, []).append((series, change))
    position = history.positions.__getitem__
    ordered = sorted(groups, key=lambda group: position(group.release))
    releases = sorted({release for each in values.values() for release, _ in each}, key=position)
    span = words.format_span(releases[0], releases[-1])
    steps = {
        group.release: f"leaves {'more' if group.is_worse else 'less'} memory" for group in ordered
    }
    named = ", ".join(f"{release} {change}" for release, change in steps.items())
    start = f"{named}; no other" if steps else "No"
    causes = {group.release: find_memory_causes(groups[group][0][1]) for group in ordered}
    machines = ", ".join(dict.fromkeys(key.machine for key, _ in values))
    lines = [describe_group(group, groups[group]) for group in ordered]
    short = f"{start} measured release from {span} changed the memory left ({machines})."
    return MemorySummary(short, lines, steps, causes)


def describe_group(group: MemoryGroup, found: Sequence[tuple[SeriesKey, MemoryChange]]) -> str:
    """Return the same change of several series as a sentence, with its known causes."""
    changes = [change for _, change in found]
    causes = "; ".join(
        f"#{cause['pull_request']}: {cause['what']}" for cause in find_memory_causes(changes[0])
    )
    verb = "more" if group.is_worse else "less"
    where = ", ".join(f"{machine} with {unwinder.name}" for (machine, unwinder), _ in found)
    return (
        f"{group.release} leaves {verb} memory than {group.previous} after {group.load}: "
        f"{format_megabytes([change.after for change in changes])} instead of "
        f"{format_megabytes([change.before for change in changes])} "
        f"({causes or 'no cause is known'}), on {where}"
    )


def format_megabytes(amounts: Sequence[float]) -> str:
    """Return amounts in bytes as megabytes, such as `1.12 to 1.25 MB`."""
    ends = dict.fromkeys(f"{amount / 1e6:.2f}" for amount in (min(amounts), max(amounts)))
    return f"{' to '.join(ends)} MB"


def find_memory_causes(change: MemoryChange) -> list[UpstreamChange]:
    """Return the upstream changes of memory after one release and up to another."""
    known = read_json(UPSTREAM, UpstreamFile, suggest_restore(UPSTREAM))["changes"]
    first, last = Version(change.previous), Version(change.release)
    return [
        cause
        for cause in known
        if cause.get("memory_only") and first < Version(cause["release"]) <= last
    ]
