"""A program nobody wrote for a benchmark, as it is shipped.

parse-string-decompress of itkwasm-compress-stringify-wasi: C++ compiled to WASI, 2.6 MB. It
compiles on every pinned release. The package is installed beside each of them, by hash
(`fixtures/helper-requirements.txt`).
"""

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from ._missing import missing
from ._modules import UnwindInfo, drop_all, load_image
from ._sampling import Destructive
from ._shown import shown

PACKAGE = "itkwasm_compress_stringify_wasi"
COPIES = 20


@functools.cache
def program() -> Path:
    """The wasm module of the program.

    Raises:
        NotImplementedError: the package is not installed; a RuntimeError with BENCHMARKS_STRICT=1.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise missing(f"{PACKAGE} is not installed here: remove .asv/env and run asv again")
    return Path(spec.origin).parent / "wasm_modules/parse-string-decompress.wasi.wasm"


class RealProgram(Destructive):
    """Time to drop 20 copies of a real program, loaded from one compiled image."""

    params: ClassVar = [["on", "off"]]
    param_names: ClassVar = ["unwind_info"]

    def setup(self, unwind_info: UnwindInfo) -> None:
        """Compile the program once, and load it 20 times."""
        self.modules = load_image(COPIES, program(), unwind_info)

    @shown("Drop a real program 20 times")
    def time_teardown(self, unwind_info: UnwindInfo) -> None:
        """Seconds per 20 modules."""
        drop_all(self.modules, COPIES)
