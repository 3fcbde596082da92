"""One line on the last releases: which costs grew, and which fell, by how much and why."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from scripts.history.benchmarks import DEREGISTER, MAIN_SHAPE
from scripts.history.rows import SeriesKey
from scripts.report import words
from scripts.report.build import Report
from scripts.report.changes import COUNT_THRESHOLD

RECENT = 5  # releases that the line is about
NUMBERS = {3: "three", 4: "four", 5: "five"}


class Step(NamedTuple):
    """An exact count that differs from that of the release before."""

    release: str
    series: SeriesKey
    name: str
    shape: str
    old: float
    new: float

    @property
    def load(self) -> str:
        """What the count is of: a shape, or the real program, of which 4 copies are loaded."""
        return self.shape.removeprefix("4x ")

    @property
    def growth(self) -> float:
        """The relative difference; above 0 if the cost grew."""
        if not self.old:
            return float("inf") if self.new else 0.0
        return self.new / self.old - 1


def describe_recent(report: Report) -> str:
    """Return the line, or nothing if no two of the last releases were counted."""
    steps = list(iter_steps(report))
    if not steps:
        return ""
    grown = [step for step in steps if step.growth >= COUNT_THRESHOLD]
    little = [step for step in steps if 0 < step.growth < COUNT_THRESHOLD]
    parts = ["no cost grew by 1 % or more"]
    if grown:
        most = max(grown, key=lambda step: step.growth)
        others = len({(step.release, step.shape) for step in grown}) - 1
        parts = [f"{most.load} {format_growth(most)} in {most.release} with {most.name}"]
        parts += [f"{others} more costs grew by 1 % or more"] * (others > 0)
    if little:
        most = max(little, key=lambda step: step.growth)
        parts.append(f"{most.load} {format_growth(most)} in {most.release}")
    parts += describe_falls(report, steps)
    return f"Last {NUMBERS.get(RECENT, RECENT)} releases: {'; '.join(parts)}."


def iter_steps(report: Report) -> Iterator[Step]:
    """Yield each pair of neighbouring counts, up to the last releases.

    Where another library was counted, the release did not change the count. Where a release in
    between was not counted, it may have.
    """
    names = {series.key: series.name for series in report.series}
    other_library = {
        (change.series, change.release) for change in report.changes if change.libraries
    }
    recent = report.releases[-RECENT:]
    counts: dict[tuple[SeriesKey, str], list[tuple[str, float]]] = {}
    position = {release: i for i, release in enumerate(report.releases)}
    for row in sorted(report.rows, key=lambda row: position[row.release]):
        if row.benchmark == DEREGISTER and row.series in names and row.shape in report.shapes:
            counts.setdefault((row.series, row.shape), []).append((row.release, row.value))
    for (series, shape), values in counts.items():
        for (before, old), (release, new) in itertools.pairwise(values):
            is_next = position[release] == position[before] + 1
            if is_next and release in recent and (series, release) not in other_library:
                yield Step(release, series, names[series], shape, old, new)


def describe_falls(report: Report, steps: list[Step]) -> Iterator[str]:
    """Yield the factor for each release that made the main shape cheaper, with its causes."""
    reasons: dict[str, list[str]] = {}
    for change in report.changes:
        reasons.setdefault(change.release, change.reasons)
    seen = set()
    for step in steps:
        is_fall = step.growth <= -COUNT_THRESHOLD and step.shape == MAIN_SHAPE
        if is_fall and step.release not in seen:
            seen.add(step.release)
            why = ", ".join(reasons.get(step.release, []))
            factor = words.compare_costs(step.old, step.new)
            yield f"{step.release} {factor}{f' ({why})' if why else ''}"


def format_growth(step: Step) -> str:
    """Return a growth, such as `+0.23 %`."""
    return f"+{100 * step.growth:.2g} %"
