"""Change points, the verdict on the newest release and the advice, on histories that are known."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from scripts.gap import analysis
from scripts.gap.analysis import SESSION, WORTH, Change
from scripts.gap.history import PAIRED, Gap

from .results import RELEASES

HISTORIES = 1000
NOISE = 0.02  # between the gaps of two processes, and between the samples of one
STEP = 1.5


def gap(
    release: str, ratio: float, samples: Sequence[float] = (), size: str = "1000x8",
    excess: float | None = None, started: float = 0, spread: float = NOISE,
) -> Gap:  # fmt: skip
    low, high = (min(samples), max(samples)) if samples else (ratio - spread, ratio + spread)
    return Gap(
        "m", "u", size, release, ratio, low, high, excess, None, None, tuple(samples), started
    )


def history(
    random: np.random.Generator, levels: Sequence[float], size: str = "1000x8"
) -> list[Gap]:
    """One series: each release is a process with an error of its own, and eight samples."""
    made = []
    for release, level in zip(RELEASES[-len(levels) :], levels, strict=True):
        centre = level * math.exp(random.normal(0, NOISE))
        samples = [centre * math.exp(noise) for noise in random.normal(0, NOISE, 8)]
        made.append(gap(release, float(np.median(samples)), samples, size))
    return made


def test_flat_histories_have_no_change_points() -> None:
    random = np.random.default_rng(0)
    flat = [history(random, [9.0] * len(RELEASES)) for _ in range(HISTORIES)]
    assert sum(bool(analysis.steps(one, ())) for one in flat) <= HISTORIES / 100


def test_a_step_is_found_at_its_release() -> None:
    random = np.random.default_rng(0)
    right = 0
    for _ in range(HISTORIES):
        at = int(random.integers(4, len(RELEASES) - 4))
        levels = [9.0] * at + [9.0 / STEP] * (len(RELEASES) - at)
        found = analysis.steps(history(random, levels), ())
        right += [step.release for step in found] == [RELEASES[at]]
    assert right >= 0.95 * HISTORIES


def environment(random: np.random.Generator, factor: float) -> list[Gap]:
    """Two releases at all sizes, of which the last moved the gap at one."""
    return [
        one
        for size in PAIRED
        for one in history(random, [2.0, 2.0 * (factor if size == "1000x8" else 1)], size)
    ]


def test_the_newest_release_is_judged_by_its_samples() -> None:
    random = np.random.default_rng(0)
    flat = [analysis.newest(environment(random, 1))[0] for _ in range(HISTORIES)]
    assert sum(bool(one.moved) for one in flat) <= HISTORIES / 100
    for factor in (STEP, 1 / STEP):
        moved = [analysis.newest(environment(random, factor))[0] for _ in range(HISTORIES)]
        assert sum(list(one.moved) == ["1000x8"] for one in moved) >= 0.95 * HISTORIES


def test_a_small_but_certain_difference_is_no_move() -> None:
    before = gap("49.0.0", 2.0, [2.0 + 0.001 * step for step in range(8)])
    now = gap("50.0.1", 2.4, [2.4 + 0.001 * step for step in range(8)])
    assert analysis.newest([before, now])[0].moved == {}


def test_what_cannot_be_compared_is_said() -> None:
    samples = [2.0 + 0.001 * step for step in range(8)]
    (alone,) = analysis.newest([gap("50.0.1", 2, samples)])
    assert alone.reason == "no release before it was measured"
    later = gap("50.0.1", 9, [9.0] * 8, started=SESSION + 1)
    (apart,) = analysis.newest([gap("49.0.0", 2, samples), later])
    assert "not measured in one session, but 6 hours apart" in apart.reason
    assert not apart.moved
    (bare,) = analysis.newest([gap("49.0.0", 2, samples), gap("50.0.1", 9)])
    assert "--record-samples" in bare.reason
    other = gap("50.0.1", 9, samples, size="1000x1")
    assert "no size in common" in analysis.newest([gap("49.0.0", 2, samples), other])[0].reason


def test_releases_are_ordered_by_version_and_steps_have_their_causes() -> None:
    changes = analysis.upstream_changes()
    gaps = [gap(release, 2.0) for release in ("100.0.0", "50.0.1", "51.0.0", "100.1.0")]
    gaps += [gap(release, 20.0) for release in ("9.0.0", "21.0.0", "49.0.0", "22.0.0")]
    (step,) = analysis.all_steps(gaps, changes)
    assert (step.previous, step.release) == ("49.0.0", "50.0.1")
    assert step.before == pytest.approx(20)
    assert step.after == pytest.approx(2)
    assert [change.pull_request for change in step.changes] == [14304]
    # between releases that were not measured, everything that came is named
    sparse = [gap(release, 20.0) for release in ("19.0.0", "20.0.0", "21.0.0")]
    sparse += [gap(release, 2.0) for release in ("50.0.1", "51.0.0", "52.0.0")]
    (step,) = analysis.all_steps(sparse, changes)
    assert [change.pull_request for change in step.changes] == [8629, 9479, 14304]


def test_unpaired_sizes_have_no_change_points() -> None:
    gaps = [gap(release, 1.0, size="1000x100") for release in RELEASES[:20]]
    gaps += [gap(release, 9.0, size="1000x100") for release in RELEASES[20:]]
    assert analysis.all_steps(gaps, ()) == []


def test_upstream_changes_are_those_of_the_design() -> None:
    changes = {change.pull_request: change for change in analysis.upstream_changes()}
    assert {number: change.release.split(".")[0] for number, change in changes.items()} == {
        6547: "11", 6896: "13", 8028: "19", 8629: "22", 9479: "27", 14304: "50",
    }  # fmt: skip
    assert changes[8629].url == "https://github.com/bytecodealliance/wasmtime/pull/8629"
    assert isinstance(changes[8629], Change)


@pytest.mark.parametrize(
    ("low", "expected"), [(1 + 8.01 * WORTH / 900, ("1000x8",)), (1 + 7.9 * WORTH / 900, ())]
)
def test_advice_goes_by_the_lower_end_of_the_cost(low: float, expected: tuple[str, ...]) -> None:
    # the excess is 900 / 8 ms for each time that the gap is above one
    one = Gap("m", "u", "1000x8", "50.0.1", 9.0, low, 9.5, 900.0, None, None, (), 0)
    older = gap("49.0.0", 9.0, excess=9000.0)
    (advice,) = analysis.advice([older, one])
    assert advice.release == "50.0.1"
    assert advice.costs == {"1000x8": 900.0}
    assert advice.too_much == expected
    assert analysis.advice([gap("50.0.1", 9.0)])[0].costs == {}
