"""Facts that are read from fixtures, and files and folders that are written all or nothing."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asv.util import UserError


def entries(path: Path, name: str) -> list[dict[str, Any]]:
    """The list of that name in a committed JSON file.

    Raises:
        UserError: it is missing, cut short or edited by hand.
    """
    try:
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, LookupError, TypeError) as error:
        where = path.as_posix()
        remedy = f"Restore it with `git checkout {where}`."
        raise UserError(f"{where} is missing or damaged ({error!r}). {remedy}") from error
    return found


def write(path: Path, text: str) -> None:
    """Write text, all or nothing, with the same bytes on every system."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file or folder to write beside `path`; it takes the place of `path` once all is written."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch)
        scratch.unlink(missing_ok=True)
