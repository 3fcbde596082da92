"""Read JSON files through typed schemas, with errors that say what to do.

A schema is a class of msgspec, a dataclass or a `TypedDict`; its annotations say what is valid.
"""

import json
import re
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from asv.util import UserError
from msgspec import Meta

T = TypeVar("T")

LARGEST = 16 << 20  # bytes of a file; those of this repository have about 20 kB
# The patterns end with \Z, because $ also matches before a newline at the end.
CLEAN = r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff<>|`]"
Text = Annotated[str, Meta(pattern=rf"\A{CLEAN}{{1,200}}\Z")]
MaybeText = Annotated[str, Meta(pattern=rf"\A{CLEAN}{{0,200}}\Z")]
Link = Annotated[str, Meta(pattern=r"\Ahttps://[\w./#?=&%-]{1,300}\Z")]
ReleaseName = Annotated[str, Meta(pattern=r"\A[0-9]{1,4}(\.[0-9]{1,4}){2}(\.post[0-9]{1,4})?\Z")]
Commit = Annotated[str, Meta(pattern=r"\A[0-9a-f]{40}\Z")]
Day = Annotated[str, Meta(pattern=r"\A20[0-9]{2}-[0-9]{2}-[0-9]{2}\Z")]
Number = Annotated[float, Meta(ge=-1e18, le=1e18)]  # neither infinite nor n/a


def read_json(path: Path, kind: type[T], remedy: str) -> T:
    """Read a JSON file through the schema `kind`.

    Raises:
        UserError: the file is missing, cannot be read, or does not match the schema. The message
            ends with the remedy.
    """
    try:
        return parse_json(read_bytes(path), kind)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing. {remedy}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}). {remedy}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({describe_error(error)}). {remedy}") from error


def read_bytes(path: Path) -> bytes:
    """Read a regular file; a folder or a pipe, which would block, counts as missing.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: the file is too large.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"larger than {LARGEST:,} bytes")
    return content


def parse_json(content: bytes, kind: type[T]) -> T:
    """Parse JSON through the schema `kind`; NaN, with which asv marks n/a, becomes None.

    Raises:
        ValueError: the content does not match the schema.
    """
    try:
        decoded = json.loads(content.decode("utf-8"), parse_constant=parse_constant)
        return msgspec.convert(decoded, kind)
    except (RecursionError, MemoryError) as error:
        raise ValueError("nested too deeply") from error


def parse_constant(name: str) -> float | None:
    """Return None for NaN, and a float for infinities."""
    return None if name == "NaN" else float(name)


def suggest_restore(path: Path) -> str:
    """Return the remedy for a committed file."""
    return f"Restore it with `git checkout {path.as_posix()}`."


def describe_error(error: Exception) -> str:
    """Return a short description of an error, without regular expressions."""
    text = re.sub(r"`str` matching regex '.*'", "text of another form", str(error))
    return printable(text, 150)


def clean_text(text: str, default: str = "", length: int = 200) -> str:
    """Return text that `Text` accepts: without the characters it excludes, and not too long.

    If nothing remains, return the default.
    """
    return "".join(re.findall(CLEAN, text))[:length].strip() or default


def printable(text: str, length: int = 1000) -> str:
    """Return text for one line of output: file names and file contents may hold any characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:length])
