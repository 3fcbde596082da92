"""Has teardown moved on Wasmtime's main branch? Asked of the C API archive of its `dev` release.

`check` counts the archive's library against the newest pinned release, with LLVM's libunwind, and
writes an issue to a file when a count has moved by 1 % or more; `open` opens the issue of the file.
"""

import argparse
import json
import lzma
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asv.util import UserError

from scripts.alert import raise_issue
from scripts.releases import pins

LABEL = "upstream-moved"
MOVED = 1.0  # percent
MODULES = [f"fixtures/functions-{functions}.wasm" for functions in (1, 8, 100)]


def unpack(archive: Path, folder: Path) -> Path:
    """The library of an archive.

    Raises:
        UserError: the archive cannot be read, or has none.
    """
    try:
        with tarfile.open(archive) as files:
            for file in files:
                if file.isfile() and Path(file.name).match("*/lib/libwasmtime.so"):
                    files.extract(file, folder, filter="data")
                    return folder / file.name
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise UserError(f"{archive} cannot be read: {error}. Fetch it again.") from error
    raise UserError(f"{archive} has no lib/libwasmtime.so: is it that of the C API for Linux?")


def probe(library: Path, release: str, modules: Sequence[str]) -> list[dict[str, Any]]:
    """What the probe counts of a library and of a release.

    Raises:
        UserError: it cannot tell; it has said why.
    """
    options = ["--library", str(library), "--against", release, "--unwinder", "libunwind"]
    command = [sys.executable, "-m", "scripts.probe", *modules, *options, "--counts-only", "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    probed: list[dict[str, Any]] = json.loads(answer.stdout) if answer.stdout else []
    if answer.returncode != 0:
        reasons = [one.get("error") or one.get("not_compared", "") for one in probed]
        raise UserError(f"{library} was not compared. {' '.join(filter(None, reasons))}")
    return probed


def issue(probed: Sequence[dict[str, Any]], release: str) -> tuple[str, str] | None:
    """Title and body of the issue about the counts that have moved, if any has."""
    before = {one["module"]: one["counts"] for one in probed if one["build"] == release}
    rows, largest = [], (0.0, "")
    for one in probed:
        for what, change in one.get("growth_in_percent", {}).items():
            loaded = str(one["counted"])
            was, now = (counts[what][loaded] for counts in (before[one["module"]], one["counts"]))
            if change is None or abs(change) >= MOVED:
                said = f"{was:,.10g} → {now:,.10g}"
                rows.append(f"| {one['module']} | {loaded} | {what.replace('_', ' ')} | {said} |")
                size = float("inf") if change is None else abs(change)
                largest = max(largest, (size, f"{what.replace('_', ' ')} {said}, {one['module']}"))
    if not rows:
        return None
    head = (
        "Of one module, counted with LLVM's libunwind: its instructions to remove and to register "
        f"the module, and calls into it; wasmtime-py {release} → Wasmtime's `dev` release.\n\n"
        "| module | loaded | count | change |\n|---|---|---|---|\n"
    )
    return f"Wasmtime's dev release moved against {release}: {largest[1]}", head + "\n".join(rows)


def check(archive: Path, file: Path, release: str, modules: Sequence[str]) -> None:
    """Write the issue that there is reason for, or say that there is none."""
    with tempfile.TemporaryDirectory() as folder:
        found = issue(probe(unpack(archive, Path(folder)), release, modules), release)
    if found is None:
        print(f"No count differs by {MOVED:.0f} % or more from that of {release}.")
        return
    print(*found, sep="\n\n")
    file.write_text(json.dumps(found), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or open; 2 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.upstream", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    checks, opens = commands.add_parser("check"), commands.add_parser("open")
    checks.add_argument("archive", type=Path, help="a C API archive for Linux")
    checks.add_argument("--against", default="", help="a pinned release; else the newest")
    checks.add_argument("--module", action="append", help="else the three fixtures")
    for command in (checks, opens):
        command.add_argument("file", type=Path, help="the issue, as JSON")
    options = parser.parse_args(arguments)
    try:
        if options.command == "open":
            raise_issue(LABEL, *json.loads(options.file.read_text(encoding="utf-8")))
        else:
            release = options.against or pins.load()[-1].version
            check(options.archive, options.file, release, options.module or MODULES)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
