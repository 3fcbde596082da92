"""What is measured: pinned releases, kept in the cache, and copies of what is not pinned."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from asv.util import UserError

from scripts.base.files import replacing
from scripts.releases.pins import Release

HELPERS = Path("fixtures/helper-requirements.txt")
SYSTEMS = {b"\x7fE": "linux", b"MZ": "win32", b"\xcf\xfa": "darwin"}  # by a library's first bytes
MACHINES = {b"\x3e\0": "x86_64", b"\xb7\0": "aarch64"}  # in the header of ELF
LACKS = re.compile(r"(?:undefined symbol: |dlsym\(\w+, |function ')(\w+)")
PACKAGE = """from importlib import metadata, util
print(metadata.version('wasmtime'), util.find_spec('wasmtime').origin)"""
Build = tuple[str, str]  # its name, and the PYTHONPATH on which it is found
_run = partial(subprocess.run, capture_output=True, text=True, check=False)


def released(release: Release) -> Build:
    """A pinned release, installed by hash on first use, with uv, which has started this.

    Raises:
        UserError: it cannot be installed, or its folder in XDG_CACHE_HOME cannot be written.
    """
    content = release.requirements + HELPERS.read_text("utf-8") + sys.version
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wasmtime-teardown")
    folder = cache / f"{release.version}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if folder.exists():
        return release.version, str(folder)
    print(f"installing wasmtime {release.version}", file=sys.stderr)
    command = (
        os.environ.get("UV") or "uv", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
        "--only-binary=:all:", "--python", sys.executable, "-r", HELPERS, "-r", "-", "--target",
    )  # fmt: skip
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as new:
            answer = _run([*command, new], input=release.requirements)
            if answer.returncode != 0:
                reason = f"({' '.join(answer.stderr.split())[-300:]}). Is the package index there?"
                raise UserError(f"wasmtime {release.version} cannot be installed {reason}")
    except OSError as error:
        if not folder.is_dir():  # or another probe was faster
            said = f"{cache} cannot be written, or uv is missing: {error}. Set XDG_CACHE_HOME."
            raise UserError(said) from error
    return release.version, str(folder)


def installed(python: str, release: Release, folder: Path) -> Build:
    """What a Python really has installed.

    Raises:
        UserError: it cannot be started, or has no wasmtime that can be imported.
    """
    try:
        answer = _run([python, "-c", PACKAGE])
    except OSError as error:
        raise UserError(f"--python {python} cannot be started: {error.strerror}.") from error
    if answer.returncode != 0:
        raise UserError(f"--python {python} has no wasmtime installed.")
    version, package = answer.stdout.strip().split(" ", 1)
    return f"{version} of --python", _copy(Path(package).parent, release, folder)


def with_library(library: Path, bindings: Release, folder: Path) -> Build:
    """A library with the bindings of a release.

    Raises:
        UserError: there is no such file, it is no library, one of another platform, or unfit.
    """
    try:
        content = library.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {library}: {error.strerror}.") from error
    system = SYSTEMS.get(content[:2])
    machine = platform.machine() if system != "linux" else MACHINES.get(content[18:20], "unknown")
    if system is None:
        raise UserError(f"{library} is no shared library.")
    theirs, here = f"{system}, {machine}", f"{sys.platform}, {platform.machine()}"
    if theirs != here:
        raise UserError(f"{library} is a library for {theirs}; this is {here}.")
    name = f"{library.name} {hashlib.sha256(content).hexdigest()[:8]}"
    return name, _copy(library, bindings, folder)


def _copy(own: Path, release: Release, folder: Path) -> str:
    """The PYTHONPATH of a copy: of a package, or of a release's with a library in it.

    It is imported in a process that may die of it: the bindings look for every symbol then.
    """
    version, beside = released(release)
    try:
        shutil.copytree(own if own.is_dir() else Path(beside, "wasmtime"), folder / "wasmtime")
        if own.is_file():
            shutil.copyfile(own, next(folder.glob("wasmtime/*-*/_*wasmtime.*")))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}. Set TMPDIR.") from error
    path = f"{folder}{os.pathsep}{beside}"
    answer = _run([sys.executable, "-c", "import wasmtime"], env=os.environ | {"PYTHONPATH": path})
    died = f"Python ended with {answer.returncode}. Is it cut short?"
    said = [died, *answer.stderr.strip().splitlines()][-1]
    if lacks := LACKS.search(said):
        why = f"its C API does not fit the bindings of {version}. --bindings takes others"
        raise UserError(f"{own} has no {lacks[1]}: {why}.")
    if answer.returncode != 0:
        raise UserError(f"{own} cannot be loaded: {said}")
    return path
