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
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

SONAME = "libunwind.so.1"  # LLVM's; nongnu's is libunwind.so.8
FOLDERS = ("/usr/lib/llvm-*/lib", "/usr/lib64", "/usr/lib", "/usr/local/lib")
REGISTER = "__register_frame"  # what wasmtime calls, on every unwinder but that of Windows
DETECT = "__unw_add_dynamic_fde"  # what wasmtime looks for; only LLVM's and Apple's have it


class _DlInfo(ctypes.Structure):
    _fields_ = (
        ("dli_fname", ctypes.c_char_p),
        ("dli_fbase", ctypes.c_void_p),
        ("dli_sname", ctypes.c_char_p),
        ("dli_saddr", ctypes.c_void_p),
    )


@functools.cache
def select() -> ctypes.CDLL | None:
    """Put LLVM's libunwind in front of what wasmtime will load, if UNWINDER asks for it.

    Returns:
        the library, or None where there is none or none is asked for.

    Raises:
        ValueError: UNWINDER is no unwinder.
    """
    unwinder = os.environ.get("UNWINDER", "system")
    if unwinder not in ("system", "libunwind"):
        raise ValueError(f"UNWINDER={unwinder}: it is either system or libunwind")
    if unwinder == "libunwind" and sys.platform == "linux":
        for candidate in _candidates():
            try:
                if _owner(ctypes.CDLL(candidate), DETECT) is not None:
                    return ctypes.CDLL(candidate, mode=ctypes.RTLD_GLOBAL)
            except OSError:
                continue
    return None


def _candidates() -> Iterator[str]:
    named = os.environ.get("LIBUNWIND")
    if named:
        yield named
        return
    yield SONAME
    for folder in FOLDERS:
        yield from sorted(map(str, Path("/").glob(f"{folder[1:]}/{SONAME}")), reverse=True)


@functools.cache
def require() -> None:
    """Prove that the unwinder UNWINDER asks for is the one that is in effect.

    Raises:
        NotImplementedError: it cannot be had here, or this release does not look for it.
        RuntimeError: another one is in effect; or, with BENCHMARKS_STRICT=1, none is installed.
    """
    if os.environ.get("UNWINDER", "system") == "libunwind":
        _require_libunwind(select())
    elif sys.platform != "win32":  # its function tables have no rival
        _require_system("libunwind" if sys.platform == "darwin" else "libgcc_s")


def _require_libunwind(library: ctypes.CDLL | None) -> None:
    if sys.platform != "linux":
        raise NotImplementedError("UNWINDER=libunwind is for Linux")
    if library is None:
        absent = (
            f"no libunwind of LLVM's: {os.environ.get('LIBUNWIND') or SONAME} cannot be loaded or "
            f"lacks {DETECT}. Install it (Debian, Ubuntu: apt install libunwind-19; Fedora: "
            "dnf install llvm-libunwind) or name its file in LIBUNWIND"
        )
        if os.environ.get("BENCHMARKS_STRICT") == "1":
            raise RuntimeError(absent)
        raise NotImplementedError(absent)
    in_effect = _owner(ctypes.CDLL(None), REGISTER)
    if in_effect != _owner(library, DETECT):
        raise NotImplementedError(f"libunwind has no effect: {in_effect} was loaded before it")
    with _wasmtime_library().open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content.find(DETECT.encode()) < 0:
            raise NotImplementedError("this release does not look for libunwind (19.0.0 and later)")


def _require_system(unwinder: str) -> None:
    # the order in which the dynamic linker looks: what is loaded for all, then what wasmtime needs
    for scope in (ctypes.CDLL(None), ctypes.CDLL(str(_wasmtime_library()))):
        in_effect = _owner(scope, REGISTER)
        if in_effect is not None:
            break
    if in_effect is None or unwinder not in Path(in_effect).name:
        raise RuntimeError(
            f"UNWINDER=system, but wasmtime's unwinder is {in_effect}, not {unwinder}. "
            "Is another one preloaded (LD_PRELOAD)?"
        )


def _owner(scope: ctypes.CDLL, symbol: str) -> str | None:
    """The file that holds the symbol a lookup in `scope` finds, if any."""
    try:
        address = ctypes.cast(getattr(scope, symbol), ctypes.c_void_p)
    except AttributeError:
        return None
    info = _DlInfo()
    if not ctypes.CDLL(None).dladdr(address, ctypes.byref(info)):
        return None
    return os.fsdecode(info.dli_fname)


def _wasmtime_library() -> Path:
    package = find_spec("wasmtime")
    if package is None or package.origin is None:
        raise RuntimeError("wasmtime is not installed here")
    (library,) = Path(package.origin).parent.glob("*-*/_libwasmtime.*")
    return library
