"""The root cause: how many FDEs (frame description entries) a module registers.

One FDE describes one function, and libunwind keeps one table entry per FDE. FDEs are counted in
the compiled module's `.eh_frame`, so they do not depend on the unwinder. If the selected unwinder
is n/a, so are the FDEs.
"""

import io
import sys
from pathlib import Path
from typing import ClassVar

from ._modules import compile_image, count_image_fdes, fixture
from ._shown import shown


def count_fdes(wasm: Path) -> int:
    """Return how many FDEs one module registers: 0 for a module without functions.

    Raises:
        NotImplementedError: the host is Windows, whose unwind tables have another format.
        WasmtimeError: the module does not compile.
    """
    if sys.platform == "win32":
        raise NotImplementedError("Windows unwinds without .eh_frame")
    return count_image_fdes(io.BytesIO(compile_image(wasm, "on")))


class UnwindTables:
    """FDEs that a module of 1, 8 or 100 functions registers, of which 1, 8 or 7 are exported."""

    params: ClassVar = [[1, 8, 100]]
    param_names: ClassVar = ["functions"]
    version = "1"

    def setup(self, functions: int) -> None:
        """Count the FDEs in setup, because asv shows n/a only for NotImplementedError in setup."""
        self.fdes = count_fdes(fixture(functions))

    @shown("FDEs of a module", unit="FDEs")
    def track_fde_count(self, functions: int) -> int:
        """FDEs per module."""
        return self.fdes
