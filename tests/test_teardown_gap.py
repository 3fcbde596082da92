"""The gap and the exponent: what their estimators make of noise whose truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
from asv_runner.statistics import compute_stats

from benchmarks import teardown_gap
from benchmarks._modules import SETTINGS, SHAPES, UnwindInfo, fixture
from benchmarks.teardown_gap import BLOCKS, ORDERS, PARTS, Pair, ratio

RUNS = 200
OFF = 1.4e-3  # seconds for a tenth of 1000 modules, with a quarter more for the first
SHAPE = OFF * np.linspace(1.25, 1, PARTS)
PAIRS = len(ORDERS)

Parts = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def quiet(random: np.random.Generator) -> Parts:
    """Factors on the times of one run: blocks × pairs × on and off × parts."""
    return 1 + np.abs(random.normal(0, 0.02, (BLOCKS, PAIRS, 2, PARTS)))


def heavy_tailed(random: np.random.Generator) -> Parts:
    """Every eighth part stalls, by a factor that has no upper bound."""
    noise = quiet(random)
    stalls = random.random(noise.shape) < 1 / 8
    return noise + np.where(stalls, random.pareto(1, noise.shape), 0)


def drifting(random: np.random.Generator) -> Parts:
    """The machine gets slower by a half in the course of a run."""
    noise = quiet(random)
    return noise * np.linspace(1, 1.5, noise.size).reshape(BLOCKS, PAIRS, PARTS, 2).swapaxes(2, 3)


def two_states(random: np.random.Generator) -> Parts:
    """Each pair is fast or slow as a whole, as on shared virtual machines."""
    slow = random.random((BLOCKS, PAIRS, 1, 1)) < 0.6
    return quiet(random) * np.where(slow, 1.6, 1)


def estimates(
    noise: Callable[[np.random.Generator], Parts], truth: float
) -> tuple[list[float], int]:
    """The errors of the gap in many runs, and how many of their ranges cover the truth."""
    random = np.random.default_rng(0)
    covered, errors = 0, []
    for _ in range(RUNS):
        times = noise(random) * np.array([truth, 1])[:, None] * SHAPE
        samples = [
            ratio([dict(zip(SETTINGS, map(list, pair), strict=True)) for pair in block])
            for block in times
        ]
        value, stats = compute_stats(samples, 1)
        errors.append(abs(value / truth - 1))
        covered += stats["ci_99_a"] <= truth <= stats["ci_99_b"]
    return errors, covered


@pytest.mark.parametrize("noise", [quiet, heavy_tailed, drifting, two_states])
@pytest.mark.parametrize("truth", [1.0, 1.5, 20.0])
def test_the_gap_is_found_in_noise_and_its_range_covers_it(
    noise: Callable[[np.random.Generator], Parts], truth: float
) -> None:
    errors, covered = estimates(noise, truth)
    assert np.quantile(errors, 0.95) < 0.03
    assert covered >= 0.95 * RUNS


def mean(block: list[Pair], unwind_info: UnwindInfo) -> float:
    return float(np.mean([pair[unwind_info] for pair in block], axis=0).sum())


def test_means_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the noise of the test above would be no test."""
    monkeypatch.setattr(teardown_gap, "shortest", mean)
    errors, _ = estimates(heavy_tailed, 1.5)
    assert np.quantile(errors, 0.95) > 0.1


def test_a_gap_is_the_quotient_of_each_part_s_shortest_times() -> None:
    block: list[Pair] = [
        {"on": [1.0, 8.0, 4.0], "off": [3.0, 1.0, 2.0]},
        {"on": [5.0, 2.0, 9.0], "off": [1.0, 4.0, 2.0]},
        {"on": [6.0, 7.0, 3.0], "off": [2.0, 5.0, 1.0]},
    ]
    assert teardown_gap.shortest(block, "on") == 1 + 2 + 3
    assert teardown_gap.shortest(block, "off") == 1 + 1 + 1
    assert ratio(block) == 2
    assert ratio([{"on": [2.0], "off": [3.0]}]) == 0.667


def test_sets_take_turns_and_every_module_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, object]] = []

    def load(count: int, wasm: object, unwind_info: UnwindInfo) -> list[str]:
        calls.append(("load", unwind_info))
        return [unwind_info] * count

    def drop(modules: list[str], count: int) -> float:
        assert len(modules) == count
        calls.append(("drop", modules[0]))
        return 2.0 if modules[0] == "on" else 1.0

    monkeypatch.setattr(teardown_gap, "load_image", load)
    monkeypatch.setattr(teardown_gap, "seconds_to_drop", drop)
    pair = teardown_gap.drop_in_turn(1000, fixture(8), SETTINGS)
    assert pair == {"on": [2.0] * PARTS, "off": [1.0] * PARTS}
    # both are loaded before either is dropped, and the one that went first goes second
    assert [what for what, _ in calls] == ["load"] * 2 + ["drop"] * 2 * PARTS
    assert [which for _, which in calls[2:8]] == ["on", "off", "off", "on", "on", "off"]
    calls.clear()
    for shape, (count, _) in SHAPES.items():
        assert teardown_gap.sample()[shape] == {"ratio": 2.0, "extra": 1e7 / count}
    loads = [which for what, which in calls if what == "load"]
    assert loads[::2] == ["on", "off"] * (3 * 3 * PAIRS // 2)
    assert all(count % PARTS == 0 for count, _ in SHAPES.values())
