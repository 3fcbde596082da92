"""The unwinder with which wasmtime registers unwind tables, chosen before wasmtime is imported.

The environment variable UNWINDER selects it:

- `system`, the default: the unwinder of the platform. libgcc on Linux, Apple's libunwind on macOS,
  the function tables of the OS on Windows.
- `libunwind`: LLVM's, on Linux. With it, wasmtime 19.0.0 and later registers as on macOS: it looks
  for `__unw_add_dynamic_fde` at run time (bytecodealliance/wasmtime#8028).

A library that is loaded but has no effect would give plausible, false numbers. So nothing is
measured until `require_unwinder` has proved that the unwinder asked for is in effect.
"""

import ctypes
import functools
import mmap
import os
import sys
from pathlib import Path

from ._missing import missing_tool

SONAME = "libunwind.so.1"  # LLVM's; nongnu's is libunwind.so.8
FOLDERS = ("usr/lib/llvm-*/lib", "usr/lib64", "usr/lib", "usr/local/lib")
REGISTER = "__register_frame"  # wasmtime calls it, on every unwinder but that of Windows
DETECT = "__unw_add_dynamic_fde"  # wasmtime looks for it; only LLVM's and Apple's have it
# wasmtime 50.0.0 and later registers a module with it (#14304). LLVM's has it from version 14 on;
# without it, 50.0.0 registers as 49.0.0 did and would look as if nothing had changed.
BULK = "__unw_add_dynamic_eh_frame_section"


@functools.cache
def preload_unwinder() -> ctypes.CDLL | None:
    """Load LLVM's libunwind into the global symbol scope, if UNWINDER asks for it.

    Returns:
        the library, or None if there is none or none is asked for.

    Raises:
        RuntimeError: wasmtime is already loaded, and so bound to another unwinder.
    """
    if os.environ.get("UNWINDER") != "libunwind" or sys.platform != "linux":
        return None
    if "wasmtime" in sys.modules:
        raise RuntimeError("wasmtime was imported before libunwind could be loaded")
    named = os.environ.get("LIBUNWIND")
    places = (place for folder in FOLDERS for place in Path("/").glob(f"{folder}/{SONAME}"))
    for candidate in [named] if named else [SONAME, *map(str, places)]:
        try:
            library = ctypes.CDLL(candidate)
        except OSError:
            continue
        if all(_file_of(library, symbol) is not None for symbol in (DETECT, BULK)):
            return ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
    return None


def missing_library() -> str:
    """Return why UNWINDER=libunwind cannot be measured on this machine, or nothing if it can."""
    if preload_unwinder() is not None:
        return ""
    return (
        f"{os.environ.get('LIBUNWIND') or SONAME} is missing, or not LLVM's libunwind of version "
        "14 or later. Install it (Debian, Ubuntu: apt install libunwind-19, or another from 14 on; "
        "Fedora: dnf install llvm-libunwind), or set LIBUNWIND to its absolute path."
    )


@functools.cache
def require_unwinder() -> str | None:
    """Prove that the unwinder UNWINDER asks for is the one in effect.

    Returns:
        the file of its library; None on Windows, where the unwinder is no library.

    Raises:
        ValueError: UNWINDER is neither system nor libunwind.
        NotImplementedError: it is not available here, or this release does not look for it.
        RuntimeError: another one is in effect; or, under BENCHMARKS_STRICT=1, it is not available
            on this machine.
    """
    unwinder = os.environ.get("UNWINDER") or "system"
    if unwinder == "libunwind":
        return _require_libunwind()
    if unwinder != "system":
        raise ValueError(f"UNWINDER={unwinder}: it must be system or libunwind")
    if sys.platform == "linux":
        return _require_libgcc()
    if sys.platform == "darwin":
        return _require_apple()
    return None


def _require_libunwind() -> str | None:
    if sys.platform != "linux":
        raise NotImplementedError("UNWINDER=libunwind is for Linux")
    with Path(wasmtime_library()._name).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content.find(DETECT.encode()) < 0:
            raise NotImplementedError("this release does not look for libunwind (19.0.0 and later)")
    library = preload_unwinder()
    if library is None:
        raise missing_tool(missing_library())
    in_effect = _file_of(ctypes.CDLL(None), REGISTER)
    if in_effect != _file_of(library, DETECT):
        raise missing_tool(f"libunwind has no effect: {in_effect} was loaded before it")
    return in_effect


def _require_libgcc() -> str | None:
    # in the order of the dynamic linker: the global scope first, then what wasmtime depends on
    global_scope, wasmtime = ctypes.CDLL(None), wasmtime_library()
    in_effect = _file_of(global_scope, REGISTER) or _file_of(wasmtime, REGISTER)
    # even behind libgcc, a libunwind changes the path: wasmtime detects it and registers function
    # by function, with libgcc
    detected = _file_of(global_scope, DETECT)
    if detected is not None or "libgcc_s" not in Path(in_effect or "").name:
        raise RuntimeError(
            f"UNWINDER=system, but wasmtime finds {detected or in_effect}, not libgcc alone. "
            "Is another unwinder preloaded (LD_PRELOAD)?"
        )
    return in_effect


def _require_apple() -> str | None:
    """Refuse a library that cannot be Apple's; its exact name was never seen on a Mac here."""
    in_effect = _file_of(wasmtime_library(), REGISTER)
    if in_effect is not None and not in_effect.startswith("/usr/lib/"):
        raise RuntimeError(f"UNWINDER=system, but wasmtime's unwinder is {in_effect}, not Apple's")
    return in_effect


def _file_of(scope: ctypes.CDLL, symbol: str) -> str | None:
    """Return the file that defines the symbol found by a lookup in `scope`, if any."""
    try:
        address = ctypes.cast(getattr(scope, symbol), ctypes.c_void_p)
    except AttributeError:
        return None
    info = (ctypes.c_char_p * 4)()  # Dl_info: four pointers, the first is to the file's name
    found = ctypes.CDLL(None).dladdr(address, ctypes.byref(info))
    return os.fsdecode(info[0]) if found and info[0] else None


def wasmtime_library() -> ctypes.CDLL:
    """Return wasmtime's own library. This loads it, so `preload_unwinder` comes first."""
    from wasmtime._ffi import dll

    return dll
