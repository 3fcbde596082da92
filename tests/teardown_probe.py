"""Run under one release: load, drop and look whether everything really is gone.

Prints JSON. Started by tests with that release on PYTHONPATH; `all` takes every benchmark, not the
headline alone.
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

from benchmarks import teardown_gap, teardown_scaling
from benchmarks._modules import MODULES, SETTINGS, fixture, image, load
from benchmarks.busy_host import BusyHost, residents
from benchmarks.control import Control
from benchmarks.drop_order import DropOrder
from benchmarks.module_teardown import ModuleTeardown, ModuleTeardownMemory
from benchmarks.real_program import RealProgram, program
from benchmarks.teardown_gap import TeardownGap
from benchmarks.teardown_scaling import TeardownScaling

RESIDENT = 10_000


def state() -> dict[str, int]:
    """Live modules, bytes of executable memory that belong to no file, and mapped bytes in all."""
    code = mapped = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        start, end = (int(address, 16) for address in fields[0].split("-"))
        mapped += end - start
        code += end - start if "x" in fields[1] and len(fields) == 5 else 0
    modules = sum(type(thing) is Module for thing in gc.get_objects())
    return {"modules": modules, "code": code, "mapped": mapped}


def sample(measured: Callable[..., Any], *params: Any) -> dict[str, Any]:
    """One setup and call, as asv makes them: with the garbage collector off."""
    benchmark: Any = measured.__self__  # type: ignore[attr-defined]
    before = state()
    benchmark.setup(*params)
    loaded = state()
    gc.disable()
    answer = measured(*params)
    left = state()
    gc.enable()
    try:
        measured(*params)
        second = None
    except AssertionError as error:
        second = str(error)
    seen = {"before": before, "loaded": loaded, "left": left, "second": second, "answer": answer}
    # a kept benchmark would keep what it holds
    vars(benchmark).clear()
    return seen


def headline() -> dict[str, Any]:
    """Two samples of each setting: the second loads the compiled image."""
    samples = {}
    for unwind_info in SETTINGS:
        time, memory = ModuleTeardown(), ModuleTeardownMemory()
        samples[f"compiled {unwind_info}"] = sample(time.time_teardown, unwind_info, 1)
        samples[f"image {unwind_info}"] = sample(memory.peakmem_teardown, unwind_info, 1)
    return samples


def others() -> dict[str, Any]:
    """One sample of every benchmark that drops modules, the tracked ones shortened."""
    teardown_gap.PAIRS, teardown_gap.BLOCKS, teardown_scaling.SAMPLES = 1, 2, 2
    residents(RESIDENT)
    samples = {}
    for unwind_info in SETTINGS:
        for wasm in (program(), *map(fixture, (1, 8, 2000))):
            image(wasm, unwind_info)
        cases: tuple[tuple[str, Callable[..., Any], tuple[Any, ...]], ...] = (
            ("scaling", TeardownScaling().time_teardown, (unwind_info, 250)),
            ("busy host", BusyHost().time_drop_one, (unwind_info, RESIDENT)),
            *(
                (order, DropOrder().time_teardown, (unwind_info, order))
                for order in DropOrder.params[1]
            ),
            ("real program", RealProgram().time_teardown, (unwind_info,)),
            ("control", Control().time_drop_store, (unwind_info,)),
        )
        for name, measured, params in cases:
            samples[f"{name} {unwind_info}"] = sample(measured, *params)
    samples["gap"] = sample(TeardownGap().track_ratio, "1000x8")
    samples["exponent"] = sample(TeardownScaling().track_exponent)
    return samples


def main() -> None:
    """Print what was seen."""
    samples = {**headline(), **(others() if sys.argv[1:] == ["all"] else {})}
    has_tables = {}
    for unwind_info in SETTINGS:
        (module,) = load(1, fixture(8), unwind_info)
        has_tables[unwind_info] = b".eh_frame" in module.serialize()
    seen = {"version": version("wasmtime"), "count": MODULES}
    print(json.dumps({**seen, "samples": samples, "has tables": has_tables}))


if __name__ == "__main__":
    main()
