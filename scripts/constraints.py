"""Pin the indirect dependencies: `constraint-dependencies` in pyproject.toml.

    uv run python -m scripts.constraints

resolves the newest versions and writes them, so that every later clone installs the versions that
passed the tests. `uv.lock` is not committed, because it contains the URL of a package index.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.base.files import write_atomically

PROJECT = Path("pyproject.toml")
BLOCK = re.compile(r"^constraint-dependencies = \[.*?^\]$", re.MULTILINE | re.DOTALL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Resolve without the old constraints, then write new ones."""
    parser = argparse.ArgumentParser(prog="python -m scripts.constraints", description=__doc__)
    parser.parse_args(arguments)
    text = PROJECT.read_text(encoding="utf-8")
    unconstrained = BLOCK.sub("", text)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(unconstrained, encoding="utf-8")
        listing = subprocess.check_output(  # one line per package: `name==version ; marker`
            ["uv", "export", "--project", folder, "--quiet", "--all-groups", "--no-hashes",
             "--no-header", "--no-annotate"], text=True,
        )  # fmt: skip
    direct = re.findall(r'"([\w.-]+==[\w.]+)"', unconstrained)
    packages = [line for line in listing.splitlines() if line.split(" ;")[0] not in direct]
    lines = [f'    "{package}",' for package in packages]
    block = "\n".join(["constraint-dependencies = [", *lines, "]"])
    write_atomically(PROJECT, BLOCK.sub(block, text))
    print(f"Pinned {len(packages)} indirect dependencies in {PROJECT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
