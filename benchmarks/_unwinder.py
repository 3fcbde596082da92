"""The unwinder with which wasmtime registers unwind tables, chosen before wasmtime is imported.

The environment variable UNWINDER selects it, by an option of `_axis.UNWINDERS`:

- `system`, the default: the unwinder of the platform. libgcc on Linux, Apple's libunwind on macOS,
  the function tables of the OS on Windows.
- `libunwind`: LLVM's, on Linux. With it, wasmtime 19.0.0 and later registers as on macOS: it looks
  for `__unw_add_dynamic_fde` at run time (bytecodealliance/wasmtime#8028).
- `libunwind-by-function`: a libunwind that cannot register sections, on Linux. With it, wasmtime
  50.0.0 and later registers as on macOS 11 and 12. LIBUNWIND has to name its file.

A library that is loaded but has no effect would give plausible but wrong numbers. So nothing is
measured until `require_unwinder` has proved that the selected unwinder is in effect.
"""

import ctypes
import functools
import mmap
import os
import sys
from pathlib import Path

from ._axis import LIBGCC, OPTIONS, Unwinder, find_unwinder
from ._missing import missing_tool

SONAME = "libunwind.so.1"  # LLVM's; nongnu's is libunwind.so.8
FOLDERS = ("usr/lib/llvm-*/lib", "usr/lib64", "usr/lib", "usr/local/lib")
REGISTER = "__register_frame"  # wasmtime calls it on every platform but Windows
DETECT = "__unw_add_dynamic_fde"  # wasmtime looks for it; only LLVM's and Apple's libunwind have it
# wasmtime 50.0.0 and later registers a module with it (#14304). LLVM libunwind has it from version
# 14 on; with an older one, 50.0.0 would register as 49.0.0 did, as if nothing had changed.
BULK = "__unw_add_dynamic_eh_frame_section"
SYSTEMS = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}  # by sys.platform
INSTALL = {  # by whether the library can register sections
    True: (
        "or not LLVM's libunwind of version 14 or later. Install it (Debian, Ubuntu: apt install "
        "libunwind-19, or any version from 14 on; Fedora: dnf install llvm-libunwind), or set "
        "LIBUNWIND to its absolute path."
    ),
    False: (
        f"or not a libunwind that has {DETECT} and lacks {BULK}. Set LIBUNWIND to the absolute "
        "path of one, such as that of Debian's libunwind-13."
    ),
}


def select_unwinder() -> Unwinder:
    """Return the unwinder that UNWINDER selects.

    Raises:
        ValueError: UNWINDER is unknown.
        NotImplementedError: there is no such unwinder on this operating system.
    """
    option = os.environ.get("UNWINDER") or LIBGCC.option
    if option not in OPTIONS:
        raise ValueError(f"UNWINDER={option} is unknown. Set it to {' or '.join(OPTIONS)}.")
    unwinder = find_unwinder(option, SYSTEMS.get(sys.platform, "Linux"))
    if unwinder is None:
        raise NotImplementedError(f"UNWINDER={option} works on Linux only")
    return unwinder


def is_preloaded(unwinder: Unwinder) -> bool:
    """Return whether an unwinder has to be loaded before wasmtime, which looks for it then."""
    return unwinder.system == "Linux" and unwinder.family == "libunwind"


@functools.cache
def preload_unwinder() -> ctypes.CDLL | None:
    """Load a libunwind into the global symbol scope, if UNWINDER selects one on Linux.

    Returns:
        the library, or None if it is not selected or not installed.

    Raises:
        RuntimeError: wasmtime is already loaded, and so bound to another unwinder.
    """
    try:
        unwinder = select_unwinder()
    except (ValueError, NotImplementedError):  # `require_unwinder` reports it
        return None
    if not is_preloaded(unwinder):
        return None
    if "wasmtime" in sys.modules:
        raise RuntimeError("wasmtime was imported before libunwind could be loaded")
    chosen = os.environ.get("LIBUNWIND")
    files = (file for folder in FOLDERS for file in Path("/").glob(f"{folder}/{SONAME}"))
    for candidate in [chosen] if chosen else [SONAME, *map(str, files)]:
        try:
            library = ctypes.CDLL(candidate)
        except OSError:
            continue
        has_sections = _defining_file(library, BULK) is not None
        is_libunwind = _defining_file(library, DETECT) is not None
        if is_libunwind and has_sections == unwinder.sections:
            return ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
    return None


def missing_library() -> str:
    """Return what is missing for UNWINDER and how to install it, or an empty string.

    Raises:
        ValueError, NotImplementedError: see `select_unwinder`.
    """
    unwinder = select_unwinder()
    if not is_preloaded(unwinder) or preload_unwinder() is not None:
        return ""
    file = os.environ.get("LIBUNWIND") or SONAME
    return f"{file} is missing, {INSTALL[bool(unwinder.sections)]}"


@functools.cache
def require_unwinder() -> str | None:
    """Prove that the unwinder that UNWINDER selects is in effect.

    Returns:
        the file of its library; None on Windows, whose unwinder is not a separate library.

    Raises:
        ValueError: UNWINDER is unknown.
        NotImplementedError: the unwinder is not available on this machine, or this release does not
            look for it.
        RuntimeError: another unwinder is in effect; or, under BENCHMARKS_STRICT=1, the unwinder is
            not available on this machine.
    """
    unwinder = select_unwinder()
    if unwinder.family == "os":
        return None
    if unwinder.family == "libgcc":
        return _require_libgcc()
    return _require_libunwind() if is_preloaded(unwinder) else _require_apple()


def _require_libunwind() -> str | None:
    with Path(load_wasmtime()._name).open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content.find(DETECT.encode()) < 0:
            raise NotImplementedError("this release does not look for libunwind (19.0.0 and later)")
    library = preload_unwinder()
    if library is None:
        raise missing_tool(missing_library())
    in_effect = _defining_file(ctypes.CDLL(None), REGISTER)
    if in_effect != _defining_file(library, DETECT):
        raise missing_tool(f"libunwind has no effect: {in_effect} was loaded before it")
    return in_effect


def _require_libgcc() -> str | None:
    # the order of the dynamic linker: the global scope, then the dependencies of wasmtime
    global_scope, wasmtime = ctypes.CDLL(None), load_wasmtime()
    in_effect = _defining_file(global_scope, REGISTER) or _defining_file(wasmtime, REGISTER)
    # a libunwind matters even if libgcc comes before it: wasmtime detects it and then registers
    # function by function, with libgcc
    detected = _defining_file(global_scope, DETECT)
    if detected is not None or "libgcc_s" not in Path(in_effect or "").name:
        raise RuntimeError(
            f"UNWINDER=system, but wasmtime finds {detected or in_effect}, not libgcc alone. "
            "Is another unwinder preloaded (LD_PRELOAD)?"
        )
    return in_effect


def _require_apple() -> str | None:
    """Refuse a library that cannot be Apple's; its exact file name on a Mac is not known."""
    in_effect = _defining_file(load_wasmtime(), REGISTER)
    if in_effect is not None and not in_effect.startswith("/usr/lib/"):
        raise RuntimeError(f"UNWINDER=system, but wasmtime's unwinder is {in_effect}, not Apple's")
    return in_effect


def _defining_file(scope: ctypes.CDLL, symbol: str) -> str | None:
    """Return the file that defines the symbol found by a lookup in `scope`, if any."""
    try:
        address = ctypes.cast(getattr(scope, symbol), ctypes.c_void_p)
    except AttributeError:
        return None
    return find_file(address.value or 0)


def find_file(address: int) -> str | None:
    """Return the file of the program or library that holds a code address, if any."""
    info = (ctypes.c_char_p * 4)()  # Dl_info: four pointers, the first is to the file's name
    is_known = ctypes.CDLL(None).dladdr(ctypes.c_void_p(address), ctypes.byref(info))
    return os.fsdecode(info[0]) if is_known and info[0] else None


def load_wasmtime() -> ctypes.CDLL:
    """Load wasmtime's library and return it. Call `preload_unwinder` before."""
    from wasmtime._ffi import dll

    return dll
