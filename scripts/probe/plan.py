"""The plan of a measurement: with how many modules all builds are counted and timed."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.cost import model
from scripts.cost.platforms import Platform
from scripts.probe.builds import Build
from scripts.probe.unwinders import Unwinder
from scripts.releases.pins import Registration

# Seconds of a counting process, measured on a busy machine with two cores of 2.6 GHz.
START_SECONDS = 5.0  # to start Python and wasmtime under valgrind
INSTRUCTIONS_PER_SECOND = 1.2e8
LOAD_SECONDS_PER_MB = 0.03  # to load an image under valgrind
SECONDS_PER_MODULE = 0.001  # to load and drop a module under valgrind, without the other costs
# Instructions of libunwind to register one FDE; libgcc takes less.
REGISTER_FDE = {Registration.FUNCTIONS: 422, Registration.SECTIONS: 224}
COUNTING_PROCESSES = 2  # that run at the same time, see `benchmarks._counted`
MAX_COUNTED = 4000  # modules; valgrind cannot hold four times as many
SAMPLES = 8  # of each setting: unwind info on and off, alternating
SLOW_ENTRY_NS = 1.0  # nanoseconds per entry on a slow processor, which keeps to the budget, too
MEMORY_SHARE = 0.5  # of the available memory, for loaded modules
MAX_MAPPINGS_FILE = Path("/proc/sys/vm/max_map_count")  # Linux; per process
DEFAULT_SECONDS = 10.0  # for each module, build and unwinder


@dataclass(frozen=True)
class Run:
    """A module under one build and one unwinder, with the facts from compiling it.

    Attributes:
        fdes: FDEs that the module registers.
        fdes_counted: FDEs of the code that is compiled for counting; 0 if nothing can be counted.
        image_mb: MB of memory that a loaded module uses: its compiled image, and overhead.
        load_seconds, drop_seconds: time to load and to drop one module, without valgrind.
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
        """How the build registers its unwind tables with libunwind."""
        return model.find_registration(self.build.release)

    def entries(self, modules: float) -> float:
        """Return the table entries that libunwind scans to deregister a module."""
        return model.unload(modules, self.fdes_counted or self.fdes, self.registration).entries

    def instructions(self, modules: float) -> float:
        """Return the model's prediction of the instructions to deregister a module."""
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
        """Estimate the seconds that counting takes, from the model."""
        register = REGISTER_FDE[self.registration] * (self.fdes_counted or self.fdes)
        seconds = START_SECONDS + LOAD_SECONDS_PER_MB * self.image_mb
        for number in list_counted_numbers(modules):
            instructions = number * (self.instructions(number) + register)
            per_module = LOAD_SECONDS_PER_MB * self.image_mb + SECONDS_PER_MODULE
            seconds += instructions / INSTRUCTIONS_PER_SECOND + number * per_module
        is_parallel = (os.cpu_count() or 1) >= COUNTING_PROCESSES
        return seconds if is_parallel else seconds * COUNTING_PROCESSES

    def time_seconds(self, modules: int) -> float:
        """Estimate the seconds that timing takes, from the model and the times of one module."""
        scan = self.entries(modules) * SLOW_ENTRY_NS / 1e9 if self.unwinder.platform.scans else 0
        per_module = 2 * (self.load_seconds + self.drop_seconds) + scan
        return 1 + SAMPLES * modules * per_module


@dataclass
class Plan:
    """What to measure of a module.

    Attributes:
        counted: how many modules to load at most while counting, or 0 to count nothing.
        timed: how many modules to load while timing, or 0 to time nothing.
        predicted: runs that are too expensive to count, each with the time that counting one
            module would take.
        reduced: why fewer modules than requested are counted, or an empty string.
        not_timed: why nothing is timed, or an empty string.
    """

    counted: int = 0
    timed: int = 0
    predicted: dict[Run, str] = field(default_factory=dict)
    reduced: str = ""
    not_timed: str = ""


def list_counted_numbers(modules: int) -> list[int]:
    """Return the numbers of modules to count with: all, and a quarter of them."""
    return [modules, modules // 4] if modules >= 4 else [modules]


def make_plan(
    runs: Sequence[Run], requested: int, seconds: float, *, count: bool, time: bool
) -> Plan:
    """Choose what to measure in that many seconds, with the same number of modules for all runs.

    Counting comes first. The counts of runs that would take too long even with one module are
    predicted.

    Args:
        runs: the runs of one module.
        requested: the number of loaded modules for which advice is requested.
        seconds: the time budget of all runs.
        count: whether instructions can be counted.
        time: whether dropping is timed.
    """
    plan = Plan()
    if count:
        seconds -= plan_counting(plan, runs, requested, seconds, share=0.75 if time else 1)
    if time:
        plan_timing(plan, runs, requested, seconds)
    return plan


def plan_counting(
    plan: Plan, runs: Sequence[Run], requested: int, seconds: float, *, share: float
) -> float:
    """Choose which runs to count, and with how many modules; return the estimated seconds.

    Args:
        plan: the plan to fill in.
        runs: the runs of one module.
        requested: the number of loaded modules for which advice is requested.
        seconds: the time budget of all runs.
        share: the share of the budget that counting may use; one module is counted in any case.
    """
    countable = list(runs)
    for run in sorted(runs, key=lambda run: run.count_seconds(1), reverse=True):
        floor = estimate_minimum_seconds(countable)
        if sum_seconds(countable, Run.count_seconds, 1) > max(seconds, floor):
            countable.remove(run)
            plan.predicted[run] = describe_duration(run.count_seconds(1))
    if not countable:
        return 0
    budget = max(
        seconds * share,
        estimate_minimum_seconds(countable),
        sum_seconds(countable, Run.count_seconds, 1),
    )
    limit = min(requested, MAX_COUNTED, limit_by_memory(countable, copies=COUNTING_PROCESSES))
    plan.counted = find_largest_fitting(
        limit, lambda number: sum_seconds(countable, Run.count_seconds, number) <= budget
    )
    if plan.counted < requested:
        needed = sum_seconds(countable, Run.count_seconds, min(requested, MAX_COUNTED))
        plan.reduced = f"counting {requested:,} modules would take {describe_duration(needed)}"
        if limit < requested and plan.counted >= limit:
            plan.reduced = f"{requested:,} modules exceed the memory, or the limits of valgrind"
    return sum_seconds(countable, Run.count_seconds, plan.counted)


def plan_timing(plan: Plan, runs: Sequence[Run], requested: int, seconds: float) -> None:
    """Choose with how many modules to time all runs in the seconds that counting leaves."""
    budget = max(seconds, 0.25 * DEFAULT_SECONDS * len(runs))
    limit = min(requested, limit_by_memory(runs, copies=1), limit_by_mappings())
    plan.timed = find_largest_fitting(
        limit, lambda number: sum_seconds(runs, Run.time_seconds, number) <= budget
    )
    if not plan.timed:
        needed = sum_seconds(runs, Run.time_seconds, 1)
        plan.not_timed = f"timing one module would take {describe_duration(needed)}"


def estimate_minimum_seconds(runs: Sequence[Run]) -> float:
    """Return the least time budget for counting: starting valgrind for each run, and a margin."""
    return 1.2 * START_SECONDS * len(runs)


def sum_seconds(runs: Sequence[Run], estimate: Callable[[Run, int], float], modules: int) -> float:
    """Return the estimated seconds of all runs with that many modules."""
    return sum(estimate(run, modules) for run in runs)


def find_largest_fitting(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to a limit that fits, or 0 if none does.

    A number below the limit is rounded down to two significant digits.
    """
    if limit < 1 or not fits(1):
        return 0
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    if low == limit:
        return low
    step = int(10 ** max(len(str(low)) - 2, 0))
    return low // step * step


def limit_by_memory(runs: Sequence[Run], *, copies: int) -> int:
    """Return how many modules fit in memory if that many processes load them; at least 1."""
    largest_mb = max(run.image_mb for run in runs)
    available = float(psutil.virtual_memory().available) / 1e6 * MEMORY_SHARE
    return max(int(available / copies / largest_mb) - 2, 1) if largest_mb else MAX_COUNTED


def limit_by_mappings() -> int:
    """Return how many modules a process can load before it runs out of memory mappings."""
    file = MAX_MAPPINGS_FILE
    limit = int(file.read_text(encoding="ascii")) if file.exists() else 2**31
    return limit // 3  # a module needs two mappings


def describe_duration(seconds: float) -> str:
    """Return a duration in words, with the --minutes to ask for."""
    minutes = seconds / 60
    if minutes >= 90:
        return f"about {minutes / 60:,.0f} hours (--minutes {minutes:.0f})"
    rounded = f"{minutes + 0.05:.1f}" if minutes < 10 else f"{minutes + 0.5:.0f}"
    return f"about {seconds:,.0f} s (--minutes {rounded})"
