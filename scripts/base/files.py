"""Write files and folders atomically."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write text to a file atomically, with the same bytes on every system."""
    with replace_atomically(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` for a file or folder, which replaces `path` if nothing fails.

    Raises:
        OSError: the file cannot be written; the error names a file.
    """
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk names no file
        raise
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch)
        scratch.unlink(missing_ok=True)
