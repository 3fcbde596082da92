"""Compile modules, drop them, and print as JSON what was loaded before, meanwhile and after.

Tests start this program with a release on PYTHONPATH.
"""

import gc
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from wasmtime import Module

from benchmarks._modules import compile_modules, fixture
from benchmarks._shapes import UnwindInfo
from benchmarks.module_teardown import ModuleTeardown, ModuleTeardownMemory

SETTINGS: tuple[UnwindInfo, UnwindInfo] = ("on", "off")
SHAPE = "1000x1"


def read_state() -> dict[str, int]:
    """Return the number of live modules, and the bytes of anonymous executable memory."""
    code = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if "x" in fields[1] and len(fields) == 5:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            code += end - start
    modules = sum(type(instance) is Module for instance in gc.get_objects())
    return {"modules": modules, "code": code}


def sample(benchmark: Any, timed: Callable[..., None], *params: str) -> dict[str, Any]:
    """Set up and call a benchmark once as asv does, with the garbage collector off."""
    before = read_state()
    benchmark.setup(*params)
    loaded = read_state()
    gc.disable()
    timed(*params)
    after = read_state()
    gc.enable()
    try:
        timed(*params)
        second_call = None
    except AssertionError as error:
        second_call = str(error)
    return {"before": before, "loaded": loaded, "after": after, "second call": second_call}


def main() -> None:
    """Print two samples of the time and one of the memory, with unwind info on and off."""
    samples, has_tables = {}, {}
    for unwind_info in SETTINGS:
        for number in ("first", "second"):
            time = ModuleTeardown()
            timed = sample(time, time.time_teardown, unwind_info, SHAPE)
            samples[f"{number} {unwind_info}"] = timed
        memory = ModuleTeardownMemory()
        samples[f"memory {unwind_info}"] = sample(memory, memory.peakmem_teardown, unwind_info)
        (module,) = compile_modules(1, fixture(8), unwind_info)
        has_tables[unwind_info] = b".eh_frame" in module.serialize()
    report = {"version": version("wasmtime"), "samples": samples, "has tables": has_tables}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
