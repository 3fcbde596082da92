"""Write files and folders atomically."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def write_atomically(path: Path, text: str) -> None:
    """Write text to a file atomically, with the same bytes on every system."""
    with replace_atomically(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` for a file or folder, which replaces `path` if nothing fails.

    A killed process leaves its half-written file or folder; the next write of `path` removes it.

    Raises:
        OSError: the file cannot be written; the error names a file.
    """
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        for leftover in find_leftovers(path):
            remove(leftover)
        yield scratch
        scratch.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk names no file
        raise
    finally:
        remove(scratch)


def find_leftovers(path: Path) -> list[Path]:
    """Return what processes that no longer run left beside a path."""
    pattern = re.compile(rf"{re.escape(path.name)}\.(\d{{1,9}})\.tmp")
    folder = path.parent.iterdir() if path.parent.is_dir() else ()
    matches = [(sibling, pattern.fullmatch(sibling.name)) for sibling in folder]
    return [sibling for sibling, match in matches if match and not psutil.pid_exists(int(match[1]))]


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
