"""Conclusions from the gaps: when they changed, whether the newest release did, and what to do."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from asv._stats import mann_whitney_u
from asv.step_detect import detect_steps
from packaging.version import Version

from scripts.gap.history import PAIRED, Gap

UPSTREAM = Path("fixtures/upstream_changes.json")
# A step, or a move of the newest release, of less than this factor is not reported. Processes
# differ by more than the samples of one can tell: with libunwind, on a shared virtual machine, by
# a factor of up to 1.22 where nothing has changed. The same 8 ms of unwinding stand beside 13 or
# 20 of other work there, as the machine pleases.
SMALLEST = 1.25
SIGNIFICANCE = 0.01  # of all sizes together, for the newest release
SESSION = 6 * 3600  # seconds: the longest a job of a hosted runner can take
# Milliseconds per 1000 modules that are worth a change: a tenth of a millisecond for a module that
# is unloaded. wasmtime#10287 was about 1500.
WORTH = 100.0


@dataclass(frozen=True)
class Change:
    """What upstream changed in a release, by pull request number."""

    release: str
    pull_request: int
    what: str

    @property
    def url(self) -> str:
        """Its page."""
        return f"https://github.com/bytecodealliance/wasmtime/pull/{self.pull_request}"


@dataclass(frozen=True)
class Step:
    """A release from which on the gap of a series is another one.

    Attributes:
        before: the gap up to `previous`, the release measured before; `after` is that from
            `release` on.
        changes: the upstream changes that came in between.
    """

    machine: str
    unwinder: str
    size: str
    previous: str
    release: str
    before: float
    after: float
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Newest:
    """The newest release of a machine and unwinder against the release measured before it.

    Attributes:
        moved: the sizes at which the gap moved, with the gap before and after.
        reason: why the two cannot be compared, or nothing.
    """

    machine: str
    unwinder: str
    release: str
    previous: str | None
    moved: dict[str, tuple[float, float]]
    reason: str


@dataclass(frozen=True)
class Advice:
    """Whether to keep unwind info on a machine and unwinder, at its newest release.

    Attributes:
        costs: milliseconds per 1000 modules, by size.
        too_much: the sizes at which that is certainly more than `WORTH`.
    """

    machine: str
    unwinder: str
    release: str
    costs: dict[str, float]
    too_much: tuple[str, ...]


def upstream_changes(path: Path = UPSTREAM) -> list[Change]:
    """The upstream changes that are known to bear on teardown, oldest first."""
    changes = json.loads(path.read_text(encoding="utf-8"))["changes"]
    return sorted((Change(**change) for change in changes), key=lambda one: Version(one.release))


def steps(gaps: Sequence[Gap], changes: Iterable[Change]) -> list[Step]:
    """The steps of one series, found on the logarithm of the gap, weighted by the intervals."""
    found = []
    for (_, before), (start, after) in itertools.pairwise(_levels(gaps)):
        previous, first = gaps[start - 1], gaps[start]
        span = Version(previous.release), Version(first.release)
        causes = (one for one in changes if span[0] < Version(one.release) <= span[1])
        found.append(
            Step(
                machine=first.machine,
                unwinder=first.unwinder,
                size=first.size,
                previous=previous.release,
                release=first.release,
                before=math.exp(before),
                after=math.exp(after),
                changes=tuple(causes),
            )
        )
    return found


def _levels(gaps: Sequence[Gap]) -> list[tuple[int, float]]:
    """Where each level begins and what it is; levels that are too near become one."""
    logs = [math.log(gap.ratio) for gap in gaps]
    starts = [start for start, *_ in detect_steps(logs, [_weight(gap) for gap in gaps])]
    while True:
        pieces = itertools.pairwise([*starts, len(logs)])
        levels = [(start, median(logs[start:end])) for start, end in pieces]
        apart = [
            (abs(after - before), start)
            for (_, before), (start, after) in itertools.pairwise(levels)
        ]
        nearest, start = min(apart, default=(math.inf, 0))
        if nearest >= math.log(SMALLEST):
            return levels
        starts.remove(start)


def _weight(gap: Gap) -> float | None:
    """The inverse of the relative error; an interval that says less than 1 % is not believed."""
    if not gap.low or not gap.high:
        return None
    return 1 / max(math.log(gap.high / gap.low), 0.01)


def all_steps(gaps: Iterable[Gap], changes: Sequence[Change]) -> list[Step]:
    """The steps of every series that is measured in pairs."""
    paired = [gap for gap in gaps if gap.size in PAIRED]
    series = [list(of_one) for _, of_one in by_series(paired)]
    return [step for of_one in series for step in steps(of_one, changes)]


def by_series(gaps: Iterable[Gap]) -> Iterator[tuple[tuple[str, str, str], list[Gap]]]:
    """The gaps of each series, ordered by release."""
    ordered = sorted(gaps, key=lambda gap: (gap.series, Version(gap.release)))
    for series, of_one in itertools.groupby(ordered, key=lambda gap: gap.series):
        yield series, list(of_one)


def newest(gaps: Iterable[Gap]) -> list[Newest]:
    """The verdict on the newest release of every machine and unwinder.

    The samples of each size, of that release and of the one measured before it, are compared by
    the rank test of Mann and Whitney, with Holm's correction for several sizes. A size has moved
    when that finds a difference and the gaps differ by the factor `SMALLEST`.
    """
    return [_newest(*key, of_one) for key, of_one in _by_environment(gaps)]


def _by_environment(gaps: Iterable[Gap]) -> Iterator[tuple[tuple[str, str], list[Gap]]]:
    ordered = sorted(gaps, key=lambda gap: (*gap.series[:2], Version(gap.release)))
    for key, of_one in itertools.groupby(ordered, key=lambda gap: gap.series[:2]):
        yield key, list(of_one)


def _newest(machine: str, unwinder: str, gaps: list[Gap]) -> Newest:
    paired = [gap for gap in gaps if gap.size in PAIRED]
    releases = list(dict.fromkeys(gap.release for gap in paired or gaps))
    last = releases[-1]
    if not paired or len(releases) < 2:
        return Newest(machine, unwinder, last, None, {}, "no release before it was measured")
    before, now = (
        {gap.size: gap for gap in paired if gap.release == release} for release in releases[-2:]
    )
    sizes = [size for size in PAIRED if size in before and size in now]
    apart = max((abs(before[size].started - now[size].started) for size in sizes), default=0)
    reason = ""
    if not sizes:
        reason = "they have no size in common"
    elif apart > SESSION:
        reason = f"they were not measured in one session, but {apart / 3600:.0f} hours apart"
    elif not all(gap.samples for gaps in (before, now) for gap in gaps.values()):
        reason = "samples are not recorded (asv run --record-samples)"
    moved = {} if reason else _moved(sizes, before, now)
    return Newest(machine, unwinder, last, releases[-2], moved, reason)


def _moved(
    sizes: list[str], before: dict[str, Gap], now: dict[str, Gap]
) -> dict[str, tuple[float, float]]:
    """The sizes at which the gap moved; Holm's correction takes the clearest first."""
    tests = sorted(
        (mann_whitney_u(before[size].samples, now[size].samples)[1], size) for size in sizes
    )
    found: dict[str, tuple[float, float]] = {}
    for number, (p, size) in enumerate(tests):
        if p * (len(tests) - number) > SIGNIFICANCE:
            break
        ratios = before[size].ratio, now[size].ratio
        if abs(math.log(ratios[1] / ratios[0])) >= math.log(SMALLEST):
            found[size] = ratios
    return {size: found[size] for size in sizes if size in found}


def advice(gaps: Iterable[Gap]) -> list[Advice]:
    """What to do at the newest release of every machine and unwinder.

    Turn unwind info off for modules whose teardown it makes longer by more than `WORTH`, by the
    lower end of the interval; else keep it.
    """
    advices = []
    for (machine, unwinder), of_one in _by_environment(gaps):
        last = [gap for gap in of_one if gap.release == of_one[-1].release]
        costs = {gap.size: gap.excess for gap in last if gap.excess is not None}
        too_much = tuple(gap.size for gap in last if gap.size in costs and _at_least(gap) > WORTH)
        advices.append(Advice(machine, unwinder, of_one[-1].release, costs, too_much))
    return advices


def _at_least(gap: Gap) -> float:
    """The excess at the lower end of the interval; nothing is certain of one sample."""
    if gap.excess is None or gap.low is None or gap.ratio == 1:
        return 0.0
    return gap.excess * (gap.low - 1) / (gap.ratio - 1)
