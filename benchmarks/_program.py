"""The real program: one that nobody wrote for a benchmark.

parse-string-decompress of itkwasm-compress-stringify-wasi: C++ compiled to WASI, 2.6 MB. It
compiles on every pinned release. Its package is installed beside each release, by hash
(`fixtures/helper-requirements.txt`).
"""

from importlib.util import find_spec
from pathlib import Path

from ._missing import missing_tool

PACKAGE = "itkwasm_compress_stringify_wasi"


def require_program() -> Path:
    """Return the wasm module of the real program.

    Raises:
        NotImplementedError: the package is not installed; a RuntimeError under
            BENCHMARKS_STRICT=1.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_tool(f"{PACKAGE} is not installed. Remove .asv/env and run asv again.")
    return Path(spec.origin).parent / "wasm_modules/parse-string-decompress.wasi.wasm"
