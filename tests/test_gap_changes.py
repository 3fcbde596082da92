"""Change points, the verdict on the newest release and the advice, on histories that are known."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from packaging.version import Version

from scripts.gap import changes
from scripts.gap.changes import WORTH, Change, Newest
from scripts.history.benchmarks import PAIRED
from scripts.history.read import SESSION, Gap, History, ResultFile

from .results import RELEASES

HISTORIES = 200
NOISE = 0.02  # between the samples of one process, and between processes on a quiet machine
SHARED = 0.11  # between processes with libunwind on the shared machine that is recorded
STEP = 1.5


def gap(
    release: str, ratio: float, samples: Sequence[float] = (), size: str = "1000x8",
    excess: float | None = None, started: float = 0, spread: float = NOISE,
) -> Gap:  # fmt: skip
    low, high = (min(samples), max(samples)) if samples else (ratio - spread, ratio + spread)
    return Gap(
        "m",
        "libunwind",
        size,
        release,
        ratio,
        low,
        high,
        excess,
        excess,
        None,
        None,
        tuple(samples),
        started,
    )


def whole(gaps: Sequence[Gap]) -> History:
    """A history of these gaps."""
    ordered = sorted(gaps, key=lambda gap: Version(gap.release))
    files = {
        gap.release: ResultFile("m", "libunwind", gap.release, gap.started, {}) for gap in ordered
    }
    return History({"m": {"os": "Debian 12, libgcc 12"}}, list(files.values()), ordered)


def history(
    random: np.random.Generator,
    levels: Sequence[float],
    size: str = "1000x8",
    processes: float = NOISE,
    within: Sequence[float] = (NOISE,),
) -> list[Gap]:
    """One series: each release is a process with an error of its own, and eight samples."""
    made = []
    for release, level in zip(RELEASES[-len(levels) :], levels, strict=True):
        centre = level * math.exp(random.normal(0, processes))
        noise = random.normal(0, random.choice(within), 8)
        samples = [centre * math.exp(one) for one in noise]
        made.append(gap(release, float(np.median(samples)), samples, size))
    return made


@pytest.mark.parametrize("processes", [NOISE, SHARED])
def test_flat_histories_have_no_change_points(processes: float) -> None:
    random = np.random.default_rng(0)
    levels = [9.0] * len(RELEASES)
    flat = [history(random, levels, processes=processes) for _ in range(HISTORIES)]
    assert sum(bool(changes.steps(one, (), libunwind=True)) for one in flat) <= HISTORIES / 100


def test_a_step_is_found_at_its_release() -> None:
    random = np.random.default_rng(0)
    right = 0
    for _ in range(HISTORIES):
        at = int(random.integers(4, len(RELEASES) - 4))
        levels = [9.0] * at + [9.0 / STEP] * (len(RELEASES) - at)
        found = changes.steps(history(random, levels), (), libunwind=True)
        right += [step.release for step in found] == [RELEASES[at]]
    assert right >= 0.95 * HISTORIES


def test_a_process_that_is_steady_by_chance_does_not_speak_for_all() -> None:
    """Recorded: at most releases the samples lie 30 to 50 % apart, at some 1 %."""
    random = np.random.default_rng(0)
    within = (0.15, 0.15, 0.1, 0.1, 0.005)
    levels = [20.0] * 3 + [8.0] * 28 + [1.5]
    right, wrong = 0, 0
    for _ in range(HISTORIES):
        one = history(random, levels, processes=0.1, within=within)
        right += [step.release for step in changes.steps(one, (), libunwind=True)] == [
            RELEASES[-29]
        ]
        flat = history(random, [8.0] * 32, processes=0.1, within=within)
        wrong += bool(changes.steps(flat, (), libunwind=True))
    assert right >= 0.9 * HISTORIES
    assert wrong <= HISTORIES / 100


def judge(random: np.random.Generator, factor: float, processes: float = NOISE) -> Newest:
    """The verdict on two releases at all sizes, of which the last moved the gap at one."""
    (verdict,) = changes.newest(
        whole(
            [
                one
                for size in PAIRED
                for one in history(
                    random, [2.0, 2.0 * (factor if size == "1000x8" else 1)], size, processes
                )
            ]
        )
    )
    return verdict


@pytest.mark.parametrize("processes", [NOISE, SHARED])
def test_a_newest_release_that_changed_nothing_has_not_moved(processes: float) -> None:
    random = np.random.default_rng(0)
    flat = [judge(random, 1, processes) for _ in range(HISTORIES)]
    assert sum(bool(one.moved) for one in flat) <= HISTORIES / 100


@pytest.mark.parametrize("factor", [2.4, 1 / 2.4])
def test_a_newest_release_that_moved_the_gap_is_found(factor: float) -> None:
    random = np.random.default_rng(0)
    moved = [judge(random, factor) for _ in range(HISTORIES)]
    assert sum(list(one.moved) == ["1000x8"] for one in moved) >= 0.95 * HISTORIES


@pytest.mark.parametrize(("apart", "certain"), [(3.5, False), (4.5, True)])
def test_samples_have_to_be_apart_at_1_percent(apart: float, certain: bool) -> None:
    """By the rank test: of 8 samples each, 3.5 places apart is 2.1 %, 4.5 is 0.5 %."""
    before = gap("49.0.0", 2.0, list(map(float, range(8))))
    now = gap("50.0.1", 9.0, [apart + place for place in range(8)])
    assert bool(changes.newest(whole([before, now]))[0].moved) is certain


@pytest.mark.parametrize(
    ("lasting", "factor", "width", "found"),
    [
        (1, 2.2, 1, False), (1, 2.8, 1, True),
        (2, 1.45, 1, False), (2, 1.75, 1, True),
        (3, 1.3, 1, False), (3, 1.4, 1, True),
        (9, 1.3, 1, False),  # too small, however long it lasts
        # an interval that is wider than what processes differ by counts for less
        (3, 1.5, 1.2, True), (3, 1.5, 1.5, False), (5, 1.5, 1.5, True),
    ],
)  # fmt: skip
def test_a_small_step_has_to_last(lasting: int, factor: float, width: float, found: bool) -> None:
    """And the very last release is not asked."""
    levels = [9.0] * (len(RELEASES) - lasting - 1) + [9.0 / factor] * (lasting + 1)
    gaps = [
        replace(gap(release, level), low=level / math.sqrt(width), high=level * math.sqrt(width))
        for release, level in zip(RELEASES, levels, strict=True)
    ]
    steps = changes.steps(gaps, (), libunwind=True)
    assert [step.release for step in steps] == [RELEASES[-lasting - 1]] * found


def test_a_small_but_certain_difference_is_no_move() -> None:
    before = gap("49.0.0", 2.0, [2.0 + 0.001 * step for step in range(8)])
    now = gap("50.0.1", 2.6, [2.6 + 0.001 * step for step in range(8)])
    assert changes.newest(whole([before, now]))[0].moved == {}


def test_a_step_at_the_end_has_to_be_confirmed() -> None:
    samples = [2.0 + 0.001 * step for step in range(8)]
    gaps = [gap(release, 9.0, [9.0] * 8) for release in RELEASES[:-1]]
    for started, confirmed in ((0, True), (SESSION + 1, False)):
        last = [*gaps, gap(RELEASES[-1], 2.0, samples, started=started)]
        verdicts = changes.newest(whole(last))
        assert bool(changes.all_steps(last, (), verdicts)) is confirmed


def reason(*gaps: Gap) -> str:
    (verdict,) = changes.newest(whole(gaps))
    assert not verdict.moved
    return verdict.reason


def test_what_cannot_be_compared_is_said() -> None:
    samples = [2.0 + 0.001 * step for step in range(8)]
    before = gap("49.0.0", 2, samples)
    assert reason(before) == "no release before it has a gap"
    later = gap("50.0.1", 9, [9.0] * 8, started=SESSION + 1)
    assert "not measured in one session, but 6 hours apart" in reason(before, later)
    for few in ([], samples[:7]):
        assert "measure both again" in reason(before, gap("50.0.1", 9, few))
    assert "no size in common" in reason(before, gap("50.0.1", 9, samples, size="1000x1"))
    assert reason(before, gap("50.0.1", 9, size="1000x100")) == "its gap is not measured"


def test_the_newest_release_is_the_newest_that_was_measured() -> None:
    """Also when its gap was not: the one before is not new."""
    samples = [2.0 + 0.001 * step for step in range(8)]
    known = whole([gap("48.0.0", 2, samples), gap("49.0.0", 2, samples)])
    known.files.append(ResultFile("m", "libunwind", "50.0.1", 0, {}))
    (verdict,) = changes.newest(known)
    assert (verdict.release, verdict.previous) == ("50.0.1", "49.0.0")
    assert verdict.reason == "its gap is not measured"


def test_releases_are_ordered_by_version_and_steps_have_their_causes() -> None:
    upstream = changes.upstream_changes()
    gaps = [gap(release, 2.0) for release in ("100.0.0", "50.0.1", "51.0.0", "100.1.0")]
    gaps += [gap(release, 20.0) for release in ("9.0.0", "21.0.0", "49.0.0", "22.0.0")]
    (step,) = changes.all_steps(gaps, upstream, changes.newest(whole(gaps)))
    assert (step.previous, step.release) == ("49.0.0", "50.0.1")
    assert step.before == pytest.approx(20)
    assert step.after == pytest.approx(2)
    assert [change.pull_request for change in step.changes] == [14304]
    # between releases that were not measured, everything that came is named
    sparse = [gap(release, 20.0) for release in ("19.0.0", "20.0.0", "21.0.0")]
    sparse += [gap(release, 2.0) for release in ("50.0.1", "51.0.0", "52.0.0")]
    (step,) = changes.all_steps(sparse, upstream, changes.newest(whole(sparse)))
    assert [change.pull_request for change in step.changes] == [8629, 9479, 14304]
    # what concerns libunwind alone explains nothing where there is none
    (libgcc,) = changes.steps(sparse, upstream, libunwind=False)
    assert [change.pull_request for change in libgcc.changes] == [8629]
    (apple,) = changes.steps(sparse, upstream, libunwind=True)
    assert len(apple.changes) == 3


def test_unpaired_sizes_have_no_change_points() -> None:
    gaps = [gap(release, 1.0, size="1000x100") for release in RELEASES[:20]]
    gaps += [gap(release, 9.0, size="1000x100") for release in RELEASES[20:]]
    assert changes.all_steps(gaps, (), ()) == []


def test_upstream_changes_are_those_of_the_design() -> None:
    upstream = {change.pull_request: change for change in changes.upstream_changes()}
    assert {number: change.release.split(".")[0] for number, change in upstream.items()} == {
        6547: "11", 6896: "13", 8028: "19", 8629: "22", 9479: "27", 14304: "50",
    }  # fmt: skip
    assert upstream[8629].url == "https://github.com/bytecodealliance/wasmtime/pull/8629"
    assert isinstance(upstream[8629], Change)


@pytest.mark.parametrize(("at_least", "expected"), [(WORTH + 1, ("1000x8",)), (WORTH - 1, ())])
def test_advice_goes_by_the_lower_end_of_the_cost(
    at_least: float, expected: tuple[str, ...]
) -> None:
    one = replace(gap("50.0.1", 9.0, excess=900.0), at_least=at_least)
    older = gap("49.0.0", 9.0, excess=9000.0)
    (advice,) = changes.advice(whole([older, one]))
    assert advice.release == "50.0.1"
    assert advice.costs == {"1000x8": 900.0}
    assert advice.too_much == expected
    assert changes.advice(whole([gap("50.0.1", 9.0)]))[0].costs == {}
