"""The shapes that are measured: how many modules are loaded, and how many functions each has.

This module is only data, because scripts import it.
"""

from typing import Literal, NamedTuple

UnwindInfo = Literal["on", "off"]
Order = Literal["last first", "first first", "random"]


class Shape(NamedTuple):
    """Modules that are loaded together and then dropped.

    Attributes:
        modules: how many copies of the module are loaded and dropped.
        functions: functions per module: one of the fixtures, or `PROGRAM` for the real program.
        order: which module is dropped first: the one loaded last, the one loaded first, or any.
        resident_modules: how many modules of 2,000 functions stay loaded meanwhile.
        unwind_info: the `native_unwind_info` setting.
    """

    modules: int
    functions: int
    order: Order = "last first"
    resident_modules: int = 0
    unwind_info: UnwindInfo = "on"


# Exported functions of the fixtures, by their number of functions. 100 and 7 are from
# bytecodealliance/wasmtime#10287, 2000 is from wasmCloud/wasmCloud#5555.
EXPORTED = {1: 1, 8: 8, 100: 7, 2000: 7}
PROGRAM = 0  # stands for the real program in place of a number of functions

# Shapes that are timed and counted. bytecodealliance/wasmtime#10287 has 1000 modules; 1000 modules
# of 100 functions would take 5 s per sample under libunwind before 50.0.0, so there are 100.
HEADLINE = {
    "1000x1": Shape(1000, 1),
    "1000x8": Shape(1000, 8),
    "100x100": Shape(100, 100),
}
# Shapes that are counted: also modules that are dropped in another order, beside resident modules,
# or have a realistic size. With more modules, counting 21.0.0 would take minutes.
COUNTED = {
    "1000x1": HEADLINE["1000x1"],
    "250x8": Shape(250, 8),
    "1000x8": HEADLINE["1000x8"],
    "100x100": HEADLINE["100x100"],
    "250x8 fifo": Shape(250, 8, "first first"),
    "250x8 random": Shape(250, 8, "random"),
    "1x2000": Shape(1, 2000),
    "1x2000 beside 10,000 FDEs": Shape(1, 2000, resident_modules=5),
    "4x real program": Shape(4, PROGRAM),
    "1000x8 off": Shape(1000, 8, unwind_info="off"),
}
# Rounded FDEs of the modules that stay loaded while one module is unloaded. There is one module of
# 2,000 functions for each 2,000; it has 2,008 FDEs from 22.0.0 on, and 2,015 before.
RESIDENT_FDES = [2_000, 10_000, 50_000, 100_000, 400_000, 1_000_000]
