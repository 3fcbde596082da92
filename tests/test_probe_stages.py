"""Tests of the probe's stages: predict, count, time and judge."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.cost.advice import Basis, Decision
from scripts.probe import sizes
from scripts.probe.compiling import Compiled
from scripts.probe.counting import (
    START_SECONDS,
    UnwinderCounts,
    count_instructions,
    list_numbers,
    plan_counting,
)
from scripts.probe.flow import Result
from scripts.probe.host_unwinders import HostUnwinder
from scripts.probe.judging import ModuleVerdict, judge
from scripts.probe.predicting import Prediction
from scripts.probe.sizes import Budget, choose_number, describe_duration
from scripts.probe.timing import SAMPLES, Times, choose_timed

from .probe_inputs import (
    LIBGCC_12,
    LIBGCC_14,
    LIBUNWIND,
    make_counts,
    make_result,
    predict,
)

# Predict


@pytest.mark.parametrize("unwinder", [LIBGCC_12, LIBGCC_14, LIBUNWIND])
def test_the_model_predicts_instructions_for_every_unwinder(unwinder: HostUnwinder) -> None:
    assert predict(17, unwinder=unwinder).instructions(1000) > 50
    assert predict(17, unwinder=unwinder).cost(1000).high > 0
    assert predict(0, unwinder=unwinder).instructions(1000) == 0
    assert predict(0, unwinder=unwinder).cost(1000) == (0, 0)


def test_the_module_of_an_upstream_issue_is_predicted() -> None:
    """The module of bytecodealliance/wasmtime#6541 took 22.4 s to deregister on macOS."""
    old = predict(266_664, "49.0.0")
    assert old.entries(1) == pytest.approx(266_664 * 266_665 / 2)
    cost = judge(old, 1, None, None).advice[1].cost
    assert cost
    assert cost.low < 22_400 <= cost.high * 1.001


# Count


def plan(fdes: int, release: str = "49.0.0", requested: int = 1000, **facts: Any) -> Any:
    """Plan counting a module, with the default budget unless `budget` is given."""
    budget = facts.pop("budget", Budget())
    unwinder = facts.pop("unwinder", LIBUNWIND)
    compiled = Compiled(fdes=fdes, portable_fdes=fdes, **facts)
    return plan_counting(compiled, predict(fdes, release, unwinder), requested, budget)


def test_two_small_counts_give_the_count_with_any_number_of_modules() -> None:
    """Recorded: 250 and 1000 modules of 17 FDEs took 289,765 and 1,156,765 instructions."""
    prediction = predict(17, "49.0.0")
    counts = make_counts({250: 289_765, 62: 72_437}, prediction)
    assert counts.deregister_with(1000) == 1_156_765
    assert counts.deregister_with(250) == 289_765
    assert counts.deregister_with(20) == prediction.instructions(20)
    flat = make_counts({4: 51, 1: 51}, predict(17, unwinder=LIBGCC_12))
    assert flat.deregister_with(1000) == 51


def test_a_single_count_scales_the_model() -> None:
    prediction = predict(17, "49.0.0")
    assert make_counts({1: 1921}, prediction).deregister_with(1000) == pytest.approx(1_156_765)
    assert make_counts({1: 2 * 1921}, prediction).deregister_with(1000) == 2 * 1_156_765
    assert make_counts({1: 0}, predict(0)).deregister_with(1000) == 0


def test_registering_costs_the_same_for_each_module_while_the_table_grows_now_and_then() -> None:
    """Counted with LLVM libunwind 19.1.7, whose table grew for 84 and 113 instructions in all."""
    counts = UnwinderCounts({}, {400: 7174.2825, 100: 7174.84}, predict(17, "49.0.0"))
    assert counts.register_with(400) == 7174.2825
    assert counts.register_with(1000) == pytest.approx(7174.17, abs=0.01)
    assert UnwinderCounts({}, {1: 7174}, predict(17)).register_with(1000) == 7174


def test_builds_are_counted_with_as_many_modules_as_take_seconds() -> None:
    fast, slow = plan(17, "50.0.1"), plan(17, "49.0.0")
    assert fast.numbers[0] > slow.numbers[0] >= 30
    assert all(planned.seconds <= START_SECONDS + Budget().count for planned in (fast, slow))
    assert slow.numbers == list_numbers(slow.numbers[0])
    assert plan(17, requested=40).numbers == [40, 10]
    patient = plan(17, "50.0.1", budget=Budget.share(5, 1))
    assert patient.numbers == [1000, 250]


def test_numbers_to_count_with() -> None:
    assert [list_numbers(number) for number in (1, 2, 3, 1000)] == [
        [1], [2, 1], [3, 1], [1000, 250]
    ]  # fmt: skip
    assert choose_number(1000, lambda number: number <= 130) == 125
    assert choose_number(7, lambda _: False) == 1


def test_a_large_module_is_counted_once_and_a_huge_one_is_predicted() -> None:
    """19,000 FDEs once took 977 s and 6.7 GB."""
    large = plan(19_000, image_mb=10.0, memory_mb=10.0)
    assert large.numbers == [1]
    assert large.seconds < 60
    assert plan(19_000, "50.0.1", image_mb=10.0, memory_mb=10.0).numbers == [3, 1]
    huge = plan(266_664)
    assert not huge.numbers
    assert huge.problem.startswith("counting one module would take about ")
    assert plan(266_664, "50.0.1").numbers
    assert plan(266_664, budget=Budget.share(300, 1)).numbers == [1]


def test_memory_limits_how_many_modules_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = type("Memory", (), {"available": 8e9})()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    budget = Budget(1e9, 1e9, 1e9)
    counted = plan(17, image_mb=200.0, memory_mb=200.0, budget=budget).numbers[0]
    assert 1 < counted <= 4e9 / 200e6 / 2.5  # half of the memory
    compiled = Compiled(fdes=17, memory_mb=200.0)
    timed, _ = choose_timed(compiled, predict(17), 1000, budget)
    assert counted < timed <= 4e9 / 200e6
    assert plan(17, memory_mb=90_000.0, budget=budget).numbers == [1]


def test_a_count_is_compared_with_the_model() -> None:
    prediction = predict(17)
    expected = prediction.instructions(100)
    assert not make_counts({100: expected + 30}, prediction).differ_from_model()
    assert make_counts({100: 1.02 * expected + 99}, prediction).differ_from_model()
    assert not make_counts({100: 1e9}, predict(17, unwinder=LIBGCC_14)).differ_from_model()


def test_an_unknown_processor_has_no_model_to_compare_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert not LIBUNWIND.has_known_scan
    assert not make_counts({100: 1e9}, predict(17)).differ_from_model()


class FakeCase:
    """A case whose child gives a fixed answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer, self.jobs = answer, list[dict[str, Any]]()

    def run(self, job: dict[str, Any], *_: object) -> dict[str, Any]:
        self.jobs.append(job)
        return self.answer


def test_counts_are_read_from_the_answer_of_the_child() -> None:
    compiled = Compiled({"portable": 7}, 17, 17)
    planned = plan_counting(compiled, predict(17), 4, Budget())
    case: Any = FakeCase(
        {"instructions_to_remove": {"4": 9, "1": 3}, "instructions_to_register": {"4": 5, "1": 5}}
    )
    counts, error = count_instructions(case, compiled, planned)
    assert counts
    assert (counts.deregister, counts.register, error) == ({4: 9, 1: 3}, {4: 5, 1: 5}, "")
    assert case.jobs == [{"job": "count", "image": 7, "fdes": 17, "modules": [4, 1]}]
    failed: Any = FakeCase({"error": "no memory"})
    assert count_instructions(failed, compiled, planned) == (None, "no memory")


# Time


def test_extra_time_is_the_difference_of_the_medians() -> None:
    times = Times.from_samples(100, [2.0, 3.0, 7.5], [1.0, 1.5, 1.2])
    assert (times.on, times.off) == (0.03, 0.012)
    assert times.extra == pytest.approx(times.on - times.off)
    assert times.range == pytest.approx((0.01, 0.063))
    assert times.range.low <= times.extra <= times.range.high


def test_the_likely_range_leaves_out_one_outlier_on_each_side() -> None:
    times = Times.from_samples(1, [0.0, 2, 3, 3, 3, 3, 4, 90], [0.0] * SAMPLES)
    assert times.range == (0, 90)
    assert times.likely == (2, 4)
    noisy = Times.from_samples(1, [13.0] * SAMPLES, [10.0] * SAMPLES)
    assert noisy.likely == (2, 4)  # a tenth of the time without unwind info on each side


def test_each_build_is_timed_with_its_own_number_of_modules() -> None:
    compiled = Compiled(fdes=497, memory_mb=0.7, load_seconds=6e-4, drop_seconds=5e-5)
    old, _ = choose_timed(compiled, predict(497, "49.0.0"), 1000, Budget())
    new, _ = choose_timed(compiled, predict(497, "50.0.1"), 1000, Budget())
    assert 1 <= old < new <= 1000


def test_a_module_that_is_too_slow_to_time_has_a_reason() -> None:
    compiled = Compiled(fdes=10**6, load_seconds=0.5)
    modules, problem = choose_timed(compiled, predict(10**6, "49.0.0"), 1000, Budget())
    assert modules == 0
    assert problem.startswith("timing one module would take about ")


def test_mappings_limit_how_many_modules_are_timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "max_map_count"
    file.write_text("900\n")
    monkeypatch.setattr(sizes, "MAX_MAPPINGS_FILE", file)
    assert choose_timed(Compiled(fdes=17), predict(17), 1000, Budget())[0] == 250


def test_minutes_are_shared_by_the_cases() -> None:
    assert Budget.share(None, 4) == Budget()
    assert Budget.share(2, 4) == Budget(15, 15, 15)


def test_durations_are_readable() -> None:
    assert [describe_duration(seconds) for seconds in (20, 600, 9000)] == [
        "about 20 s", "about 10 minutes", "about 2.5 hours"
    ]  # fmt: skip


# Judge

PARSER = predict(497)
MANY = 600  # parsers loaded: too close to call by the counts
ESTIMATED = PARSER.cost(MANY)


def times_of(modules: int, extra: Sequence[float], off: float = 0.015) -> Times:
    """Return times with these differences in ms per module."""
    on = [modules * (off + difference) for difference in extra]
    return Times.from_samples(modules, on, [modules * off] * len(on))


def exact(prediction: Prediction) -> UnwinderCounts:
    """Return counts that agree with the model."""
    return make_counts({n: prediction.instructions(n) for n in (32, 8)}, prediction)


def decide(verdict: ModuleVerdict) -> dict[int, Decision]:
    """Return the decisions by the number of modules."""
    return {modules: advice.decision for modules, advice in verdict.advice.items()}


@pytest.mark.parametrize("extra", [0.1195, 0.2797, 0.2778, 0.1664, 0.0])
def test_noise_is_not_a_cost(extra: float) -> None:
    """A module of 35 MB took 51 instructions to deregister under libgcc, but its times varied."""
    prediction = predict(30_000, unwinder=LIBGCC_12)
    counts = make_counts({8: 51, 2: 51}, prediction)
    verdict = judge(prediction, 10, counts, times_of(10, [extra] * SAMPLES, off=5))
    assert set(decide(verdict).values()) == {Decision.KEEP}
    assert verdict.advice[10].basis is Basis.ESTIMATED
    assert not verdict.disagreement


@pytest.mark.parametrize(
    ("extra", "decision"),
    [(None, Decision.EITHER), (0.124, Decision.TURN_OFF), (0.08, Decision.KEEP)],
)
def test_times_decide_when_counts_are_too_close_to_call(
    extra: float | None, decision: Decision
) -> None:
    times = times_of(MANY, [extra] * SAMPLES) if extra else None
    verdict = judge(PARSER, MANY, exact(PARSER), times)
    advice = verdict.advice[MANY]
    assert advice.decision is decision
    assert advice.basis is (Basis.MEASURED if extra else Basis.ESTIMATED)
    assert verdict.advice[20].decision is Decision.KEEP
    assert not verdict.disagreement
    if not extra:
        assert advice.cost == pytest.approx(tuple(ESTIMATED))


def test_one_low_sample_does_not_override_the_median() -> None:
    """With 32 modules loaded, 1.11 ms were measured, but the advice said 0.075 to 0.121 ms."""
    prediction = predict(900, "49.0.0")
    counts = exact(prediction)
    estimated = judge(prediction, 32, counts, None).advice[32].cost
    assert estimated
    median = 4 * estimated.high
    samples = [estimated.low, *[median] * (SAMPLES - 1)]
    verdict = judge(prediction, 32, counts, times_of(32, samples))
    measured = verdict.advice[32]
    assert measured.cost
    assert measured.basis is Basis.MEASURED
    assert measured.cost.low <= median <= measured.cost.high
    assert measured.cost.low > estimated.high
    assert "the median of the times is" in verdict.disagreement
    near = verdict.advice[20].cost  # 32 is less than twice as many
    assert near
    assert near.low > 2 * estimated.high * 20 / 32


def test_noisy_times_that_contradict_the_counts_leave_the_answer_open() -> None:
    times = times_of(MANY, [0.001, 0.001, 4, 4, 4, 4, 4.5, 8])
    verdict = judge(PARSER, MANY, exact(PARSER), times)
    advice = verdict.advice[MANY]
    assert advice.basis is Basis.ESTIMATED
    assert advice.cost == pytest.approx((ESTIMATED.low, 4), rel=0.01)
    assert advice.decision is Decision.EITHER
    assert verdict.disagreement


def test_times_without_a_cost_are_not_called_measured() -> None:
    """The drop with unwind info was even faster, so the times do not show what it costs."""
    verdict = judge(PARSER, MANY, exact(PARSER), times_of(MANY, [-0.002] * SAMPLES))
    advice = verdict.advice[MANY]
    assert advice.basis is Basis.ESTIMATED
    assert advice.cost
    assert advice.cost.low == 0
    assert advice.cost.high == pytest.approx(ESTIMATED.high)
    assert verdict.disagreement
    small = predict(17)
    verdict = judge(small, 1000, exact(small), times_of(1000, [-0.002] * SAMPLES))
    assert verdict.advice[1000].decision is Decision.KEEP
    assert verdict.advice[1000].cost
    assert verdict.advice[1000].cost.low >= 0


def test_a_rate_of_a_small_table_is_not_carried_to_a_large_one() -> None:
    """An entry of a larger table costs at least as much, so fast times do not lower the advice."""
    counts, fast = exact(PARSER), times_of(100, [0.0068] * SAMPLES)
    alone = judge(PARSER, 1000, counts, None).advice[1000].cost
    assert judge(PARSER, 1000, counts, fast).advice[1000].cost == alone
    slow = judge(PARSER, 1000, counts, times_of(100, [0.9] * SAMPLES))
    cost = slow.advice[1000].cost
    assert alone
    assert cost
    assert cost.low == alone.low
    assert cost.high > 4 * alone.high
    assert slow.disagreement


def test_counts_that_differ_from_the_model_scale_its_cost() -> None:
    counts = make_counts({n: 3 * PARSER.instructions(n) for n in (32, 8)}, PARSER)
    cost = judge(PARSER, 1000, counts, None).advice[1000].cost
    alone = PARSER.cost(1000)
    assert cost == pytest.approx((3 * alone.low, 3 * alone.high), rel=0.01)


def test_a_range_around_the_threshold_is_too_close_to_call() -> None:
    result: Result = make_result(1.5e6)
    assert result.verdict
    assert result.verdict.advice[1000].decision is Decision.EITHER
