"""The modules to probe: files and folders, each checked before anything is measured."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asv.util import UserError

SUFFIXES = (".wasm", ".wat")
MAGIC = b"\0asm"
# Files that are often taken for modules, by how they begin, and the remedy.
OTHERS = {
    MAGIC + b"\x0d\0\x01\0": (
        "a component, not a core module. Extract its core modules: wasm-tools component unbundle "
        "{path} --threshold 0 --module-dir FOLDER"
    ),
    b"\x7fELF": "compiled already (.cwasm). Give the .wasm file that it was compiled from",
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
        name: what tells it from the other modules of the call: its file name, with as many folders
            as it takes.
        problem: why it cannot be probed, or nothing.
    """

    path: Path
    name: str
    problem: str = ""


def find_modules(paths: Sequence[Path]) -> list[Input]:
    """Return the modules in files and folders; a file that is named twice is one.

    Raises:
        UserError: none of them can be probed.
    """
    found: dict[Path, Input] = {}  # by the real file
    for path in paths:
        for file in find_inside(path) if path.is_dir() else [path]:
            real = file.resolve() if file.is_file() else file
            found.setdefault(real, Input(file.absolute(), file.name, find_problem(file)))
    if all(module.problem for module in found.values()):
        raise UserError("\n".join(module.problem for module in found.values()))
    names = shorten([module.path for module in found.values()])
    return [replace(module, name=names[module.path]) for module in found.values()]


def find_inside(folder: Path) -> list[Path]:
    """Return the modules in a folder, or the folder itself if it has none."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in files if not file.is_dir()) or [folder]


def find_problem(path: Path) -> str:
    """Return why a file cannot be probed, with the remedy, or nothing."""
    if path.is_dir():
        return f"{path} holds no .wasm or .wat file."
    try:
        if path.exists() and not path.is_file():
            return f"{path} is a pipe or a device. Save the module to a file first, and name that."
        start = path.read_bytes()[:512]
    except OSError as error:
        return f"Cannot read {path}: {error.strerror}."
    if not start:
        return f"{path} is empty. Download or build it again."
    if start[:8] == MAGIC + b"\x01\0\0\0":
        return ""
    for beginning, kind in OTHERS.items():
        if start.startswith(beginning):
            return f"{path} is {kind.format(path=path)}."
    if path.suffix.lower() == ".wat":
        return ""
    if start[:4] == MAGIC:
        return f"{path} is cut short, or of an unknown version of WebAssembly. Download it again."
    if start.lstrip()[:7] == b"(module":
        return f"{path} is a module in text format. Rename it to {path.with_suffix('.wat').name}."
    return f"{path} is not WebAssembly: it does not start with \\0asm."


def shorten(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest ends of paths that tell them apart."""
    names = {path: path.name for path in paths}
    for length in range(2, max(len(path.parts) for path in paths) + 1):
        count = Counter(names.values())
        for path in paths:
            if count[names[path]] > 1:
                names[path] = Path(*path.parts[-length:]).as_posix()
    return names
