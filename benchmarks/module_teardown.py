"""The headline: what it takes to unload 1000 WebAssembly modules.

Source: bytecodealliance/wasmtime#10287, 1000 modules dropped in about 1.5 s on macOS and in
milliseconds elsewhere.
"""

from typing import ClassVar

from ._modules import MODULES, UnwindInfo, drop_all, fixture, load
from ._sampling import Destructive
from ._shown import shown


class _Loaded(Destructive):
    param_names: ClassVar = ["unwind_info", "functions"]

    def setup(self, unwind_info: UnwindInfo, functions: int) -> None:
        """Load 1000 modules: compile them all, in a process' first setup."""
        self.modules = load(MODULES, fixture(functions), unwind_info)


class ModuleTeardown(_Loaded):
    """Time to drop 1000 modules.

    `unwind_info` is what `native_unwind_info` is set to; `functions` is how many functions each
    module has, of which 1, 8 and 7 are exported.

    The first sample drops modules that were compiled in this process, the others drop the same
    code loaded again from its compiled image. Both register the same unwind tables. The first is
    dearer by a fixed 3 ms or so (1.17 times at 18 ms, median of 8 processes at 50.0.1): one of
    twelve samples where dropping is fast, and little against the time where it is slow.
    """

    params: ClassVar = [["on", "off"], [1, 8, 100]]
    # At least, at most, seconds with the loading in between. One, because 100 functions take 5 s
    # and more a sample under libunwind, which leaves little room for noise. No more than 12: asv's
    # rank test cannot tell 3 samples from 13 to 15, however far apart.
    repeat = (1, 12, 1.5)

    @shown("Drop 1000 modules")
    def time_teardown(self, unwind_info: UnwindInfo, functions: int) -> None:
        """Seconds per 1000 modules."""
        drop_all(self.modules, MODULES)


class ModuleTeardownMemory(_Loaded):
    """Peak memory of a process that compiles 1000 modules, holds them all and drops them."""

    params: ClassVar = [["on", "off"], [8, 100]]

    @shown("Peak memory of dropping 1000 modules")
    def peakmem_teardown(self, unwind_info: UnwindInfo, functions: int) -> None:
        """Bytes, the whole process included."""
        drop_all(self.modules, MODULES)
