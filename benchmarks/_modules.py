"""Loaded modules, made through the public wasmtime-py API of every pinned release.

This is the one place that knows which release does what.
"""

import functools
import sys
from pathlib import Path
from typing import Any, Literal

import wasmtime
from wasmtime import Config, Engine, Module

from . import _unwinder

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
MODULES = 1000  # as in bytecodealliance/wasmtime#10287

UnwindInfo = Literal["on", "off"]

_images: dict[tuple[int, UnwindInfo], bytearray] = {}


@functools.cache
def engine(unwind_info: UnwindInfo) -> Engine:
    """An engine that registers native unwind information, or none.

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
    if hasattr(Config, "native_unwind_info"):  # 45.0.0 and later
        config.native_unwind_info = enable
    else:  # setting the missing property would succeed and change nothing
        pointer = config.ptr() if hasattr(config, "ptr") else config._ptr  # 17.0.1 and before
        wasmtime._bindings.wasmtime_config_native_unwind_info_set(pointer, enable)
    return Engine(config)


def load(count: int, functions: int, unwind_info: UnwindInfo) -> list[Module]:
    """Load the fixture with that many functions `count` times over.

    The first call in a process compiles every one of them. Later calls load the compiled image
    again with `Module.deserialize`, in a tenth of the time: it is the same machine code and
    registers the same unwind tables.

    Raises:
        NotImplementedError, RuntimeError: as `engine`.
    """
    if (functions, unwind_info) in _images:
        return load_image(count, functions, unwind_info)
    return _compile(count, functions, unwind_info)


def load_image(count: int, functions: int, unwind_info: UnwindInfo) -> list[Module]:
    """Load the compiled image `count` times over."""
    encoded = image(functions, unwind_info)
    return [Module.deserialize(engine(unwind_info), encoded) for _ in range(count)]


def image(functions: int, unwind_info: UnwindInfo) -> bytearray:
    """The compiled image of the fixture with that many functions: an ELF file."""
    if (functions, unwind_info) not in _images:
        _compile(1, functions, unwind_info)
    return _images[functions, unwind_info]


def _compile(count: int, functions: int, unwind_info: UnwindInfo) -> list[Module]:
    wasm = (FIXTURES / f"functions-{functions}.wasm").read_bytes()
    modules = [Module(engine(unwind_info), wasm) for _ in range(count)]
    _images[functions, unwind_info] = modules[0].serialize()
    return modules
