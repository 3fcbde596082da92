"""Does `asv compare` cry wolf? Measure two releases that do equal work, and count what it marks.

Which releases do equal work is known from exact counts: those of 48.0.0 and 49.0.0 are the same.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MACHINE = "local-aa"  # git ignores it
COUNTED = ("unwinder_instructions.", "unwind_tables.")
# half of each tenth of a second, until it is ended
BUSY = """
import time
while True:
    start = time.perf_counter()
    while time.perf_counter() - start < 0.05: pass
    time.sleep(0.05)
"""


def asv(*arguments: str) -> list[str]:
    """The command line of asv."""
    return [sys.executable, "-m", "asv", *arguments, "--machine", MACHINE]


def rows(table: str) -> list[tuple[bool, str]]:
    """Whether each row of `asv compare` is marked, and the benchmark it is of."""
    found = (re.match(r"\| (.) +\|.* (\S+\.\S+\.\S+) ", line) for line in table.splitlines())
    return [(row[1] in "+-", row[2]) for row in found if row]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is marked; 2 when asv fails."""
    parser = argparse.ArgumentParser(prog="python -m scripts.measuring.aa", description=__doc__)
    parser.add_argument("releases", nargs="*", default=["48.0.0", "49.0.0"])
    parser.add_argument("--bench", default=".", help="a regular expression; all by default")
    parser.add_argument("--busy", action="store_true", help="keep one core busy half of the time")
    options = parser.parse_args(arguments)
    shutil.rmtree(Path("results", MACHINE), ignore_errors=True)
    busy = [subprocess.Popen([sys.executable, "-c", BUSY])] if options.busy else []
    try:
        if subprocess.call(asv("run", "--bench", options.bench, " ".join(options.releases))):
            return 2
    finally:
        for process in busy:
            process.kill()
    table = subprocess.check_output(asv("compare", *options.releases), text=True)
    print(table)
    kinds: dict[str, list[bool]] = {"counted": [], "time and memory": []}
    for marked, name in rows(table):
        kinds["counted" if name.startswith(COUNTED) else "time and memory"].append(marked)
    for kind, marks in kinds.items():
        print(f"{kind}: {sum(marks)} of {len(marks)} rows are marked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
