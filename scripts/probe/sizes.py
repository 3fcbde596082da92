"""With how many modules a build is counted or timed: as many as take seconds and fit in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

MEMORY_SHARE = 0.5  # of the available memory, for loaded modules
MAX_MAPPINGS_FILE = Path("/proc/sys/vm/max_map_count")  # Linux; per process
MAPPINGS_PER_MODULE = 3  # a module needs two


@dataclass(frozen=True)
class Budget:
    """Seconds to spend on counting and timing a module under one build and unwinder.

    Attributes:
        count, time: with several modules loaded.
        limit: with a single module loaded, if that takes longer than the former.
    """

    count: float = 1.0
    time: float = 4.0
    limit: float = 60.0

    @classmethod
    def share(cls, minutes: float | None, cases: int) -> "Budget":
        """Return an equal share of --minutes for each case, or the default without it."""
        if minutes is None:
            return cls()
        seconds = 60 * minutes / cases / 2
        return cls(seconds, seconds, seconds)


def choose_number(requested: int, fits: Callable[[int], bool]) -> int:
    """Return the requested number of modules, halved until it fits; at least 1."""
    number = requested
    while number > 1 and not fits(number):
        number //= 2
    return number


def fits_in_memory(modules: int, memory_mb: float, *, copies: float = 1) -> bool:
    """Return whether so many copies of so many modules can be loaded at the same time."""
    available = float(psutil.virtual_memory().available) / 1e6
    return modules * memory_mb * copies <= MEMORY_SHARE * available


def fits_in_mappings(modules: int) -> bool:
    """Return whether a process has enough memory mappings for so many modules."""
    file = MAX_MAPPINGS_FILE
    return not file.exists() or modules * MAPPINGS_PER_MODULE <= int(file.read_text("ascii"))


def describe_duration(seconds: float) -> str:
    """Return a duration in words, such as `about 40 s` or `about 2.5 hours`."""
    if seconds < 90:
        return f"about {seconds:,.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:,.0f} minutes"
    return f"about {seconds / 3600:,.1f} hours"
