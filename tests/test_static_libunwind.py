"""Programs that link LLVM libunwind statically, such as Rust programs for musl.

In such a program `dlsym` finds nothing, and up to 25.0.0 wasmtime looks for libunwind that way. A
preloaded library that hides libunwind from `dlsym` shows what follows, in a dynamic program.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.cost.advice import registers_nothing
from scripts.cost.platforms import Platform

from .conftest import DEADLINE, ROOT, environment, skip_missing

MODULES = 20
# The suite's own processes start without LD_PRELOAD, so this is a program of its own.
PROGRAM = f"""
import ctypes, os, sys
from wasmtime import Engine, Module

shim = ctypes.CDLL(os.environ["SHIM"])
names = ("frames", "sections")
engine = Engine()
image = Module(engine, open(sys.argv[1], "rb").read()).serialize()
before = [ctypes.c_int.in_dll(shim, name).value for name in names]
os.write(2, b"loading\\n")
modules = [Module.deserialize(engine, image) for _ in range({MODULES})]
os.write(2, b"loaded\\n")
after = [ctypes.c_int.in_dll(shim, name).value for name in names]
print(*(new - old for new, old in zip(after, before)), flush=True)
os._exit(0)
"""
# Hides libunwind from dlsym if HIDE is set, and counts registrations. libunwind follows it in
# LD_PRELOAD, so RTLD_NEXT finds its functions.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int frames, sections;

static void *find(void *handle, const char *name) {
  static void *(*real)(void *, const char *);
  /* of glibc 2.34 and later; older ones on x86-64 and arm64 */
  const char *versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
  for (int i = 0; !real && i < 3; i++)
    real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", versions[i]);
  return real(handle, name);
}

void *dlsym(void *handle, const char *name) {
  if (getenv("HIDE") && !strncmp(name, "__unw_", 6))
    return NULL;
  return find(handle, name);
}

void __register_frame(const void *entry) {
  frames++;
  ((void (*)(const void *))find(RTLD_NEXT, "__register_frame"))(entry);
}

void __unw_add_dynamic_eh_frame_section(uintptr_t section) {
  sections++;
  ((void (*)(uintptr_t))find(RTLD_NEXT, "__unw_add_dynamic_eh_frame_section"))(section);
}
"""


class Registered(NamedTuple):
    """Registrations of one module, and libunwind's warnings about it.

    Attributes:
        calls: calls of `__register_frame`, which takes one FDE, or a whole section if wasmtime
            assumes libgcc.
        sections: calls of `__unw_add_dynamic_eh_frame_section`.
        warnings: calls that libunwind refused, with a warning that the FDE is really a CIE.
    """

    calls: int
    sections: int
    warnings: int


NOTHING = Registered(1, 0, 1)  # a section, which libunwind refuses


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the library to preload."""
    compiler = shutil.which("cc") or shutil.which("clang-19")
    if compiler is None:
        skip_missing("there is no C compiler (Debian: gcc)")
    folder = tmp_path_factory.mktemp("shim")
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    subprocess.run(
        [str(compiler), "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source, "-ldl"],
        check=True, timeout=DEADLINE,
    )  # fmt: skip
    return library


def register(release: Path, shim: Path, libunwind: str, **variables: str) -> Registered:
    """Load modules of eight functions with a release; return what one module registers."""
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, ROOT / "fixtures/functions-8.wasm"],
        env={
            **environment(), "PYTHONPATH": str(release), "SHIM": str(shim),
            "LD_PRELOAD": f"{shim}{os.pathsep}{libunwind}", **variables,
        },
        capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    loading = process.stderr.partition("loading\n")[2].partition("loaded\n")[0]
    totals = [*map(int, process.stdout.split()), loading.count("FDE is really a CIE")]
    assert all(total % MODULES == 0 for total in totals)
    return Registered(*(total // MODULES for total in totals))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "dynamic", "static"),
    [
        ("19.0.0", Registered(25, 0, 0), NOTHING),
        ("21.0.0", Registered(25, 0, 0), NOTHING),
        ("25.0.0", Registered(17, 0, 0), NOTHING),
        # from 27.0.0 on a weak symbol finds libunwind (bytecodealliance/wasmtime#9479)
        ("27.0.1", Registered(17, 0, 0), Registered(17, 0, 0)),
        ("49.0.0", Registered(17, 0, 0), Registered(17, 0, 0)),
        ("50.0.1", Registered(0, 1, 0), Registered(0, 1, 0)),
    ],
)
def test_static_libunwind_is_used_from_27_0_0_on(
    version: str,
    dynamic: Registered,
    static: Registered,
    install: Callable[[str], Path],
    shim: Path,
    libunwind: str,
) -> None:
    release = install(version)
    assert register(release, shim, libunwind) == dynamic
    assert register(release, shim, libunwind, HIDE="1") == static
    is_nothing = registers_nothing(Platform.STATIC_LIBUNWIND, version)
    assert is_nothing == (static.warnings == static.calls > 0), "the advice says otherwise"
