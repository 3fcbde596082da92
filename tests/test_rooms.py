"""What the rooms of scripts/ may know of each other; import-linter holds the directions."""

import subprocess
import sys

from asv.benchmarks import Benchmarks
from asv.config import Config

from scripts.history import benchmarks

from .conftest import DEADLINE, ROOT


def test_names_that_scripts_rely_on_are_benchmarks() -> None:
    known = Benchmarks.load(Config.load("asv.conf.json"))
    assert set(known[benchmarks.FDES]["params"][0]) == set(benchmarks.SIZES)
    for name, shapes in (
        (benchmarks.RATIO, benchmarks.TIMED),
        (benchmarks.EXTRA, benchmarks.TIMED),
        (benchmarks.REMOVAL, benchmarks.COUNTED),
    ):
        assert {repr(shape) for shape in shapes} <= set(known[name]["params"][0])
        assert tuple(shapes.values()) == benchmarks.SIZES
    assert "others" in str(known[benchmarks.FUNCTION]["params"])
    assert benchmarks.HEADLINE in benchmarks.SIZES


def test_measuring_loads_neither_the_report_nor_what_draws_it() -> None:
    program = (
        "import sys; from asv.plugin_manager import plugin_manager; "
        "plugin_manager.import_plugin('.scripts.asv_plugin'); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
    ).stdout.split()  # fmt: skip
    assert "scripts.site.publisher" in loaded
    for name in ("jinja2", "altair", "vl_convert", "rich", "scripts.gap", "scripts.site.pages"):
        assert name not in loaded


def test_reading_results_changes_nothing_in_asv() -> None:
    program = """
from asv import util
from asv.results import Results
before = Results.load, Results.save, util.write_json
import scripts.asv_plugin, scripts.history.read, scripts.history.record
assert before == (Results.load, Results.save, util.write_json)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=DEADLINE)
