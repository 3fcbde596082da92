"""The headline benchmark: the time to unload 1000 WebAssembly modules.

Source: bytecodealliance/wasmtime#10287, where dropping 1000 modules took about 1.5 s on macOS and
milliseconds elsewhere.
"""

from typing import ClassVar

from ._destructive import Destructive
from ._modules import compile_modules, drop_all, fixture
from ._shapes import HEADLINE, UnwindInfo
from ._shown import shown


class ModuleTeardown(Destructive):
    """CPU time to drop 1000 modules, or 100 modules of 100 functions.

    `unwind_info` is the `native_unwind_info` setting. `modules_x_functions` says how many modules
    are dropped and how many functions each has. Of 1, 8 and 100 functions, 1, 8 and 7 are exported.
    """

    params: ClassVar = [["on", "off"], list(HEADLINE)]
    param_names: ClassVar = ["unwind_info", "modules_x_functions"]
    version = "3"  # raise it when the measured work or its sampling changes

    def setup(self, unwind_info: UnwindInfo, shape: str) -> None:
        """Compile every module that is dropped."""
        modules, functions = HEADLINE[shape][:2]
        self.modules = compile_modules(modules, fixture(functions), unwind_info)

    @shown("Drop modules")
    def time_teardown(self, unwind_info: UnwindInfo, shape: str) -> None:
        """CPU seconds to drop all modules of the shape."""
        drop_all(self.modules, HEADLINE[shape].modules)


class ModuleTeardownMemory(Destructive):
    """Peak memory of a process that compiles 1000 modules of 8 functions and drops them."""

    params: ClassVar = [["on", "off"]]
    param_names: ClassVar = ["unwind_info"]
    version = "2"
    shape = HEADLINE["1000x8"]

    def setup(self, unwind_info: UnwindInfo) -> None:
        """Compile every module: compiling is part of the peak."""
        modules, functions = self.shape[:2]
        self.modules = compile_modules(modules, fixture(functions), unwind_info)

    @shown("Peak memory of dropping 1000 modules")
    def peakmem_teardown(self, unwind_info: UnwindInfo) -> None:
        """Bytes of the whole process."""
        drop_all(self.modules, self.shape.modules)
