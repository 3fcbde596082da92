"""The modules to probe: files and folders, each checked before anything is measured."""

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asv.util import UserError

SUFFIXES = (".wasm", ".wat")
MAGIC = b"\0asm"
MODULE = MAGIC + b"\x01\0\0\0"
COMPONENT = MAGIC + b"\x0d\0\x01\0"
# Files that are often mistaken for modules: their first bytes, and their kind with the remedy.
OTHER_FORMATS = {
    b"\x7fELF": "already compiled, so it is not measured. Pass the .wasm file, or add --predict",
    b"PK\x03\x04": "a zip archive. Unpack it: `unzip {path}`",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Fetch it: `git lfs pull`",
    b"BC\xc0\xde": "LLVM bitcode. Link it to a module first: wasm-ld",
    b"!<arch>": "a static library. Link it to a module first: wasm-ld",
    b"<": "a web page. Was the download refused?",
}
COMPRESSED = {  # first bytes: command, which is the name too, and suffix of the file name
    b"\x1f\x8b": ("gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("zstd", ".zst"),
    b"\xfd7zXZ\0": ("xz", ".xz"),
    b"BZh": ("bzip2", ".bz2"),
}
MAX_SIZE_BYTES = 5
SIZE = re.compile(rb"[\x80-\xff]{0,4}[\0-\x7f]", re.DOTALL)  # of a section, in LEB128 encoding
COMMENTS = re.compile(rb"\s+|;;[^\n]*\n|\(;.*?;\)", re.DOTALL)  # in modules in text format


@dataclass(frozen=True)
class Input:
    """A module to probe.

    Attributes:
        path: the file.
        name: unique among the modules of the call: the file name, with parent folders if needed.
        problem: why the file cannot be probed, or an empty string.
        is_component: whether it is a component, which not every release can compile from Python.
    """

    path: Path
    name: str
    problem: str = ""
    is_component: bool = False


def find_modules(paths: Sequence[Path]) -> list[Input]:
    """Return the modules in files and folders, each file once.

    Raises:
        UserError: none of them can be probed.
    """
    modules: dict[Path, Input] = {}  # by resolved path
    for path in paths:
        for file in list_modules(path) if path.is_dir() else [path]:
            resolved = file.resolve() if file.is_file() else file
            if resolved not in modules:
                problem = find_problem(file)
                is_component = not problem and starts_component(file.read_bytes())
                modules[resolved] = Input(file.absolute(), file.name, problem, is_component)
    if all(module.problem for module in modules.values()):
        raise UserError("\n".join(module.problem for module in modules.values()))
    names = shorten_paths([module.path for module in modules.values()])
    return [replace(module, name=names[module.path]) for module in modules.values()]


def list_modules(folder: Path) -> list[Path]:
    """Return the modules in a folder, or the folder itself if it has none."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in files if not file.is_dir()) or [folder]


def find_problem(path: Path) -> str:
    """Return why a file cannot be probed, with the remedy, or an empty string."""
    if path.is_dir():
        return f"{path} contains no .wasm or .wat file."
    try:
        if path.exists() and not path.is_file():
            return f"{path} is a pipe or a device. Save the module to a file, and pass that."
        content = path.read_bytes()
    except OSError as error:
        return f"Cannot read {path}: {error.strerror}."
    if not content:
        return f"{path} is empty. Download or build it again."
    if content.startswith((MODULE, COMPONENT)):
        return find_truncation(path, content)
    for magic, (command, suffix) in COMPRESSED.items():
        if content.startswith(magic):
            return (
                f"{path} is compressed with {command}. {suggest_unpacking(path, command, suffix)}"
            )
    for magic, kind in OTHER_FORMATS.items():
        if content.startswith(magic):
            return f"{path} is {kind.format(path=shlex.quote(str(path)))}."
    if content.startswith(MAGIC):
        return f"{path} is truncated, or of an unknown WebAssembly version. Download it again."
    if path.suffix.lower() == ".wat":
        return ""
    if skip_comments(content).startswith((b"(module", b"(component")):
        return f"{path} is in text format. Rename it to {path.with_suffix('.wat').name}."
    return f"{path} is not WebAssembly: it does not start with \\0asm."


def starts_component(content: bytes) -> bool:
    """Return whether a file is a component, in binary or text format."""
    return content.startswith(COMPONENT) or skip_comments(content).startswith(b"(component")


def find_truncation(path: Path, content: bytes) -> str:
    """Return that a file ends within a section, or an empty string if it does not.

    wasmtime finds what else is wrong with it.
    """
    end = len(MODULE)
    while end < len(content):
        number = SIZE.match(content, end + 1)  # after the byte with the kind of the section
        if number is None and len(content) - end > MAX_SIZE_BYTES:
            return ""  # not a number
        end = number.end() + decode_size(number[0]) if number else len(content) + 1
    if end == len(content):
        return ""
    return (
        f"{path} is truncated: it has {len(content):,} bytes of at least {end:,}. "
        "Download or build it again."
    )


def decode_size(encoded: bytes) -> int:
    """Return a number in LEB128 encoding."""
    return sum((byte & 0x7F) << 7 * index for index, byte in enumerate(encoded))


def skip_comments(content: bytes) -> bytes:
    """Return text format without leading white space and comments."""
    start = 0
    while match := COMMENTS.match(content, start):
        start = match.end()
    return content[start : start + 20]


def suggest_unpacking(path: Path, command: str, suffix: str) -> str:
    """Return the command that unpacks a file and overwrites none."""
    output = path.with_suffix("") if path.suffix.lower() == suffix else path
    if output == path or output.suffix.lower() not in SUFFIXES or output.exists():
        output = output.with_name(f"{output.stem}.unpacked.wasm")
    packed, unpacked = shlex.quote(str(path)), shlex.quote(str(output))
    return f"Unpack it: `{command} --decompress --stdout {packed} > {unpacked}`."


def shorten_paths(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest unique name of each path: its last parts."""
    names = {path: path.name for path in paths}
    for length in range(2, max(len(path.parts) for path in paths) + 1):
        occurrences = Counter(names.values())
        for path in paths:
            if occurrences[names[path]] > 1:
                names[path] = Path(*path.parts[-length:]).as_posix()
    return names
