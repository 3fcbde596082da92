"""The program that walks its own stack, from a host function that wasm calls.

`native_backtrace.run_walk` starts it. It prints one line of JSON: `wasm_frames`, `reaches_bottom`
and `files`, see `walk`; or `not_available`, the reason why the walk cannot be measured.
"""

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

from wasmtime import Func, FuncType, Instance, Module, Store

from ._modules import FIXTURES, check_unwind_info, make_engine
from ._shapes import UnwindInfo
from ._unwinder import find_file, load_wasmtime, require_unwinder

WASM = FIXTURES / "three-deep.wasm"  # its third function calls the host function
WASM_CODE = "wasm"  # stands for the file of a frame in the module's code
MAPS = Path("/proc/self/maps")
CONTINUE = 0  # _URC_NO_REASON: go on to the next frame
# a C function that returns an int and takes two pointers
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
Frames = list[int]  # the address of each frame that the unwinder reports, innermost first


def load_unwinder() -> ctypes.CDLL:
    """Load the library with which wasmtime registers unwind tables, to walk with the same one.

    Raises:
        NotImplementedError, RuntimeError, ValueError: see `require_unwinder`.
        RuntimeError: the walk would use another library.
    """
    in_effect = require_unwinder()
    # macOS has no files of system libraries; every program is linked with them
    unwinder = ctypes.CDLL(in_effect if sys.platform == "linux" else None)
    walker = find_file(address_of(unwinder._Unwind_Backtrace))
    if walker != in_effect:
        raise RuntimeError(f"wasmtime registers with {in_effect}, but {walker} would walk")
    unwinder._Unwind_GetIP.restype = ctypes.c_size_t
    return unwinder


def address_of(function: Any) -> int:
    """Return the address of a C function."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def walk_stack(unwinder: ctypes.CDLL) -> Frames:
    """Walk from here to where the unwinder stops."""
    frames: Frames = []

    def add_frame(context: int, _: object) -> int:
        frames.append(unwinder._Unwind_GetIP(ctypes.c_void_p(context)))
        return CONTINUE

    unwinder._Unwind_Backtrace(CALLBACK(add_frame), None)
    return frames


def walk_from_libc(unwinder: ctypes.CDLL) -> Frames:
    """Walk from a Python function that libc's `qsort` calls: the same stack without wasm.

    Raises:
        NotImplementedError: the unwinder cannot get through Python's own frames.
    """
    walks: list[Frames] = []

    def compare(_first: object, _second: object) -> int:
        walks.append(walk_stack(unwinder))
        return 0

    qsort = ctypes.CDLL(None).qsort
    qsort((ctypes.c_char * 2)(), ctypes.c_size_t(2), ctypes.c_size_t(1), CALLBACK(compare))
    files = [find_file(frame) for frame in walks[0]]
    libc = find_file(address_of(qsort))
    if libc not in files[:-1]:
        raise NotImplementedError(f"the unwinder cannot get through {sys.executable} to {libc}")
    return walks[0]


def walk_from_wasm(unwinder: ctypes.CDLL, module: Module, unwind_info: UnwindInfo) -> Frames:
    """Walk from a host function that the third function of the module calls."""
    frames: Frames = []

    def host() -> None:
        frames.extend(walk_stack(unwinder))

    store = Store(make_engine(unwind_info))
    instance = Instance(store, module, [Func(store, FuncType([], []), host)])
    run: Any = instance.exports(store)["run"]
    run(store)
    return frames


def load_module(unwind_info: UnwindInfo) -> tuple[Module, range]:
    """Compile the module; return it with the addresses of its code.

    Raises:
        NotImplementedError: neither the C API nor the system can tell where the code is.
        RuntimeError: the system shows another number of new mappings than one.
        AssertionError: see `check_unwind_info`.
    """
    before = read_executable_mappings()
    module = Module(make_engine(unwind_info), WASM.read_bytes())
    check_unwind_info(module.serialize(), unwind_info)
    library = load_wasmtime()
    if hasattr(library, "wasmtime_module_image_range"):  # 14.0.0 and later (#7064)
        return module, read_image_range(library, module)
    if not before:
        raise NotImplementedError("only Linux can tell where the code of a module of 13.x is")
    new = read_executable_mappings() - before
    if len(new) != 1:
        raise RuntimeError(f"compiling the module added {len(new)} executable mappings, not one")
    return module, new.pop()


def read_image_range(library: ctypes.CDLL, module: Any) -> range:
    """Return the addresses of a module's image. All of the image that is executable is code."""
    # a function object of its own: releases set different argument types on the library's
    function_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    get_image_range = function_type(("wasmtime_module_image_range", library))
    start, end = ctypes.c_size_t(), ctypes.c_size_t()
    pointer = module.ptr() if hasattr(module, "ptr") else module._ptr  # 17.0.1 and before
    get_image_range(pointer, ctypes.byref(start), ctypes.byref(end))
    return range(start.value, end.value)


def read_executable_mappings() -> set[range]:
    """Return the executable mappings of this process; none on systems without /proc."""
    mappings: set[range] = set()
    if not MAPS.exists():
        return mappings
    for line in MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions = line.split()[:2]
        if "x" in permissions:
            start, end = addresses.split("-")
            mappings.add(range(int(start, 16), int(end, 16)))
    return mappings


def walk(unwind_info: UnwindInfo) -> dict[str, Any]:
    """Walk from wasm, and describe how far the unwinder got.

    Returns:
        `wasm_frames`: how many frames in the module's code the unwinder passed. `reaches_bottom`:
        whether it got to the outermost frame of the thread. `files`: the file of each frame,
        innermost first: WASM_CODE for the module's code, null where no file holds the frame.

    Raises:
        NotImplementedError, RuntimeError, ValueError, AssertionError: see `load_unwinder`,
            `walk_from_libc`, `load_module` and `make_engine`.
    """
    unwinder = load_unwinder()
    outermost = walk_from_libc(unwinder)[-1]
    module, code = load_module(unwind_info)
    frames = walk_from_wasm(unwinder, module, unwind_info)
    files = [WASM_CODE if frame in code else find_file(frame) for frame in frames]
    # libgcc reports the frame at which it stops too, so the last frame is not passed
    passed = files[:-1]
    return {
        "wasm_frames": passed.count(WASM_CODE),
        "reaches_bottom": frames[-1] == outermost,
        "files": files,
    }


def main() -> None:
    """Walk with the unwind info that the first argument names."""
    try:
        answer = walk("on" if sys.argv[1] == "on" else "off")
    except NotImplementedError as error:
        answer = {"not_available": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
