"""The unwinder that takes wasmtime's unwind tables: chosen before wasmtime is imported.

The environment variable UNWINDER says which:

- `system`, the default: what the platform ships. libgcc on Linux, Apple's libunwind on macOS, the
  function tables of the OS on Windows.
- `libunwind`: LLVM's, on Linux, which puts wasmtime 19.0.0 and later on the path it takes on
  macOS: it looks for `__unw_add_dynamic_fde` at run time (bytecodealliance/wasmtime#8028).

A library that is loaded without effect would give plausible, false numbers. So nothing is measured
before `require` has seen the proof that the unwinder asked for is the one in effect.
"""

import ctypes
import functools
import mmap
import os
import sys
from pathlib import Path

from ._missing import missing

SONAME = "libunwind.so.1"  # LLVM's; nongnu's is libunwind.so.8
FOLDERS = ("usr/lib/llvm-*/lib", "usr/lib64", "usr/lib", "usr/local/lib")
REGISTER = "__register_frame"  # what wasmtime calls, on every unwinder but that of Windows
DETECT = "__unw_add_dynamic_fde"  # what wasmtime looks for; only LLVM's and Apple's have it
# What 50.0.1 registers a module with (#14304), from LLVM 14 on; without it 50.0.1 falls back to the
# way of 49.0.0, and would look as if nothing had changed.
BULK = "__unw_add_dynamic_eh_frame_section"


@functools.cache
def select() -> ctypes.CDLL | None:
    """Put LLVM's libunwind in front of what wasmtime will load, if UNWINDER asks for it.

    Returns:
        the library, or None where there is none or none is asked for.

    Raises:
        ValueError: UNWINDER is no unwinder.
        RuntimeError: wasmtime is loaded, and so bound to another unwinder, already.
    """
    unwinder = os.environ.get("UNWINDER") or "system"
    if unwinder not in ("system", "libunwind"):
        raise ValueError(f"UNWINDER={unwinder}: it is either system or libunwind")
    if unwinder == "libunwind" and sys.platform == "linux":
        if "wasmtime" in sys.modules:
            raise RuntimeError("wasmtime was imported before libunwind could be put in front")
        named = os.environ.get("LIBUNWIND")
        places = (place for folder in FOLDERS for place in Path("/").glob(f"{folder}/{SONAME}"))
        for candidate in [named] if named else [SONAME, *map(str, places)]:
            try:
                library = ctypes.CDLL(candidate)
            except OSError:
                continue
            if all(_owner(library, symbol) is not None for symbol in (DETECT, BULK)):
                return ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
    return None


@functools.cache
def require() -> str | None:
    """Prove that the unwinder UNWINDER asks for is the one that is in effect.

    Returns:
        the file of its library; None on Windows, where it is no library.

    Raises:
        NotImplementedError: it cannot be had here, or this release does not look for it.
        RuntimeError: another one is in effect; or, with BENCHMARKS_STRICT=1, it cannot be had on
            this machine.
    """
    if os.environ.get("UNWINDER") == "libunwind":
        return _require_libunwind(select())
    if sys.platform == "linux":
        return _require_libgcc()
    if sys.platform == "darwin":
        return _require_apple()
    return None


def _require_libunwind(library: ctypes.CDLL | None) -> str | None:
    if sys.platform != "linux":
        raise NotImplementedError("UNWINDER=libunwind is for Linux")
    with Path(wasmtime_library()._name).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content.find(DETECT.encode()) < 0:
            raise NotImplementedError("this release does not look for libunwind (19.0.0 and later)")
    if library is None:
        raise missing(
            f"{os.environ.get('LIBUNWIND') or SONAME} is not there, or not LLVM's libunwind of "
            "version 14 or later. Install it (Debian, Ubuntu: apt install libunwind-19, or another "
            "from 14 on; Fedora: dnf install llvm-libunwind) or give its absolute path in LIBUNWIND"
        )
    in_effect = _owner(ctypes.CDLL(None), REGISTER)
    if in_effect != _owner(library, DETECT):
        raise missing(f"libunwind has no effect: {in_effect} was loaded before it")
    return in_effect


def _require_libgcc() -> str | None:
    # the order in which the dynamic linker looks: what is loaded for all, then what wasmtime needs
    everyone, wasmtime = ctypes.CDLL(None), wasmtime_library()
    in_effect = _owner(everyone, REGISTER) or _owner(wasmtime, REGISTER)
    # a libunwind behind libgcc is none the better: wasmtime sees it and registers function by
    # function, with libgcc
    seen = _owner(everyone, DETECT)
    if seen is not None or "libgcc_s" not in Path(in_effect or "").name:
        raise RuntimeError(
            f"UNWINDER=system, but wasmtime meets {seen or in_effect}, not libgcc alone. "
            "Is another unwinder preloaded (LD_PRELOAD)?"
        )
    return in_effect


def _require_apple() -> str | None:
    """Refuse what is known to be wrong: nobody here has seen how a Mac names Apple's library."""
    in_effect = _owner(wasmtime_library(), REGISTER)
    if in_effect is not None and not in_effect.startswith("/usr/lib/"):
        raise RuntimeError(f"UNWINDER=system, but wasmtime's unwinder is {in_effect}, not Apple's")
    return in_effect


def _owner(scope: ctypes.CDLL, symbol: str) -> str | None:
    """The file that holds the symbol a lookup in `scope` finds, if any."""
    try:
        address = ctypes.cast(getattr(scope, symbol), ctypes.c_void_p)
    except AttributeError:
        return None
    info = (ctypes.c_char_p * 4)()  # Dl_info: four pointers, the first is to the file's name
    found = ctypes.CDLL(None).dladdr(address, ctypes.byref(info))
    return os.fsdecode(info[0]) if found and info[0] else None


def wasmtime_library() -> ctypes.CDLL:
    """Wasmtime's own library. This loads it, so `select` comes first."""
    from wasmtime._ffi import dll

    return dll
