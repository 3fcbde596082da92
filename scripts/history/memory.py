"""Changes of the memory that is left after modules are dropped.

Memory is a series of its own: it starts no era and decides no advice.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

RELATIVE_THRESHOLD = 0.25  # of the value before
# Bytes. On Linux, 48.0.0 and 49.0.0 changed by 1,260 KiB or more. All others differ from the one
# before by at most 106 KiB, and 13.0.0 to 47.0.1 span at most 300 KiB.
ABSOLUTE_THRESHOLD = 512 * 1024


class MemoryChange(NamedTuple):
    """A release that leaves more or less memory than an earlier one.

    Attributes:
        previous: the earlier release: the one before, or the first one since the last change.
        release: the first release with the new amount.
        before, after: bytes left by the two.
    """

    previous: str
    release: str
    before: float
    after: float

    @property
    def is_worse(self) -> bool:
        """Whether the release leaves more memory."""
        return self.after > self.before


def find_memory_changes(values: Sequence[tuple[str, float]]) -> list[MemoryChange]:
    """Return the releases in which the memory left changed.

    Each release is compared with the one before, and with the first one since the last change, so
    that slow growth is found too.

    Args:
        values: release and bytes left, in the order of releases, of one machine, unwinder, setting
            and load. Releases without a value are left out.
    """
    changes = list[MemoryChange]()
    first = values[0] if values else ("", 0.0)
    for before, now in itertools.pairwise(values):
        old = next((old for old in (before, first) if is_memory_change(old[1], now[1])), None)
        if old is not None:
            changes.append(MemoryChange(old[0], now[0], old[1], now[1]))
            first = now
    return changes


def is_memory_change(before: float, after: float) -> bool:
    """Return whether two amounts differ by more than both thresholds."""
    difference = abs(after - before)
    return difference > ABSOLUTE_THRESHOLD and difference > RELATIVE_THRESHOLD * before
