"""Conclusions from the gaps: when they changed, whether the newest release did, and what to do."""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from asv._stats import mann_whitney_u
from asv.step_detect import solve_potts
from packaging.version import Version

from scripts.history.benchmarks import PAIRED
from scripts.history.read import SESSION, Gap, History
from scripts.history.results import is_mac

UPSTREAM = Path("fixtures/upstream_changes.json")
# A step of less than this factor is not reported. Processes differ by more than the samples of one
# can tell: with libunwind, on a shared virtual machine, by a standard deviation of 11 %, where
# nothing has changed.
SMALLEST = 1.35
# So the samples of a process count no more when they lie closer together than this,
PROCESSES = math.log(1.22)
# and a level is one that lasts: three releases at that factor, two at 1.6, or one at 2.5.
LASTING = 3 * math.log(SMALLEST)
# The newest release has but one process, and two of 21.0.0 were a factor of 1.84 apart.
SUDDEN = 2.0
SAMPLES = 8  # of each release; with fewer the rank test cannot be certain of anything
SIGNIFICANCE = 0.01  # of all sizes together, for the newest release
# Milliseconds per 1000 modules that are worth a change: a tenth of a millisecond for a module that
# is unloaded. wasmtime#10287 was about 1500.
WORTH = 100.0


@dataclass(frozen=True)
class Change:
    """What upstream changed in a release, by pull request number; some for libunwind alone."""

    release: str
    pull_request: int
    what: str
    libunwind_only: bool = False

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

    @property
    def label(self) -> str:
        """What a chart has room for: the numbers of the pull requests."""
        return " ".join(f"#{change.pull_request}" for change in self.changes) or "?"


@dataclass(frozen=True)
class Newest:
    """The newest release of a machine and unwinder against the release measured before it.

    Attributes:
        libunwind: whether wasmtime meets a libunwind there, Apple's or LLVM's.
        moved: the sizes at which the gap moved, with the gap before and after.
        reason: why the two cannot be compared, or nothing.
    """

    machine: str
    unwinder: str
    libunwind: bool
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


def upstream_changes() -> list[Change]:
    """The upstream changes that are known to bear on teardown, oldest first."""
    changes = json.loads(UPSTREAM.read_text(encoding="utf-8"))["changes"]
    return sorted(
        (Change(**change) for change in changes), key=lambda change: Version(change.release)
    )


def steps(
    gaps: Sequence[Gap], changes: Iterable[Change], *, libunwind: bool, moved: bool = False
) -> list[Step]:
    """The steps of one series, found on the logarithm of the gap, weighted by the intervals.

    Step detection knows too little of the very last release, and is misled by it: whether that
    `moved` is for the verdict on the newest release to say.
    """
    found = []
    logs, last = [math.log(gap.ratio) for gap in gaps], len(gaps) - 1
    levels = _levels(logs[:last], [_weight(gap) for gap in gaps[:last]])
    if moved and levels and abs(logs[last] - levels[-1][1]) >= math.log(SMALLEST):
        levels.append((last, logs[last]))
    for (_, before), (start, after) in itertools.pairwise(levels):
        previous, first = gaps[start - 1], gaps[start]
        span = Version(previous.release), Version(first.release)
        causes = (
            change
            for change in changes
            if span[0] < Version(change.release) <= span[1]
            and (libunwind or not change.libunwind_only)
        )
        ratios = math.exp(before), math.exp(after)
        found.append(Step(*first.series, previous.release, first.release, *ratios, tuple(causes)))
    return found


def _levels(logs: list[float], weights: list[float]) -> list[tuple[int, float]]:
    """Where each level begins and what it is; levels that are too near become one.

    A new level has to bring the values nearer to theirs by `LASTING` in all. asv's own choice of
    that number takes three releases of half the gap, at one end of forty, for noise: it allows for
    noise that lasts from one value to the next, and processes know nothing of each other.
    """
    starts = [0, *solve_potts(logs, weights, LASTING)[0][:-1]] if logs else []
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


def _weight(gap: Gap) -> float:
    """1, or less for an interval that is wider than what processes differ by."""
    if not gap.low or not gap.high:
        return 1
    return PROCESSES / max(math.log(gap.high / gap.low), PROCESSES)


def all_steps(
    gaps: Iterable[Gap], changes: Sequence[Change], verdicts: Iterable[Newest]
) -> list[Step]:
    """The steps of every series that is measured in pairs."""
    ordered = sorted(
        (gap for gap in gaps if gap.size in PAIRED),
        key=lambda gap: (gap.series, Version(gap.release)),
    )
    newest_of = {(verdict.machine, verdict.unwinder): verdict for verdict in verdicts}
    found = []
    for series, group in itertools.groupby(ordered, key=lambda gap: gap.series):
        points, verdict = list(group), newest_of[series[:2]]
        moved = points[-1].release == verdict.release and series[2] in verdict.moved
        found += steps(points, changes, libunwind=verdict.libunwind, moved=moved)
    return found


def newest(history: History) -> list[Newest]:
    """The verdict on the newest release of every machine and unwinder.

    The samples of each size, of that release and of the one measured before it, are compared by
    the rank test of Mann and Whitney, with Holm's correction for several sizes. A size has moved
    when that finds a difference and the gaps differ by the factor `SUDDEN`.
    """
    verdicts = []
    for (machine, unwinder), files in itertools.groupby(
        history.files, key=lambda file: file.key[:2]
    ):
        gaps = [gap for gap in history.gaps if gap.series[:2] == (machine, unwinder)]
        if gaps:
            libunwind = unwinder == "libunwind" or is_mac(history.machines[machine])
            release = [file.release for file in files][-1]
            verdicts.append(_newest(machine, unwinder, libunwind, release, gaps))
    return verdicts


def _newest(machine: str, unwinder: str, libunwind: bool, release: str, gaps: list[Gap]) -> Newest:
    paired = [gap for gap in gaps if gap.size in PAIRED]
    now = {gap.size: gap for gap in paired if gap.release == release}
    earlier = [gap.release for gap in paired if gap.release != release]
    previous = earlier[-1] if earlier else None
    before = {gap.size: gap for gap in paired if gap.release == previous}
    sizes = [size for size in PAIRED if size in before and size in now]
    reason = _reason_against(sizes, before, now)
    moved = {} if reason else _moved(sizes, before, now)
    return Newest(machine, unwinder, libunwind, release, previous, moved, reason)


def _reason_against(sizes: list[str], before: dict[str, Gap], now: dict[str, Gap]) -> str:
    """Why two releases cannot be compared, or nothing."""
    if not now:
        return "its gap is not measured"
    if not before:
        return "no release before it has a gap"
    if not sizes:
        return "they have no size in common"
    both = [(before[size], now[size]) for size in sizes]
    apart = max(abs(earlier.started - later.started) for earlier, later in both)
    if apart > SESSION:
        return f"they were not measured in one session, but {apart / 3600:.0f} hours apart"
    if any(len(gap.samples) < SAMPLES for pair in both for gap in pair):
        return f"less than {SAMPLES} samples are recorded: measure both again"
    return ""


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
        if abs(math.log(ratios[1] / ratios[0])) >= math.log(SUDDEN):
            found[size] = ratios
    return {size: found[size] for size in sizes if size in found}


def advice(history: History) -> list[Advice]:
    """What to do at the newest release of every machine and unwinder.

    Turn unwind info off for modules whose teardown it makes longer by more than `WORTH`, by the
    lower end of the interval; else keep it.
    """
    advices = []
    for (machine, unwinder), group in itertools.groupby(
        history.gaps, key=lambda gap: gap.series[:2]
    ):
        gaps = list(group)
        last = [gap for gap in gaps if gap.release == gaps[-1].release]
        costs = {gap.size: gap.excess for gap in last if gap.excess is not None}
        too_much = tuple(gap.size for gap in last if (gap.at_least or 0) > WORTH)
        advices.append(Advice(machine, unwinder, gaps[-1].release, costs, too_much))
    return advices
