"""How the cost grows with the number of modules that are loaded at once.

libunwind before wasmtime 50.0.1 searches one table for every FDE it removes, so that the time per
module grows with the modules that are loaded. Unmapping their code takes the same time for each.
"""

from typing import ClassVar

import numpy as np
from wasmtime import Module

from ._modules import UnwindInfo, drop_all, fixture, load_image, seconds_to_drop
from ._sampling import Destructive
from ._shown import shown

COUNTS = (250, 1000, 4000)
SAMPLES = 8  # the fewest of which asv gives an interval that covers 99 %
WASM = fixture(1)


def exponent(times: list[float]) -> float:
    """The slope of log(time) against log(modules).

    1 is linear. The time to unmap the code is in it and is linear, so that a removal that is
    quadratic shows as something between 1 and 2.
    """
    slope, _ = np.polyfit(np.log(COUNTS), np.log(times), 1)
    return round(float(slope), 3)  # asv prints every digit it is given


def drop(count: int) -> float:
    """Seconds to drop that many modules with unwind info, freshly loaded."""
    return seconds_to_drop(load_image(count, WASM, "on"), count)


class TeardownScaling(Destructive):
    """Time to drop all modules, by how many there are; each has one function.

    The exponent is that with unwind info on.
    """

    params: ClassVar = [["on", "off"], list(COUNTS)]
    param_names: ClassVar = ["unwind_info", "modules"]
    repeat = (1, 12, 1.0)  # at least, at most, seconds with the loading in between

    def setup(self, unwind_info: UnwindInfo = "on", modules: int = 0) -> None:
        """Load the modules; none for the exponent, which loads its own."""
        self.modules: list[Module] = load_image(modules, WASM, unwind_info)

    @shown("Drop 250, 1000 and 4000 modules")
    def time_teardown(self, unwind_info: UnwindInfo, modules: int) -> None:
        """Seconds per that many modules."""
        drop_all(self.modules, modules)

    @shown("Growth with the number of modules", params=(), param_names=(), unit="exponent")
    def track_exponent(self) -> dict[str, list[float] | int]:
        """Slope of log(seconds) against log(modules), over 250, 1000 and 4000 modules."""
        slopes = [exponent([drop(count) for count in COUNTS]) for _ in range(SAMPLES)]
        return {"samples": slopes, "number": 1}
