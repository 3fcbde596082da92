"""The first plugin of `asv.conf.json`: it checks the packages that the second one imports.

It imports nothing but asv and what asv requires, so that a Python with asv alone can load it.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from asv.util import UserError
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
REMEDY = "Start asv with `uv run asv`, or run `pip install --group measure` (pip 25.1 or later)."


def setup() -> None:
    """Check Python and the packages of the group `measure`; asv calls this on loading the plugin.

    asv itself is among them: scripts/asv_plugin.py replaces functions of the pinned version.

    Raises:
        UserError: Python is too old, or a package is missing or has another version.
    """
    running = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 without uv, any Python can get here
        raise UserError(
            f"The suite needs Python 3.11, but asv runs in {running}. Start asv with `uv run asv`."
        )
    import tomllib  # new in Python 3.11

    groups = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["dependency-groups"]
    requirements = [Requirement(pinned) for pinned in groups["measure"]]
    problems = [problem for required in requirements if (problem := find_problem(required))]
    if problems:
        named = ", ".join(problems)
        raise UserError(f"Packages are missing or have another version: {named}. {REMEDY}")


def find_problem(requirement: Requirement) -> str:
    """Return an unmet requirement with the installed version, or an empty string."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return str(requirement)
    if requirement.specifier.contains(installed):
        return ""
    return f"{requirement} (installed: {installed})"
