"""The scripts of the site, run in Node: they compute the same as the Python code."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from scripts.base.numbers import format_milliseconds
from scripts.cost.advice import Load, advise, libgcc_limits
from scripts.cost.platforms import Platform
from scripts.site.calculator import MACOS, build_calculator_data, model_eras

from .conftest import COMMITS, ROOT, skip_missing

TEMPLATES = ROOT / "scripts/site/templates"
RELEASES = list(COMMITS)
LOADS = [
    Load(modules, fdes, residents)
    for modules in (1, 3, 20, 1000, 40_000)
    for fdes in (1, 17, 106, 497, 2008, 60_000)
    for residents in (0, 10_040, 400_000)
]


def run_script(name: str, expression: str, **values: Any) -> Any:
    """Load a script of the site in Node, evaluate an expression, and return its value."""
    if shutil.which("node") is None:
        skip_missing("Node.js is not installed")
    source = (TEMPLATES / name).read_text(encoding="utf-8")
    constants = "".join(f"const {key} = {json.dumps(value)};\n" for key, value in values.items())
    script = f"{source}\n{constants}console.log(JSON.stringify({expression}));"
    done = subprocess.run(
        ["node", "-"], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_calculator_gives_the_same_advice_as_python() -> None:
    data = build_calculator_data(RELEASES)
    answers = run_script(
        "calculator.js",
        "cases.map(([p, e, m, modules, fdes, residents]) => {"
        " const advice = advise(model, p, e, {modules, fdes, residents}, model.macos[m]);"
        " return {...advice, text: advice.cost && formatRange(advice.cost)}; })",
        model=data,
        cases=[
            [platform, era, macos, *load]
            for platform in range(len(Platform))
            for era in range(len(data["eras"]))
            for macos in range(len(MACOS))
            for load in LOADS
        ],
    )
    expected = [
        (platform, era.last, macos["version"], load)
        for platform in Platform
        for era in model_eras(RELEASES)
        for macos in MACOS
        for load in LOADS
    ]
    assert len(answers) == len(expected) > 1000
    for answer, (platform, release, macos, load) in zip(answers, expected, strict=True):
        wanted = advise(platform, release, load, macos=macos)
        assert answer["decision"] == wanted.decision.value, (platform, release, load)
        assert answer["basis"] == wanted.basis.value
        assert answer["gives"] == wanted.gives
        assert answer["notes"] == wanted.notes
        if wanted.cost is None:
            assert answer["cost"] is None
        else:
            assert answer["cost"] == pytest.approx(tuple(wanted.cost), rel=1e-9)


def test_advice_is_the_same_for_all_releases_of_an_era_of_the_calculator() -> None:
    eras = model_eras(RELEASES)
    assert [era.first for era in eras] == ["13.0.0", "19.0.0", "27.0.1", "50.0.1"]
    assert eras[-1].label.endswith("and later")
    for era in eras:
        releases = RELEASES[RELEASES.index(era.first) : RELEASES.index(era.last) + 1]
        for platform in Platform:
            assert len({str(advise(platform, release, LOADS[3])) for release in releases}) == 1


def test_calculator_formats_milliseconds_like_python() -> None:
    values = [0, 1e-6, 4.2e-5, 1e-4, 0.067, 0.1, 1, 9.4, 9.96, 10, 128.4, 5e5]
    assert run_script("calculator.js", "values.map(formatMilliseconds)", values=values) == [
        format_milliseconds(value) for value in values
    ]


def test_unwind_info_is_kept_up_to_the_limits_of_libgcc() -> None:
    fdes, modules = libgcc_limits()
    for platform, load in (
        (Platform.LIBGCC_TREE, Load(1000, fdes)),
        (Platform.LIBGCC_LIST, Load(modules, 17)),
    ):
        assert advise(platform, RELEASES[-1], load).decision.value == "keep it"
        more = Load(load.modules * 2, load.fdes * 2)
        assert advise(platform, RELEASES[-1], more).decision.value == "too close to call"


SERIES = {"machine": "m", "unwinder": "u", "benchmark": "b"}


def test_comparison_starts_with_the_counts_that_differ_most() -> None:
    data = {
        "releases": ["49.0.0", "50.0.1"],
        "series": [
            {**SERIES, "shape": "time", "counted": False, "values": [[8, 7, 9], [1, 0.9, 1.1]]},
            {**SERIES, "shape": "noise", "counted": False, "values": [[8, 7, 9], [7, 6, 8]]},
            {**SERIES, "shape": "little", "counted": True, "values": [1000, 1005]},
            {**SERIES, "shape": "much", "counted": True, "values": [1_156_765, 68_043]},
            {**SERIES, "shape": "new", "counted": True, "values": [None, 5]},
            {**SERIES, "shape": "zero", "counted": True, "values": [0, 0]},
        ],
    }
    rows = run_script(
        "compare.js",
        "compareReleases(data, '49.0.0', '50.0.1').map((row) =>"
        " [row.shape, formatValue(row, row.now), formatPercent(row), differs(row)])",
        data=data,
    )
    assert rows == [
        ["much", "68,043", "−94.1 %", True],  # noqa: RUF001 a minus sign
        ["little", "1,005", "+0.50 %", False],
        ["zero", "0", "0 %", False],
        ["time", "1×", "−87.5 %", True],  # noqa: RUF001
        ["noise", "7×", "−12.5 %", False],  # noqa: RUF001
    ]
