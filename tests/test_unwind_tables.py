"""The benchmark that counts FDEs per module."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from benchmarks import unwind_tables
from benchmarks.unwind_tables import UnwindTables

from .conftest import run_release

PROGRAM = """
import json
from benchmarks.unwind_tables import UnwindTables
benchmark = UnwindTables()
counts = []
for functions in benchmark.params[0]:
    benchmark.setup(functions)
    counts.append(benchmark.track_fde_count(functions))
print(json.dumps(counts))
"""
not_windows = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows unwinds without .eh_frame"
)


def count_fdes(release: Path) -> list[int]:
    """Count the FDEs of a module of 1, 8 and 100 functions with a release."""
    fdes: list[int] = run_release(release, "-c", PROGRAM)
    return fdes


@not_windows
def test_22_0_0_registers_fewer_fdes_per_exported_function(install: Callable[[str], Path]) -> None:
    # an exported function with its trampolines has 3 FDEs in 21.0.0, and 2 in 22.0.0 (#8629)
    assert count_fdes(install("21.0.0")) == [4, 25, 115]
    assert count_fdes(install("22.0.0")) == [3, 17, 108]


@not_windows
def test_module_without_functions_has_no_fdes(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wasm"
    empty.write_bytes(wat2wasm("(module)"))
    assert unwind_tables.count_fdes(empty) == 0


def test_fdes_are_na_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows unwinds without"):
        UnwindTables().setup(8)  # asv shows this as n/a only if it is raised in `setup`
