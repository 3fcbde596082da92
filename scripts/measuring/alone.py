"""One measuring process at a time on a machine, and in an environment nothing of another."""

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from asv.console import log
from asv.util import UserError
from filelock import FileLock, Timeout


def lock_file() -> Path:
    """One for all clones of a user: two runs at once spoil each other's times."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    return Path(tempfile.gettempdir(), f"wasmtime-teardown-{user}.lock")


@contextmanager
def measuring(environments: Path) -> Iterator[None]:
    """Hold the machine, and see that nothing runs in the environments.

    asv processes share a folder of environments with no lock: a second run would install another
    release under the first. The operating system frees the lock when its holder ends, however it
    ends.

    Raises:
        UserError: the lock cannot be written.
    """
    # one object for all calls: `asv continuous` runs `asv run` within itself
    lock = FileLock(lock_file(), poll_interval=1, is_singleton=True)
    holder = lock_file().with_suffix(".holder")
    try:
        try:
            held = lock.acquire(blocking=False)
        except Timeout:
            who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
            log.info(f"Waiting until {who} has finished measuring (Ctrl-C to stop)")
            log.flush()
            held = lock.acquire()
        holder.write_text(f"asv in {Path.cwd()} (process {os.getpid()})", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{holder} and its lock have to be written, but {error}") from error
    with held:
        end_leftovers(environments)
        try:
            yield
        except BaseException:  # an interrupt may land between the start of a process and its name
            end_leftovers(environments)
            raise


def end_leftovers(environments: Path) -> None:
    """End what a stopped asv has left running: a pip would install beside the next one."""
    folder = str(environments.resolve())
    leftovers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(folder + os.sep)
    ]
    for process in leftovers:
        log.info(f"Ending process {process.pid}, which a stopped asv has left in {environments}")
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            process.kill()
    psutil.wait_procs(leftovers)
