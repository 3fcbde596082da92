"""How many modules are counted and timed: one number for all builds, chosen before it starts."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.gap import model
from scripts.gap.model import Registration
from scripts.gap.platforms import Platform
from scripts.probe.builds import Build
from scripts.probe.unwinders import Unwinder

# Seconds of a counting process, measured on two cores of 2.6 GHz that also did other work.
START_SECONDS = 5.0  # Python and wasmtime start under valgrind
INSTRUCTIONS_A_SECOND = 1.2e8
LOAD_SECONDS_A_MB = 0.03  # to load an image under valgrind
SECONDS_A_MODULE = 0.001  # for everything else that loading and dropping one takes there
# Instructions of libunwind to register one FDE; libgcc takes less.
REGISTER_FDE = {Registration.FUNCTIONS: 422, Registration.SECTIONS: 224}
TAKES = 2  # processes that count at the same time, see `benchmarks._counted`
MOST_COUNTED = 4000  # modules: valgrind cannot hold four times as many
SAMPLES = 8  # with unwind info and without, by turns
SLOW_NS = 1.0  # nanoseconds an entry, so that a slow processor keeps to the budget
MEMORY = 0.5  # of what is available may hold loaded modules
MAPPINGS = Path("/proc/sys/vm/max_map_count")  # that Linux allows a process; a module takes two
DEFAULT_SECONDS = 10.0  # for each module, build and unwinder


@dataclass(frozen=True)
class Run:
    """A module under one build and one unwinder, with what compiling it has shown.

    Attributes:
        fdes: FDEs that the module registers.
        fdes_counted: FDEs of the code that is counted; 0 if nothing can be counted.
        image_mb: memory of a loaded module: its compiled image, and what wasmtime adds.
        load_seconds, drop_seconds: of one module, without valgrind.
    """

    build: Build
    unwinder: Unwinder
    fdes: int
    fdes_counted: int = 0
    image_mb: float = 0
    load_seconds: float = 0
    drop_seconds: float = 0

    @property
    def registration(self) -> Registration:
        """How the build registers with libunwind."""
        return model.find_registration(self.build.release)

    def entries(self, modules: float) -> float:
        """Table entries scanned per module, under libunwind."""
        return model.unload(modules, self.fdes_counted or self.fdes, self.registration).entries

    def instructions(self, modules: float) -> float:
        """Instructions to deregister a module that the model predicts."""
        fdes = self.fdes_counted or self.fdes
        if not fdes:
            return 0
        if self.unwinder.platform.scans:
            cost = model.unload(modules, fdes, self.registration)
            return cost.instructions(self.unwinder.scan, self.registration)
        if self.unwinder.platform is Platform.LIBGCC_LIST:
            return model.LIBGCC_LIST
        return model.LIBGCC_TREE + model.LIBGCC_TREE_FDE * fdes

    def count_seconds(self, modules: int) -> float:
        """Seconds that counting takes, by the model."""
        register = REGISTER_FDE[self.registration] * (self.fdes_counted or self.fdes)
        seconds = START_SECONDS + LOAD_SECONDS_A_MB * self.image_mb
        for number in counted_numbers(modules):
            instructions = number * (self.instructions(number) + register)
            each = LOAD_SECONDS_A_MB * self.image_mb + SECONDS_A_MODULE
            seconds += instructions / INSTRUCTIONS_A_SECOND + number * each
        return seconds * (1 if (os.cpu_count() or 1) >= TAKES else TAKES)

    def time_seconds(self, modules: int) -> float:
        """Seconds that timing takes, by the model and the time that one module took."""
        scan = self.entries(modules) * SLOW_NS / 1e9 if self.unwinder.platform.scans else 0
        each = 2 * (self.load_seconds + self.drop_seconds) + scan
        return 1 + SAMPLES * modules * each


@dataclass
class Plan:
    """What to measure of a module.

    Attributes:
        counted: how many modules are counted at most, or 0 for none.
        timed: how many are timed, or 0 for none.
        predicted: runs that are too expensive to count, with the reason.
        reduced: why fewer are counted than asked for, or nothing.
        not_timed: why none is timed, or nothing.
    """

    counted: int = 0
    timed: int = 0
    predicted: dict[Run, str] = field(default_factory=dict)
    reduced: str = ""
    not_timed: str = ""


def counted_numbers(modules: int) -> list[int]:
    """Return the numbers of modules that are counted: all, and a quarter of them."""
    return [modules, modules // 4] if modules >= 4 else [modules]


def make_plan(runs: Sequence[Run], wanted: int, seconds: float, *, count: bool, time: bool) -> Plan:
    """Choose what to measure in that many seconds, the same number of modules for all runs.

    Counting comes first. Runs that would take too long even with one module are predicted.
    """
    plan = Plan()
    countable = list(runs) if count else []
    for run in sorted(countable, key=lambda run: run.count_seconds(1), reverse=True):
        if total(countable, Run.count_seconds, 1) > max(seconds, minimum(countable)):
            countable.remove(run)
            plan.predicted[run] = describe_minutes(run.count_seconds(1))
    if countable:
        least = max(minimum(countable), total(countable, Run.count_seconds, 1))
        share = max(seconds * (0.75 if time else 1), least)
        most = min(wanted, MOST_COUNTED, fit_memory(countable, copies=TAKES))
        plan.counted = largest(most, lambda n: total(countable, Run.count_seconds, n) <= share)
        if plan.counted < wanted:
            needed = total(countable, Run.count_seconds, min(wanted, MOST_COUNTED))
            plan.reduced = f"counting {wanted:,} modules would take {describe_minutes(needed)}"
            if most < wanted and plan.counted >= most:
                plan.reduced = f"{wanted:,} modules do not fit the memory or valgrind's limits"
        seconds -= total(countable, Run.count_seconds, plan.counted)
    if time:
        share = max(seconds, 0.25 * DEFAULT_SECONDS * len(runs))
        most = min(wanted, fit_memory(runs, copies=1), fit_mappings())
        plan.timed = largest(most, lambda n: total(runs, Run.time_seconds, n) <= share)
        if not plan.timed:
            needed = total(runs, Run.time_seconds, 1)
            plan.not_timed = f"timing one module would take {describe_minutes(needed)}"
    return plan


def minimum(runs: Sequence[Run]) -> float:
    """Return the seconds that are always spent on counting: a start for each run, and a bit."""
    return 1.2 * START_SECONDS * len(runs)


def total(runs: Sequence[Run], cost: Callable[[Run, int], float], modules: int) -> float:
    """Return the seconds of all runs."""
    return sum(cost(run, modules) for run in runs)


def largest(most: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that fits, with two digits if it is smaller."""
    if most < 1 or not fits(1):
        return 0
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    if low == most:
        return low
    step = int(10 ** max(len(str(low)) - 2, 0))
    return low // step * step


def fit_memory(runs: Sequence[Run], *, copies: int) -> int:
    """Return how many modules fit the memory, in that many processes at once; 1 is always tried."""
    largest_mb = max(run.image_mb for run in runs)
    available = float(psutil.virtual_memory().available) / 1e6 * MEMORY
    return max(int(available / copies / largest_mb) - 2, 1) if largest_mb else MOST_COUNTED


def fit_mappings() -> int:
    """Return how many modules the mappings of a process allow."""
    limit = int(MAPPINGS.read_text(encoding="ascii")) if MAPPINGS.exists() else 2**31
    return limit // 3


def describe_minutes(seconds: float) -> str:
    """Return a duration in words that is no shorter."""
    minutes = seconds / 60
    if minutes >= 90:
        return f"about {minutes / 60:,.0f} hours (--minutes {minutes:.0f})"
    digits = f"{minutes + 0.05:.1f}" if minutes < 10 else f"{minutes + 0.5:.0f}"
    return f"about {seconds:,.0f} s (--minutes {digits})"
