"""What the rooms of scripts/ may know of each other; import-linter holds the directions."""

import re
import subprocess
import sys

from asv.benchmarks import Benchmarks
from asv.config import Config

from scripts.history import benchmarks

from .conftest import DEADLINE, ROOT


def test_names_that_scripts_rely_on_are_benchmarks() -> None:
    known = Benchmarks.load(Config.load("asv.conf.json"))
    names = [value for name, value in vars(benchmarks).items() if re.fullmatch("[A-Z]+", name)]
    names = [name for name in names if isinstance(name, str) and "." in name]
    assert len(names) >= 3
    assert set(names) <= set(known)
    for name, parameters in (
        (benchmarks.RATIO, [list(map(repr, benchmarks.PAIRED))]),
        (benchmarks.EXTRA, [list(map(repr, benchmarks.PAIRED))]),
        (benchmarks.TIME, [["'on'", "'off'"], list(map(repr, benchmarks.PAIRED))]),
    ):
        assert known[name]["params"] == parameters
    functions = {size.split("x")[1] for size in benchmarks.SIZES}
    assert functions == set(known[benchmarks.FDES]["params"][0])
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
