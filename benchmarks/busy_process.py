"""The load of a server: unload one of many modules while the others stay loaded.

libunwind scans the table of all FDEs in the process, so this cost grows with what else is loaded.
Source: wasmCloud/wasmCloud#5555, where one module took 3.7 s on macOS beside 400,000 FDEs.
"""

from typing import ClassVar, TypedDict

from ._busy import Cells, sample_in_processes
from ._shapes import RESIDENT_FDES, UnwindInfo
from ._shown import shown


class Samples(TypedDict):
    """What asv stores of a benchmark with samples: their median, interval, and the samples."""

    samples: list[float]
    number: int


class UnloadFromBusyProcess:
    """CPU time to unload one module of 8 functions while other modules stay loaded.

    `unwind_info` is the `native_unwind_info` setting of the unloaded module; the resident modules
    always have unwind info. `resident_fdes` is how many FDEs they have: 2,008 for each 2,000 from
    22.0.0 on, and 2,015 before. Loading is not timed.
    """

    params: ClassVar = [["on", "off"], RESIDENT_FDES]
    param_names: ClassVar = ["unwind_info", "resident_fdes"]
    timeout = 600  # seconds for all samples; macOS before 50.0.0 is the slowest
    unit = "seconds"
    version = "1"  # raise it when the measured work or its sampling changes

    def setup_cache(self) -> Cells | Exception:
        """Take all samples once, or return the exception: asv treats a raised one as a failure."""
        try:
            return sample_in_processes()
        except (RuntimeError, ValueError, OSError, AssertionError) as error:
            return error

    def setup(self, cells: Cells | Exception, unwind_info: UnwindInfo, resident_fdes: int) -> None:
        """Raise the reason if nothing was measured."""
        if isinstance(cells, Exception):
            raise cells
        cell = cells[unwind_info, resident_fdes]
        if isinstance(cell, Exception):
            raise cell

    @shown("Unload a module from a busy process")
    def track_unload(
        self, cells: dict[tuple[UnwindInfo, int], list[float]], unwind_info: UnwindInfo,
        resident_fdes: int,
    ) -> Samples:  # fmt: skip
        """CPU seconds to drop one module."""
        return {"samples": cells[unwind_info, resident_fdes], "number": 1}
