"""A program nobody wrote for a benchmark, as it is shipped.

parse-string-decompress of itkwasm-compress-stringify-wasi: C++ compiled to WASI, 2.6 MB. It
compiles on every pinned release. The package is installed beside each of them, by hash
(`fixtures/helper-requirements.txt`).
"""

from importlib.util import find_spec
from pathlib import Path

from ._missing import missing

PACKAGE = "itkwasm_compress_stringify_wasi"


def program() -> Path:
    """The wasm module of the program.

    Raises:
        NotImplementedError: the package is not installed; a RuntimeError with BENCHMARKS_STRICT=1.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise missing(f"{PACKAGE} is not installed here: remove .asv/env and run asv again")
    return Path(spec.origin).parent / "wasm_modules/parse-string-decompress.wasi.wasm"
