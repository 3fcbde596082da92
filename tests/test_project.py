"""Packages are pinned, so that every clone installs the versions that passed the tests."""

import re
import tomllib
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = [Requirement(line) for line in PROJECT["tool"]["uv"]["constraint-dependencies"]]
DIRECT = [Requirement(line) for group in PROJECT["dependency-groups"].values() for line in group]


def pinned_versions() -> dict[str, str]:
    """Return the pinned version of each package on this platform."""
    return {
        canonicalize_name(pin.name): str(pin.specifier)
        for pin in (*DIRECT, *PINNED)
        if pin.marker is None or pin.marker.evaluate()
    }


def test_every_installed_package_is_pinned_to_its_version() -> None:
    installed = {
        canonicalize_name(package.name): f"=={package.version}" for package in distributions()
    }
    pinned = pinned_versions()
    assert {name: pinned.get(name) for name in installed} == installed


def test_direct_dependencies_are_pinned_exactly() -> None:
    assert [str(pin) for pin in DIRECT if not re.fullmatch(r"==[\w.]+", str(pin.specifier))] == []


def test_constraints_name_no_package_index() -> None:
    assert "://" not in "".join(PROJECT["tool"]["uv"]["constraint-dependencies"])


def test_citation_agrees_with_the_project() -> None:
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert citation["license"] == PROJECT["project"]["license"]
    (author,) = citation["authors"]
    assert author["name"].endswith(PROJECT["project"]["name"])
