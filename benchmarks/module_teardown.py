"""The headline: what it takes to unload 1000 WebAssembly modules.

Source: bytecodealliance/wasmtime#10287, 1000 modules dropped in about 1.5 s on macOS and in
milliseconds elsewhere.
"""

from typing import ClassVar

from ._modules import MODULES, SHAPES, UnwindInfo, compile_all, drop_all, fixture, load
from ._sampling import Destructive
from ._shown import shown


class ModuleTeardown(Destructive):
    """CPU time to drop 1000 modules, or 250 of 100 functions.

    `unwind_info` is what `native_unwind_info` is set to; `modules_x_functions` is how many modules
    are dropped and how many functions each has, of which 1, 8 and 7 are exported.

    The first process drops modules that it has compiled, the other seven drop the same code loaded
    from its compiled image. Both register the same unwind tables. The first is dearer by a fixed
    3 ms or so (1.17 times at 18 ms, median of 8 processes at 50.0.1): one of eight samples where
    dropping is fast, and little against the time where it is slow.
    """

    params: ClassVar = [["on", "off"], list(SHAPES)]
    param_names: ClassVar = ["unwind_info", "modules_x_functions"]

    def setup(self, unwind_info: UnwindInfo, shape: str) -> None:
        """Load the modules: compile them all, in the first process."""
        count, functions = SHAPES[shape]
        self.modules = load(count, fixture(functions), unwind_info)

    @shown("Drop modules")
    def time_teardown(self, unwind_info: UnwindInfo, shape: str) -> None:
        """CPU seconds for all modules."""
        drop_all(self.modules, SHAPES[shape][0])


class ModuleTeardownMemory(Destructive):
    """Peak memory of a process that compiles 1000 modules of 8 functions and drops them."""

    params: ClassVar = [["on", "off"]]
    param_names: ClassVar = ["unwind_info"]

    def setup(self, unwind_info: UnwindInfo) -> None:
        """Compile them all, whatever other processes have left: it is part of the peak."""
        self.modules = compile_all(MODULES, fixture(8), unwind_info)

    @shown("Peak memory of dropping 1000 modules")
    def peakmem_teardown(self, unwind_info: UnwindInfo) -> None:
        """Bytes, the whole process included."""
        drop_all(self.modules, MODULES)
