"""Compare predicted FDEs with those of compiled images, for modules of many toolchains.

    uv run python -m tests.check_wasm_prediction [FILE.wasm …]

Without files, it takes the modules of the packages in `tests/wasm/more`, which npm downloads by
hash. It takes about ten minutes, so CI checks only those of `tests/wasm`. A release that refuses a
module has no count. The exit code is 1 if a count is outside its range.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.cost.wasm import Contents, Range, read_wasm
from scripts.probe.builds import install_release
from scripts.releases import pins

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "tests/wasm"
RELEASES = ("21.0.0", "22.0.0", "49.0.0", "50.0.1")
DEADLINE = 3600  # seconds that a release has for all modules
LARGEST = 13_000_000  # bytes of a module of a package; larger ones take minutes to compile
# Compiles each file of the arguments, and prints the FDEs of its image as the dynamic linker would
# find them, or why the release refused it.
COUNT = """
import io, json, sys
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from wasmtime import Module, WasmtimeError
from benchmarks._modules import make_engine
counts = []
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    try:
        kind = Module
        if data[4:5] == b"\\x0d":
            from wasmtime.component import Component as kind
        image = bytes(kind(make_engine("on"), data).serialize())
    except (ImportError, WasmtimeError) as error:
        counts.append(str(error).strip().splitlines()[-1].strip())
        continue
    elf = ELFFile(io.BytesIO(image))
    frames = elf.get_section_by_name(".eh_frame")
    entries = elf.get_dwarf_info().EH_CFI_entries() if frames is not None else []
    counts.append(sum(isinstance(entry, FDE) for entry in entries))
print(json.dumps(counts))
"""


def count_fdes(release: Path, files: Sequence[Path]) -> list[int | str]:
    """Return the FDEs of each file, compiled by an installed release, or why it refused it."""
    removed = ("UNWINDER", "LIBUNWIND", "LD_PRELOAD", "WASM_FEATURES")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(removed)}
    path = os.pathsep.join((str(release), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *files],
        cwd=ROOT, env={**variables, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
        check=True, timeout=DEADLINE,
    )  # fmt: skip
    counts: list[int | str] = json.loads(done.stdout)
    return counts


def download_modules(packages: Path, folder: Path) -> list[Path]:
    """Install npm packages in a folder, by the hashes of their lock file; return their modules.

    Raises:
        subprocess.CalledProcessError: npm failed, for example because no registry answers.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copy(packages / name, folder)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--silent"], cwd=folder, check=True, timeout=DEADLINE
    )
    files = sorted(folder.glob("node_modules/**/*.wasm"))
    unique = {file.read_bytes(): file for file in reversed(files)}
    return sorted(file for data, file in unique.items() if len(data) < LARGEST)


def is_inside(count: int, predicted: Range) -> bool:
    """Return whether a count is in its predicted range."""
    return predicted.low <= count and (predicted.high is None or count <= predicted.high)


def predict(contents: Contents, release: str) -> Range:
    """Return the FDEs under a release."""
    return contents.predict(int(release.split(".")[0]))


def main(arguments: list[str]) -> int:
    """Print a line for each module: predicted and counted FDEs of each release."""
    paths = {
        release.version: Path(install_release(release).path)
        for release in pins.load_pins(ROOT / pins.PINS)
        if release.version in RELEASES
    }
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(argument).resolve() for argument in arguments]
        files = files or download_modules(PACKAGES / "more", Path(folder))
        contents = [read_wasm(file.read_bytes(), file.name) for file in files]
        counts = {}
        for version, path in paths.items():
            print(f"Compiling {len(files)} modules with {version}", file=sys.stderr)
            counts[version] = count_fdes(path, files)
    wrong = 0
    for index, file in enumerate(files):
        cells = []
        for version in RELEASES:
            count, predicted = counts[version][index], predict(contents[index], version)
            is_wrong = isinstance(count, int) and not is_inside(count, predicted)
            wrong += is_wrong
            shown = count if isinstance(count, int) else "refused"
            most = "?" if predicted.high is None else predicted.high
            cells.append(f"{version} {predicted.low}–{most}: {shown}{' WRONG' if is_wrong else ''}")
        print(" | ".join([file.name, *cells]))
    print(f"{len(files)} modules, {wrong} counts outside their ranges")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
