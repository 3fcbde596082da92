"""The builds to measure: cached pinned releases, and copies of installed packages and libraries."""

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
SYSTEMS_BY_MAGIC = {b"\x7fE": "linux", b"MZ": "win32", b"\xcf\xfa": "darwin"}
ELF_MACHINES = {b"\x3e\0": "x86_64", b"\xb7\0": "aarch64"}  # e_machine in the ELF header
MISSING_SYMBOL = re.compile(r"(?:undefined symbol: |dlsym\(\w+, |function ')(\w+)")
# Symbols that wasmtime looks up in libunwind, and the first release that does. They show how a
# library that is not a release registers its unwind tables.
SYMBOL_SINCE = {b"__unw_add_dynamic_eh_frame_section": "50.0.0", b"__unw_add_dynamic_fde": "19.0.0"}
OLDEST_RELEASE = "13.0.0"
PRINT_INSTALLED = """from importlib import metadata, util
print(metadata.version('wasmtime'), util.find_spec('wasmtime').origin)"""
_run = partial(subprocess.run, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class WasmtimeBuild:
    """A wasmtime to measure.

    Attributes:
        name: its name in the report.
        path: the PYTHONPATH to import it with.
        release: the release that registers unwind tables in the same way; a release names itself.
    """

    name: str
    path: str
    release: str

    @property
    def is_release(self) -> bool:
        """Whether it is a pinned release, and not a package or library of the user."""
        return self.name == self.release

    @property
    def has_components(self) -> bool:
        """Whether its Python package can compile components: releases from 39.0.0 on."""
        package = Path(self.path.split(os.pathsep)[0], "wasmtime")
        return (package / "component").is_dir()


def cache_folder() -> Path:
    """Return the folder that keeps installed releases.

    Raises:
        UserError: the user has no home folder.
    """
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:  # neither HOME nor an entry in the password database
        raise UserError(
            "This user has no home folder, so there is no place for the releases that the probe "
            "installs. Set XDG_CACHE_HOME to a folder that is writable."
        ) from error
    return Path(cache, "wasmtime-teardown")


def check_releases(options: Namespace) -> None:
    """Check the names of releases among the options, before anything takes time.

    Raises:
        UserError: a release is not pinned.
    """
    known = [*(release.version for release in pins.load_pins()), NEWEST]
    for name in (options.against, options.bindings, *options.release):
        check_known_name(name or None, known, "pinned release")


def choose_builds(options: Namespace, scratch: Path) -> list[WasmtimeBuild]:
    """Return the requested builds, or the newest release; the build of --against comes first.

    Raises:
        UserError: a release is not pinned, a build cannot be used, or --against has no second
            build to compare.
    """
    pinned = {release.version: release for release in pins.load_pins()}
    newest = pins.find_newest_with_wheel(list(pinned.values()), list(platform_tags())).version

    def require_pin(name: str) -> Release:
        check_known_name(name, [*pinned, NEWEST], "pinned release")
        return pinned[newest if name == NEWEST else name]

    against = [require_pin(options.against)] if options.against else []
    requested = [*map(require_pin, options.release)]
    bindings = require_pin(options.bindings or NEWEST)
    unpinned = []
    if options.python is not None:
        unpinned.append(copy_installed(options.python, pinned[newest], scratch / "python"))
    if options.library:
        unpinned.append(copy_library(options.library, bindings, scratch / "library"))
    if not requested and not unpinned:
        requested = [pinned[newest]]
    releases = {release.version: release for release in (*against, *requested)}
    if against and len(releases) + len(unpinned) == 1:
        raise UserError(f"--against {against[0].version} needs a second build to compare.")
    return [*map(install_release, releases.values()), *unpinned]


def install_release(release: Release) -> WasmtimeBuild:
    """Return a pinned release from the cache; install it by hash on first use.

    Raises:
        UserError: the release cannot be installed, or the cache folder cannot be written.
    """
    content = release.requirements + HELPERS.read_text("utf-8") + sys.version
    cache = cache_folder()
    folder = cache / f"{release.version}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if folder.exists():
        return WasmtimeBuild(release.version, str(folder), release.version)
    print(f"Installing wasmtime {release.version}", file=sys.stderr)
    command = (
        os.environ.get("UV") or "uv", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
        "--only-binary=:all:", "--python", sys.executable, "-r", HELPERS, "-r", "-", "--target",
    )  # fmt: skip
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with replace_atomically(folder) as new:
            completed = _run([*command, new], input=release.requirements)
            if completed.returncode != 0:
                reason = " ".join(completed.stderr.split())[-300:]
                raise UserError(
                    f"wasmtime {release.version} cannot be installed ({reason}). "
                    "Is the package index reachable?"
                )
    except OSError as error:
        if not folder.is_dir():  # otherwise another probe has just installed it
            raise UserError(
                f"{cache} cannot be written, or uv is not installed: {error}. "
                "Set XDG_CACHE_HOME, or install uv."
            ) from error
    return WasmtimeBuild(release.version, str(folder), release.version)


def copy_installed(python: str, release: Release, folder: Path) -> WasmtimeBuild:
    """Return a copy of the wasmtime package that a Python has installed.

    Raises:
        UserError: the Python cannot be started, or has no wasmtime package that can be imported.
    """
    try:
        completed = _run([python, "-c", PRINT_INSTALLED])
    except OSError as error:
        raise UserError(f"--python {python} cannot be started: {error.strerror}.") from error
    if completed.returncode != 0:
        raise UserError(f"--python {python} has no wasmtime installed.")
    version, _, origin = completed.stdout.strip().partition(" ")
    package = Path(origin).parent
    if not origin or not package.is_dir():
        raise UserError(f"--python {python} is not a Python: it did not print where wasmtime is.")
    path = _copy_to_import(package, release, folder)
    library = next(package.glob("*-*/_*wasmtime.*"), None)
    return WasmtimeBuild(f"{version} of --python", path, find_equivalent_release(library))


def copy_library(library: Path, bindings: Release, folder: Path) -> WasmtimeBuild:
    """Return a build of a library and the Python bindings of a release.

    Raises:
        UserError: the file cannot be read, is not a library for this platform, or does not fit the
            bindings.
    """
    try:
        content = library.read_bytes() if not library.is_fifo() else b""
    except OSError as error:
        raise UserError(f"Cannot read {library}: {error.strerror}.") from error
    system = SYSTEMS_BY_MAGIC.get(content[:2])
    if system is None:
        raise UserError(f"{library} is not a shared library.")
    is_elf = system == "linux"
    machine = ELF_MACHINES.get(content[18:20], "unknown") if is_elf else platform.machine()
    target, host = f"{system}, {machine}", f"{sys.platform}, {platform.machine()}"
    if target != host:
        raise UserError(f"{library} is a library for {target}; this machine is {host}.")
    name = f"{library.name} {hashlib.sha256(content).hexdigest()[:8]}"
    return WasmtimeBuild(
        name, _copy_to_import(library, bindings, folder), find_equivalent_release(library)
    )


def find_equivalent_release(library: Path | None) -> str:
    """Return the oldest release that registers unwind tables as a library does, by its symbols."""
    if library is None or not library.stat().st_size:
        return OLDEST_RELEASE
    with (
        library.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        for symbol, release in SYMBOL_SINCE.items():
            if content.find(symbol) >= 0:
                return release
    return OLDEST_RELEASE


def _copy_to_import(source: Path, release: Release, folder: Path) -> str:
    """Copy a package, or a release's package with another library in it; return its PYTHONPATH.

    A separate process imports the copy first: on import the bindings look up every symbol, and a
    damaged library may crash the process.

    Args:
        source: the folder of a package, or a library.
        release: the release whose bindings load the library, and whose other packages are used.
        folder: where the copy is created.

    Raises:
        UserError: the folder cannot be written, or the copy cannot be imported.
    """
    installed = install_release(release).path
    try:
        package = source if source.is_dir() else Path(installed, "wasmtime")
        shutil.copytree(package, folder / "wasmtime")
        if source.is_file():
            shutil.copyfile(source, next(folder.glob("wasmtime/*-*/_*wasmtime.*")))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error}. Set TMPDIR.") from error
    path = f"{folder}{os.pathsep}{installed}"
    completed = _run(
        [sys.executable, "-c", "import wasmtime"], env=os.environ | {"PYTHONPATH": path}
    )
    silent = f"Python ended with exit code {completed.returncode}. Is the file truncated?"
    reason = [silent, *completed.stderr.strip().splitlines()][-1]
    if missing := MISSING_SYMBOL.search(reason):
        raise UserError(
            f"{source} has no {missing[1]}: its C API does not fit the bindings of "
            f"{release.version}. Choose other bindings with --bindings RELEASE."
        )
    if completed.returncode != 0:
        raise UserError(f"{source} cannot be loaded: {reason}")
    return path
