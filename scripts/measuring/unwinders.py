"""Identify the unwinders of a host by file, package and build id.

Counts belong to the exact library: its update changes the counts of all releases, and must not look
like a change in one release.
"""

import ctypes
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from asv.console import log
from elftools.elf.elffile import ELFFile

from benchmarks._axis import BY_FUNCTION, LLVM
from scripts.base.schema import clean_text

LIBGCC, LIBUNWIND = "libgcc_s.so.1", "libunwind.so.1"  # nongnu's libunwind is libunwind.so.8
SECTIONS = ("__unw_add_dynamic_eh_frame_section", "__unw_remove_dynamic_eh_frame_section")
# Program -> (arguments that ask which package a file belongs to, pattern of the answer).
MANAGERS = {
    "dpkg-query": (["-S", "{file}"], r"^([^:]+):"),
    "rpm": (["-qf", "--qf", "%{NAME}-%{VERSION}", "{file}"], r"^(\S+)"),
    "apk": (["info", "--who-owns", "{file}"], r"owned by (\S+)"),
}


T = TypeVar("T")


def best_effort(task: str, function: Callable[[], T], default: T) -> T:
    """Return the result of `function`, or warn and return the default if it fails.

    No fact about a host may stop a measurement. `task` completes "Cannot …" in the warning.
    """
    try:
        return function()
    except Exception as error:  # noqa: BLE001 loaders and package managers may raise anything
        log.warning(f"Cannot {task} ({error!r}). The measurement continues.")
        return default


def collect_facts() -> dict[str, dict[str, str] | list[str]]:
    """Return file, package and build id of each unwinder; on a Mac, only the files."""
    if sys.platform == "darwin":
        return {"apple": list_apple_libraries()}
    if sys.platform != "linux":
        return {}
    # LIBUNWIND may name a library of the other kind, which must not pass for the usual one
    option = os.environ.get("UNWINDER")
    selected = option if option == BY_FUNCTION.option else LLVM.family
    names = {"libgcc": LIBGCC, selected: os.environ.get("LIBUNWIND") or LIBUNWIND}
    return {
        name: {
            "file": str(file),
            "package": package_name(file),
            "build_id": best_effort(
                f"read the build id of {file}", functools.partial(read_build_id, file), ""
            ),
        }
        for name, soname in names.items()
        if (file := find_library(soname))
    }


def find_library(name: str) -> Path | None:
    """Return the file that the dynamic linker loads under that name, if any."""
    try:
        handle = ctypes.CDLL(name)._handle
    except OSError:
        return None
    entry = ctypes.POINTER(ctypes.c_char_p)()  # the link_map, whose second field is the file name
    ctypes.CDLL(None).dlinfo(ctypes.c_void_p(handle), 2, ctypes.byref(entry))
    return Path(os.fsdecode(entry[1])).resolve()


def package_name(file: Path) -> str:
    """Return name and version of the package of a file, or an empty string if it is unknown."""
    changed = file.stat().st_mtime_ns if file.exists() else 0  # an update during a run is noticed
    return clean_text(find_package(file, changed))


@functools.cache
def find_package(file: Path, _changed: int) -> str:
    """Ask the package managers of this host for the package of a file."""
    for manager, (arguments, pattern) in MANAGERS.items():
        # where /lib is a link to /usr/lib, the package may list the file under either of them
        for path in (file, Path("/usr", *file.parts[1:]), Path("/", *file.parts[2:])):
            filled = [argument.replace("{file}", str(path)) for argument in arguments]
            owner = re.search(pattern, run_program(manager, filled))
            if owner is None:
                continue
            version = ""
            if manager == "dpkg-query":  # its first answer has no version
                version = run_program(manager, ["-W", "-f", " ${Version}\n", owner[1]])
            return owner[1] + version.split("\n")[0]
    return ""


def run_program(program: str, arguments: list[str]) -> str:
    """Return a program's output, or an empty string if it is missing, fails or takes too long."""
    try:
        process = subprocess.run(
            [program, *arguments],
            capture_output=True, encoding="utf-8", errors="replace", timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return process.stdout if process.returncode == 0 else ""


def read_build_id(file: Path) -> str:
    """Return the build id of a library, or an empty string if it has none."""
    with file.open("rb") as stream:
        section: Any = ELFFile(stream).get_section_by_name(".note.gnu.build-id")
        notes = list(section.iter_notes()) if section else []
    return str(notes[0]["n_desc"]) if notes else ""


def libgcc_major() -> str:
    """Return the major version of libgcc, or an empty string if it is unknown.

    libgcc keeps unwind tables in a tree from version 13 on, and in a list before.
    """
    file = find_library(LIBGCC)
    version = re.search(r"[ -](\d+)\.\d", package_name(file)) if file else None
    return version[1] if version else ""


def list_apple_libraries() -> list[str]:
    """Return the paths of libraries in this process that have `unwind` in their name, on a Mac."""
    loader = ctypes.CDLL(None)
    loader._dyld_get_image_name.restype = ctypes.c_char_p
    names = (loader._dyld_get_image_name(index) for index in range(loader._dyld_image_count()))
    return [os.fsdecode(name) for name in names if b"unwind" in (name or b"")]


def can_register_sections() -> bool:
    """Return whether the unwinder of a Mac can register a whole section at once.

    wasmtime 50.0.0 and later looks for both functions at run time. Without them it registers
    function by function, as before (bytecodealliance/wasmtime#14304).
    """
    return all(hasattr(ctypes.CDLL(None), name) for name in SECTIONS)
