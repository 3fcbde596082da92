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

from scripts.base.files import write

PROJECT = Path("pyproject.toml")
BLOCK = re.compile(r"^constraint-dependencies = \[.*?^\]$", re.MULTILINE | re.DOTALL)


def newest(project: str) -> list[str]:
    """Every package that uv would install now for a pyproject.toml: `name==version`, and where."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "pyproject.toml").write_text(project, encoding="utf-8")
        listing = subprocess.run(
            ["uv", "export", "--project", folder, "--quiet", "--all-groups", "--no-hashes",
             "--no-header", "--no-annotate"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    return listing.splitlines()


def main() -> int:
    """Resolve without the constraints, then write what came of it."""
    text = PROJECT.read_text(encoding="utf-8")
    free = BLOCK.sub("", text)
    direct = re.findall(r'"([\w.-]+==[\w.]+)"', free)
    packages = [line for line in newest(free) if line.split(" ;")[0] not in direct]
    lines = [f'    "{package}",' for package in packages]
    write(PROJECT, BLOCK.sub("\n".join(["constraint-dependencies = [", *lines, "]"]), text))
    print(f"{len(packages)} packages are pinned in {PROJECT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
