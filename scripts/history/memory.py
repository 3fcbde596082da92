"""Changes of the memory that is left after modules are dropped.

Memory is a series of its own: it starts no era and decides no advice.
"""

from collections.abc import Iterable
from typing import NamedTuple

MEMORY = "memory_left.MemoryLeft.track_memory_left"
RELATIVE_THRESHOLD = 0.25  # of the value before
# Bytes. Releases that do the same work differ by less, since each places its allocations in other
# pages.
ABSOLUTE_THRESHOLD = 512 * 1024


class MemoryChange(NamedTuple):
    """A release that leaves more or less memory than the releases before.

    Attributes:
        previous: the release before it.
        release: the first release with the new amount.
        before, after: bytes left; `before` is of the release that started the previous level.
    """

    previous: str
    release: str
    before: float
    after: float

    @property
    def is_worse(self) -> bool:
        """Whether the release leaves more memory."""
        return self.after > self.before


def find_memory_changes(values: Iterable[tuple[str, float]]) -> list[MemoryChange]:
    """Return the releases in which the memory left changed.

    Each release is compared with the one that started the present level, not with its neighbor, so
    that a slow growth is found too.

    Args:
        values: release and bytes left, in the order of releases, of one machine, unwinder, setting
            and load. Releases without a value are left out.
    """
    changes = list[MemoryChange]()
    level: float | None = None
    previous = ""
    for release, value in values:
        if level is not None and is_memory_change(level, value):
            changes.append(MemoryChange(previous, release, level, value))
            level = value
        level = value if level is None else level
        previous = release
    return changes


def is_memory_change(before: float, after: float) -> bool:
    """Return whether two amounts differ by more than both thresholds."""
    difference = abs(after - before)
    return difference > ABSOLUTE_THRESHOLD and difference > RELATIVE_THRESHOLD * before
