"""One environment per release, kept in the cache folder (`XDG_CACHE_HOME`)."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import virtualenv
from asv.util import UserError

from scripts.releases.pins import Release

ROOT = Path(__file__).resolve().parent.parent.parent
HELPERS = ROOT / "fixtures/helper-requirements.txt"
PROGRAM = Path("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
BY_HASH = ("--quiet", "--require-hashes", "--only-binary=:all:")  # in pip's words and in uv's


def cache_folder() -> Path:
    """Where environments are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(base or Path.home() / ".cache") / "wasmtime-teardown"


def python_of(release: Release, say: Callable[[str], None]) -> Path:
    """The Python of an environment that holds the release, made on first use.

    Raises:
        UserError: it cannot be made.
    """
    helpers = HELPERS.read_text(encoding="utf-8")
    key = hashlib.sha256((release.requirements + helpers + sys.version).encode()).hexdigest()[:8]
    folder = cache_folder() / f"{release.version}-{key}"
    if not folder.exists():
        say(f"installing wasmtime {release.version}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _install(release, Path(scratch, "new"))
                Path(scratch, "new").rename(folder)
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error}. Set XDG_CACHE_HOME.") from error
    return folder / PROGRAM


def _install(release: Release, folder: Path) -> None:
    """Make an environment with uv and its cache, or with virtualenv and pip where uv is not."""
    requirements = folder.with_name("requirements.txt")
    requirements.write_text(release.requirements, encoding="utf-8")
    python, uv = folder / PROGRAM, os.environ.get("UV") or shutil.which("uv")
    commands: list[list[str | Path]]
    if uv:
        commands = [
            [uv, "venv", "--quiet", "--python", sys.executable, folder],
            [uv, "pip", "sync", *BY_HASH, "--python", python, requirements, HELPERS],
        ]
    else:
        virtualenv.cli_run([str(folder), "--no-periodic-update"], setup_logging=False)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--no-deps",
        ]
        commands = [[*pip, *BY_HASH, "-r", requirements, "-r", HELPERS]]
    for command in commands:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            reason = " ".join(answer.stderr.split())[-300:] or "no reason is given"
            raise UserError(
                f"wasmtime {release.version} cannot be installed ({reason}). "
                "Is the package index there?"
            )
