"""Compile, load and drop modules through the public API of any pinned wasmtime-py release.

Only this file handles differences between wasmtime-py releases.
"""

import functools
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import wasmtime
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from wasmtime import Config, Engine, Module

from ._shapes import PROGRAM, UnwindInfo
from ._unwinder import require_unwinder

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
EH_FRAME = ".eh_frame"  # the section of a compiled module that holds its FDEs
COMPONENT = b"\0asm\x0d"  # the first bytes of a component; those of a module are \0asm\1
IMAGE_FLAGS = 48  # offset of e_flags in the header of an ELF file with 64 bits
COMPONENT_FLAG = 2  # of images: `EF_WASMTIME_COMPONENT` in Wasmtime's crates/environ/src/obj.rs
AVX512 = ("bitalg", "dq", "f", "vbmi", "vl")  # processor features that compiled code may use


def require_unwind_setting(unwind_info: UnwindInfo) -> None:
    """Check that modules can be measured with this setting on this host.

    Raises:
        NotImplementedError: unwind info cannot be turned off on Windows, where the ABI requires
            it; or the unwinder that UNWINDER selects is not available.
        RuntimeError: another unwinder is in effect.
    """
    require_unwinder()
    if sys.platform == "win32" and unwind_info == "off":
        # checked before any call, because Engine() would abort the process
        raise NotImplementedError("Windows requires unwind info: it cannot be turned off")


@functools.cache
def make_engine(unwind_info: UnwindInfo, target: str | None = None) -> Engine:
    """Return the one engine of this process with these settings; see `new_engine`."""
    return new_engine(unwind_info, target)


def new_engine(
    unwind_info: UnwindInfo, target: str | None = None, *, parallel: bool = True
) -> Engine:
    """Make an engine with native unwind info on or off.

    It compiles for `target`, a target triple, or by default for the processor of this host; in
    several threads, or in the calling thread if `parallel` is false.

    Raises:
        NotImplementedError, RuntimeError: as `require_unwind_setting`.
    """
    require_unwind_setting(unwind_info)
    enable = unwind_info == "on"
    config: Any = Config()
    pointer = config.ptr() if hasattr(config, "ptr") else config._ptr  # 17.0.1 and before
    if hasattr(Config, "native_unwind_info"):  # 45.0.0 and later
        config.native_unwind_info = enable
    else:  # Python would accept an assignment to the missing property, without effect
        wasmtime._bindings.wasmtime_config_native_unwind_info_set(pointer, enable)
    if not parallel:
        wasmtime._bindings.wasmtime_config_parallel_compilation_set(pointer, False)
    if target is not None:
        wasmtime._bindings.wasmtime_config_target_set(pointer, target.encode())
        # 18.0.0 and 18.0.2 would use the AVX-512 features of this host for any target
        for flag in AVX512 if target.startswith("x86_64") else ():
            name = f"has_avx512{flag}".encode()
            wasmtime._bindings.wasmtime_config_cranelift_flag_set(pointer, name, b"false")
    enable_features(pointer)
    return Engine(config)


def enable_features(config: Any) -> None:
    """Enable the WebAssembly proposals that WASM_FEATURES names, such as `gc,exceptions`.

    Only the probe sets this variable.

    Raises:
        NotImplementedError: the C API of this release cannot enable one of them.
    """
    for feature in filter(None, os.environ.get("WASM_FEATURES", "").split(",")):
        name = f"wasmtime_config_wasm_{feature.replace('-', '_')}_set"
        if not hasattr(wasmtime._bindings, name):
            raise NotImplementedError(f"the C API of this release cannot enable {feature}")
        getattr(wasmtime._bindings, name)(config, True)


def fixture(functions: int) -> Path:
    """Return the path of the wasm module with that many functions."""
    if functions == PROGRAM:
        from ._program import require_program

        return require_program()
    return FIXTURES / f"functions-{functions}.wasm"


def compile_modules(count: int, wasm: Path, unwind_info: UnwindInfo) -> list[Module]:
    """Compile a wasm module `count` times.

    Raises:
        NotImplementedError, RuntimeError: as `make_engine`.
        AssertionError: the modules have unwind info although it is off, or lack it although on.
    """
    binary = wasm.read_bytes()
    modules = [Module(make_engine(unwind_info), binary) for _ in range(count)]
    check_unwind_info(modules[0].serialize(), unwind_info)
    return modules


def check_unwind_info(image: bytes | bytearray, unwind_info: UnwindInfo) -> None:
    """Check that a compiled image has unwind tables if unwind info is on, and none if it is off.

    Nothing is checked on Windows, where tables have another format and unwind info is always on.

    Raises:
        AssertionError: the image does not match `unwind_info`.
    """
    if sys.platform != "win32" and (EH_FRAME.encode() in image) != (unwind_info == "on"):
        raise AssertionError(
            f"native_unwind_info is {unwind_info}, but the compiled module has "
            f"{'no' if unwind_info == 'on' else 'an'} {EH_FRAME} section"
        )


@functools.cache
def compile_image(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
    """Compile a wasm module for the processor of this host; return its image, an ELF file."""
    return compile_binary(make_engine(unwind_info), wasm.read_bytes()).serialize()


def compile_portable_image(wasm: Path, unwind_info: UnwindInfo) -> bytearray:
    """Compile a wasm module for every Linux processor of this architecture; return its image.

    Under valgrind a process sees fewer processor features than the host has, so code that was
    compiled for the host may be refused.
    """
    libc = "gnu" if platform.libc_ver()[0] else "musl"
    portable = make_engine(unwind_info, f"{platform.machine()}-unknown-linux-{libc}")
    return compile_binary(portable, wasm.read_bytes()).serialize()


def compile_binary(engine: Engine, content: bytes) -> Module:
    """Compile a module or a component, which has the same methods.

    Raises:
        NotImplementedError: this release has no components.
    """
    binary = content if content.startswith(b"\0asm") else wasmtime.wat2wasm(content)
    compiled: Module = choose_class(binary.startswith(COMPONENT))(engine, binary)
    return compiled


def choose_class(is_component: bool) -> Any:
    """Return the class of components or of modules.

    Raises:
        NotImplementedError: this release has no components: 39.0.0 is the first that has.
    """
    if not is_component:
        return Module
    try:
        from wasmtime.component import Component
    except ImportError:
        raise NotImplementedError("wasmtime-py has components since 39.0.0") from None
    return Component


def count_image_fdes(image: BinaryIO) -> int:
    """Return how many FDEs a compiled image registers: 0 for a module without functions."""
    elf = ELFFile(image)
    if elf.get_section_by_name(EH_FRAME) is None:
        return 0
    return sum(isinstance(entry, FDE) for entry in elf.get_dwarf_info().EH_CFI_entries())


def load_image(count: int, image: bytes | bytearray, unwind_info: UnwindInfo) -> list[Module]:
    """Load a compiled image `count` times, with the same code and unwind tables as by compiling."""
    (flags,) = struct.unpack_from("<I", image, IMAGE_FLAGS)
    loaded_class = choose_class(flags == COMPONENT_FLAG)
    return [loaded_class.deserialize(make_engine(unwind_info), image) for _ in range(count)]


def drop_all(modules: list[Module], count: int) -> None:
    """Drop `count` modules, the last one first, as `list.clear` does.

    Raises:
        AssertionError: another number of modules is loaded, so the time would be wrong.
    """
    if len(modules) != count:
        raise AssertionError(f"{len(modules)} modules are loaded, not {count}")
    modules.clear()
