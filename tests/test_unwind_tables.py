"""The root cause counted: FDEs per module."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from benchmarks import unwind_tables
from benchmarks.unwind_tables import UnwindTables

from .conftest import DEADLINE, ROOT, environment

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
elsewhere = pytest.mark.skipif(sys.platform == "win32", reason="Windows unwinds without .eh_frame")


def count(release: Path) -> list[int]:
    """Return the FDEs of a module of 1, 8 and 100 functions under a release."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
        env={**environment(), "PYTHONPATH": f"{release}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    counted: list[int] = json.loads(answer.stdout)
    return counted


@elsewhere
def test_22_registers_fewer_fdes_for_each_exported_function(
    install: Callable[[str], Path],
) -> None:
    # a function and its trampolines: an exported function had three FDEs, and has two (#8629)
    assert count(install("21.0.0")) == [4, 25, 115]
    assert count(install("22.0.0")) == [3, 17, 108]


@elsewhere
def test_a_module_without_functions_registers_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wasm"
    empty.write_bytes(wat2wasm("(module)"))
    assert unwind_tables.count_fdes(empty) == 0


def test_windows_has_other_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows unwinds without"):
        UnwindTables().setup(8)  # asv takes it for n/a here, and for a failure in the benchmark
