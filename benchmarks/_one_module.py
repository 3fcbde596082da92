"""Compile, count or time a user's module, for `scripts.probe`.

The probe starts this program with a release on PYTHONPATH and writes a job to standard input, one
line of JSON. The answer is one line of JSON on standard output. The probe keeps the pipe open; when
the probe ends for any reason, this process and its children end too.
"""

import json
import os
import signal
import sys
import threading
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from wasmtime import Module, WasmtimeError

from ._callgrind import ALL
from ._counted import CountedLoad
from ._destructive import CLOCK
from ._modules import (
    check_unwind_info,
    compile_image,
    compile_portable_image,
    count_image_fdes,
    drop_all,
    load_image,
)
from ._shapes import UnwindInfo
from .unwinder_instructions import count

SETTINGS: tuple[UnwindInfo, UnwindInfo] = ("on", "off")
STATM = Path("/proc/self/statm")
STEPS = {"remove": "drop", "register": "load"}  # what the unwinder does -> the counted step


def compile_image_kind(wasm: Path, kind: str) -> bytes | bytearray:
    """Compile a module as `on`, `off` or `portable`; see `compile_module`."""
    if kind == "portable":
        return compile_portable_image(wasm, "on")
    return compile_image(wasm, "on" if kind == "on" else "off")


def compile_module(wasm: str, images: dict[str, int]) -> dict[str, Any]:
    """Compile a module, and write its images to file descriptors, which `images` names by kind.

    The kinds are `on` and `off`, for the processor of this host, and `portable`, for counting.
    """
    path, facts = Path(wasm), dict[str, Any]()
    for kind, descriptor in images.items():
        image = compile_image_kind(path, kind)
        with os.fdopen(os.dup(descriptor), "wb") as stream:
            stream.write(image)
        facts[f"{kind}_bytes"] = len(image)
        if kind != "off":
            facts["fdes_counted" if kind == "portable" else "fdes"] = count_fdes(descriptor)
        if kind == "off":
            check_unwind_info(image, "off")
        if kind == "on":
            facts |= sample_module(image)
    return facts


def sample_module(image: bytes | bytearray) -> dict[str, float]:
    """Return the shortest of a few times to load and to drop the module, and its memory."""
    loaded = load_image(1, image, "on")  # does one-time work
    before = resident_bytes()
    loaded += load_image(1, image, "on")
    growth = resident_bytes() - before
    load = timeit.repeat(lambda: loaded.extend(load_image(1, image, "on")), repeat=2, number=1)
    drop = timeit.repeat(loaded.pop, repeat=3, number=1)
    return {
        "load_seconds": min(load),
        "drop_seconds": min(drop),
        "loaded_bytes": max(growth, len(image)),
    }


def resident_bytes() -> int:
    """Return the resident memory of this process, or 0 on systems without /proc."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count_fdes(descriptor: int) -> int:
    """Count the FDEs of the image in a file descriptor."""
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        return count_image_fdes(stream)


def read_image(descriptor: int) -> bytes:
    """Read the image in a file descriptor."""
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        stream.seek(0)  # other processes share the position and have read it
        return stream.read()


def count_module(image: int, modules: list[int], fdes: int) -> dict[str, Any]:
    """Count the unwinder's instructions per module, for each number of modules loaded."""
    compiled = read_image(image)
    costs = {}
    if fdes:  # without FDEs nothing is registered, and `count` would raise
        costs = count({str(number): CountedLoad(number, compiled) for number in modules}).costs
    return {
        f"instructions_to_{verb}": {
            str(number): costs.get((str(number), step, ALL), 0) for number in modules
        }
        for verb, step in STEPS.items()
    }


def sample_drop_times(on: int, off: int, modules: int, samples: int) -> dict[str, list[float]]:
    """Return CPU milliseconds to drop all modules with unwind info on and off, alternately."""
    images = {"on": read_image(on), "off": read_image(off)}
    times: dict[str, list[float]] = {"on": [], "off": []}
    for sample in range(samples):
        for setting in SETTINGS[:: (-1) ** sample]:
            loaded: list[Module] = load_image(modules, images[setting], setting)
            drop = partial(drop_all, loaded, modules)
            times[setting].append(1e3 * timeit.timeit(drop, timer=CLOCK, number=1))
    return times


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "compile": compile_module,
    "count": count_module,
    "time": sample_drop_times,
}


def exit_with_probe() -> None:
    """Wait until the probe closes the pipe, then end this process and its children."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Read a job from standard input and print its answer."""
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=exit_with_probe, daemon=True).start()
    try:
        answer = JOBS[job.pop("job")](**job)
    except (WasmtimeError, NotImplementedError, RuntimeError, ValueError, AssertionError,
            MemoryError, OSError) as error:  # fmt: skip
        answer = {"error": str(error) or type(error).__name__}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
