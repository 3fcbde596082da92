"""The builds to measure: pinned releases, kept in the cache, and copies of others."""

import hashlib
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asv.util import UserError
from packaging.tags import platform_tags

from scripts.base.files import replace_atomically
from scripts.base.names import check_known_name
from scripts.releases import pins
from scripts.releases.pins import Release

HELPERS = Path("fixtures/helper-requirements.txt")
NEWEST = "newest"  # stands for the newest pinned release with a wheel for this platform
SYSTEMS = {b"\x7fE": "linux", b"MZ": "win32", b"\xcf\xfa": "darwin"}  # by a library's first bytes
MACHINES = {b"\x3e\0": "x86_64", b"\xb7\0": "aarch64"}  # in the header of ELF
MISSING_SYMBOL = re.compile(r"(?:undefined symbol: |dlsym\(\w+, |function ')(\w+)")
# Symbols that a library looks up, and the first release that does: it tells how a library that is
# not a release registers.
SYMBOLS = {b"__unw_add_dynamic_eh_frame_section": "50.0.0", b"__unw_add_dynamic_fde": "19.0.0"}
OLDEST = "13.0.0"
PACKAGE = """from importlib import metadata, util
print(metadata.version('wasmtime'), util.find_spec('wasmtime').origin)"""
_run = partial(subprocess.run, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Build:
    """A wasmtime to measure.

    Attributes:
        name: how the report calls it.
        path: the PYTHONPATH on which it is imported.
        release: the release it registers like: its own, if it is one.
    """

    name: str
    path: str
    release: str


def cache_folder() -> Path:
    """Return the folder that keeps installed releases."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wasmtime-teardown")


def choose_builds(options: Namespace, scratch: Path) -> list[Build]:
    """Return the builds that are asked for, else the newest release; first the one of --against.

    Raises:
        UserError: a release is not pinned, a build cannot be used, or --against has nothing to
            compare.
    """
    pinned = {release.version: release for release in pins.load_pins()}
    newest = pins.find_newest_with_wheel(list(pinned.values()), list(platform_tags())).version

    def require_pin(name: str) -> Release:
        check_known_name(name, [*pinned, NEWEST], "pinned release")
        return pinned[newest if name == NEWEST else name]

    against = [require_pin(options.against)] if options.against else []
    named = [*map(require_pin, options.release)]
    bindings = require_pin(options.bindings or NEWEST)
    own = []
    if options.python is not None:
        own.append(copy_installed(options.python, pinned[newest], scratch / "python"))
    if options.library:
        own.append(copy_library(options.library, bindings, scratch / "library"))
    if not named and not own:
        named = [pinned[newest]]
    releases = {release.version: release for release in (*against, *named)}
    if against and len(releases) + len(own) == 1:
        raise UserError(f"--against {against[0].version} needs a second build to compare.")
    return [*map(install_release, releases.values()), *own]


def install_release(release: Release) -> Build:
    """Return a pinned release, installed by hash on first use.

    Raises:
        UserError: it cannot be installed, or its folder in XDG_CACHE_HOME cannot be written.
    """
    content = release.requirements + HELPERS.read_text("utf-8") + sys.version
    cache = cache_folder()
    folder = cache / f"{release.version}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if folder.exists():
        return Build(release.version, str(folder), release.version)
    print(f"Installing wasmtime {release.version}", file=sys.stderr)
    command = (
        os.environ.get("UV") or "uv", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
        "--only-binary=:all:", "--python", sys.executable, "-r", HELPERS, "-r", "-", "--target",
    )  # fmt: skip
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with replace_atomically(folder) as new:
            answer = _run([*command, new], input=release.requirements)
            if answer.returncode != 0:
                reason = f"({' '.join(answer.stderr.split())[-300:]}). Is the package index there?"
                raise UserError(f"wasmtime {release.version} cannot be installed {reason}")
    except OSError as error:
        if not folder.is_dir():  # or another probe was faster
            message = f"{cache} cannot be written, or uv is missing: {error}. Set XDG_CACHE_HOME."
            raise UserError(message) from error
    return Build(release.version, str(folder), release.version)


def copy_installed(python: str, release: Release, folder: Path) -> Build:
    """Return a copy of the wasmtime that a Python has installed.

    Raises:
        UserError: the Python cannot be started, or has no wasmtime that can be imported.
    """
    try:
        answer = _run([python, "-c", PACKAGE])
    except OSError as error:
        raise UserError(f"--python {python} cannot be started: {error.strerror}.") from error
    if answer.returncode != 0:
        raise UserError(f"--python {python} has no wasmtime installed.")
    version, origin = answer.stdout.strip().split(" ", 1)
    package = Path(origin).parent
    path = _copy(package, release, folder)
    library = next(package.glob("*-*/_*wasmtime.*"), None)
    return Build(f"{version} of --python", path, registers_like(library))


def copy_library(library: Path, bindings: Release, folder: Path) -> Build:
    """Return a library with the bindings of a release.

    Raises:
        UserError: there is no such file, it is not a library or one for another platform, or it
            does not fit the bindings.
    """
    try:
        content = library.read_bytes() if not library.is_fifo() else b""
    except OSError as error:
        raise UserError(f"Cannot read {library}: {error.strerror}.") from error
    system = SYSTEMS.get(content[:2])
    machine = platform.machine() if system != "linux" else MACHINES.get(content[18:20], "unknown")
    if system is None:
        raise UserError(f"{library} is not a shared library.")
    theirs, here = f"{system}, {machine}", f"{sys.platform}, {platform.machine()}"
    if theirs != here:
        raise UserError(f"{library} is a library for {theirs}; this is {here}.")
    name = f"{library.name} {hashlib.sha256(content).hexdigest()[:8]}"
    return Build(name, _copy(library, bindings, folder), registers_like(library))


def registers_like(library: Path | None) -> str:
    """Return the oldest release that registers as a library does, by the symbols it looks up."""
    if library is None or not library.stat().st_size:
        return OLDEST
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_:
        return next(
            (since for symbol, since in SYMBOLS.items() if bytes_.find(symbol) >= 0), OLDEST
        )


def _copy(own: Path, release: Release, folder: Path) -> str:
    """Return the PYTHONPATH of a copy: of a package, or of a release's with a library in it.

    A process of its own imports it first, because the bindings look up every symbol then, and a
    damaged library may crash.
    """
    beside = install_release(release).path
    try:
        shutil.copytree(own if own.is_dir() else Path(beside, "wasmtime"), folder / "wasmtime")
        if own.is_file():
            shutil.copyfile(own, next(folder.glob("wasmtime/*-*/_*wasmtime.*")))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}. Set TMPDIR.") from error
    path = f"{folder}{os.pathsep}{beside}"
    answer = _run([sys.executable, "-c", "import wasmtime"], env=os.environ | {"PYTHONPATH": path})
    died = f"Python ended with {answer.returncode}. Is it cut short?"
    last = [died, *answer.stderr.strip().splitlines()][-1]
    if missing := MISSING_SYMBOL.search(last):
        raise UserError(
            f"{own} has no {missing[1]}: its C API does not fit the bindings of {release.version}. "
            "Choose others with --bindings RELEASE."
        )
    if answer.returncode != 0:
        raise UserError(f"{own} cannot be loaded: {last}")
    return path
