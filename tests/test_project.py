"""Pinned packages: a clone installs what the tests passed with."""

import re
import tomllib
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = [Requirement(line) for line in PROJECT["tool"]["uv"]["constraint-dependencies"]]
DIRECT = [Requirement(line) for group in PROJECT["dependency-groups"].values() for line in group]


def pins() -> dict[str, str]:
    """Return the pinned version of each package on this platform."""
    return {
        canonicalize_name(pin.name): str(pin.specifier)
        for pin in (*DIRECT, *PINNED)
        if pin.marker is None or pin.marker.evaluate()
    }


def test_every_package_is_pinned_to_the_version_that_is_installed() -> None:
    installed = {canonicalize_name(found.name): f"=={found.version}" for found in distributions()}
    assert {
        name: version for name, version in installed.items() if pins().get(name) != version
    } == {}


def test_direct_dependencies_are_pinned_exactly() -> None:
    assert [str(pin) for pin in DIRECT if not re.fullmatch(r"==[\w.]+", str(pin.specifier))] == []


def test_no_registry_is_named() -> None:
    assert "://" not in "".join(PROJECT["tool"]["uv"]["constraint-dependencies"])
