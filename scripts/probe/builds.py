"""What is measured: pinned releases, each in a folder of the cache, and what is not pinned.

The cache is in XDG_CACHE_HOME; a folder is named after the hash of what it holds.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from asv.util import UserError

from scripts.releases.pins import Release

ROOT = Path(__file__).resolve().parent.parent.parent
HELPERS = ROOT / "fixtures/helper-requirements.txt"
SYSTEMS = {b"\x7fELF": "linux", b"MZ": "win32", b"\xcf\xfa\xed\xfe": "darwin"}  # a library's start
MACHINES = {b"\x3e\0": "x86_64", b"\xb7\0": "aarch64"}  # in the header of ELF
LACKS = re.compile(r"(?:undefined symbol: |dlsym\(\w+, |function ')(\w+)")
PACKAGE = "from importlib import metadata as m, util as u; " + (
    "print(m.version('wasmtime'), u.find_spec('wasmtime').origin)"
)


class Build(NamedTuple):
    """A release, or a package that some Python has, or a library with a release's bindings."""

    name: str
    release: Release
    package: Path | None = None
    library: Path | None = None


def with_library(library: Path, bindings: Release) -> Build:
    """A library with the bindings of a release.

    Raises:
        UserError: there is no such file, it is no library, or one of another platform.
    """
    try:
        content = library.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {library}: {error.strerror}.") from error
    system = next((SYSTEMS[start] for start in SYSTEMS if content.startswith(start)), "")
    machine = platform.machine() if system != "linux" else MACHINES.get(content[18:20], "unknown")
    if not system:
        raise UserError(f"{library} is no shared library.")
    if (system, machine) != (sys.platform, platform.machine()):
        here = f"this is {sys.platform}, {platform.machine()}"
        raise UserError(f"{library} is a library for {system}, {machine}; {here}.")
    name = f"{library.name} {hashlib.sha256(content).hexdigest()[:8]}"
    return Build(name, bindings, library=library)


def installed(python: str, release: Release) -> Build:
    """What a Python really has installed; the release's folder has what the suite needs beside it.

    Raises:
        UserError: it cannot be started, or has no wasmtime.
    """
    try:
        answer = _run([python, "-c", PACKAGE])
    except OSError as error:
        raise UserError(f"--python {python} cannot be started: {error.strerror}.") from error
    if answer.returncode != 0:
        raise UserError(f"--python {python} has no wasmtime installed.")
    version, package = answer.stdout.strip().split(" ", 1)
    return Build(f"{version} of --python", release, package=Path(package).parent)


def prepare(build: Build) -> str:
    """The PYTHONPATH of a build, whose folder is made on first use.

    Raises:
        UserError: it cannot be made, or the library does not fit.
    """
    version, needs = build.release.version, build.release.requirements + HELPERS.read_text("utf-8")
    released = _folder(version, needs + sys.version, lambda new: _install(build.release, new))
    if build.package is None and build.library is None:
        return str(released)
    package = build.package or released / "wasmtime"
    theirs = next(package.glob("*-*/_*wasmtime.*"))
    library = build.library or theirs

    def fill(new: Path) -> None:
        ignored = shutil.ignore_patterns("__pycache__", theirs.name)
        shutil.copytree(package, new / "wasmtime", ignore=ignored)
        shutil.copyfile(library, new / "wasmtime" / theirs.relative_to(package))
        _check(library, version, f"{new}{os.pathsep}{released}")

    digests = [hashlib.sha256(one.read_bytes()).hexdigest()
               for one in (library, *sorted(package.rglob("*.py")))]  # fmt: skip
    return f"{_folder('own', ' '.join(digests), fill)}{os.pathsep}{released}"


def _folder(name: str, content: str, fill: Callable[[Path], None]) -> Path:
    """The folder in the cache of what has that content; only a full one takes its place."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    cache = Path(base or Path.home() / ".cache") / "wasmtime-teardown"
    folder = cache / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if not folder.exists():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                fill(Path(scratch, "new"))
                Path(scratch, "new").rename(folder)
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error}. Set XDG_CACHE_HOME.") from error
    return folder


def _install(release: Release, folder: Path) -> None:
    """Install a release by hash, with uv, which has started this."""
    print(f"installing wasmtime {release.version}", file=sys.stderr)
    requirements = folder.with_name("requirements.txt")
    requirements.write_text(release.requirements, encoding="utf-8")
    command = (
        os.environ.get("UV") or "uv", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
        "--only-binary=:all:", "--python", sys.executable, "--target", folder,
    )  # fmt: skip
    answer = _run([*command, "-r", requirements, "-r", HELPERS])
    if answer.returncode != 0:
        reason = " ".join(answer.stderr.split())[-300:] or "no reason is given"
        said = f"wasmtime {release.version} cannot be installed ({reason})."
        raise UserError(f"{said} Is the package index there?")


def _check(library: Path, bindings: str, path: str) -> None:
    """Import it, in a process that may die of it: the bindings look for every symbol then."""
    answer = _run([sys.executable, "-c", "import wasmtime"], PYTHONPATH=path)
    said = "".join(answer.stderr.strip().splitlines()[-1:])
    if lacks := LACKS.search(said):
        why = f"its C API does not fit the bindings of {bindings}. --bindings takes others"
        raise UserError(f"{library} has no {lacks[1]}: {why}.")
    if answer.returncode != 0:
        died = f"Python ended with {answer.returncode}. Is it cut short?"
        raise UserError(f"{library} cannot be loaded: {said or died}")


def _run(command: list[str | Path], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
