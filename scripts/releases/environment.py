"""The environment that asv measures in: a virtualenv that holds one pinned release.

`"environment_type"` in `asv.conf.json` chooses this class.
"""

import atexit
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import psutil
from asv.console import log
from asv.environment import EnvironmentUnavailable, get_env_name
from asv.plugins.virtualenv import Virtualenv
from asv.util import UserError
from filelock import FileLock, Timeout

HELPERS = Path("fixtures/helper-requirements.txt")
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

    def _get_install_checksum(self) -> list[Any]:
        """Install again when the helper packages change; asv knows of its own settings only."""
        return [*super()._get_install_checksum(), HELPERS.read_text(encoding="utf-8")]


def find_missing_library(variables: dict[str, str]) -> str:
    """Return why the unwinder of an environment cannot be measured here, or nothing if it can.

    A process of its own looks: a library that is loaded here would stay loaded.
    """
    answer = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=os.environ | variables, capture_output=True, text=True, check=False,
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
