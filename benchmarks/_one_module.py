"""Count and time one module of the user's own for `scripts.probe`, which reads the JSON."""

import json
import sys
import timeit
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from wasmtime import WasmtimeError

from ._callgrind import ALL
from ._counted import Load
from ._destructive import CLOCK
from ._modules import compiled_image, drop_all, load_image, portable_image
from ._shapes import UnwindInfo
from .unwind_tables import count_fdes
from .unwinder_instructions import count

SECONDS = 60  # for all samples
SAMPLES = 8  # of each setting
SETTINGS: tuple[UnwindInfo, UnwindInfo] = ("on", "off")
MEMORY = 2**31  # bytes for the code of all modules
INSTRUCTIONS = 1_250_000_000  # to drop what is counted: ten seconds and more under valgrind
COUNTED = 4000  # modules; valgrind itself cannot hold four times as many
FEWEST = 10  # modules that are timed
LIMIT = Path("/proc/sys/vm/max_map_count")  # mappings that Linux allows; a module takes two
STEPS = {"remove": "drop", "register": "load"}  # that are counted, by what the unwinder does
say = partial(print, file=sys.stderr, flush=True)


def measure_counts(wasm: Path, wanted: int, fdes: int) -> dict[str, Any]:
    """Count instructions per module, with that many loaded and with a quarter of them.

    How many are counted never depends on the build or the machine: as many as do not take long if
    all FDEs, about 4 instructions each, are scanned for every FDE, as up to 49.0.0.
    """
    image = portable_image(wasm, "on")
    most = min((INSTRUCTIONS / 4) ** 0.5 / max(fdes, 1), COUNTED, MEMORY / len(image))
    whole = min(wanted, max(int(most) // 4, 1) * 4)
    numbers = (whole, whole // 4)
    say(f"counting {' and '.join(map(str, numbers))} modules")
    try:
        loads = {str(number): Load(number, bytes(image)) for number in numbers}
        costs = count(loads).costs if fdes else {}  # without an FDE nothing is registered
    except (RuntimeError, ValueError, AssertionError, OSError) as error:
        return {"not_counted": str(error)}
    counted = {
        f"instructions_to_{does}": {
            str(number): costs.get((str(number), step, ALL), 0) for number in numbers
        }
        for does, step in STEPS.items()
    }
    now, fewer = counted["instructions_to_remove"].values()
    rise = (now - fewer) / (whole - whole // 4)
    predicted = {str(n): round(now + rise * (n - whole), 1) for n in (whole // 10, whole * 10) if n}
    few = "" if whole == wanted else f"{whole + 4} could take too much time or memory"
    return {
        "counted": whole, "counted_reduced": few, "counts": counted,
        "instructions_to_remove_predicted": predicted,
    }  # fmt: skip


def load_module(count: int, wasm: Path, unwind_info: UnwindInfo) -> list[Any]:
    """Load a module `count` times from its compiled image."""
    return load_image(count, compiled_image(wasm, unwind_info), unwind_info)


def choose_timed(wanted: int, wasm: Path) -> tuple[int, str]:
    """Return how many modules can be timed, and why not as many as are wanted.

    It loads and drops a few, and doubles them as long as that fits, in case dropping is quadratic.
    """
    mappings = int(LIMIT.read_text(encoding="ascii")) if LIMIT.exists() else sys.maxsize
    most = min(MEMORY // len(compiled_image(wasm, "on")), mappings // 3, wanted)
    full = f"{MEMORY >> 30} GB, or the {mappings} mappings that the system allows, are full"
    if most < FEWEST:
        raise MemoryError(f"{FEWEST} modules: {full}")
    number = FEWEST
    while number < most:
        once = timeit.timeit(partial(load_module, number, wasm, "on"), number=1)
        slow = 4 * SAMPLES * once
        if slow > SECONDS:
            return number, f"{2 * number} might take {slow:.0f} s, longer than {SECONDS} s"
        number = min(2 * number, most)
    return number, full if number < wanted else ""


def seconds_to_drop(count: int, wasm: Path, unwind_info: UnwindInfo) -> float:
    """CPU seconds to drop `count` modules, with the garbage collector off, as asv times."""
    modules = load_module(count, wasm, unwind_info)
    return timeit.timeit(lambda: drop_all(modules, count), timer=CLOCK, number=1)


def measure_times(wasm: Path, wanted: int) -> dict[str, Any]:
    """Milliseconds to drop all modules, with and without unwind info, in turn: medians."""
    import resource  # there is none on Windows, where nothing gets so far

    number, reason = choose_timed(wanted, wasm)
    samples: dict[UnwindInfo, list[float]] = {"on": [], "off": []}
    for sample in range(1, SAMPLES + 1):
        for unwind_info in SETTINGS[:: (-1) ** sample]:
            samples[unwind_info].append(1e3 * seconds_to_drop(number, wasm, unwind_info))
        say(f"dropping {number} modules, {sample} of {SAMPLES}")
    kept: list[object] = []  # or dropping them would be timed as well
    load = timeit.timeit(lambda: kept.extend(load_module(number, wasm, "on")), number=1)
    on, off = (round(median(samples[unwind_info]), 3) for unwind_info in SETTINGS)
    gaps = [one / other for one, other in zip(samples["on"], samples["off"], strict=True)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "timed": number, "timed_reduced": reason,
        "on_ms": on, "off_ms": off, "load_ms": round(1e3 * load, 3),
        "gap": round(on / off, 3),
        "gap_least": round(min(gaps), 3), "gap_most": round(max(gaps), 3),
        "extra_ms_per_1000": round(1e3 * (on - off) / number, 3),
        "peak_memory_mb": (peak if sys.platform == "darwin" else peak << 10) >> 20,
    }  # fmt: skip


def measure(wasm: Path, wanted: int, counts_only: bool) -> dict[str, Any]:
    """Measure everything that the probe reports of one module."""
    say("compiling with unwind info and without")
    fdes = count_fdes(wasm)
    found = {"fdes": fdes, **measure_counts(wasm, wanted, fdes)}
    if counts_only and "not_counted" in found:
        raise RuntimeError(found["not_counted"])
    return found if counts_only else found | measure_times(wasm, wanted)


if __name__ == "__main__":
    try:
        found = measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "counts")
    except (WasmtimeError, NotImplementedError, MemoryError, RuntimeError) as error:
        found = {"error": str(error)}
    print(json.dumps(found))
