"""The environment that asv measures in: a virtualenv that holds one pinned release.

`"environment_type"` in `asv.conf.json` chooses this class.
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

HELPERS = Path("fixtures/helper-requirements.txt")
# how the names of variables begin that change what Python, the dynamic linker or malloc do
UNWANTED = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "GLIBC_TUNABLES")
# prints nothing if the unwinder that UNWINDER asks for is on this machine, else the reason
PROBE = "from benchmarks._unwinder import missing_library; print(missing_library())"


class ReleaseEnvironment(Virtualenv):
    """A virtualenv in which pinned releases are installed one after another, by hash.

    Environments that differ in UNWINDER only share a folder, so installing a release for one
    installs it for the other.
    """

    tool_name = "release"
    missing: ClassVar[dict[str, str]] = {}  # why environments are unavailable, by their name

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self.env_vars.get("UNWINDER") != "libunwind":
            return
        if platform.libc_ver()[0] != "glibc":
            raise EnvironmentUnavailable(f"{self.name} is left out: it needs Linux with glibc")
        if self.name not in self.missing and (reason := find_missing_library(self.env_vars)):
            self.missing[self.name] = reason
        if self.name in self.missing and os.environ.get("BENCHMARKS_STRICT") != "1":
            raise EnvironmentUnavailable(f"{self.name} is left out: {self.missing[self.name]}")

    @property
    def name(self) -> str:
        """The name that result files carry: that of asv's own virtualenv."""
        name: str = get_env_name(
            Virtualenv.tool_name, self._python, self._requirements, self._tagged_env_vars
        )
        return name

    @property
    def installed_commit_hash(self) -> str | None:
        """The commit of the installed release, which ASV_COMMIT names from now on too.

        asv updates ASV_COMMIT only in the environment that installed the release, and not in the
        one that shares its folder.
        """
        commit: str | None = self._get_installed_commit_hash()
        self._set_commit_hash(commit)
        return commit

    def create(self) -> None:
        """Create the environment, once no other process on this machine measures.

        Raises:
            UserError: its unwinder is missing and BENCHMARKS_STRICT=1; or the lock cannot be
                written.
        """
        if self.name in self.missing:
            raise UserError(f"{self.name}: {self.missing[self.name]}")
        hold_machine(Path(self._env_dir))
        super().create()

    def check_presence(self) -> bool:
        """Return whether the environment is whole, so that asv need not make it anew.

        asv looks for Python and pip only. What is measured must be what was installed: every file
        is compared with the hash in the RECORD of its wheel, once a run.
        """
        if not super().check_presence():
            return False
        names = ["pip", "asv-runner"]
        if self._get_installed_commit_hash():
            names += ["wasmtime", *re.findall(r"^[\w.-]+(?===)", read_helpers(), re.MULTILINE)]
        if damaged := find_damaged_file(Path(self._path), names):
            log.warning(f"{damaged} is missing or was changed: making {self._path} anew")
        return not damaged

    def _get_installed_commit_hash(self) -> str | None:
        """Return the commit of the installed release; none if what asv noted of it is damaged."""
        try:
            commit: str | None = super()._get_installed_commit_hash()
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        return commit

    def run(self, args: list[str], **options: Any) -> Any:
        """Run Python, and announce the counting, during which asv's progress stands still."""
        if "setup_cache" in args:
            log.info("Counting instructions under valgrind (about 40 s)", reserve_space=True)
        return super().run(args, **options)

    def run_executable(self, executable: str, args: list[str], **options: Any) -> Any:
        """Start a program of the environment without variables that change what it does."""
        variables = clean_variables(options.pop("env", os.environ))
        return super().run_executable(executable, args, env=variables, **options)

    def _get_install_checksum(self) -> list[Any]:
        """Install again when the helper packages change; asv knows of its own settings only."""
        return [*super()._get_install_checksum(), read_helpers()]


def read_helpers() -> str:
    """Return the requirements of what is installed beside every release."""
    return HELPERS.read_text(encoding="utf-8")


def clean_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that would change a measurement.

    PYTHONTRACEMALLOC alone doubles times, and LD_PRELOAD brings another allocator or unwinder.
    """
    return {name: value for name, value in variables.items() if not name.startswith(UNWANTED)}


def find_damaged_file(environment: Path, names: Sequence[str]) -> str:
    """Return a file of an environment that is not as its wheel's RECORD says, or nothing.

    The RECORD itself is returned if a package of `names` has none, or it is damaged.
    """
    folder = sysconfig.get_path("purelib", "venv", vars={"base": str(environment)})
    records = {canonicalize_name(each.name): each for each in distributions(path=[folder])}
    if missing := [name for name in names if canonicalize_name(name) not in records]:
        return f"RECORD of {missing[0]}"
    for name, distribution in records.items():
        try:
            rows = list(csv.reader((distribution.read_text("RECORD") or "").splitlines()))
            files = {file: digest.partition("=")[::2] for file, digest, *_ in rows if digest}
        except (ValueError, csv.Error):
            files = {}
        if not files:
            return f"RECORD of {name}"
        for file, (kind, wanted) in files.items():
            if hash_file(Path(folder, file), kind) != wanted:
                return file
    return ""


def hash_file(path: Path, kind: str) -> str | None:
    """Return the hash of a file as RECORD has it, or None if it cannot be told."""
    try:
        digest = hashlib.new(kind, path.read_bytes()).digest()
    except (OSError, ValueError):
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def find_missing_library(variables: dict[str, str]) -> str:
    """Return why the unwinder of an environment cannot be measured here, or nothing if it can.

    A process of its own looks: a library that is loaded here would stay loaded.
    """
    answer = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=clean_variables(os.environ) | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if answer.returncode == 0:
        return answer.stdout.strip()
    last = answer.stderr.strip().splitlines()[-1:]
    return " ".join([f"Looking for it failed with exit code {answer.returncode}.", *last])


def lock_path() -> Path:
    """Return the lock of this user's measurements: runs in two clones would spoil each other."""
    user = os.getuid() if hasattr(os, "getuid") else "user"  # on Windows the folder is the user's
    return Path(tempfile.gettempdir(), f"wasmtime-teardown-{user}.lock")


def hold_machine(environments: Path) -> None:
    """Wait until no other process measures, and keep others waiting until this one ends.

    asv locks nothing: a second run would install another release under the first. The operating
    system frees the lock when this process ends, however it ends.

    Raises:
        UserError: the lock cannot be written.
    """
    lock = FileLock(lock_path(), poll_interval=1, is_singleton=True)
    if lock.is_locked:  # by this process
        return
    holder = lock_path().with_suffix(".holder")
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
            # a warning, because asv prints nothing less while it creates environments
            log.warning(f"Waiting until {who} has finished measuring (Ctrl-C to stop)")
            log.flush()
            lock.acquire()
        holder.write_text(f"{Path.cwd()} (process {os.getpid()})", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{lock_path()} cannot be written ({error}). Set TMPDIR.") from error
    HELD.append(lock)
    end_leftovers(environments)
    # An interrupt may come before asv knows the process that it has just started.
    atexit.register(end_leftovers, environments)


HELD: list[FileLock] = []  # a lock that is collected as garbage is released


def end_leftovers(environments: Path) -> None:
    """End children of this process, and what a killed asv left in its environments.

    A pip among them would install beside ours.
    """
    folder = str(environments.resolve()) + os.sep
    leftovers = {
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(folder)
    }.union(psutil.Process().children(recursive=True))
    for process in leftovers:
        log.warning(f"Ending process {process.pid}, which an earlier command left running")
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(leftovers)
