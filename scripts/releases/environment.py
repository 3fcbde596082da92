"""The environment in which asv measures: a virtualenv that holds one pinned release.

`"environment_type"` in `asv.conf.json` selects `ReleaseEnvironment`.
"""

import atexit
import base64
import csv
import hashlib
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, ClassVar

import psutil
from asv.console import log
from asv.environment import EnvironmentUnavailable, get_env_name
from asv.plugins.virtualenv import Virtualenv
from asv.util import UserError
from filelock import FileLock, Timeout
from packaging.utils import canonicalize_name

from benchmarks._axis import LIBGCC, find_unwinder

HELPERS = Path("fixtures/helper-requirements.txt")
# environment variables with these prefixes change how Python, the dynamic linker or malloc behave,
# or what pip and virtualenv install and where
UNWANTED_PREFIXES = (
    "PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_TUNABLES", "PIP_", "VIRTUALENV_",
)  # fmt: skip
# settings of pip that say how to reach the index, which does not change what is installed by hash
PIP_SETTINGS = {
    "PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_KEYRING_PROVIDER",
    "PIP_NO_CACHE_DIR", "PIP_NO_INDEX", "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
}  # fmt: skip
# prints why the unwinder named by UNWINDER is missing, or an empty line if it is installed
LIBRARY_CHECK = "from benchmarks._unwinder import missing_library; print(missing_library())"


class ReleaseEnvironment(Virtualenv):
    """A virtualenv into which asv installs pinned releases by hash, one after another.

    Environments that differ only in UNWINDER share a folder, so installing a release for one of
    them installs it for the other.

    Attributes:
        missing: why the unwinder of an environment is unavailable, by the environment's name.
    """

    tool_name = "release"
    missing: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        unwinder = find_unwinder(self.env_vars.get("UNWINDER", LIBGCC.option), "Linux")
        if unwinder is None or not unwinder.stand_in:
            return  # the system's unwinder, which needs no other library
        if platform.libc_ver()[0] != "glibc":
            raise EnvironmentUnavailable(f"{self.name} is left out: it needs Linux with glibc")
        if self.name not in self.missing and (reason := find_missing_library(self.env_vars)):
            self.missing[self.name] = reason
        if self.name in self.missing and os.environ.get("BENCHMARKS_STRICT") != "1":
            raise EnvironmentUnavailable(f"{self.name} is left out: {self.missing[self.name]}")

    @property
    def name(self) -> str:
        """The environment's name in result files; asv's own virtualenv would have the same."""
        name: str = get_env_name(
            Virtualenv.tool_name, self._python, self._requirements, self._tagged_env_vars
        )
        return name

    @property
    def installed_commit_hash(self) -> str | None:
        """The commit of the installed release; reading it also updates ASV_COMMIT.

        asv updates ASV_COMMIT only in the environment that installed the release, not in the other
        environment that shares the folder.
        """
        commit: str | None = self._get_installed_commit_hash()
        self._set_commit_hash(commit)
        return commit

    def create(self) -> None:
        """Create the environment as soon as no other process on this machine measures.

        Raises:
            UserError: the unwinder is missing and BENCHMARKS_STRICT=1, or the lock cannot be
                written.
        """
        if self.name in self.missing:
            raise UserError(f"{self.name}: {self.missing[self.name]}")
        hold_machine(Path(self._env_dir))
        super().create()

    def _setup(self) -> None:
        """Create the environment without variables that change what is installed.

        asv starts virtualenv with the variables of this process.
        """
        for name in os.environ.keys() - clean_variables(os.environ).keys():
            del os.environ[name]
        super()._setup()

    def check_presence(self) -> bool:
        """Return whether the environment is intact; if not, asv creates it again.

        asv itself only looks for Python and pip. This also compares every installed file with its
        hash in the RECORD of its wheel, once per run, so that asv measures the pinned release.
        """
        if not super().check_presence():
            return False
        names = ["pip", "asv-runner"]
        if self._get_installed_commit_hash():
            names += ["wasmtime", *re.findall(r"^[\w.-]+(?===)", read_helpers(), re.MULTILINE)]
        if damaged := find_damaged_file(Path(self._path), names):
            log.warning(f"{damaged} is missing or was changed. Recreating {self._path}")
        return not damaged

    def _get_installed_commit_hash(self) -> str | None:
        """Return the commit of the installed release, or None if asv's note of it is damaged."""
        try:
            commit: str | None = super()._get_installed_commit_hash()
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        return commit

    def run(self, args: list[str], **options: Any) -> Any:
        """Run Python in the environment, and announce when it counts instructions."""
        counts = any(argument.startswith("unwinder_instructions.") for argument in args)
        if "setup_cache" in args and counts:  # asv shows no progress meanwhile
            log.info("Counting instructions under valgrind (about 40 s)", reserve_space=True)
        return super().run(args, **options)

    def run_executable(self, executable: str, args: list[str], **options: Any) -> Any:
        """Run a program of the environment without variables that would change a measurement."""
        variables = clean_variables(options.pop("env", os.environ))
        return super().run_executable(executable, args, env=variables, **options)

    def _get_install_checksum(self) -> list[Any]:
        """Return a value that changes with asv's own settings and with the helper packages."""
        return [*super()._get_install_checksum(), read_helpers()]


def read_helpers() -> str:
    """Return the requirements file of the packages that are installed with every release."""
    return HELPERS.read_text(encoding="utf-8")


def clean_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables without those that would change a measurement.

    For example, PYTHONTRACEMALLOC doubles times, LD_PRELOAD may load another allocator or unwinder,
    and PIP_TARGET installs a release into another folder.
    """
    return {
        name: value
        for name, value in variables.items()
        if name in PIP_SETTINGS or not name.startswith(UNWANTED_PREFIXES)
    }


def find_damaged_file(environment: Path, names: Sequence[str]) -> str:
    """Return the first file that does not match the RECORD of its wheel, or an empty string.

    If a package of `names` is not installed, or a RECORD is missing or damaged, return
    "RECORD of" and the package.
    """
    folder = sysconfig.get_path("purelib", "venv", vars={"base": str(environment)})
    installed = {
        canonicalize_name(distribution.name): distribution
        for distribution in distributions(path=[folder])
    }
    if missing := [name for name in names if canonicalize_name(name) not in installed]:
        return f"RECORD of {missing[0]}"
    for name, distribution in installed.items():
        try:
            rows = list(csv.reader((distribution.read_text("RECORD") or "").splitlines()))
            files = {file: digest.partition("=")[::2] for file, digest, *_ in rows if digest}
        except (ValueError, csv.Error):
            files = {}
        if not files:
            return f"RECORD of {name}"
        for file, (algorithm, expected) in files.items():
            if hash_file(Path(folder, file), algorithm) != expected:
                return file
    return ""


def hash_file(path: Path, algorithm: str) -> str | None:
    """Return the hash of a file in RECORD's encoding, or None if it cannot be computed."""
    try:
        digest = hashlib.new(algorithm, path.read_bytes()).digest()
    except (OSError, ValueError):
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def find_missing_library(variables: dict[str, str]) -> str:
    """Return why the unwinder of an environment cannot be measured, or an empty string if it can.

    The check runs in a new process, because a library that it loads stays loaded.
    """
    result = subprocess.run(
        [sys.executable, "-c", LIBRARY_CHECK],
        env=clean_variables(os.environ) | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode == 0:
        return result.stdout.strip()
    last_line = result.stderr.strip().splitlines()[-1:]
    failure = f"Looking for the unwinder failed with exit code {result.returncode}."
    return " ".join([failure, *last_line])


def lock_path() -> Path:
    """Return the path of this user's lock for measuring.

    All clones share it, because runs in two clones would disturb each other.
    """
    # on Windows each user has a temporary folder
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir(), f"wasmtime-teardown-{user}.lock")


def hold_machine(environments: Path) -> None:
    """Wait until no other process measures, then hold the lock until this process ends.

    asv has no lock: a second run would replace the release that the first run measures. The
    operating system frees the lock even if this process is killed.

    Raises:
        UserError: the lock cannot be written.
    """
    lock = FileLock(lock_path(), poll_interval=1, is_singleton=True)
    if lock.is_locked:  # this process already holds it
        return
    holder = lock_path().with_suffix(".holder")
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            other = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
            # a warning, because asv prints no lower level while it creates environments
            log.warning(f"Waiting until {other} has finished measuring (Ctrl-C to stop)")
            log.flush()
            lock.acquire()
        holder.write_text(f"{Path.cwd()} (process {os.getpid()})", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{lock_path()} cannot be written ({error}). Set TMPDIR to a folder that is writable."
        ) from error
    ACQUIRED_LOCKS.append(lock)
    kill_leftovers(environments)
    # an interrupt may arrive before asv has noted the process that it just started
    atexit.register(kill_leftovers, environments)


ACQUIRED_LOCKS: list[FileLock] = []  # garbage collection would release a lock


def kill_leftovers(environments: Path) -> None:
    """Kill children of this process, and processes in the environments that a killed asv left.

    A leftover pip would install into the same environment at the same time.
    """
    folder = str(environments.resolve()) + os.sep
    leftovers = {
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(folder)
    }.union(psutil.Process().children(recursive=True))
    for process in leftovers:
        log.warning(f"Killing process {process.pid}, which an earlier command left running")
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(leftovers)
