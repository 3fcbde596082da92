"""One module of the user's own, measured by the suite's code; `scripts/probe.py` starts it.

Prints a line of JSON for each step, and one with what was measured at the end.
"""

import json
import runpy
import sys
import timeit
from pathlib import Path
from typing import Any

from wasmtime import WasmtimeError

from ._modules import SETTINGS, image, load_image, seconds_to_drop
from .teardown_gap import BLOCKS, PAIRS, PARTS, blocks_of_pairs, ratio, shortest
from .unwind_tables import eh_frame_bytes, fde_count, tables

SECONDS = 60  # for all pairs
MEMORY = 2**31  # bytes for the code of both sets


def say(**what: Any) -> None:
    """One line for the process that started this one."""
    print(json.dumps(what), flush=True)


def fit(wanted: int, wasm: Path) -> tuple[int, str]:
    """How many modules fit the budget, and what it was that did not fit.

    It begins with few and doubles them as long as that fits, should dropping be quadratic.
    """
    wanted, most = (
        count // PARTS * PARTS for count in (wanted, MEMORY // (2 * len(image(wasm, "on"))))
    )
    if not most:
        raise MemoryError(f"compiled it takes {len(image(wasm, 'on')) >> 20} MB, which is too much")
    count = PARTS
    while count < min(wanted, most):
        start = timeit.default_timer()
        modules = load_image(count, wasm, "on")
        load = timeit.default_timer() - start
        drop = seconds_to_drop(modules, count)
        if BLOCKS * PAIRS * (2 * 2 * load + 4 * drop) > SECONDS:
            return count, f"more would take longer than {SECONDS} s"
        count = min(2 * count, wanted, most)
    return count, "" if count >= wanted else f"{MEMORY >> 30} GB are full"


def measure(wasm: Path, wanted: int, maxrss: Path) -> dict[str, Any]:
    """Everything that the probe reports of one module."""
    for unwind_info in SETTINGS:
        say(step=f"compiling with unwind info {unwind_info}")
        image(wasm, unwind_info)
    elf = tables(wasm)
    count, reason = fit(max(wanted, PARTS), wasm)
    blocks = []
    for number, block in enumerate(blocks_of_pairs(count, wasm, BLOCKS), start=1):
        blocks.append(block)
        say(step=f"dropping {count} modules, {number} of {BLOCKS}")
    fewer = {}
    for part in (count // 4, count // 2):
        part = part // PARTS * PARTS
        if part:
            say(step=f"dropping {part} modules")
            (block,) = blocks_of_pairs(part, wasm, 1)
            fewer[part] = shortest(block, "on") - shortest(block, "off")
    load = timeit.timeit(lambda: load_image(count, wasm, "on"), number=1)
    return {
        "modules": count,
        "reduced": reason,
        "ratios": [ratio(block) for block in blocks],
        **{unwind_info: min(shortest(block, unwind_info) for block in blocks)
           for unwind_info in SETTINGS},
        "excess_of_fewer": fewer,
        "load": load,
        "fdes": fde_count(elf),
        "eh_frame_bytes": eh_frame_bytes(elf),
        "peak_memory": runpy.run_path(str(maxrss))["get_maxrss"](),
    }  # fmt: skip


if __name__ == "__main__":
    try:
        say(measured=measure(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
    except (WasmtimeError, NotImplementedError, MemoryError, RuntimeError) as error:
        say(error=str(error))
