"""Loaded modules, made through the public wasmtime-py API of every pinned release.

This is the one place that knows which release does what.
"""

import functools
import hashlib
import os
import platform
import sys
import timeit
from pathlib import Path
from typing import Any, Literal

import wasmtime
from wasmtime import Config, Engine, Module

from . import _unwinder
from ._sampling import CLOCK

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MODULES = 1000  # as in bytecodealliance/wasmtime#10287

AVX512 = ("bitalg", "dq", "f", "vbmi", "vl")  # features of the processor that code may use

# Modules and functions of each. 1000 modules of 100 functions would take 5 s a sample under
# libunwind before 50.0.1.
SHAPES = {"1000x1": (1000, 1), "1000x8": (1000, 8), "250x100": (250, 100)}

UnwindInfo = Literal["on", "off"]
SETTINGS: tuple[UnwindInfo, UnwindInfo] = ("on", "off")

images: dict[tuple[Path, UnwindInfo], bytearray] = {}


@functools.cache
def engine(unwind_info: UnwindInfo, target: str | None = None) -> Engine:
    """An engine that registers native unwind information, or none.

    Without a `target` its code is for this very processor.

    Raises:
        NotImplementedError: unwind info off on Windows, where the ABI requires it; or the
            unwinder that UNWINDER asks for cannot be had.
        RuntimeError: another unwinder is in effect.
    """
    _unwinder.require()
    enable = unwind_info == "on"
    if sys.platform == "win32" and not enable:
        # asked before any call: Engine() aborts the process there
        raise NotImplementedError("Windows requires unwind info: it cannot be turned off")
    config: Any = Config()
    pointer = config.ptr() if hasattr(config, "ptr") else config._ptr  # 17.0.1 and before
    if hasattr(Config, "native_unwind_info"):  # 45.0.0 and later
        config.native_unwind_info = enable
    else:  # setting the missing property would succeed and change nothing
        wasmtime._bindings.wasmtime_config_native_unwind_info_set(pointer, enable)
    if target is not None:
        wasmtime._bindings.wasmtime_config_target_set(pointer, target.encode())
        for flag in AVX512 if target.startswith("x86_64") else ():  # 18.0.0 and 18.0.2 keep them
            name = f"has_avx512{flag}".encode()
            wasmtime._bindings.wasmtime_config_cranelift_flag_set(pointer, name, b"false")
    return Engine(config)


def fixture(functions: int) -> Path:
    """The wasm module with that many functions."""
    return FIXTURES / f"functions-{functions}.wasm"


def load(count: int, wasm: Path, unwind_info: UnwindInfo) -> list[Module]:
    """Load a wasm module `count` times over.

    The first call compiles every one of them. Later calls, and later processes of the same run,
    load the compiled image again with `Module.deserialize`, in a tenth of the time: it is the same
    machine code and registers the same unwind tables.

    Raises:
        NotImplementedError, RuntimeError: as `engine`.
    """
    if (wasm, unwind_info) in images or _find(count, wasm, unwind_info):
        return load_image(count, wasm, unwind_info)
    return compile_all(count, wasm, unwind_info)


def load_image(count: int, wasm: Path, unwind_info: UnwindInfo) -> list[Module]:
    """Load the compiled image `count` times over."""
    encoded = image(wasm, unwind_info)
    return [Module.deserialize(engine(unwind_info), encoded) for _ in range(count)]


def image(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
    """The compiled image of a wasm module: an ELF file."""
    if (wasm, unwind_info) not in images and not _find(1, wasm, unwind_info):
        compile_all(1, wasm, unwind_info)
    return images[wasm, unwind_info]


def plain_image(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
    """The compiled image for every Linux processor of this architecture.

    Under valgrind a processor has fewer features, and what was compiled for it may be refused.
    """
    libc = "gnu" if platform.libc_ver()[0] else "musl"
    plain = engine(unwind_info, f"{platform.machine()}-unknown-linux-{libc}")
    return Module(plain, wasm.read_bytes()).serialize()


def compile_all(count: int, wasm: Path, unwind_info: UnwindInfo) -> list[Module]:
    """Compile a wasm module `count` times, and leave the image for the processes that follow."""
    binary = wasm.read_bytes()
    modules = [Module(engine(unwind_info), binary) for _ in range(count)]
    images[wasm, unwind_info] = modules[0].serialize()
    if left := _left(count, wasm, unwind_info):
        scratch = left.with_suffix(f".{os.getpid()}")
        scratch.write_bytes(images[wasm, unwind_info])
        scratch.replace(left)
    return modules


def _find(count: int, wasm: Path, unwind_info: UnwindInfo) -> bool:
    """Take the image that an earlier process of this run has left, which compiled that many."""
    left = _left(count, wasm, unwind_info)
    if left is None or not left.exists():
        return False
    engine(unwind_info)  # raises what it raises, as compiling would
    images[wasm, unwind_info] = bytearray(left.read_bytes())
    return True


def _left(count: int, wasm: Path, unwind_info: UnwindInfo) -> Path | None:
    """Where the image is left; the folder is that of one run of asv, which removes it."""
    folder, release = (os.environ.get(name) for name in ("BENCHMARKS_IMAGES", "ASV_COMMIT"))
    if not folder or not release:
        return None
    binary = hashlib.sha256(wasm.read_bytes()).hexdigest()[:16]
    unwinder = os.environ.get("UNWINDER", "")
    return Path(folder, f"{release}-{unwinder}-{unwind_info}-{count}-{binary}.image")


def drop_all(modules: list[Module], count: int) -> None:
    """Drop that many modules, the last one first, as `list.clear` does.

    Raises:
        AssertionError: they are not all there, so that the time would be that of nothing.
    """
    if len(modules) != count:
        raise AssertionError(f"{len(modules)} modules are loaded, not {count}")
    modules.clear()


def seconds_to_drop(modules: list[Module], count: int) -> float:
    """CPU seconds of `drop_all`, with the garbage collector off, as in asv's own timer."""
    return timeit.timeit(lambda: drop_all(modules, count), timer=CLOCK, number=1)
