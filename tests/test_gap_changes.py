"""Changes, eras and the verdict on the newest release, for histories with known costs."""

import itertools

import numpy as np
import pytest
from asv.config import Config

from benchmarks._axis import APPLE, BY_FUNCTION, LIBGCC, LLVM, UNWINDERS
from scripts.base.exits import CHANGED, UNKNOWN
from scripts.history.benchmarks import DEREGISTER, EXTRA, FUNCTION, GAP, TIME_OFF, TIME_ON
from scripts.history.read import History
from scripts.history.rows import RESAMPLES, Row, SeriesKey, derive_gaps, resample, round_value
from scripts.report import words
from scripts.report.build import build_report, exit_code_of
from scripts.report.changes import find_changes, judge_newest, split_eras, split_series

from .conftest import ROOT
from .histories import (
    LINUX,
    MAC,
    STORY,
    make_counts,
    make_history,
    make_libraries,
    make_predicted_counts,
    make_times,
)
from .results import RELEASES

HISTORIES = 400
PROCESS_NOISE = 0.2  # spread between the processes of one release; recorded ones have less


def conclude(history: History) -> tuple[list[str], str, int]:
    """Return the releases with a change, the reason for an unknown verdict, and the exit code."""
    (rows,) = split_series(history).values()
    changes = find_changes(history, rows)
    verdict = judge_newest(history, rows, changes)
    return (
        [change.release for change in changes],
        verdict.unknown,
        exit_code_of([verdict], verdict.release),
    )


@pytest.mark.parametrize(
    ("factor", "changed"), [(1.02, True), (0.98, True), (1.01, True), (1.009, False), (1, False)]
)
def test_count_that_differs_by_one_percent_is_a_change(factor: float, changed: bool) -> None:
    counts = dict.fromkeys(RELEASES, 5100.0) | {RELEASES[-1]: 5100 * factor}
    conclusions = conclude(make_history(make_counts(counts)))
    assert conclusions == ([RELEASES[-1]] * changed, "", CHANGED if changed else 0)


def test_drift_is_a_change_once_it_adds_up_to_one_percent() -> None:
    counts = {release: 100_000 * 1.004**number for number, release in enumerate(RELEASES[:10])}
    (rows,) = split_series(history := make_history(make_counts(counts))).values()
    changes = find_changes(history, rows)
    assert [change.release for change in changes] == [RELEASES[3], RELEASES[6], RELEASES[9]]
    # each is compared with the first release of the era before
    assert [change.shapes["1000x8"][0] for change in changes] == [
        counts[RELEASES[number]] for number in (0, 3, 6)
    ]


def test_single_count_off_by_two_percent_is_one_change() -> None:
    rows = make_predicted_counts(["48.0.0", "49.0.0"])
    rows = [
        row._replace(value=row.value * 1.02)
        if (row.release, row.shape) == ("49.0.0", "1000x8")
        else row
        for row in rows
    ]
    assert conclude(make_history(rows)) == (["49.0.0"], "", CHANGED)


def test_change_starts_an_era_in_every_shape_and_names_its_causes() -> None:
    story = {"21.0.0": 300.0, "22.0.0": 100.0, "49.0.0": 100.0, "50.0.1": 10.0}
    flat = dict.fromkeys(story, 7.0)
    history = make_history([*make_counts(story), *make_counts(flat, shape="1000x1")])
    (rows,) = split_series(history).values()
    changes = find_changes(history, rows)
    assert [change.label for change in changes] == ["22.0.0 #8629", "50.0.1 #14304"]
    assert [change.shapes for change in changes] == [{"1000x8": (300, 100)}, {"1000x8": (100, 10)}]
    eras = list(split_eras(history, rows, changes))
    for shape in ("1000x1", "1000x8"):
        assert [(era.first, era.last, era.releases) for era in eras if era.shape == shape] == [
            ("21.0.0", "21.0.0", 1), ("22.0.0", "49.0.0", 2), ("50.0.1", "50.0.1", 1),
        ]  # fmt: skip


def test_change_lists_functions_if_both_releases_have_them() -> None:
    before, now = {"fde": 90, "section": 0, "others": 10}, {"fde": 0, "section": 20, "others": 10}
    functions = [
        Row(SeriesKey("linux", LLVM), release, FUNCTION, name, value)
        for release, values in (("49.0.0", before), ("50.0.1", now))
        for name, value in values.items()
    ]
    counts = make_counts({"49.0.0": 100, "50.0.1": 30})
    for rows, expected in (
        ([*counts, *functions], [("fde", (90, 0)), ("section", (0, 20))]),
        ([*counts, *functions[3:]], []),
    ):
        history = make_history(rows)
        (change,) = find_changes(history, next(iter(split_series(history).values())))
        assert list(change.functions.items()) == expected


def test_change_names_all_upstream_changes_since_the_release_before() -> None:
    for unwinder, expected in ((LLVM, [8629, 9479, 14304]), (LIBGCC, [8629])):
        history = make_history(make_counts({"21.0.0": 300.0, "50.0.1": 10.0}, unwinder=unwinder))
        (change,) = find_changes(history, next(iter(split_series(history).values())))
        assert [cause["pull_request"] for cause in change.causes] == expected


def test_verdict_is_unknown_if_another_library_was_counted() -> None:
    rows = make_counts({"49.0.0": 100, "50.0.1": 103})
    other = make_libraries({"49.0.0": 0xA00000000000, "50.0.1": 0xB00000000000})
    releases, unknown, code = conclude(make_history([*rows, *other]))
    assert (releases, code) == (["50.0.1"], UNKNOWN)
    assert unknown == (
        "the counted library differs: unknown package (a0000000) → unknown package (b0000000)"
    )
    same = make_counts({"49.0.0": 100, "50.0.1": 100})
    assert conclude(make_history([*same, *other])) == ([], "", 0)


def test_times_are_ignored_in_a_series_with_counts() -> None:
    rows = make_counts(dict.fromkeys(STORY, 51.0))
    rows += make_times(dict.fromkeys(STORY, 9.0) | {"50.0.1": 1.0}, LINUX, LLVM)
    assert conclude(make_history(rows)) == ([], "", 0)


def test_verdict_is_unknown_if_a_count_is_missing() -> None:
    before = make_counts({"49.0.0": 100})
    assert conclude(make_history(before))[1:] == ("no earlier release was measured", UNKNOWN)
    other = make_counts({"49.0.0": 100, "50.0.1": 100}, shape="1000x1")
    assert conclude(make_history([*before, *other]))[1:] == (
        "it was not measured at 1000x8",
        UNKNOWN,
    )
    missing = "it was not measured, or its result file was left out"
    assert conclude(make_history(before, newest="50.0.1"))[1:] == (missing, UNKNOWN)


def test_release_without_a_count_is_an_era_of_its_own() -> None:
    rows = make_counts({"48.0.0": 100, "49.0.0": 100})
    rows += make_times(dict.fromkeys(("48.0.0", "49.0.0"), 9.0) | {"50.0.1": 1.3}, LINUX, LLVM)
    history = make_history(rows)
    (series,) = split_series(history).values()
    changes = find_changes(history, series)
    old, new = split_eras(history, series, changes)
    assert (old.first, old.last, old.known) == ("48.0.0", "49.0.0", True)
    assert (new.first, new.last, new.known, new.change) == ("50.0.1", "50.0.1", False, None)
    assert DEREGISTER not in new.values
    assert new.values[GAP].value == 1.3
    assert old.values[EXTRA].value == pytest.approx(80)


@pytest.mark.parametrize(("gap", "changed"), [(4.4, True), (4.6, False), (18.0, True)])
def test_gap_that_differs_by_a_factor_of_two_is_a_change_without_counts(
    gap: float, changed: bool
) -> None:
    gaps = dict.fromkeys(STORY, 9.0) | {"50.0.1": gap}
    assert conclude(make_history(make_times(gaps), MAC))[0] == ["50.0.1"] * changed


def test_verdict_is_unknown_if_times_have_single_samples() -> None:
    rows = make_times({"49.0.0": 9.0}) + make_times({"50.0.1": 1.0}, samples=1)
    releases, unknown, code = conclude(make_history(rows, MAC))
    assert (releases, code) == ([], UNKNOWN)
    assert "without --quick" in unknown


def test_releases_with_single_samples_are_not_averaged_into_one_era() -> None:
    rows = make_times({"49.0.0": 5.5, "50.0.1": 1.2}, samples=1)
    history = make_history(rows, MAC)
    (series,) = split_series(history).values()
    eras = list(split_eras(history, series, find_changes(history, series)))
    assert [(era.first, era.last, era.known) for era in eras] == [
        ("49.0.0", "49.0.0", False), ("50.0.1", "50.0.1", False),
    ]  # fmt: skip


def find_noisy_changes(random: np.random.Generator, gaps: list[float]) -> list[str]:
    """Return the changes found in random times of a Mac, with eight samples each."""
    rows = []
    shapes = ("1000x1", "1000x8", "100x100")
    for shape, (release, gap) in itertools.product(shapes, zip(RELEASES, gaps, strict=True)):
        samples = tuple(gap * np.exp(random.normal(0, PROCESS_NOISE, 8)))
        value = round_value(float(np.median(samples)))
        rows.append(Row(SeriesKey("mac", APPLE), release, GAP, shape, value, samples=samples))
    history = make_history(rows, MAC)
    (series,) = split_series(history).values()
    return [change.release for change in find_changes(history, series)]


@pytest.mark.slow
def test_changes_of_times_have_few_false_alarms_and_misses() -> None:
    """At most 1 % of histories have a false alarm, and a step of 3 is found in 99 %."""
    random = np.random.default_rng(0)
    detected = false_alarms = 0
    for _ in range(HISTORIES):
        at = int(random.integers(1, len(RELEASES)))
        large, small = ([9.0] * at + [9.0 / by] * (len(RELEASES) - at) for by in (3, 1.2))
        detected += find_noisy_changes(random, large) == [RELEASES[at]]
        false_alarms += bool(find_noisy_changes(random, small))
    assert detected >= 0.99 * HISTORIES
    assert false_alarms <= 0.01 * HISTORIES


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 40, 300])
def test_resampled_medians_equal_those_of_drawn_samples(size: int) -> None:
    random = np.random.default_rng(1)
    for samples in (random.exponential(size=size), random.integers(1, 4, size=size) / 7):
        drawn = np.random.default_rng(5).choice(samples, (RESAMPLES, size))
        expected = np.median(drawn, axis=1)
        assert (resample(list(samples), 5) == expected).all()


def test_range_of_a_gap_is_the_middle_of_the_resampled_ratios() -> None:
    """The ends are the 2.5th and 97.5th percentile of the ratios of medians, with fixed seeds."""
    on, off = [8.0, 9.0, 10.0, 14.0], [1.0, 1.1, 1.3, 1.2]
    key = SeriesKey("linux", LLVM)
    rows = [
        Row(key, "50.0.1", name, "1000x8", float(np.median(samples)), samples=tuple(samples))
        for name, samples in ((TIME_ON, on), (TIME_OFF, off))
    ]
    gap = next(row for row in derive_gaps(rows) if row.benchmark == GAP)
    draws = [np.random.default_rng(seed).choice(4, (1000, 4)) for seed in (10287, 10288)]
    ratios = np.median(np.array(on)[draws[0]], axis=1) / np.median(np.array(off)[draws[1]], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    assert (gap.low, gap.high) == (round_value(float(low)), round_value(float(high)))
    assert gap.value == round_value(9.5 / 1.15)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (5, 0, "free"),
        (0, 5, "no longer free"),
        (34, 2, "17 times cheaper"),
        (2, 5, "2.5 times more expensive"),
    ],
)
def test_change_of_cost_says_its_direction(old: float, new: float, text: str) -> None:
    assert words.compare_costs(old, new) == text
    assert words.abbreviate_cost_change(old, new) == text.replace(" times", "×")


def test_cause_of_a_change_is_not_taken_from_the_release_before_it() -> None:
    history = make_history(make_counts({"22.0.0": 300.0, "49.0.0": 100.0}))
    (change,) = find_changes(history, next(iter(split_series(history).values())))
    assert [cause["pull_request"] for cause in change.causes] == [9479]


def test_unwinder_of_special_runs_may_lag_behind() -> None:
    usual = make_counts({"48.0.0": 7.0, "49.0.0": 7.0, "50.0.1": 7.0})
    special = make_counts({"48.0.0": 9.0, "49.0.0": 9.0}, unwinder=BY_FUNCTION)
    report = build_report(make_history([*usual, *special], newest="50.0.1"))
    assert {verdict.release: verdict.unknown for verdict in report.verdicts} == {
        "50.0.1": "", "49.0.0": "",
    }  # fmt: skip
    assert exit_code_of(report.verdicts, "50.0.1") == 0


def test_default_unwinders_are_those_of_the_configuration() -> None:
    axis = Config.load(str(ROOT / "asv.conf.json")).matrix["env_nobuild"]["UNWINDER"]
    assert {unwinder.option for unwinder in UNWINDERS if unwinder.by_default} == {*axis}
