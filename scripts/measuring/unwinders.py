"""Which unwinders a host has: the very files, because their counts are theirs.

An update of a library moves the counts of all releases at once, and must not look like a change of
one of them.
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

LIBGCC, LIBUNWIND = "libgcc_s.so.1", "libunwind.so.1"  # nongnu's libunwind is libunwind.so.8
SECTIONS = ("__unw_add_dynamic_eh_frame_section", "__unw_remove_dynamic_eh_frame_section")
# asks which package a file is of, and how the answer is read
MANAGERS = {
    "dpkg-query": (["-S", "{file}"], r"^([^:]+):"),
    "rpm": (["-qf", "--qf", "%{NAME}-%{VERSION}", "{file}"], r"^(\S+)"),
    "apk": (["info", "--who-owns", "{file}"], r"owned by (\S+)"),
}


T = TypeVar("T")


def best_effort(what: str, find: Callable[[], T], default: T) -> T:
    """Return a fact about this host, or the default: no fact is worth a measurement."""
    try:
        return find()
    except Exception as error:  # noqa: BLE001 loaders and package managers fail in any way
        log.warning(f"{what} cannot be told ({error!r}). The measurement goes on.")
        return default


def collect_facts() -> dict[str, dict[str, str] | list[str]]:
    """File, package and build id of each unwinder; on a Mac the names that the system gives."""
    if sys.platform == "darwin":
        return {"apple": apple_libraries()}
    if sys.platform != "linux":
        return {}
    names = {"libgcc": LIBGCC, "libunwind": os.environ.get("LIBUNWIND") or LIBUNWIND}
    return {
        name: {
            "file": str(file),
            "package": package_name(file),
            "build_id": best_effort(
                f"The build id of {file}", functools.partial(build_id, file), ""
            ),
        }
        for name, known_as in names.items()
        if (file := find_library(known_as))
    }


def find_library(name: str) -> Path | None:
    """The file that the dynamic linker loads under that name."""
    try:
        handle = ctypes.CDLL(name)._handle
    except OSError:
        return None
    entry = ctypes.POINTER(ctypes.c_char_p)()  # its link_map, in which the name comes second
    ctypes.CDLL(None).dlinfo(ctypes.c_void_p(handle), 2, ctypes.byref(entry))
    return Path(os.fsdecode(entry[1])).resolve()


def package_name(file: Path) -> str:
    """Return name and version of the package of a file, or nothing where no manager tells."""
    changed = file.stat().st_mtime_ns if file.exists() else 0  # an update may come during a run
    return find_package(file, changed)


@functools.cache
def find_package(file: Path, _changed: int) -> str:
    """Ask the package managers of this host."""
    for manager, (arguments, pattern) in MANAGERS.items():
        # a library may be known under a folder that is a link to its own, or the other way round
        for path in (file, Path("/usr", *file.parts[1:]), Path("/", *file.parts[2:])):
            filled = [argument.replace("{file}", str(path)) for argument in arguments]
            answer = _run(manager, filled)
            if owner := re.search(pattern, answer):
                of_dpkg = manager == "dpkg-query"  # which tells no version so
                version = _run(manager, ["-W", "-f", " ${Version}\n", owner[1]]) if of_dpkg else ""
                return owner[1] + version.split("\n")[0]
    return ""


def _run(program: str, arguments: list[str]) -> str:
    """Return what a program prints, or nothing if it is missing, fails or takes too long."""
    try:
        answer = subprocess.run(
            [program, *arguments],
            capture_output=True, encoding="utf-8", errors="replace", timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def build_id(file: Path) -> str:
    """What the linker has named a library by its content."""
    with file.open("rb") as stream:
        section: Any = ELFFile(stream).get_section_by_name(".note.gnu.build-id")
        notes = list(section.iter_notes()) if section else []
    return str(notes[0]["n_desc"]) if notes else ""


def libgcc_major() -> str:
    """The major version of libgcc: from 13 on unwind tables are in a tree, before in a list."""
    file = find_library(LIBGCC)
    version = re.search(r"[ -](\d+)\.\d", package_name(file)) if file else None
    return version[1] if version else ""


def apple_libraries() -> list[str]:
    """The libraries of this process that are named after unwinding, on a Mac."""
    loader = ctypes.CDLL(None)
    loader._dyld_get_image_name.restype = ctypes.c_char_p
    names = (loader._dyld_get_image_name(index) for index in range(loader._dyld_image_count()))
    return [os.fsdecode(name) for name in names if b"unwind" in (name or b"")]


def has_sections() -> bool:
    """Whether the unwinder of a Mac can register a section at a time.

    wasmtime 50.0.0 and later looks for both names at run time, and otherwise registers function by
    function as before (bytecodealliance/wasmtime#14304).
    """
    return all(hasattr(ctypes.CDLL(None), name) for name in SECTIONS)
