"""Changes, eras, the verdict on the newest release and the rule, on histories that are known."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from scripts.gap import changes
from scripts.gap.changes import FEWEST, KEEP, MOST, TURN_OFF, UNKNOWN, WORTH
from scripts.history.benchmarks import SIZES
from scripts.history.read import SESSION, History, Point, Value

from .results import RELEASES

HISTORIES = 400
PROCESSES = 0.2  # between the processes of one release: worse than any that is recorded
KEY = ("m", "libunwind")


def counted(release: str, count: float, size: str = "8", library: str = "") -> Point:
    return Point(*KEY, size, release, instructions=count, library=library)


def timed(release: str, gap: float, size: str = "8", samples: int = 8, started: float = 0) -> Point:
    return Point(*KEY, size, release, gap=Value(gap, gap, gap, samples), started=started)


def whole(points: Sequence[Point], system: str = "Debian 12, libgcc 12") -> History:
    return History({"m": {"os": system}}, {"m": points[-1].release}, points=list(points))


def conclude(*points: Point) -> tuple[list[str], str, bool]:
    """The releases that changed something, the reason against a verdict, and whether it moved."""
    found, (newest,), _ = changes.conclude(whole(points))
    return [change.release for change in found], newest.reason, newest.moved


@pytest.mark.parametrize(
    ("factor", "moved"), [(1.02, True), (0.98, True), (1.01, True), (1.009, False), (1, False)]
)
def test_a_count_that_differs_by_one_percent_is_a_change(factor: float, moved: bool) -> None:
    before = [counted(release, 51) for release in RELEASES[:-1]]
    now = counted(RELEASES[-1], 51 * factor)
    assert conclude(*before, now) == ([RELEASES[-1]] * moved, "", moved)


def test_a_change_cuts_every_size_and_has_its_causes() -> None:
    story = {"21.0.0": 300.0, "22.0.0": 100.0, "49.0.0": 100.0, "50.0.1": 10.0}
    points = [counted(release, count) for release, count in story.items()]
    points += [counted(release, 7, "1") for release in story]
    found, _, eras = changes.conclude(whole(points))
    assert [change.label for change in found] == ["22.0.0 #8629", "50.0.1 #14304"]
    assert [change.moved for change in found] == [{"8": (300, 100)}, {"8": (100, 10)}]
    for size in ("1", "8"):
        assert [(era.release, era.last, era.why) for era in eras if era.size == size] == [
            ("21.0.0", "21.0.0", ""),
            ("22.0.0", "49.0.0", "22.0.0 #8629"),
            ("50.0.1", "50.0.1", "50.0.1 #14304"),
        ]


def test_functions_explain_a_change_if_both_releases_have_them_counted() -> None:
    before = replace(counted("49.0.0", 100), functions={"fde": 90, "section": 0, "others": 10})
    now = replace(counted("50.0.1", 30), functions={"fde": 0, "section": 20, "others": 10})
    (change,), _, _ = changes.conclude(whole([before, now]))
    assert list(change.functions.items()) == [("fde", (90, 0)), ("section", (0, 20))]
    (change,), _, _ = changes.conclude(whole([replace(before, functions={}), now]))
    assert change.functions == {}


def test_between_releases_that_were_not_measured_everything_that_came_is_named() -> None:
    points = [counted("21.0.0", 300.0), counted("50.0.1", 10.0)]
    other = [replace(point, unwinder="system") for point in points]
    for these, expected in ((points, [8629, 9479, 14304]), (other, [8629])):
        (change,) = changes.conclude(whole(these))[0]
        assert [cause["pull_request"] for cause in change.causes] == expected


def test_another_counted_library_is_no_news_of_a_release() -> None:
    before, now = counted("49.0.0", 100, library="a 1 (00)"), counted("50.0.1", 103, library="a 2")
    releases, reason, moved = conclude(before, now)
    assert releases == ["50.0.1"]
    assert reason == "the counted library is another one, a 1 (00) → a 2"
    assert not moved
    assert changes.conclude(whole([before, now]))[0][0].label == "50.0.1 #14304 another library"
    # it does not matter where nothing moved
    assert conclude(before, replace(now, instructions=100)) == ([], "", False)


def test_where_something_is_counted_times_change_nothing() -> None:
    points = [replace(timed(release, 9), instructions=51) for release in RELEASES[:-1]]
    points.append(replace(timed(RELEASES[-1], 1), instructions=51))
    assert conclude(*points) == ([], "", False)


def test_what_cannot_be_told_is_said() -> None:
    before = counted("49.0.0", 100)
    assert conclude(before)[1] == "no release before it is measured"
    other = [counted("49.0.0", 100, "1"), counted("50.0.1", 100, "1")]
    assert conclude(before, *other)[1] == "it is not measured at 8"
    history = whole([before])
    history.newest["m"] = "50.0.1"
    assert changes.conclude(history)[1][0].reason == "it is not measured, or its file is left out"
    old = timed("49.0.0", 2)
    assert "6 hours apart" in conclude(old, timed("50.0.1", 9, started=SESSION + 1))[1]
    assert "measure both again" in conclude(old, timed("50.0.1", 9, samples=7))[1]
    assert conclude(old, timed("50.0.1", 9, started=SESSION)) == (["50.0.1"], "", True)


def mac(random: np.random.Generator, levels: Sequence[float]) -> list[str]:
    """The changes found on a Mac of invented times: eight processes for each release and size."""
    points = []
    for size, (release, level) in itertools.product(SIZES, zip(RELEASES, levels, strict=True)):
        samples = level * np.exp(random.normal(0, PROCESSES, 8))
        value = Value(float(np.median(samples)), samples.min(), samples.max(), 8)
        points.append(Point("m", "system", size, release, gap=value))
    found, _, _ = changes.conclude(whole(points, "macOS 15"))
    return [change.release for change in found]


@pytest.mark.slow
def test_error_rates_of_the_rule_for_times() -> None:
    """Of histories of 42 releases and 3 sizes: below 1 % false alarms; 99 % of steps of 3 found."""
    random = np.random.default_rng(0)
    right, wrong, last = 0, 0, 0
    for _ in range(HISTORIES):
        at = int(random.integers(1, len(RELEASES)))
        step, small = ([9.0] * at + [9.0 / by] * (len(RELEASES) - at) for by in (3, 1.2))
        right += mac(random, step) == [RELEASES[at]]
        wrong += bool(mac(random, small))
        last += mac(random, [9.0] * (len(RELEASES) - 1) + [3.0]) == [RELEASES[-1]]
    print(f"found {right}, at the end {last}, false alarms {wrong} of {HISTORIES}")
    assert min(right, last) >= 0.99 * HISTORIES
    assert wrong <= 0.01 * HISTORIES


@pytest.mark.parametrize(
    ("extra", "instructions", "says"),
    [
        (WORTH + 1, 1.0, TURN_OFF), (WORTH, 1e9, KEEP), (-3.0, None, KEEP),
        (None, MOST * WORTH + 1, TURN_OFF), (None, FEWEST * WORTH, KEEP),
        (None, FEWEST * WORTH + 1, UNKNOWN), (None, None, UNKNOWN),
    ],
)  # fmt: skip
def test_the_rule(extra: float | None, instructions: float | None, says: str) -> None:
    assert changes.rule(extra if extra is None else Value(extra), instructions) == says


def test_an_era_has_the_median_and_the_range_of_all_samples() -> None:
    assert changes.over([Value(1, 0.5, 2, 8), None, Value(3, 2, 4, 8), Value(2)]) == Value(
        2, 0.5, 4, 16
    )
    assert changes.over([None]) is None
    assert math.isclose(WORTH, 100)
