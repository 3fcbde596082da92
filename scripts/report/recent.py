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
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


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


class Recent(NamedTuple):
    """The line on the last releases.

    Attributes:
        text: the line.
        newest: the last of these releases.
    """

    text: str
    newest: str


def describe_recent(report: Report) -> Recent | None:
    """Return the line, or None if the newest counted release cannot be compared with another."""
    all_steps = list(iter_steps(report))
    compared = find_last_compared(report, {step.release for step in all_steps})
    if not compared:
        return None
    steps = [step for step in all_steps if step.release in compared]
    grown = [step for step in steps if step.growth >= COUNT_THRESHOLD]
    little = [step for step in steps if 0 < step.growth < COUNT_THRESHOLD]
    parts = ["no deregister count grew by 1 % or more"]
    if grown:
        most = max(grown, key=lambda step: step.growth)
        others = len({(step.release, step.shape) for step in grown}) - 1
        parts = [f"{most.load} {format_growth(most)} in {most.release} with {most.name}"]
        parts += [f"{others} more counts grew by 1 % or more"] * (others > 0)
    if little:
        most = max(little, key=lambda step: step.growth)
        parts.append(f"{most.load} {format_growth(most)} in {most.release}")
    parts += describe_falls(report, steps)
    if report.memory:
        parts += [
            f"{release} {change}"
            for release, change in report.memory.steps.items()
            if release in compared
        ]
    return Recent(f"{name_releases(report, compared)}: {'; '.join(parts)}.", compared[-1])


def find_last_compared(report: Report, compared: set[str]) -> list[str]:
    """Return the last releases of the history that were compared with the one before each.

    They end with the newest counted release, have no gap, and are `RECENT` at most.
    """
    counted = {row.release for row in report.rows if row.benchmark == DEREGISTER}
    last = list[str]()
    for release in reversed(report.releases):
        if release in compared and len(last) < RECENT:
            last.insert(0, release)
        elif last or release in counted:
            break
    return last


def name_releases(report: Report, compared: list[str]) -> str:
    """Return which releases a line is about, such as `Last five releases`."""
    newest = compared[-1]
    if len(compared) == 1:
        return newest
    span = f"{NUMBERS[len(compared)]} releases"
    if newest == report.releases[-1]:
        return f"Last {span}"
    return f"{span[0].upper()}{span[1:]} up to {newest}"


def iter_steps(report: Report) -> Iterator[Step]:
    """Yield each pair of counts of neighbouring releases.

    Where another library was counted, the release did not change the count. Where a release in
    between was not counted, it may have.
    """
    names = {series.key: series.name for series in report.series}
    other_library = {
        (change.series, change.release) for change in report.changes if change.libraries
    }
    counts: dict[tuple[SeriesKey, str], list[tuple[str, float]]] = {}
    position = {release: i for i, release in enumerate(report.releases)}
    for row in sorted(report.rows, key=lambda row: position[row.release]):
        if row.benchmark == DEREGISTER and row.series in names and row.shape in report.shapes:
            counts.setdefault((row.series, row.shape), []).append((row.release, row.value))
    for (series, shape), values in counts.items():
        for (before, old), (release, new) in itertools.pairwise(values):
            is_next = position[release] == position[before] + 1
            if is_next and (series, release) not in other_library:
                yield Step(release, series, names[series], shape, old, new)


def describe_falls(report: Report, steps: list[Step]) -> Iterator[str]:
    """Yield the factor for each release that made deregistering cheaper, with its causes.

    It is that of the main shape, or else of the first shape that is shown.
    """
    main = MAIN_SHAPE if MAIN_SHAPE in report.shapes else report.shapes[0]
    reasons: dict[str, list[str]] = {}
    for change in report.changes:
        reasons.setdefault(change.release, change.reasons)
    seen = set()
    for step in steps:
        is_fall = step.growth <= -COUNT_THRESHOLD and step.shape == main
        if is_fall and step.release not in seen:
            seen.add(step.release)
            why = ", ".join(reasons.get(step.release, []))
            factor = words.compare_costs(step.old, step.new)
            yield f"{step.release} {factor}{f' ({why})' if why else ''}"


def format_growth(step: Step) -> str:
    """Return a growth, such as `+0.23 %`."""
    return f"+{100 * step.growth:.2g} %"
