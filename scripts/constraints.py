"""Pin what the direct dependencies bring along: `constraint-dependencies` in pyproject.toml.

    uv run python -m scripts.constraints

resolves the newest versions and writes them, so that a clone in a year installs what passed today.
(`uv.lock` would do, but it names the host of a package index.)
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.base.files import write_atomically

PROJECT = Path("pyproject.toml")
BLOCK = re.compile(r"^constraint-dependencies = \[.*?^\]$", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Resolve without the constraints, then write what came of it."""
    text = PROJECT.read_text(encoding="utf-8")
    free = BLOCK.sub("", text)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(free, encoding="utf-8")
        listing = subprocess.check_output(  # every package: `name==version`, and where
            ["uv", "export", "--project", folder, "--quiet", "--all-groups", "--no-hashes",
             "--no-header", "--no-annotate"], text=True,
        )  # fmt: skip
    direct = re.findall(r'"([\w.-]+==[\w.]+)"', free)
    packages = [line for line in listing.splitlines() if line.split(" ;")[0] not in direct]
    lines = [f'    "{package}",' for package in packages]
    write_atomically(
        PROJECT, BLOCK.sub("\n".join(["constraint-dependencies = [", *lines, "]"]), text)
    )
    print(f"{len(packages)} packages are pinned in {PROJECT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
