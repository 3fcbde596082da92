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

from benchmarks import teardown_gap
from benchmarks._modules import MODULES, SETTINGS, fixture, load
from benchmarks.module_teardown import ModuleTeardown, ModuleTeardownMemory


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
    """Three samples of each setting: the second loads the compiled image."""
    samples = {}
    for unwind_info in SETTINGS:
        for name in ("compiled", "image"):
            time = ModuleTeardown()
            samples[f"{name} {unwind_info}"] = sample(time.time_teardown, unwind_info, "1000x1")
        memory = ModuleTeardownMemory()
        samples[f"memory {unwind_info}"] = sample(memory.peakmem_teardown, unwind_info)
    return samples


def main() -> None:
    """Print what was seen."""
    samples = headline()
    if sys.argv[1:] == ["all"]:
        before = state()
        answer = teardown_gap.sample()
        samples["gap"] = {"before": before, "answer": answer, "left": state()}
    has_tables = {}
    for unwind_info in SETTINGS:
        (module,) = load(1, fixture(8), unwind_info)
        has_tables[unwind_info] = b".eh_frame" in module.serialize()
    seen = {"version": version("wasmtime"), "count": MODULES}
    print(json.dumps({**seen, "samples": samples, "has tables": has_tables}))


if __name__ == "__main__":
    main()
