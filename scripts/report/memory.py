"""Releases that leave more or less memory after modules are dropped than the one before.

Memory is a series of its own: it starts no era, and does not decide `--check` or the advice.
"""

from collections.abc import Iterator

from packaging.version import Version

from scripts.base.schema import read_json, suggest_restore
from scripts.history.benchmarks import MEMORY_ON
from scripts.history.memory import MemoryChange, find_memory_changes
from scripts.history.read import History
from scripts.history.rows import SeriesKey
from scripts.report.changes import UPSTREAM, UpstreamChange, UpstreamFile


def memory_lines(history: History) -> Iterator[str]:
    """Yield a sentence for each change with unwind info on, by series and load."""
    values: dict[tuple[SeriesKey, str], list[tuple[str, float]]] = {}
    for row in history.rows:
        if row.benchmark == MEMORY_ON:
            values.setdefault((row.series, row.shape), []).append((row.release, row.value))
    for ((machine, unwinder), load), by_release in values.items():
        for change in find_memory_changes(by_release):
            yield f"{machine}, {unwinder.name}, {load}: {describe_memory_change(change)}"


def describe_memory_change(change: MemoryChange) -> str:
    """Return a change of the memory left with its known cause."""
    causes = "; ".join(
        f"#{cause['pull_request']}: {cause['what']}" for cause in find_memory_causes(change)
    )
    verb = "more" if change.is_worse else "less"
    return (
        f"{change.release} leaves {change.after / 1e6:.2f} MB, {verb} than the "
        f"{change.before / 1e6:.2f} MB of {change.previous} ({causes or 'no cause is known'})"
    )


def find_memory_causes(change: MemoryChange) -> list[UpstreamChange]:
    """Return the upstream changes of memory after one release and up to another."""
    known = read_json(UPSTREAM, UpstreamFile, suggest_restore(UPSTREAM))["changes"]
    first, last = Version(change.previous), Version(change.release)
    return [
        cause
        for cause in known
        if cause.get("memory_only") and first < Version(cause["release"]) <= last
    ]
