"""The modules to probe: files and folders, each checked before anything is measured."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asv.util import UserError

SUFFIXES = (".wasm", ".wat")
MAGIC = b"\0asm"
# Files that are often mistaken for modules: their first bytes, and their kind with the remedy.
OTHER_FORMATS = {
    MAGIC + b"\x0d\0\x01\0": (
        "a component, not a core module. Extract its core modules: wasm-tools component unbundle "
        "{path} --threshold 0 --module-dir FOLDER"
    ),
    b"\x7fELF": "already compiled (.cwasm). Pass the .wasm file that it was compiled from",
    b"\x1f\x8b": "compressed with gzip. Unpack it first: gunzip --keep {path}",
    b"\x28\xb5\x2f\xfd": "compressed with zstd. Unpack it first: unzstd {path}",
    b"PK\x03\x04": "a zip archive. Unpack it first: unzip {path}",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Fetch it: git lfs pull",
    b"BC\xc0\xde": "LLVM bitcode. Link it to a module first: wasm-ld",
    b"!<arch>": "a static library. Link it to a module first: wasm-ld",
    b"<": "a web page. Was the download refused?",
}


@dataclass(frozen=True)
class Input:
    """A module to probe.

    Attributes:
        path: the file.
        name: unique among the modules of the call: the file name, with parent folders if needed.
        problem: why the file cannot be probed, or an empty string.
    """

    path: Path
    name: str
    problem: str = ""


def find_modules(paths: Sequence[Path]) -> list[Input]:
    """Return the modules in files and folders, each file once.

    Raises:
        UserError: none of them can be probed.
    """
    modules: dict[Path, Input] = {}  # by resolved path
    for path in paths:
        for file in list_modules(path) if path.is_dir() else [path]:
            resolved = file.resolve() if file.is_file() else file
            modules.setdefault(resolved, Input(file.absolute(), file.name, find_problem(file)))
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
        start = path.read_bytes()[:512]
    except OSError as error:
        return f"Cannot read {path}: {error.strerror}."
    if not start:
        return f"{path} is empty. Download or build it again."
    if start[:8] == MAGIC + b"\x01\0\0\0":
        return ""
    for magic, kind in OTHER_FORMATS.items():
        if start.startswith(magic):
            return f"{path} is {kind.format(path=path)}."
    if path.suffix.lower() == ".wat":
        return ""
    if start[:4] == MAGIC:
        return f"{path} is truncated, or of an unknown WebAssembly version. Download it again."
    if start.lstrip()[:7] == b"(module":
        return f"{path} is a module in text format. Rename it to {path.with_suffix('.wat').name}."
    return f"{path} is not WebAssembly: it does not start with \\0asm."


def shorten_paths(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest unique name of each path: its last parts."""
    names = {path: path.name for path in paths}
    for length in range(2, max(len(path.parts) for path in paths) + 1):
        occurrences = Counter(names.values())
        for path in paths:
            if occurrences[names[path]] > 1:
                names[path] = Path(*path.parts[-length:]).as_posix()
    return names
