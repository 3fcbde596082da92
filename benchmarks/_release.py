"""Check that the installed release is the one that asv names."""

import json
import os
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

PINS = Path(__file__).resolve().parent.parent / "fixtures" / "releases.json"


def check_release() -> None:
    """Refuse to measure one release under the name of another.

    asv sets ASV_COMMIT to the commit of the release. An environment without a pinned release
    (`asv run -E existing`) has no such variable, so nothing is checked.

    Raises:
        RuntimeError: the commit is not pinned, or another release is installed.
    """
    commit = os.environ.get("ASV_COMMIT")
    if commit is None:
        return
    releases = {
        release["commit"]: release["version"]
        for release in json.loads(PINS.read_text(encoding="utf-8"))["releases"]
    }
    expected, installed = releases.get(commit), distribution("wasmtime")
    if expected != installed.version:
        raise RuntimeError(
            f"asv measures commit {commit}, which is {expected or 'not pinned'} in {PINS}, but "
            f"wasmtime {installed.version} is installed here. Remove .asv/env and run asv again."
        )
    file = Path(str(installed.locate_file("wasmtime/__init__.py")))
    package = find_spec("wasmtime")
    if package is None or package.origin is None or not file.samefile(package.origin):
        raise RuntimeError(
            f"Python imports another wasmtime instead of {file}: {package}. Unset ASV_PYTHONPATH."
        )
