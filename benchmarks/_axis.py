"""The unwinders that are measured: the values of the axis UNWINDER, and what the report needs.

This module is only data, because scripts import it.
"""

from typing import Literal, NamedTuple

Family = Literal["libgcc", "libunwind", "os"]


class Unwinder(NamedTuple):
    """A library with which wasmtime registers the unwind tables of modules.

    Attributes:
        option: the value of UNWINDER that selects it.
        system: the operating system on which it does: Linux, macOS or Windows.
        name: the display name. That of libgcc gets its major version.
        family: `libgcc`; `libunwind`, LLVM's or Apple's, which scans one table; or `os`, the
            function tables of Windows.
        sections: whether it can register a whole section at once; None if the host decides.
        stand_in: the macOS versions that it stands in for, or nothing if it is no stand-in.
        by_default: whether asv.conf.json has it, so that every run measures it if it is installed.
    """

    option: str
    system: str
    name: str
    family: Family
    sections: bool | None = None
    stand_in: str = ""
    by_default: bool = True

    @property
    def is_by_function(self) -> bool:
        """Whether it can register function by function only, on every host."""
        return self.sections is False


LIBGCC = Unwinder("system", "Linux", "libgcc", "libgcc", sections=True)
APPLE = Unwinder("system", "macOS", "Apple libunwind", "libunwind")
WINDOWS = Unwinder("system", "Windows", "Windows", "os")
LLVM = Unwinder(
    "libunwind", "Linux", "LLVM libunwind", "libunwind", sections=True, stand_in="macOS"
)
# Not among the values in asv.conf.json: `UNWINDER=libunwind-by-function uv run asv run` selects it.
BY_FUNCTION = Unwinder(
    "libunwind-by-function", "Linux", "libunwind without section functions", "libunwind",
    sections=False, stand_in="macOS 11 and 12", by_default=False,
)  # fmt: skip

UNWINDERS = (LIBGCC, APPLE, WINDOWS, LLVM, BY_FUNCTION)
OPTIONS = tuple(dict.fromkeys(unwinder.option for unwinder in UNWINDERS))


def find_unwinder(option: str, system: str) -> Unwinder | None:
    """Return the unwinder that an option selects on a system, or None if there is none."""
    return next(
        (unwinder for unwinder in UNWINDERS if unwinder[:2] == (option, system)),
        None,
    )
