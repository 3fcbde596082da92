"""The shapes that are measured: how many modules are loaded, and what each one holds.

This module is data only: scripts import it, and no other module of this package.
"""

from typing import Literal, NamedTuple

UnwindInfo = Literal["on", "off"]
Order = Literal["last first", "first first", "random"]


class Shape(NamedTuple):
    """Modules that are loaded together and then dropped.

    Attributes:
        modules: how many copies of the module are loaded and dropped.
        functions: functions per module: one of the fixtures, or `PROGRAM` for the real program.
        order: which module is dropped first, by when it was loaded.
        resident_modules: modules of 2,000 functions that stay loaded meanwhile.
        unwind_info: what `native_unwind_info` is set to.
    """

    modules: int
    functions: int
    order: Order = "last first"
    resident_modules: int = 0
    unwind_info: UnwindInfo = "on"


PROGRAM = 0  # in place of a number of functions

# Timed and counted alike. 1000 modules as in bytecodealliance/wasmtime#10287; 1000 modules of 100
# functions would take 5 s a sample under libunwind before 50.0.0, so there are 100 of those.
HEADLINE = {
    "1000x1": Shape(1000, 1),
    "1000x8": Shape(1000, 8),
    "100x100": Shape(100, 100),
}
# Counted only. Modules are dropped in other orders, or beside others, or have a real size; with
# more of any, counting 21.0.0 would take minutes.
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
