"""The committed wasm modules."""

import json
import re

import pytest
from wasmtime import Engine, FuncType, Module, wat2wasm

from benchmarks._shapes import EXPORTED
from scripts import make_fixtures

from .conftest import ROOT

SIZES = sorted(EXPORTED)


@pytest.mark.parametrize("functions", SIZES)
def test_wasm_and_text_match_the_generator(functions: int) -> None:
    path = make_fixtures.FIXTURES / f"functions-{functions}.wat"
    assert path.with_suffix(".wasm").read_bytes() == wat2wasm(path.read_text())
    assert path.read_text() == make_fixtures.write_module(functions)


def test_module_for_backtraces_matches_the_generator() -> None:
    path = make_fixtures.FIXTURES / "three-deep.wat"
    assert path.read_text() == make_fixtures.THREE_DEEP
    assert path.with_suffix(".wasm").read_bytes() == wat2wasm(path.read_text())


@pytest.mark.parametrize("functions", SIZES)
def test_module_has_its_functions_and_exports_and_no_equal_bodies(functions: int) -> None:
    path = make_fixtures.FIXTURES / f"functions-{functions}.wat"
    bodies = re.split(r"\n  \(func \$f\d+", path.read_text())[1:]
    assert len(bodies) == functions
    assert len({body.split("(param", 1)[1] for body in bodies}) == functions
    for part in ("load", "return", "(if"):
        assert all(part in body for body in bodies)
    exports = Module(Engine(), path.with_suffix(".wasm").read_bytes()).exports
    exported = [export for export in exports if isinstance(export.type, FuncType)]
    assert len(exported) == EXPORTED[functions]


def test_every_benchmark_is_in_a_class_and_has_a_manual_version() -> None:
    """asv also runs functions outside of classes, and derives a missing version from the code."""
    benchmarks = json.loads((ROOT / "results/benchmarks.json").read_text())
    names = [name for name in benchmarks if name != "version"]
    assert all(re.fullmatch(r"\w+\.[A-Z]\w+\.(time|track|peakmem)_\w+", name) for name in names)
    assert all(benchmarks[name]["version"].isdigit() for name in names)
