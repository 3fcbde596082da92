"""Does it matter in which order modules are dropped?

libgcc before GCC 13 looks for each in a linked list, the newest first. libunwind scans its whole
table, and moves up what comes after the entry that goes. Within a module wasmtime itself takes back
the newest first (bytecodealliance/wasmtime#910).
"""

from typing import ClassVar

import numpy as np

from ._modules import MODULES, UnwindInfo, drop_all, fixture, load_image
from ._sampling import Destructive
from ._shown import shown

SEED = 910


class DropOrder(Destructive):
    """Time to drop 1000 modules of 8 functions in three orders.

    `order` is that of the drops: `lifo` starts with the module loaded last, as the other benchmarks
    do, `fifo` with the first, `random` is one order drawn once and the same on every release.
    """

    params: ClassVar = [["on", "off"], ["lifo", "fifo", "random"]]
    param_names: ClassVar = ["unwind_info", "order"]
    repeat = (1, 12, 1.0)  # at least, at most, seconds with the loading in between

    def setup(self, unwind_info: UnwindInfo, order: str) -> None:
        """Load 1000 modules and arrange them, as `list.clear` drops the last one first."""
        modules = load_image(MODULES, fixture(8), unwind_info)
        arranged = {
            "lifo": range(MODULES),
            "fifo": range(MODULES - 1, -1, -1),
            "random": np.random.default_rng(SEED).permutation(MODULES),
        }[order]
        self.modules = [modules[index] for index in arranged]

    @shown("Drop 1000 modules, by order")
    def time_teardown(self, unwind_info: UnwindInfo, order: str) -> None:
        """Seconds per 1000 modules."""
        drop_all(self.modules, MODULES)
