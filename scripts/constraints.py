"""Pin what the direct dependencies bring along: `constraint-dependencies` in pyproject.toml.

    uv run python -m scripts.constraints

resolves the newest versions and writes them, so that a clone in a year installs what passed today.
(`uv.lock` would do, but it names the host of a package index.)
"""

import re
import subprocess
import sys
from pathlib import Path

from scripts.base.files import write

PROJECT = Path("pyproject.toml")
BLOCK = re.compile(r"^constraint-dependencies = \[.*?^\]$", re.MULTILINE | re.DOTALL)


def newest() -> list[str]:
    """Every package that uv would install now, as `name==version`, and where."""
    listing = subprocess.run(
        ["uv", "export", "--upgrade", "--quiet", "--all-groups", "--no-hashes", "--no-header",
         "--no-annotate"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return listing.splitlines()


def block(packages: list[str]) -> str:
    """The setting that holds these versions."""
    return "\n".join(["constraint-dependencies = [", *(f'    "{name}",' for name in packages), "]"])


def main() -> int:
    """Resolve without the constraints, then write what came of it."""
    text = PROJECT.read_text(encoding="utf-8")
    direct = set(re.findall(r'"([\w.-]+==[\w.]+)"', BLOCK.sub("", text)))
    try:
        PROJECT.write_text(BLOCK.sub(block([]), text), encoding="utf-8")
        packages = [line for line in newest() if line.split(" ;")[0] not in direct]
    finally:
        PROJECT.write_text(text, encoding="utf-8")
    write(PROJECT, BLOCK.sub(block(packages), text))
    print(f"{len(packages)} packages are pinned in {PROJECT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
