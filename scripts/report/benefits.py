"""What unwind info gives by release, from recorded backtraces."""

import itertools
from collections.abc import Iterator

from scripts.cost.benefit import Backtrace, Benefit, Embedder, find_benefit
from scripts.history.benchmarks import BOTTOM_ON, FRAMES_ON
from scripts.history.read import History
from scripts.history.rows import SeriesKey


def read_backtraces(history: History) -> dict[SeriesKey, dict[str, Backtrace]]:
    """Return how far backtraces got with unwind info on, by series and release, oldest first."""
    values: dict[SeriesKey, dict[str, dict[str, float]]] = {}
    for row in history.rows:
        if row.benchmark in (FRAMES_ON, BOTTOM_ON):
            by_release = values.setdefault(row.series, {})
            by_release.setdefault(row.release, {})[row.benchmark] = row.value
    return {
        series: {
            release: Backtrace(found.get(FRAMES_ON), found.get(BOTTOM_ON))
            for release, found in by_release.items()
        }
        for series, by_release in values.items()
    }


def choose_backtraces(history: History) -> dict[str, Backtrace]:
    """Return the recorded backtraces of the series with the most releases, by release.

    The unwinders agree in the releases that both have.
    """
    recorded = read_backtraces(history).values()
    return max(recorded, key=len, default={})


def find_benefits(backtraces: dict[str, Backtrace]) -> list[tuple[str, str, Benefit]]:
    """Return the benefit for users of the C API as eras: first release, last release, benefit."""
    found = {
        release: find_benefit(Embedder.C_API, release, backtrace).benefit
        for release, backtrace in backtraces.items()
    }
    eras = []
    for benefit, group in itertools.groupby(found, key=found.__getitem__):
        releases = list(group)
        eras.append((releases[0], releases[-1], benefit))
    return eras


def benefit_lines(history: History) -> Iterator[str]:
    """Yield a sentence for each series with recorded backtraces."""
    for (machine, unwinder), backtraces in read_backtraces(history).items():
        parts = [
            f"{benefit.value} in {' to '.join(dict.fromkeys((first, last)))}"
            for first, last, benefit in find_benefits(backtraces)
        ]
        yield f"{machine}, {unwinder.name}: {'; '.join(parts)}"
