"""The scripts of the site, run in Node: they compute the same as the Python code."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from scripts.base.numbers import format_milliseconds
from scripts.cost.advice import Decision, Load, advise, libgcc_limits
from scripts.cost.benefit import Backtrace
from scripts.cost.platforms import Platform
from scripts.site.calculator import (
    MACOS,
    build_calculator_data,
    build_library_benefits,
    model_eras,
)
from scripts.site.verdicts import ANY_LOAD, DEPENDS, build_verdict

from .conftest import COMMITS, ROOT, skip_missing

TEMPLATES = ROOT / "scripts/site/templates"
RELEASES = list(COMMITS)
LOADS = [
    Load(modules, fdes, residents)
    for modules in (1, 3, 20, 1000, 40_000)
    for fdes in (1, 17, 106, 497, 2008, 60_000)
    for residents in (0, 10_040, 400_000)
]


def run_script(names: str, expression: str, **values: Any) -> Any:
    """Load scripts of the site in Node, evaluate an expression, and return its value."""
    if shutil.which("node") is None:
        skip_missing("Node.js is not installed")
    source = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names.split())
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
        (platform, era.last, macos["key"], load)
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


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1000", [1000, 1000]),
        (" 1,000 ", [1000, 1000]),
        ("1 000", [1000, 1000]),
        ("1\u202f000\u202f000", [1_000_000, 1_000_000]),
        ("491 to 503", [491, 503]),
        ("491-503", [491, 503]),
        ("1,491 – 1,503", [1491, 1503]),
        ("at least 491", [491, None]),
    ],
)
def test_numbers_are_read_as_people_write_them(written: str, expected: list[int | None]) -> None:
    expression = "(({low, high}) => [low, high])(parseFdes(written))"
    assert run_script("calculator.js inputs.js", expression, written=written) == expected


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "Enter a whole number"),
        ("0", "Enter 1 or more"),
        ("-5", "is not a whole number"),
        ("−5", "is not a whole number"),  # noqa: RUF001
        ("0.5", "is not a whole number"),
        ("1,5", "is not a whole number"),
        ("1,0000", "is not a whole number"),
        ("many", "is not a whole number"),
        ("1e400", "is not a whole number"),
        ("9" * 400, "Enter 1,000,000,000 or less"),
        ("5 to 3", "ends with 3, which is less than 5"),
        ("3 to", "is not a whole number"),
    ],
)
def test_wrong_numbers_are_refused_with_a_reason(written: str, problem: str) -> None:
    expression = (
        "(() => { try { return parseFdes(written); }"
        " catch (error) { return error instanceof InputError && error.message; } })()"
    )
    answer = run_script("calculator.js inputs.js", expression, written=written)
    assert isinstance(answer, str)
    assert problem in answer


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("?release=47&platform=intel-mac", {"release": "47", "platform": "intel-mac"}),
        ("?release=47.0.2", {"release": "47"}),
        ("?release=v50.0.1&fdes=491+to+503", {"release": "50", "fdes": "491 to 503"}),
        ("?platform=0&era=2", {"platform": "apple-silicon", "release": "49"}),
        ("?platform=4&era=3&size=497&unit=fdes&exported=8&modules=20&unload=one&residents=7",
         {"platform": "libgcc-list", "release": "50", "fdes": "497", "modules": "20",
          "unload": "one", "residents": "7"}),
        ("?era=2&size=100&unit=functions&exported=7", {"release": "49", "fdes": "108"}),
        ("?era=1&size=100&unit=functions&exported=7", {"release": "21", "fdes": "115"}),
        ("?size=8&unit=functions&exported=90", {"fdes": "17"}),
        ("?utm=1", {}),
    ],
)  # fmt: skip
def test_links_are_read_by_name_and_former_links_are_translated(
    query: str, state: dict[str, str]
) -> None:
    data = build_calculator_data(RELEASES)
    read = run_script(
        "calculator.js inputs.js", "readAddress(model, query)", model=data, query=query
    )
    assert read == {"state": state, "problems": []}


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?release=12", "release 12"),
        ("?release=abc", "release abc"),
        ("?platform=9", "“9”"),
        ("?platform=beos", "“beos”"),
        ("?macos=9", "“9”"),
    ],
)
def test_unknown_names_in_a_link_are_reported(query: str, problem: str) -> None:
    data = build_calculator_data(RELEASES)
    read = run_script(
        "calculator.js inputs.js", "readAddress(model, query)", model=data, query=query
    )
    assert read["state"] == {}
    assert len(read["problems"]) == 1
    assert problem in read["problems"][0]
    assert "Known here" in read["problems"][0]


def test_links_that_the_page_writes_are_read_back() -> None:
    state = {
        "platform": "libunwind", "release": "47", "macos": "12", "language": "python",
        "fdes": "491 to 503", "modules": "300", "unload": "one", "residents": "10,000",
    }  # fmt: skip
    query, read = run_script(
        "calculator.js inputs.js",
        "[writeAddress(state, initial), readAddress(model, writeAddress(state, initial)).state]",
        model=build_calculator_data(RELEASES),
        state=state,
        initial={**state, "modules": "1000", "unload": "all", "residents": "0", "fdes": "1",
                 "macos": "13.3", "language": "rust"},
    )  # fmt: skip
    assert read == state
    assert query.startswith("?platform=libunwind&release=47&")


def test_a_range_of_fdes_is_too_close_to_call_if_its_ends_differ() -> None:
    data = build_calculator_data(RELEASES)
    platform, era = list(Platform).index(Platform.INTEL_MAC), len(data["eras"]) - 1
    case = {"modules": 1000, "unload": "all", "residents": 0}
    answers = run_script(
        "calculator.js inputs.js",
        "spans.map((fdes) => adviseSpan(model, platform, era, {...load, fdes}, model.macos[0]))",
        model=data, platform=platform, era=era, load=case,
        spans=[{"low": 17, "high": 9000}, {"low": 17, "high": 20}, {"low": 17, "high": None},
               {"low": 9000, "high": None}],
    )  # fmt: skip
    assert [answer["decision"] for answer in answers] == [
        "too close to call", "keep it", "unknown", "turn it off"
    ]  # fmt: skip
    low, high = (advise(Platform.INTEL_MAC, RELEASES[-1], Load(1000, fdes)) for fdes in (17, 9000))
    assert low.cost
    assert high.cost
    assert answers[0]["cost"] == pytest.approx([low.cost.low, high.cost.high])


@pytest.mark.parametrize("macos", ["", *(version["key"] for version in MACOS)])
@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("release", [era.last for era in model_eras(RELEASES)])
def test_conditions_of_a_verdict_are_those_of_the_advice(
    release: str, platform: Platform, macos: str
) -> None:
    def decide(load: Load) -> Decision:
        return advise(platform, release, load, macos=macos).decision

    verdict = build_verdict(platform, release, macos=macos)
    for condition in verdict.conditions:
        if condition.text == ANY_LOAD:
            assert decide(Load(1, 1)) is decide(Load(10_000, 1000)) is Decision.TURN_OFF
        if condition.keep:
            assert decide(condition.keep) is Decision.KEEP
        if condition.turn_off:
            assert decide(condition.turn_off) is Decision.TURN_OFF
    decisions = {example.decision for example in verdict.examples}
    assert (verdict.answer == DEPENDS) == (len(decisions) > 1)
    assert all(len(sentence) < 160 for sentence in verdict.sentences)


SERIES = {"machine": "m", "unwinder": "u", "benchmark": "b"}
MEMORY = {**SERIES, "unwinder": "v", "shape": "left", "kind": "memory"}
COMPARISON: dict[str, Any] = {
    "releases": ["48.0.0", "49.0.0", "50.0.1"],
    "measured": ["48.0.0", "49.0.0", "50.0.1"],
    "gives": {
        "47.0.1": "unknown",
        "48.0.0": "nothing",
        "49.0.0": "all frames",
        "50.0.1": "all frames",
    },
    "memoryThresholds": [0.25, 500_000],
    "steps": [{"release": "50.0.1", "causes": [{"name": "#14304", "address": "", "what": ""}]}],
    "series": [
        {**SERIES, "shape": "1000x8", "kind": "gap", "values": [None, [8, 7, 9], [1, 0.9, 1.1]]},
        {**SERIES, "shape": "1000x8", "kind": "count", "values": [None, 1_156_765, 68_043]},
        {**SERIES, "shape": "a", "kind": "count", "values": [None, 0, 0]},
        {**SERIES, "shape": "a", "kind": "count", "values": [None, 1000, 1005]},
        {**SERIES, "shape": "a", "kind": "count", "values": [None, 1000, 1_963_858]},
        {**SERIES, "shape": "a", "kind": "gap", "values": [None, [8, 7, 9], [7, 6, 8]]},
        {**SERIES, "shape": "a", "machine": "n", "kind": "count", "values": [5, 5, None]},
        {**MEMORY, "values": [9_000_000, 300_000, 2_050_000]},
        {**MEMORY, "values": [9_000_000, 5_000_000, 5_600_000]},
    ],
}


def test_comparison_groups_by_shape_and_says_factors() -> None:
    rows, summary = run_script(
        "compare.js",
        "(({rows}) => [rows.map((row) => [row.shape, formatValue(row, row.now),"
        " describeChange(row)]), summarize(rows)])"
        "({rows: compareReleases(data, '49.0.0', '50.0.1')})",
        data=COMPARISON,
    )
    assert rows == [
        ["1000x8", "68,043", "17 times cheaper"],
        ["1000x8", "1×", "8 times cheaper"],
        ["a", "1,963,858", "1,964 times more expensive"],
        ["a", "1,005", "+0.5 %"],
        ["a", "0", "no change"],
        ["a", "7×", "within the noise"],
        ["left", "2.05 MB", "1.75 MB more"],
        ["left", "5.60 MB", "within the noise"],
    ]
    assert summary == (
        "2 of 4 counts changed by 1 % or more, and 1 by less; "
        "1 of 2 gaps changed by 1 % or more and beyond the noise; "
        "1 of 2 values of the memory left changed."
    )


def test_comparison_shows_the_digits_in_which_small_counts_differ() -> None:
    values = run_script(
        "compare.js", "counts.map((count) => formatValue({kind: 'count'}, count))",
        counts=[51, 51.9, 52.1, 1047.4],
    )  # fmt: skip
    assert values == ["51", "51.9", "52.1", "1,047"]


@pytest.mark.parametrize(
    ("before", "sentence"),
    [
        ("48.0.0", "Unwind info gives all frames in 50.0.1 to a backtrace from a host function "
         "(C API, on Linux), and gave nothing in 48.0.0."),
        ("49.0.0", "Unwind info gives the same in both to a backtrace from a host function "
         "(C API, on Linux): all frames."),
        ("13.0.0", ""),
        ("47.0.1", ""),
    ],
)  # fmt: skip
def test_comparison_says_what_unwind_info_gives(before: str, sentence: str) -> None:
    said = run_script("compare.js", "describeGives(data, before, '50.0.1')",
                      data=COMPARISON, before=before)  # fmt: skip
    assert said == sentence


def test_comparison_says_which_series_it_lacks_and_why_costs_changed() -> None:
    missing, steps, before = run_script(
        "compare.js",
        "[findMissing(data, '48.0.0', '50.0.1'), findSteps(data, '48.0.0', '50.0.1'),"
        " findSteps(data, '48.0.0', '49.0.0')]",
        data=COMPARISON,
    )
    assert missing == ["u on m: no values of 48.0.0", "u on n: no values of 50.0.1"]
    assert [step["release"] for step in steps] == ["50.0.1"]
    assert before == []


@pytest.mark.parametrize(
    ("query", "choice", "problem"),
    [
        ("", ["49.0.0", "50.0.1", "", ""], ""),
        ("?from=50.0.1&to=48.0.0&machine=n", ["48.0.0", "50.0.1", "n", ""], ""),
        ("?from=47.0.0", ["49.0.0", "50.0.1", "", ""], "47.0.0, which is not a measured release"),
        ("?unwinder=x", ["49.0.0", "50.0.1", "", ""], "x, which has no results"),
    ],
)
def test_links_to_comparisons_are_in_order_and_say_what_is_unknown(
    query: str, choice: list[str], problem: str
) -> None:
    read = run_script("compare.js", "readChoice(data, query)", data=COMPARISON, query=query)
    assert [*read["choice"].values()] == choice
    assert problem in " ".join(read["problems"])
    assert bool(problem) == bool(read["problems"])


def test_benefits_of_the_released_library_change_where_backtraces_do() -> None:
    backtraces = {
        "22.0.0": Backtrace(0, 0), "23.0.0": Backtrace(5, 0), "30.0.0": Backtrace(0, 0),
        "36.0.0": Backtrace(0, 0), "37.0.0": Backtrace(5, 1), "50.0.1": Backtrace(5, 1),
    }  # fmt: skip
    benefits = build_library_benefits(backtraces)
    assert [(benefit.first, benefit.is_nothing) for benefit in benefits] == [
        (22, True), (23, False), (30, True), (37, False),
    ]  # fmt: skip
    assert "(measured)" in benefits[0].linux
    assert "(inferred)" in benefits[0].mac
    assert "Nothing is lost" in benefits[0].linux
    assert build_library_benefits({}) == []
