"""The root cause, counted: how many FDEs (frame description entries) a module registers.

One FDE describes one function; libunwind keeps each on a list of its own accord. Counts are read
from the compiled module's `.eh_frame`, so they do not depend on the unwinder; where the unwinder
asked for is n/a, so are they.
"""

import io
import sys
from pathlib import Path
from typing import Any, ClassVar

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile

from ._modules import SETTINGS, fixture, image
from ._shown import shown


def tables(wasm: Path) -> Any:
    """The compiled module with unwind info, after a look that there is none without.

    Raises:
        NotImplementedError: on Windows, which has tables of another form.
        AssertionError: unwind info is off, but the module holds some.
    """
    if sys.platform == "win32":
        raise NotImplementedError("Windows unwinds without .eh_frame")
    on, off = (ELFFile(io.BytesIO(image(wasm, unwind_info))) for unwind_info in SETTINGS)
    if off.get_section_by_name(".eh_frame") is not None:
        raise AssertionError("there is an .eh_frame with native_unwind_info(false)")
    return on


def fde_count(elf: Any) -> int:
    """FDEs per module."""
    return sum(isinstance(entry, FDE) for entry in elf.get_dwarf_info().EH_CFI_entries())


def eh_frame_bytes(elf: Any) -> int:
    """Bytes of `.eh_frame` per module."""
    return int(elf.get_section_by_name(".eh_frame").data_size)


class UnwindTables:
    """What one module registers, by its functions, of which 1, 8 and 7 are exported.

    Every setup asserts that nothing is there to register with unwind info off, so that `off` is
    proven to be off on the release that is measured.
    """

    params: ClassVar = [[1, 8, 100]]
    param_names: ClassVar = ["functions"]
    version = "1"

    def setup(self, functions: int) -> None:
        """Compile the module with unwind info on and off."""
        self.elf: Any = tables(fixture(functions))

    @shown("FDEs of a module", unit="FDEs")
    def track_fde_count(self, functions: int) -> int:
        """FDEs per module."""
        return fde_count(self.elf)

    @shown("Unwind tables of a module", unit="bytes")
    def track_eh_frame_bytes(self, functions: int) -> int:
        """Bytes of `.eh_frame` per module."""
        return eh_frame_bytes(self.elf)
