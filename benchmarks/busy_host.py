"""What a server sees: one module goes, while those of others stay.

Source: wasmCloud/wasmCloud#5555. With 400,000 FDEs resident, a module of 2,000 functions took 3.7 s
to drop on macOS, and 45 µs with unwind info off.
"""

import functools
from typing import ClassVar

from wasmtime import Module

from ._modules import UnwindInfo, drop_all, fixture, image, load_image
from ._sampling import Destructive
from ._shown import shown

FUNCTIONS = 2000
WASM = fixture(FUNCTIONS)


@functools.cache
def residents(fdes: int) -> list[Module]:
    """Modules that hold that many FDEs, registered until the process ends.

    All are one compiled image. It has 2,015 FDEs up to 21.0.0 and 2,008 after, so that the number
    is right to within a percent on every release.
    """
    return load_image(fdes // FUNCTIONS, WASM, "on")


class BusyHost(Destructive):
    """Time to drop one module of 2,000 functions while others stay registered.

    `unwind_info` is that of the module that is dropped; `resident` is how many FDEs of other
    modules the unwinder holds all the while.
    """

    params: ClassVar = [["on", "off"], [0, 10_000, 50_000]]
    param_names: ClassVar = ["unwind_info", "resident"]

    def setup(self, unwind_info: UnwindInfo, resident: int) -> None:
        """Load the module beside the residents."""
        image(WASM, unwind_info)
        residents(resident)
        self.modules = load_image(1, WASM, unwind_info)

    @shown("Drop one module of 2,000 functions on a busy host")
    def time_drop_one(self, unwind_info: UnwindInfo, resident: int) -> None:
        """Seconds per module."""
        drop_all(self.modules, 1)
