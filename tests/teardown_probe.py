"""Run under one release: load, drop and look whether the modules really are gone.

Prints JSON. Started by `test_module_teardown` with that release on PYTHONPATH.
"""

import gc
import json
import sys
import weakref
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._modules import MODULES, UnwindInfo, load
from benchmarks.module_teardown import ModuleTeardown, ModuleTeardownMemory


def code_bytes() -> int:
    """Bytes of executable memory that belong to no file: the code of loaded modules."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if "x" in fields[1] and len(fields) == 5:
            start, end = (int(address, 16) for address in fields[0].split("-"))
            total += end - start
    return total


def sample(benchmark: Any, timed: Any, unwind_info: UnwindInfo, functions: int) -> dict[str, Any]:
    """One setup and timed call, as asv makes them: with the garbage collector off."""
    before = code_bytes()
    benchmark.setup(unwind_info, functions)
    loaded = code_bytes() - before
    alive = [weakref.ref(module) for module in benchmark.modules]
    gc.disable()
    timed(unwind_info, functions)
    left = code_bytes() - before
    gc.enable()
    try:
        timed(unwind_info, functions)
        second = None
    except AssertionError as error:
        second = str(error)
    return {
        "modules": len(alive),
        "alive": sum(reference() is not None for reference in alive),
        "loaded": loaded,
        "left": left,
        "second": second,
    }


def main() -> None:
    """Two samples of each kind: the second loads the compiled image."""
    samples, has_tables = {}, {}
    settings: tuple[UnwindInfo, UnwindInfo] = ("on", "off")
    for unwind_info in settings:
        time, memory = ModuleTeardown(), ModuleTeardownMemory()
        samples[f"compiled {unwind_info}"] = sample(time, time.time_teardown, unwind_info, 1)
        samples[f"image {unwind_info}"] = sample(memory, memory.peakmem_teardown, unwind_info, 1)
        (module,) = load(1, 8, unwind_info)
        has_tables[unwind_info] = b".eh_frame" in module.serialize()
    seen = {"version": version("wasmtime"), "count": MODULES}
    print(json.dumps({**seen, "samples": samples, "has tables": has_tables}))


if __name__ == "__main__":
    main()
