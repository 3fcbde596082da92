"""The root cause counted, and the load side."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import unwind_tables
from benchmarks._modules import UnwindInfo, image
from benchmarks.unwind_tables import UnwindTables

from .conftest import DEADLINE, ROOT, environment

PROGRAM = """
import json
from benchmarks.unwind_tables import UnwindTables
counted = {}
for functions in UnwindTables.params[0]:
    benchmark = UnwindTables()
    benchmark.setup(functions)
    counted[functions] = (
        benchmark.track_fde_count(functions), benchmark.track_eh_frame_bytes(functions)
    )
print(json.dumps(counted))
"""


def count(release: Path) -> dict[int, tuple[int, int]]:
    """FDEs and bytes of tables under a release, by functions."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
        env={**environment(), "PYTHONPATH": f"{release}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    return {int(functions): tuple(seen) for functions, seen in json.loads(answer.stdout).items()}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows unwinds without .eh_frame")
def test_22_registers_fewer_fdes_for_each_exported_function(
    install: Callable[[str], Path],
) -> None:
    before, after = count(install("21.0.0")), count(install("22.0.0"))
    # the function and its trampolines: three FDEs of an exported function became two (#8629)
    assert before[8][0] - before[1][0] == 3 * 7
    assert after[8][0] - after[1][0] == 2 * 7
    # seven of a hundred functions are exported, so that this size hardly changes
    assert 0.9 < after[100][0] / before[100][0] < 1
    for counted in (before, after):
        assert all(fdes >= functions for functions, (fdes, _) in counted.items())
        assert counted[1][1] < counted[8][1] < counted[100][1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows unwinds without .eh_frame")
def test_tables_with_unwind_info_off_are_not_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
        return image(wasm, "on")

    monkeypatch.setattr(unwind_tables, "image", wrong)
    with pytest.raises(AssertionError, match=r"\.eh_frame with native_unwind_info\(false\)"):
        UnwindTables().setup(8)


def test_windows_has_other_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows unwinds without"):
        UnwindTables().setup(8)
