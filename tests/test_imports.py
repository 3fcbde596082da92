"""Names that scripts, benchmarks and asv share; import-linter checks the directions of imports."""

import json
import re
import subprocess
import sys

from benchmarks._shapes import COUNTED, HEADLINE, PROGRAM

from .conftest import DEADLINE, ROOT
from .results import REGISTRATION, REMOVAL, TEARDOWN

KNOWN = json.loads((ROOT / "results/benchmarks.json").read_text())
BENCHMARK = re.compile(r"\"(\w+\.[A-Z]\w+\.(?:time|track|peakmem)_\w+)\"")


def loaded_modules(program: str) -> list[str]:
    """Return the names of the modules that a program loads."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
    ).stdout.split()  # fmt: skip


def test_benchmarks_that_scripts_name_exist() -> None:
    names = {
        name
        for path in (ROOT / "scripts").rglob("*.py")
        for name in BENCHMARK.findall(path.read_text(encoding="utf-8"))
    }
    assert names
    assert names - KNOWN.keys() == set()


def test_benchmarks_have_the_parameters_of_their_shapes() -> None:
    headline, counted = list(map(repr, HEADLINE)), list(map(repr, COUNTED))
    remedy = "run `uv run asv run --bench just-discover` after a change of benchmarks/_shapes.py"
    assert KNOWN[TEARDOWN]["params"] == [["'on'", "'off'"], headline], remedy
    assert KNOWN[REGISTRATION]["params"] == [headline], remedy
    assert KNOWN[REMOVAL]["params"] == [counted], remedy


def test_shapes_that_are_timed_are_also_counted() -> None:
    assert HEADLINE.items() <= COUNTED.items()


def test_every_shape_has_a_fixture() -> None:
    for shape in COUNTED.values():
        wasm = ROOT / f"fixtures/functions-{shape.functions}.wasm"
        assert shape.functions == PROGRAM or wasm.exists()


def test_importing_shapes_loads_neither_wasmtime_nor_other_benchmarks() -> None:
    modules = loaded_modules("from benchmarks._shapes import COUNTED")
    assert not {"wasmtime", "elftools", "benchmarks._modules"} & {*modules}


def test_importing_scripts_changes_nothing_in_asv() -> None:
    program = """
from asv import util
from asv.commands import run
from asv.results import Results
before = run.Results, run.Run.run, util.write_json
import scripts.asv_plugin, scripts.history.read, scripts.history.record
assert before == (run.Results, run.Run.run, util.write_json)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=DEADLINE)


def test_helper_names_do_not_look_like_benchmarks() -> None:
    """asv runs every function of a module whose name begins with one of these prefixes."""
    helper = re.compile(r"^def ((?:time|track|mem|peakmem|timeraw)_?[a-z]*\w*)", re.MULTILINE)
    lookalikes = {
        f"{path.name}: {name}"
        for path in (ROOT / "benchmarks").glob("*.py")
        for name in helper.findall(path.read_text(encoding="utf-8"))
        if re.match(r"(time|track|mem|peakmem|timeraw)(_|[A-Z])", name)
    }
    assert lookalikes == set()
