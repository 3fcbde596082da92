"""From entries scanned to milliseconds: the rate depends on the table.

An entry of libunwind's table takes 32 bytes, and a scan reads all of them. So nanoseconds per entry
grow with the table, as it leaves one cache after the other. They also depend on whether a scan is
the first of its drop: other work may have evicted the table since the drop before. The following
scans, which only releases that deregister function by function make, find it in the caches.

    cost of a module = entries of the first scan × rate
                     + entries of the following scans × rate + FDEs × constant

A rate is known for a machine that has measured `UnloadFromBusyProcess` (`curves_from_busy`). For
other machines, `UNKNOWN_MACHINE` has the lowest and the highest rate that was measured or reported.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import pairwise
from math import ceil, floor, log, log10
from statistics import median, quantiles
from typing import NamedTuple

from scripts.releases.pins import Registration

Rate = Callable[[float], float]  # nanoseconds per entry by table size
STEPS = 200  # table sizes at which the rate of a whole drop is evaluated
RULE_FDES = (3, 10, 30, 100, 300, 1_000)  # FDEs per module for which the rules hold
# Nanoseconds per FDE of the unloaded module that no scan takes, such as to unmap its unwind tables:
# 2 to 3 µs for 108 FDEs on the Intel host, 30 to 60 µs for 2,608 FDEs (sql.js) on the AMD host.
FDE_NS = (0, 25)
MAX_TABLE = 1e9  # entries; every curve costs more than any threshold in use long before


class Unloading(Enum):
    """Which modules are unloaded: the two loads that have a rule each."""

    ALL = "all modules are unloaded, last loaded first"
    ONE = "one module is unloaded, the others stay"


class Point(NamedTuple):
    """Nanoseconds per entry of a scan of a table with that many entries, and who measured it."""

    entries: float
    nanoseconds: float
    source: str


@dataclass(frozen=True)
class Curve:
    """Nanoseconds per entry by table size.

    Attributes:
        first, following: the first scan of a drop and the following ones, by ascending size.
            Between two points, the rate is linear in the logarithm of the size; outside, constant.
    """

    first: tuple[Point, ...]
    following: tuple[Point, ...]


@dataclass(frozen=True)
class Curves:
    """The lowest and the highest rates of a machine."""

    low: Curve
    high: Curve


class Busy(NamedTuple):
    """Samples of `UnloadFromBusyProcess` of one release, in seconds, by resident FDEs.

    Attributes:
        fdes: FDEs of the unloaded module: 17 from 22.0.0 on.
        on, off: samples with unwind info on and off.
    """

    fdes: int
    on: Mapping[int, Sequence[float]]
    off: Mapping[int, Sequence[float]]


def rate_at(points: Sequence[Point], entries: float) -> float:
    """Return nanoseconds per entry of a scan of a table with that many entries."""
    smallest, largest = points[0], points[-1]
    if entries <= smallest.entries:
        return smallest.nanoseconds
    for left, right in pairwise(points):
        if entries <= right.entries:
            share = log(entries / left.entries) / log(right.entries / left.entries)
            return left.nanoseconds + share * (right.nanoseconds - left.nanoseconds)
    return largest.nanoseconds


def mean_rate(rate: Rate, scans: float, step: float, residents: float) -> float:
    """Return the mean nanoseconds per entry of scans while modules are unloaded.

    The tables have `residents` entries and 1, 2 … `scans` times `step` more. A larger table has
    more entries, and so more weight.
    """
    count = max(1, min(STEPS, round(scans)))
    sizes = [residents + step * ((index + 0.5) * scans / count + 0.5) for index in range(count)]
    return sum(size * rate(size) for size in sizes) / sum(sizes)


def estimate_ms(
    modules: float, fdes: float, residents: float, registration: Registration, curves: Curves
) -> tuple[float, float]:
    """Return the lowest and the highest extra milliseconds per module unloaded.

    Args:
        modules: how many modules are unloaded one after the other, last loaded first.
        fdes: FDEs of each unloaded module.
        residents: FDEs of all modules that stay loaded.
        registration: how the release registers.
        curves: the rates of the machine.
    """
    if not fdes:
        return 0, 0
    ends = zip((curves.low, curves.high), (min, max), FDE_NS, strict=True)
    first_entries, following_entries = split_entries(modules, fdes, residents, registration)
    lowest, highest = (
        first_entries * mean_rate(first_rate(curve, modules, choose), modules, fdes, residents)
        + following_entries
        * mean_rate(partial(rate_at, curve.following), modules * fdes, 1, residents)
        + constant * fdes
        for curve, choose, constant in ends
    )
    return lowest / 1e6, highest / 1e6


def first_rate(curve: Curve, modules: float, choose: Callable[[float, float], float]) -> Rate:
    """Return the rate of first scans: if several modules go, `choose` between first and following.

    While modules are dropped one after the other, the table may still be in the caches.
    """

    def rate(entries: float) -> float:
        first = rate_at(curve.first, entries)
        return choose(first, rate_at(curve.following, entries)) if modules > 1 else first

    return rate


def split_entries(
    modules: float, fdes: float, residents: float, registration: Registration
) -> tuple[float, float]:
    """Return the entries scanned per module: by the first scan of a drop, and by the others."""
    first = residents + fdes * (modules + 1) / 2
    every = fdes * (residents + (modules * fdes + 1) / 2)
    return first, every - first if registration is Registration.FUNCTIONS else 0


def curves_from_busy(functions: Busy, sections: Busy) -> Curves:
    """Return the rates of a machine from its own samples.

    A module that is deregistered by sections has one scan, the first; function by function it has
    as many as FDEs, so the difference is due to the following scans. The rates are between the
    quartiles of the samples: each sample is of another process, and those differ.

    Args:
        functions: of a release that deregisters function by function, such as 49.0.0.
        sections: of a release that deregisters a module with one scan, such as 50.0.1.

    Raises:
        ValueError: the releases have no number of resident FDEs in common, or a sample is missing.
    """
    steps = sorted(functions.on.keys() & sections.on.keys())
    if not steps:
        raise ValueError("no number of resident FDEs was measured for both releases")
    bounds: list[tuple[list[Point], list[Point]]] = [([], []), ([], [])]
    for step in steps:
        first_ns = extra_quartiles(sections, step)
        all_ns = extra_quartiles(functions, step)
        table = step + functions.fdes
        _, following_entries = split_entries(1, functions.fdes, step, Registration.FUNCTIONS)
        for (first, following), one_scan, all_scans in zip(bounds, first_ns, all_ns, strict=True):
            nanoseconds = one_scan / (step + sections.fdes)
            first.append(Point(step + sections.fdes, nanoseconds, "measured"))
            # the first scan's share of all scans is small: its median is good enough
            remaining = max(all_scans - median(first_ns), 0)
            following.append(Point(table, remaining / following_entries, "measured"))
    low, high = (Curve(tuple(first), tuple(following)) for first, following in bounds)
    return Curves(low, high)


def extra_quartiles(busy: Busy, step: int) -> tuple[float, float]:
    """Return the quartiles of the extra nanoseconds per module; a negative one is noise, so 0.

    Raises:
        ValueError: a setting has fewer than two samples.
    """
    on, off = busy.on[step], busy.off.get(step, ())
    if min(len(on), len(off)) < 2:
        raise ValueError(f"there are fewer than two samples beside {step:,} FDEs")
    lower, _, upper = quantiles(on)
    typical_off = median(off)
    return max(lower - typical_off, 0) * 1e9, max(upper - typical_off, 0) * 1e9


def rule_limits(
    unloading: Unloading, registration: Registration, curves: Curves, threshold_ms: float
) -> tuple[int, int]:
    """Return the limits of a rule of thumb: keep unwind info below, turn it off above.

    The rule is about FDEs of a module × FDEs in all where a release deregisters function by
    function, and about FDEs in all where it deregisters by sections. It holds for modules of
    `RULE_FDES`, so the limits are rounded away from each other.
    """
    keep, turn_off = list[float](), list[float]()
    for fdes in RULE_FDES:
        factor = fdes if registration is Registration.FUNCTIONS else 1
        for limits, end in ((keep, 1), (turn_off, 0)):

            def cost(total: float, fdes: int = fdes, end: int = end) -> float:
                modules = total / fdes if unloading is Unloading.ALL else 1
                residents = total - modules * fdes
                return estimate_ms(modules, fdes, residents, registration, curves)[end]

            if cost(fdes) < threshold_ms:  # otherwise a single module is above the threshold
                limits.append(factor * find_table(cost, fdes, threshold_ms))
    return round_digits(min(keep), floor), round_digits(max(turn_off), ceil)


def find_table(cost: Callable[[float], float], smallest: float, threshold: float) -> float:
    """Return the table size at which a cost, which grows with it, reaches the threshold."""
    low, high = smallest, MAX_TABLE
    while high > 1.001 * low:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if cost(middle) > threshold else (middle, high)
    return low


def round_digits(number: float, direction: Callable[[float], int]) -> int:
    """Round a number to two digits, up or down."""
    unit = 10 ** (floor(log10(number)) - 1)
    return direction(number / unit) * int(unit)


AMD = "AMD EPYC (family 25, model 17), UnloadFromBusyProcess: a fast process"
AMD_SLOW = "AMD EPYC (family 25, model 17), UnloadFromBusyProcess: a process on a loaded host"
INTEL = "Intel Xeon with 2 MiB of L2: unloading one module from a busy process"
INTEL_LOADS = "Intel Xeon with 2 MiB of L2: whole loads of 200 × 108 FDEs, 50.0.1"
INTEL_LARGE = "the same host: 1000 × 108 FDEs, 50.0.1: tables of 72,000 on weighted average"
ISSUE_6541 = "wasmtime#6541, worst run: over 100 s where the usual 22.4 s are 0.63 ns"
ISSUE_10287 = "wasmtime#10287: 1000 modules of 106 FDEs in 1.5 s, while the table shrinks"
ISSUE_5555 = "wasmCloud#5555: 2,000 scans of 400,000 entries in 3.7 s"

UNKNOWN_MACHINE = Curves(
    low=Curve(
        first=(
            Point(106_000, 0.267, ISSUE_10287),
            Point(400_000, 0.45, AMD),
            Point(1_000_000, 0.83, AMD),
        ),
        following=(
            Point(106_000, 0.267, ISSUE_10287),
            Point(400_000, 0.55, AMD),
            Point(1_000_000, 0.80, AMD),
        ),
    ),
    high=Curve(
        first=(
            Point(2_000, 1.3, INTEL_LOADS),
            Point(10_000, 2.3, AMD_SLOW),
            Point(50_000, 1.8, INTEL),
            Point(72_000, 2.1, INTEL_LARGE),
            Point(266_664, 2.8, ISSUE_6541),
            Point(400_000, 4.62, ISSUE_5555),
        ),
        following=(
            Point(2_000, 1.1, AMD_SLOW),
            Point(10_000, 0.92, INTEL),
            Point(50_000, 1.12, INTEL),
            Point(100_000, 1.54, INTEL),
            Point(266_664, 2.8, ISSUE_6541),
            Point(400_000, 4.62, ISSUE_5555),
        ),
    ),
)
