"""Conclusions from the points: when the cost changed, the eras in between, the newest release."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from packaging.version import Version

from scripts.base.files import entries
from scripts.history.benchmarks import SIZES
from scripts.history.read import SESSION, History, Point, Value
from scripts.history.results import is_mac

UPSTREAM = Path("fixtures/upstream_changes.json")
CERTAIN = 0.01  # of a count, which is exact
SUDDEN = 2.0  # of the gap, where nothing is counted
FUNCTIONS = 3  # that a change is explained by
SAMPLES = 8  # of the gap: the processes of which the median is taken
# Milliseconds per 1000 modules that are worth a change: a tenth of a millisecond for a module that
# is unloaded. wasmtime#10287 was about 1500.
WORTH = 100.0
FEWEST, MOST = 1_000, 20_000  # instructions of such a scan that a processor executes in a µs
KEEP, TURN_OFF, UNKNOWN = "keep it", "turn it off", "not known"


@dataclass(frozen=True)
class Change:
    """A release from which on unwind info costs another amount on a machine, with an unwinder.

    `moved` has what it was at `previous`, the release measured before, and what it is, by size:
    instructions per module if it is `counted`, else the gap. `functions` has those of the
    unwinder whose instructions moved most, `library` the counted library before and after when it
    is another one, `causes` the upstream changes that came in between. `macs` says whether the
    libraries in the macOS wheels begin to register in another way there, by their own bytes.
    """

    machine: str
    unwinder: str
    previous: str
    release: str
    counted: bool
    moved: dict[str, tuple[float, float]]
    functions: dict[str, tuple[float, float]]
    library: tuple[str, ...]
    causes: list[dict[str, Any]]
    macs: bool

    @property
    def label(self) -> str:
        """What a table has room for: the release, and the numbers of the pull requests."""
        causes = [f"#{cause['pull_request']}" for cause in self.causes]
        return " ".join([self.release, *causes, *["another library"] * bool(self.library)])

    @property
    def mark(self) -> str:
        """What a chart says of it."""
        return self.label + ", in the Mac wheels too" * self.macs


@dataclass(frozen=True)
class Newest:
    """Whether the newest release of a machine changed the cost, or why that is not known."""

    machine: str
    unwinder: str
    release: str
    previous: str
    moved: bool
    reason: str


@dataclass(frozen=True)
class Era(Point):
    """What unwind info costs from `release` to `last`, between two changes: medians of releases.

    `says` is what the rule says, `why` the change that it begins with, or nothing.
    """

    last: str = ""
    releases: int = 0
    says: str = ""
    why: str = ""


def conclude(history: History) -> tuple[list[Change], list[Newest], list[Era]]:
    """The changes of every machine and unwinder, the verdicts on the newest release, the eras."""
    changes, verdicts, eras = list[Change](), list[Newest](), list[Era]()
    for (machine, _), group in itertools.groupby(history.points, key=lambda point: point.key):
        points, newest = list(group), history.newest[machine]
        here = find_changes(history, points)
        changes += here
        latest = [change for change in here if change.release == newest]
        verdicts.append(_judge(points, newest, latest))
        eras += _split(points, here)
    return changes, verdicts, eras


def costs(points: Iterable[Point], *, counted: bool) -> list[tuple[Point, float]]:
    """The points with what changes are found in: the count, or the gap where nothing is counted."""
    return [
        (point, cost)
        for point in points
        if (cost := point.instructions if counted else point.gap.value if point.gap else None)
        is not None
    ]


def find_changes(history: History, points: Sequence[Point]) -> list[Change]:
    """The changes in the points of one machine and unwinder, oldest first."""
    machine, unwinder = points[0].key
    newest = history.newest[machine]
    libunwind = unwinder == "libunwind" or is_mac(history.machines[machine])
    ways = history.on_macs if libunwind else {}
    counted = bool(costs(points, counted=True))
    functions = {point.release: point.functions for point in points if point.functions}
    found: dict[str, Change] = {}
    for size in dict.fromkeys(point.size for point in points):
        series = costs((point for point in points if point.size == size), counted=counted)
        for (before, old), (now, new) in itertools.pairwise(series):
            if counted:
                changed = abs(new / old - 1) >= CERTAIN if old else new > 0
            else:
                factor = max(new / old, old / new)
                changed = factor >= SUDDEN and not incomparable(before, now, newest)
            if not changed:
                continue
            if now.release not in found:
                both = (functions.get(point.release, {}) for point in (before, now))
                libraries = (before.library, now.library) if counted else ("", "")
                found[now.release] = Change(
                    *(*now.key, before.release, now.release, counted, {}, moved_most(*both)),
                    libraries if all(libraries) and len({*libraries}) == 2 else (),
                    upstream_changes(before.release, now.release, libunwind=libunwind),
                    ways.get(before.release) != ways.get(now.release),
                )
            found[now.release].moved[size] = (old, new)
    return sorted(found.values(), key=lambda change: Version(change.release))


def upstream_changes(before: str, now: str, *, libunwind: bool) -> list[dict[str, Any]]:
    """What came to Wasmtime after one release, up to another, that moves the cost."""
    return [
        change
        for change in entries(UPSTREAM, "changes")
        if Version(before) < Version(change["release"]) <= Version(now)
        and (libunwind or not change.get("libunwind_only"))
    ]


def moved_most(before: dict[str, float], now: dict[str, float]) -> dict[str, tuple[float, float]]:
    """The functions whose instructions moved most, of those that are counted in both releases."""
    moved = [name for name in now if name in before and before[name] != now[name]]
    moved.sort(key=lambda name: -abs(now[name] - before[name]))
    return {name: (before[name], now[name]) for name in moved[:FUNCTIONS]}


def incomparable(before: Point, now: Point, newest: str) -> str:
    """Why the gaps of two releases cannot be compared, or nothing."""
    if any(not point.gap or point.gap.samples < SAMPLES for point in (before, now)):
        return f"less than {SAMPLES} samples are recorded: measure both again"
    apart = abs(before.started - now.started)
    if now.release == newest and apart > SESSION:
        return f"they were not measured in one session, but {apart / 3600:.0f} hours apart"
    return ""


def _judge(points: Sequence[Point], newest: str, here: Sequence[Change]) -> Newest:
    counted = bool(costs(points, counted=True))
    usable = [point for point, _ in costs(points, counted=counted)]
    now = {point.size: point for point in usable if point.release == newest}
    previous = next((point.release for point in usable[::-1] if point.release != newest), "")
    before = [point for point in usable if point.release == previous]
    missing = [point.size for point in before if point.size not in now]
    if not now:
        reason = "it is not measured, or its file is left out"
    elif not before:
        reason = "no release before it is measured"
    elif missing:
        reason = f"it is not measured at {', '.join(missing)}"
    elif here and here[0].library:
        reason = f"the counted library is another one, {' → '.join(here[0].library)}"
    else:
        reasons = (incomparable(point, now[point.size], newest) for point in before if not counted)
        reason = next(filter(None, reasons), "")
    return Newest(*points[0].key, newest, previous, bool(here) and not reason, reason)


def _split(points: Sequence[Point], changes: Sequence[Change]) -> list[Era]:
    """The eras of every series."""
    starts, eras = [(Version(change.release), change.label) for change in changes], []
    for size in dict.fromkeys(point.size for point in points):
        series = (point for point in points if point.size == size)
        for labels, group in itertools.groupby(
            series,
            key=lambda point: [label for at, label in starts if at <= Version(point.release)],
        ):
            era = list(group)
            counts = [point.instructions for point in era if point.instructions is not None]
            count, extra = median(counts) if counts else None, over(point.extra for point in era)
            eras.append(
                Era(
                    *(*era[0].key, size, era[0].release, count),
                    *(over(point.gap for point in era), extra, era[-1].fdes),
                    last=era[-1].release,
                    releases=len(era),
                    says=rule(extra, count) if size in SIZES else "",
                    why=labels[-1] if labels else "",
                )
            )
    return eras


def over(values: Iterable[Value | None]) -> Value | None:
    """The median of several, with the range of all their samples."""
    known = [value for value in values if value is not None]
    ends = [
        end for value in known for end in (value.low, value.value, value.high) if end is not None
    ]
    samples, middle = sum(value.samples for value in known), [value.value for value in known]
    return Value(median(middle), min(ends), max(ends), samples) if known else None


def rule(extra: Value | None, instructions: float | None) -> str:
    """Keep unwind info or turn it off; without a time only where instructions leave no doubt."""
    if extra is not None:
        return TURN_OFF if extra.value > WORTH else KEEP
    if instructions is None or FEWEST * WORTH < instructions <= MOST * WORTH:
        return UNKNOWN  # µs a module are ms per 1000 modules
    return TURN_OFF if instructions > MOST * WORTH else KEEP
