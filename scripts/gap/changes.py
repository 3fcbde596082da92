"""Conclusions from the rows: when the cost changed, the eras in between, the newest release."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple, NotRequired, TypedDict

from packaging.version import Version

from scripts.base.schema import ReleaseName, Text, read_json, suggest_restore
from scripts.gap.platforms import is_libunwind
from scripts.history.benchmarks import DEREGISTER, FUNCTION, GAP, LIBRARY
from scripts.history.read import History
from scripts.history.rows import Row

UPSTREAM = Path("fixtures/upstream_changes.json")
EXACT = 0.01  # relative change of a count that counts
SUDDEN = 2.0  # factor by which the gap changes, where nothing is counted
SAMPLES = 8  # of a time, for its gap to be compared: fewer are noise
FUNCTIONS = 3  # functions of the unwinder that explain a change


class UpstreamChange(TypedDict):
    """A change of Wasmtime's that moves the cost: an entry of that file."""

    release: ReleaseName
    pull_request: int
    what: Text
    libunwind_only: NotRequired[bool]
    benefit_only: NotRequired[bool]


class UpstreamFile(TypedDict):
    """`fixtures/upstream_changes.json`."""

    changes: list[UpstreamChange]


@dataclass(frozen=True)
class Change:
    """A release in which the cost of unwind info changed, in one series.

    Attributes:
        machine, unwinder: the series.
        previous: the release that it is compared with.
        release: the first release with the new cost.
        counted: whether `shapes` has instructions per module; otherwise it has gaps.
        shapes: the cost before and after, by shape.
        functions: instructions before and after of the functions of the unwinder that explain it.
        libraries: the counted libraries before and after, if they differ.
        causes: the upstream changes in between.
        wheels: whether the macOS wheels begin to register in another way there too.
    """

    machine: str
    unwinder: str
    previous: str
    release: str
    counted: bool
    shapes: dict[str, tuple[float, float]]
    functions: dict[str, tuple[float, float]] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    causes: list[UpstreamChange] = field(default_factory=list)
    wheels: bool = False

    @property
    def series(self) -> tuple[str, str]:
        """The machine and unwinder."""
        return self.machine, self.unwinder

    @property
    def label(self) -> str:
        """The release and what changed it, for a table or a chart."""
        causes = [f"#{cause['pull_request']}" for cause in self.causes]
        return " ".join([self.release, *causes, *["another library"] * bool(self.libraries)])


@dataclass(frozen=True)
class Verdict:
    """Whether the newest release of a series changed the cost, or why that is unknown."""

    machine: str
    unwinder: str
    release: str
    previous: str
    changed: bool
    unknown: str = ""

    @property
    def series(self) -> tuple[str, str]:
        """The machine and unwinder."""
        return self.machine, self.unwinder


class Value(NamedTuple):
    """The median over the releases of an era, with the range of all of them."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Era:
    """The releases between two changes, for one series and shape.

    Attributes:
        machine, unwinder, shape: what was measured.
        first, last: the releases at its ends.
        releases: how many it has.
        values: by benchmark.
        change: the change that it begins with, if any.
        known: False for a release whose count is missing: whether it changed the cost is unknown.
    """

    machine: str
    unwinder: str
    shape: str
    first: str
    last: str
    releases: int
    values: dict[str, Value]
    change: Change | None = None
    known: bool = True

    @property
    def series(self) -> tuple[str, str]:
        """The machine and unwinder."""
        return self.machine, self.unwinder


def split_series(history: History) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each machine and unwinder with a cost, oldest release first."""
    split: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(history.rows, key=lambda row: (row.series, Version(row.release))):
        split.setdefault(row.series, []).append(row)
    costs = {DEREGISTER, GAP}
    return {key: rows for key, rows in split.items() if costs & {row.benchmark for row in rows}}


def cost_benchmark(rows: Sequence[Row]) -> str:
    """Return what changes of a series are found in: the count, or the gap if nothing is counted."""
    return DEREGISTER if any(row.benchmark == DEREGISTER for row in rows) else GAP


def find_changes(history: History, rows: Sequence[Row]) -> list[Change]:
    """Find the changes in one series, oldest first.

    A count that differs by 1 % or more from the release before, or from the first release since
    the last change, is a change. Where nothing is counted, a gap that differs by a factor of 2 is.
    """
    benchmark = cost_benchmark(rows)
    shapes: dict[str, list[Row]] = {}
    for row in rows:
        if row.benchmark == benchmark and (benchmark == DEREGISTER or len(row.samples) >= SAMPLES):
            shapes.setdefault(row.shape, []).append(row)
    found: dict[str, dict[str, tuple[Row, Row]]] = {}
    for shape, costs in shapes.items():
        first = costs[0]
        for before, now in itertools.pairwise(costs):
            old = next((old for old in (before, first) if differs(old, now)), None)
            if old is not None:
                found.setdefault(now.release, {})[shape] = old, now
                first = now
    return [
        explain(history, rows, found[release], benchmark) for release in sorted(found, key=Version)
    ]


def differs(old: Row, new: Row) -> bool:
    """Whether two costs differ by more than measuring explains."""
    if new.benchmark == GAP:
        return max(new.value / old.value, old.value / new.value) >= SUDDEN
    return abs(new.value - old.value) >= EXACT * old.value if old.value else new.value > 0


def explain(
    history: History, rows: Sequence[Row], shapes: dict[str, tuple[Row, Row]], benchmark: str
) -> Change:
    """Return the change of a release with what is known of its cause."""
    before, now = next(iter(shapes.values()))
    libunwind = is_libunwind(history.machines[now.machine], now.unwinder)
    ways = history.on_macs if libunwind else {}
    builds = [
        row.value
        for release in (before.release, now.release)
        for row in rows
        if row.benchmark == LIBRARY and row.release == release
    ]
    libraries = [history.library(now.machine, build) for build in builds]
    return Change(
        *(*now.series, before.release, now.release),
        counted=benchmark == DEREGISTER,
        shapes={shape: (old.value, new.value) for shape, (old, new) in shapes.items()},
        functions=explain_functions(rows, before.release, now.release),
        libraries=tuple(libraries) if len(set(builds)) == 2 else (),
        causes=upstream_changes(before.release, now.release, libunwind=libunwind),
        wheels=ways.get(before.release) != ways.get(now.release),
    )


def upstream_changes(before: str, now: str, *, libunwind: bool) -> list[UpstreamChange]:
    """Return the upstream changes of the cost after one release, up to another."""
    known = read_json(UPSTREAM, UpstreamFile, suggest_restore(UPSTREAM))
    return [
        change
        for change in known["changes"]
        if Version(before) < Version(change["release"]) <= Version(now)
        and (libunwind or not change.get("libunwind_only"))
        and not change.get("benefit_only")
    ]


def explain_functions(rows: Sequence[Row], before: str, now: str) -> dict[str, tuple[float, float]]:
    """Return the functions of the unwinder whose instructions changed most, before and after."""
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
    return {name: (old[name], new[name]) for name in changed[:FUNCTIONS]}


def judge_newest(history: History, rows: Sequence[Row], changes: Sequence[Change]) -> Verdict:
    """Judge whether the newest release of a series changed the cost."""
    newest = history.newest[rows[0].machine]
    benchmark = cost_benchmark(rows)
    costs = [row for row in rows if row.benchmark == benchmark]
    now = {row.shape: row for row in costs if row.release == newest}
    previous = next((row.release for row in costs[::-1] if row.release != newest), "")
    before = {row.shape: row for row in costs if row.release == previous}
    missing = [shape for shape in before if shape not in now]
    here = [change for change in changes if change.release == newest]
    few = benchmark == GAP and any(
        len(row.samples) < SAMPLES for row in (*now.values(), *before.values())
    )
    unknown = ""
    if not now:
        unknown = "it is not measured, or its file is left out"
    elif not before:
        unknown = "no release before it is measured"
    elif missing:
        unknown = f"it is not measured at {', '.join(missing)}"
    elif here and here[0].libraries:
        unknown = f"the counted library differs: {' → '.join(here[0].libraries)}"
    elif few:
        unknown = f"times have fewer than {SAMPLES} samples: measure both releases without --quick"
    return Verdict(*rows[0].series, newest, previous, bool(here) and not unknown, unknown)


def split_eras(rows: Sequence[Row], changes: Sequence[Change]) -> Iterator[Era]:
    """Yield the eras of one series, by shape.

    A release whose count is missing is an era of its own: whether it changed the cost is unknown.
    """
    benchmark = cost_benchmark(rows)
    for shape in dict.fromkeys(row.shape for row in rows if row.benchmark in (benchmark, GAP)):
        here = [row for row in rows if row.shape == shape and row.benchmark != FUNCTION]
        known = {row.release for row in here if row.benchmark == benchmark}
        starts = dict.fromkeys(row.release for row in here)
        eras: list[tuple[list[Change], str, list[str]]] = []
        for release in starts:
            passed = [change for change in changes if Version(change.release) <= Version(release)]
            alone = "" if release in known or not known else release
            if not eras or eras[-1][:2] != (passed, alone):
                eras.append((passed, alone, []))
            eras[-1][2].append(release)
        for passed, alone, releases in eras:
            yield Era(
                *(*rows[0].series, shape, releases[0], releases[-1], len(releases)),
                values=summarize([row for row in here if row.release in releases]),
                change=passed[-1] if passed and not alone else None,
                known=not alone,
            )


def summarize(rows: Sequence[Row]) -> dict[str, Value]:
    """Return the median of each benchmark over releases, with the range of all of them."""
    values = {}
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        here = [row for row in rows if row.benchmark == benchmark]
        ends = [end for row in here for end in (row.low, row.high) if end is not None]
        middle = median(row.value for row in here)
        ranged = (min(*ends, middle), max(*ends, middle)) if ends else (None, None)
        values[benchmark] = Value(middle, *ranged)
    return values
