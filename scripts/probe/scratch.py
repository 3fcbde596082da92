"""The folder for the files of one call, and those that killed calls left behind."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asv.util import UserError
from filelock import FileLock, Timeout

PREFIX = "wasmtime-probe-"
LOCK = "lock"
NEW_SECONDS = 60.0  # a younger folder may belong to a call that has not locked it yet


@contextmanager
def make_scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder, and remove it; remove first what killed calls have left.

    A call holds a lock in its folder. The operating system frees the lock even if the call is
    killed.

    Raises:
        UserError: the folder cannot be created.
    """
    remove_leftovers(Path(tempfile.gettempdir()))
    try:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    except OSError as error:
        raise UserError(
            f"{tempfile.gettempdir()} cannot be written: {error.strerror}. Set TMPDIR."
        ) from error
    lock = FileLock(folder / LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove the folders of calls that no longer run; skip those of other users."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < NEW_SECONDS:
                continue
            with FileLock(folder / LOCK).acquire(blocking=False):
                shutil.rmtree(folder)
