"""Conclusions from the rows: changes of the cost, eras, and the verdict on the newest release."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple, NotRequired, TypedDict

from packaging.version import Version

from scripts.base.schema import ReleaseName, Text, read_json, suggest_restore
from scripts.history.benchmarks import DEREGISTER, FUNCTION, GAP, LIBRARY
from scripts.history.read import History
from scripts.history.rows import Row, SeriesKey

UPSTREAM = Path("fixtures/upstream_changes.json")
COUNT_THRESHOLD = 0.01  # relative difference from which on a count is a change
GAP_FACTOR = 2.0  # factor from which on a gap is a change, in a series without counts
MIN_SAMPLES = 8  # samples of a time; with fewer, its gap is too noisy to compare
MAX_FUNCTIONS = 3  # functions of the unwinder that are listed with a change


class UpstreamChange(TypedDict):
    """A Wasmtime pull request that affects the cost: an entry of `upstream_changes.json`."""

    release: ReleaseName
    pull_request: int
    what: Text
    libunwind_only: NotRequired[bool]
    benefit_only: NotRequired[bool]
    memory_only: NotRequired[bool]


class UpstreamFile(TypedDict):
    """The content of `fixtures/upstream_changes.json`."""

    changes: list[UpstreamChange]


@dataclass(frozen=True)
class Change:
    """A release in which the cost of unwind info changed, in one series.

    Attributes:
        series: the machine and unwinder.
        previous: the earlier release it is compared with.
        release: the first release with the new cost.
        counted: whether `shapes` has instructions per module; otherwise it has gaps.
        shapes: the cost before and after, by shape.
        functions: instructions before and after, of the unwinder functions that changed most.
        libraries: the counted libraries before and after, if they differ.
        causes: the upstream changes in between.
        mac_registration: whether the macOS wheels register differently from this release on, too.
    """

    series: SeriesKey
    previous: str
    release: str
    counted: bool
    shapes: dict[str, tuple[float, float]]
    functions: dict[str, tuple[float, float]] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    causes: list[UpstreamChange] = field(default_factory=list)
    mac_registration: bool = False

    @property
    def reasons(self) -> list[str]:
        """The pull requests, and whether another library was counted, in short."""
        reasons = [f"#{cause['pull_request']}" for cause in self.causes]
        return [*reasons, "another library"] if self.libraries else reasons

    @property
    def label(self) -> str:
        """The release and the reasons, for a table."""
        return " ".join([self.release, *self.reasons])


@dataclass(frozen=True)
class Verdict:
    """Whether the newest release of a series changed the cost, or why that is unknown."""

    series: SeriesKey
    release: str
    previous: str
    changed: bool
    unknown: str = ""


class Value(NamedTuple):
    """The median over the releases of an era, with the range of all of them."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Era:
    """The releases between two changes, for one series and shape.

    Attributes:
        series, shape: the machine and unwinder, and the shape.
        first, last: the oldest and the newest release.
        releases: the number of releases.
        values: by benchmark.
        change: the change that it begins with, if any.
        known: False for a release without a count, which may have changed the cost.
    """

    series: SeriesKey
    shape: str
    first: str
    last: str
    releases: int
    values: dict[str, Value]
    change: Change | None = None
    known: bool = True


def split_series(history: History) -> dict[SeriesKey, list[Row]]:
    """Return the rows of each machine and unwinder that has counts or gaps, oldest first."""
    split: dict[SeriesKey, list[Row]] = {}
    for row in sorted(history.rows, key=lambda row: (row.series, history.positions[row.release])):
        split.setdefault(row.series, []).append(row)
    costs = {DEREGISTER, GAP}
    return {key: rows for key, rows in split.items() if costs & {row.benchmark for row in rows}}


def choose_benchmark(rows: Sequence[Row]) -> str:
    """Return the benchmark that shows changes: the count, or the gap in a series without counts."""
    return DEREGISTER if any(row.benchmark == DEREGISTER for row in rows) else GAP


def find_changes(history: History, rows: Sequence[Row]) -> list[Change]:
    """Find the changes in one series, oldest first.

    A change is a count that differs by 1 % or more from the release before, or from the first
    release since the last change. In a series without counts, it is a gap that differs by a factor
    of 2.
    """
    benchmark = choose_benchmark(rows)
    shapes: dict[str, list[Row]] = {}
    for row in rows:
        if row.benchmark == benchmark and (
            benchmark == DEREGISTER or len(row.samples) >= MIN_SAMPLES
        ):
            shapes.setdefault(row.shape, []).append(row)
    steps: dict[str, dict[str, tuple[Row, Row]]] = {}  # before and after, by release and shape
    for shape, costs in shapes.items():
        first = costs[0]
        for before, now in itertools.pairwise(costs):
            old = next((old for old in (before, first) if is_change(old, now)), None)
            if old is not None:
                steps.setdefault(now.release, {})[shape] = old, now
                first = now
    return [
        explain_change(history, rows, steps[release], benchmark)
        for release in sorted(steps, key=history.positions.__getitem__)
    ]


def is_change(old: Row, new: Row) -> bool:
    """Return whether two costs differ enough to be a change."""
    if new.benchmark == GAP:
        return max(new.value / old.value, old.value / new.value) >= GAP_FACTOR
    return abs(new.value - old.value) >= COUNT_THRESHOLD * old.value if old.value else new.value > 0


def explain_change(
    history: History, rows: Sequence[Row], shapes: dict[str, tuple[Row, Row]], benchmark: str
) -> Change:
    """Return the change in a release, with its known causes."""
    before, now = next(iter(shapes.values()))
    libunwind = now.series.unwinder.family == "libunwind"
    registrations = [
        release.mac_registration
        for release in history.releases
        if release.version in (before.release, now.release)
    ]
    builds = [
        row.value
        for release in (before.release, now.release)
        for row in rows
        if row.benchmark == LIBRARY and row.release == release
    ]
    libraries = [history.library(now.series.machine, build) for build in builds]
    return Change(
        *(now.series, before.release, now.release),
        counted=benchmark == DEREGISTER,
        shapes={shape: (old.value, new.value) for shape, (old, new) in shapes.items()},
        functions=explain_functions(rows, before.release, now.release),
        libraries=tuple(libraries) if len(set(builds)) == 2 else (),
        causes=upstream_changes(before.release, now.release, libunwind=libunwind),
        mac_registration=libunwind and len(set(registrations)) > 1,
    )


def upstream_changes(before: str, now: str, *, libunwind: bool) -> list[UpstreamChange]:
    """Return the upstream changes of the cost after one release and up to another."""
    known = read_json(UPSTREAM, UpstreamFile, suggest_restore(UPSTREAM))
    return [
        change
        for change in known["changes"]
        if Version(before) < Version(change["release"]) <= Version(now)
        and (libunwind or not change.get("libunwind_only"))
        and not change.get("benefit_only")
        and not change.get("memory_only")
    ]


def explain_functions(rows: Sequence[Row], before: str, now: str) -> dict[str, tuple[float, float]]:
    """Return the instructions before and after, of the unwinder functions that changed most."""
    old, new = (
        {
            row.shape: row.value
            for row in rows
            if (row.benchmark, row.release) == (FUNCTION, release)
        }
        for release in (before, now)
    )
    changed = [name for name in new if name in old and old[name] != new[name]]
    changed.sort(key=lambda name: -abs(new[name] - old[name]))
    return {name: (old[name], new[name]) for name in changed[:MAX_FUNCTIONS]}


def judge_newest(history: History, rows: Sequence[Row], changes: Sequence[Change]) -> Verdict:
    """Return whether the newest release of a series changed the cost, or why that is unknown."""
    series = rows[0].series
    newest = history.newest[series.machine]
    if not series.unwinder.by_default:  # a run that leaves it out misses nothing
        newest = rows[-1].release
    benchmark = choose_benchmark(rows)
    costs = [row for row in rows if row.benchmark == benchmark]
    now = {row.shape: row for row in costs if row.release == newest}
    previous = next((row.release for row in costs[::-1] if row.release != newest), "")
    before = {row.shape: row for row in costs if row.release == previous}
    missing = [shape for shape in before if shape not in now]
    change = next((change for change in changes if change.release == newest), None)
    unknown = ""
    if not now:
        unknown = "it was not measured, or its result file was left out"
    elif not before:
        unknown = "no earlier release was measured"
    elif missing:
        unknown = f"it was not measured at {', '.join(missing)}"
    elif change is not None and change.libraries:
        unknown = f"the counted library differs: {' → '.join(change.libraries)}"
    elif not all(map(has_enough_samples, [*now.values(), *before.values()])):
        unknown = (
            f"times have fewer than {MIN_SAMPLES} samples: measure both releases without --quick"
        )
    is_changed = change is not None and not unknown
    return Verdict(rows[0].series, newest, previous, is_changed, unknown)


def has_enough_samples(cost: Row) -> bool:
    """Return whether a cost can be compared with another one: it is a count, or well sampled."""
    return cost.benchmark != GAP or len(cost.samples) >= MIN_SAMPLES


def split_eras(history: History, rows: Sequence[Row], changes: Sequence[Change]) -> Iterator[Era]:
    """Yield the eras of one series, by shape.

    A release without a count, or whose gap has too few samples, is an era of its own, because it
    may have changed the cost.
    """
    benchmark = choose_benchmark(rows)
    for shape in dict.fromkeys(row.shape for row in rows if row.benchmark in (benchmark, GAP)):
        of_shape = [row for row in rows if row.shape == shape and row.benchmark != FUNCTION]
        costs = [row for row in of_shape if row.benchmark == benchmark]
        known = {row.release for row in costs if has_enough_samples(row)}
        # for each era: the changes so far, the release if its cost is unknown, and all releases
        eras: list[tuple[list[Change], str, list[str]]] = []
        for release in dict.fromkeys(row.release for row in of_shape):
            past = [
                change
                for change in changes
                if history.positions[change.release] <= history.positions[release]
            ]
            unknown = release if costs and release not in known else ""
            if not eras or eras[-1][:2] != (past, unknown):
                eras.append((past, unknown, []))
            eras[-1][2].append(release)
        for past, unknown, releases in eras:
            yield Era(
                *(rows[0].series, shape, releases[0], releases[-1], len(releases)),
                values=summarize([row for row in of_shape if row.release in releases]),
                change=past[-1] if past and not unknown else None,
                known=not unknown,
            )


def summarize(rows: Sequence[Row]) -> dict[str, Value]:
    """Return the median of each benchmark over the releases, with the widest range."""
    values = {}
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        of_benchmark = [row for row in rows if row.benchmark == benchmark]
        ends = [end for row in of_benchmark for end in (row.low, row.high) if end is not None]
        middle = median(row.value for row in of_benchmark)
        ranged = (min(*ends, middle), max(*ends, middle)) if ends else (None, None)
        values[benchmark] = Value(middle, *ranged)
    return values
