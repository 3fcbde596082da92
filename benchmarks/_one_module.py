"""Counts and times one module of the user's own for `scripts.probe`, which reads the JSON."""

import json
import sys
import timeit
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from wasmtime import WasmtimeError

from ._counted import Shape
from ._modules import SETTINGS, image, load_image
from .teardown_gap import BLOCKS, ORDERS, PARTS, block_of_pairs, ratio, shortest
from .unwind_tables import eh_frame_bytes, fde_count, tables
from .unwinder_instructions import count

SECONDS = 60  # for all pairs
MEMORY = 2**31  # bytes for the code of both sets
INSTRUCTIONS = 1_250_000_000  # to drop what is counted: ten seconds and more under valgrind
COUNTED = 4000  # modules; valgrind itself cannot hold four times as many
LIMIT = Path("/proc/sys/vm/max_map_count")  # mappings that Linux allows; a module takes two
STEPS = {"remove": "drop", "register": "load"}  # that are counted, by what the unwinder does
say = partial(print, file=sys.stderr, flush=True)


def counts(wasm: Path, wanted: int, fdes: int) -> dict[str, Any]:
    """What one module takes, with that many loaded and with a quarter; or why it is not counted.

    How many are counted never depends on the build or the machine: as many as do not take long if
    all FDEs, about 4 instructions each, are scanned for every FDE, as before 50.0.1.
    """
    most = min((INSTRUCTIONS / 4) ** 0.5 / max(fdes, 1), COUNTED, MEMORY / len(image(wasm, "on")))
    whole = min(wanted, max(int(most) // 4, 1) * 4)
    shapes = {str(part): Shape(part, file=wasm) for part in (whole, whole // 4)}
    say(f"counting {' and '.join(shapes)} modules")
    try:
        costs = count(shapes)[1] if fdes else {}  # without an FDE nothing is registered
    except (RuntimeError, ValueError, AssertionError, OSError) as error:
        return {"not_counted": str(error)}
    counted = {
        f"{what}_to_{does}": {part: costs.get((part, step, what), 0) for part in shapes}
        for does, step in STEPS.items() for what in ("instructions", "calls")
    }  # fmt: skip
    now, fewer = counted["instructions_to_remove"].values()
    rise = (now - fewer) / (whole - whole // 4)
    predicted = {str(n): round(now + rise * (n - whole), 1) for n in (whole // 10, whole * 10) if n}
    few = "" if whole == wanted else f"{whole + 4} could take too much time or memory"
    return {
        "counted": whole, "counted_reduced": few, "counts": counted,
        "instructions_to_remove_predicted": predicted,
    }  # fmt: skip


def fit(wanted: int, wasm: Path) -> tuple[int, str]:
    """How many modules can be timed, and why not as many as are wanted.

    It loads and drops a few, and doubles them as long as that fits, should dropping be quadratic.
    """
    mappings = int(LIMIT.read_text(encoding="ascii")) if LIMIT.exists() else sys.maxsize
    most = min(MEMORY // (2 * len(image(wasm, "on"))), mappings // 5, wanted) // PARTS * PARTS
    full = f"{MEMORY >> 30} GB, or the {mappings} mappings that the system allows, are full"
    if not most:
        raise MemoryError(f"{PARTS} modules with unwind info and {PARTS} without: {full}")
    number = PARTS
    while number < most:
        once = timeit.timeit(partial(load_image, number, wasm, "on"), number=1)
        slow = 4 * BLOCKS * len(ORDERS) * once
        if slow > SECONDS:
            return number, f"{2 * number} might take {slow:.0f} s, longer than {SECONDS} s"
        number = min(2 * number, most)
    few = full if wanted - number >= PARTS else f"a multiple of {PARTS} is timed"
    return number, few if number < wanted else ""


def times(wasm: Path, wanted: int) -> dict[str, Any]:
    """Milliseconds to drop all modules, with and without unwind info, and what goes with them."""
    import resource  # there is none on Windows, where nothing gets so far

    number, reason = fit(wanted, wasm)
    blocks = []
    for taken in range(1, BLOCKS + 1):
        blocks.append(block_of_pairs(number, wasm))
        say(f"dropping {number} modules, {taken} of {BLOCKS}")
    kept: list[object] = []  # or dropping them would be timed as well
    load = timeit.timeit(lambda: kept.extend(load_image(number, wasm, "on")), number=1)
    on, off = (min(shortest(block, unwind_info) for block in blocks) for unwind_info in SETTINGS)
    ratios = [ratio(block) for block in blocks]
    gap, peak = median(ratios), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "timed": number, "timed_reduced": reason,
        "on_ms": round(1e3 * on, 3), "off_ms": round(1e3 * off, 3), "load_ms": round(1e3 * load, 3),
        "gap": gap, "gap_least": min(ratios), "gap_most": max(ratios),
        "extra_ms_per_1000": round(1e6 * off * (gap - 1) / number, 3),
        "peak_memory_mb": (peak if sys.platform == "darwin" else peak << 10) >> 20,
    }  # fmt: skip


def measure(wasm: Path, wanted: int, counts_only: bool) -> dict[str, Any]:
    """Everything that the probe reports of one module."""
    say("compiling with unwind info and without")
    elf = tables(wasm)
    registers = elf.get_section_by_name(".eh_frame") is not None
    fdes, size = (fde_count(elf), eh_frame_bytes(elf)) if registers else (0, 0)
    found = {"fdes": fdes, "eh_frame_bytes": size, **counts(wasm, wanted, fdes)}
    if counts_only and "not_counted" in found:
        raise RuntimeError(found["not_counted"])
    return found if counts_only else found | times(wasm, wanted)


if __name__ == "__main__":
    try:
        found = measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "counts")
    except (WasmtimeError, NotImplementedError, MemoryError, RuntimeError) as error:
        found = {"error": str(error)}
    print(json.dumps(found))
