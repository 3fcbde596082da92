"""Loaded modules, made through the public wasmtime-py API of every pinned release.

Differences between wasmtime-py releases are handled here and nowhere else.
"""

import functools
import os
import platform
import sys
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import Config, Engine, Module

from ._shapes import PROGRAM, UnwindInfo
from ._unwinder import require_unwinder

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
EH_FRAME = ".eh_frame"  # the section of a compiled module that holds its FDEs
AVX512 = ("bitalg", "dq", "f", "vbmi", "vl")  # processor features that compiled code may use


@functools.cache
def engine(unwind_info: UnwindInfo, target: str | None = None) -> Engine:
    """Return an engine that registers native unwind information, or none.

    Without a `target`, its code is for this very processor.

    Raises:
        NotImplementedError: unwind info cannot be turned off on Windows, where the ABI requires
            it; or the unwinder that UNWINDER asks for is not available.
        RuntimeError: another unwinder is in effect.
    """
    require_unwinder()
    enable = unwind_info == "on"
    if sys.platform == "win32" and not enable:
        # checked before any call: Engine() aborts the process there
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
    enable_features(pointer)
    return Engine(config)


def enable_features(config: Any) -> None:
    """Enable the WebAssembly proposals that WASM_FEATURES names, such as `gc,exceptions`.

    Only the probe sets this variable.

    Raises:
        NotImplementedError: the C API of this release cannot enable one.
    """
    for feature in filter(None, os.environ.get("WASM_FEATURES", "").split(",")):
        name = f"wasmtime_config_wasm_{feature.replace('-', '_')}_set"
        if not hasattr(wasmtime._bindings, name):
            raise NotImplementedError(f"the C API of this release cannot enable {feature}")
        getattr(wasmtime._bindings, name)(config, True)


def fixture(functions: int) -> Path:
    """Return the wasm module with that many functions."""
    if functions == PROGRAM:
        from ._program import require_program

        return require_program()
    return FIXTURES / f"functions-{functions}.wasm"


def compile_modules(count: int, wasm: Path, unwind_info: UnwindInfo) -> list[Module]:
    """Compile a wasm module `count` times.

    Raises:
        NotImplementedError, RuntimeError: as `engine`.
        AssertionError: the modules hold unwind info although it is off, or none although it is on.
    """
    binary = wasm.read_bytes()
    modules = [Module(engine(unwind_info), binary) for _ in range(count)]
    check_unwind_info(modules[0].serialize(), unwind_info)
    return modules


def check_unwind_info(image: bytes | bytearray, unwind_info: UnwindInfo) -> None:
    """Raise AssertionError unless a compiled image has unwind tables exactly if it should.

    Windows has tables of another format, and unwind info is always on there.
    """
    if sys.platform != "win32" and (EH_FRAME.encode() in image) != (unwind_info == "on"):
        raise AssertionError(
            f"native_unwind_info is {unwind_info}, but the compiled module has "
            f"{'no' if unwind_info == 'on' else 'an'} {EH_FRAME} section"
        )


@functools.cache
def compiled_image(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
    """Return the compiled image of a wasm module, an ELF file, for this very processor."""
    return Module(engine(unwind_info), wasm.read_bytes()).serialize()


def portable_image(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
    """Return the compiled image for every Linux processor of this architecture.

    valgrind shows a process fewer processor features than the host has, so code compiled for the
    host may be refused there.
    """
    libc = "gnu" if platform.libc_ver()[0] else "musl"
    portable = engine(unwind_info, f"{platform.machine()}-unknown-linux-{libc}")
    return Module(portable, wasm.read_bytes()).serialize()


def load_image(count: int, image: bytes | bytearray, unwind_info: UnwindInfo) -> list[Module]:
    """Load a compiled image `count` times: the same code and unwind tables as compiling gives."""
    return [Module.deserialize(engine(unwind_info), image) for _ in range(count)]


def drop_all(modules: list[Module], count: int) -> None:
    """Drop `count` modules, the last one first, as `list.clear` does.

    Raises:
        AssertionError: fewer or more modules are loaded, so the time would be a false one.
    """
    if len(modules) != count:
        raise AssertionError(f"{len(modules)} modules are loaded, not {count}")
    modules.clear()
