"""Has teardown moved on Wasmtime's main branch? Asked of the C API archive of its `dev` release.

An archive's library is counted against the newest pinned release, with LLVM's libunwind, and an
issue is written to a file when a count has moved by 1 % or more. Without an archive it is opened.
"""

import argparse
import json
import lzma
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from asv.util import UserError

from scripts.alert import raise_issue
from scripts.probe import __main__ as probe
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


def moved(probed: Iterable[list[dict[str, Any]]]) -> list[tuple[float, str]]:
    """The counts that have moved, each with by how many percent, the largest first.

    Raises:
        UserError: a count is not known.
    """
    news = []
    for before, after in probed:
        if "growth_in_percent" not in after:
            why = [one.get("error") or one.get("not_counted", "") for one in (before, after)]
            raise UserError(f"{after['module']} was not compared. {' '.join(filter(None, why))}")
        for what, growth in after["growth_in_percent"].items():
            loaded = str(after["counted"])
            was, now = (one["counts"][what][loaded] for one in (before, after))
            said = f"{what.replace('_', ' ')} {was:,.10g} → {now:,.10g}"
            percent = float("inf") if growth is None else abs(growth)
            if percent >= MOVED:
                news.append((percent, f"{said}, {after['module']}, {loaded} loaded"))
    return sorted(news, reverse=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or open the issue that there is reason for; 2 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.upstream", description=__doc__)
    parser.add_argument("issue", type=Path, help="the file of the issue")
    parser.add_argument("--archive", type=Path, help="a C API archive for Linux")
    parser.add_argument("--against", help="a pinned release; else the newest")
    parser.add_argument("--module", action="append", help="else the three fixtures")
    options = parser.parse_args(arguments)
    try:
        if options.archive is None:
            raise_issue(LABEL, *json.loads(options.issue.read_text(encoding="utf-8")))
            return 0
        release = options.against or pins.load()[-1].version
        with tempfile.TemporaryDirectory() as folder:
            library = str(unpack(options.archive, Path(folder)))
            asked = ["--library", library, "--against", release, "--unwinder", "libunwind"]
            modules = options.module or MODULES
            probed = probe.probe_all(probe.parse([*modules, *asked, "--counts-only"]))
            news = moved(probed)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    lines = [said for _, said in news] or ["nothing has moved"]
    print(*lines, sep="\n")
    if news:
        title = f"Wasmtime's dev release moved against {release}: {lines[0]}"
        body = "\n- ".join(["Of one module, counted with LLVM's libunwind:\n", *lines])
        options.issue.write_text(json.dumps([title, body]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
