"""The real program: a wasm module that was not written for a benchmark.

It is parse-string-decompress of itkwasm-compress-stringify-wasi, C++ compiled to WASI, 2.6 MB,
which every pinned release compiles. Its package is installed by hash beside each release
(`fixtures/helper-requirements.txt`).
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from ._missing import missing_tool

PACKAGE = "itkwasm_compress_stringify_wasi"


def require_program() -> Path:
    """Return the path of the real program's wasm module.

    Raises:
        NotImplementedError: the package is not installed; a RuntimeError under
            BENCHMARKS_STRICT=1.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise missing_tool(
            f"{PACKAGE} is not installed. Try: uv pip install --python {sys.executable} --no-deps "
            "-r fixtures/helper-requirements.txt"
        )
    return Path(spec.origin).parent / "wasm_modules/parse-string-decompress.wasi.wasm"
