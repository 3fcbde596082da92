"""Milliseconds from entries: exact for a constant rate, and true for the loads that were measured.

The times are of one quiet Intel Xeon with 2 MiB of L2 per core, LLVM libunwind 19.
"""

from collections.abc import Mapping

import pytest

from scripts.cost.model import Drop, unload
from scripts.cost.rates import (
    FDE_NS,
    RULE_FDES,
    UNKNOWN_MACHINE,
    Busy,
    Curve,
    Curves,
    Point,
    Unloading,
    curves_from_busy,
    estimate_ms,
    rate_at,
    rule_limits,
    split_entries,
)
from scripts.releases.pins import Registration

THRESHOLD = 0.1
KINDS = (Registration.FUNCTIONS, Registration.SECTIONS)
OLD_RATES = (0.27, 0.63)  # nanoseconds per entry of any table, as the advice assumed before
STEPS = (2_008, 10_040, 50_200, 100_400, 401_600, 1_001_992)
# milliseconds to unload one module of 17 FDEs beside these FDEs; 0.01 with unwind info off
BUSY_49 = dict(zip(STEPS, (0.045, 0.17, 1.0, 2.7, 12, 28), strict=True))
BUSY_50 = dict(zip(STEPS, (0.015, 0.022, 0.10, 0.22, 0.70, 1.7), strict=True))
# extra milliseconds per module of N modules of f FDEs, all unloaded, 50.0.1
LOADS_50 = {(1000, 17): 0.0055, (1000, 108): 0.114, (200, 497): 0.067, (1000, 497): 0.383}


def make_busy(milliseconds: Mapping[int, float], spread: float = 0) -> Busy:
    def samples(value: float) -> list[float]:
        return [value * (1 + share * spread) / 1e3 for share in (-1, -1, 0, 1, 1)]

    on = {step: samples(value) for step, value in milliseconds.items()}
    return Busy(17, on, {step: samples(0.01) for step in milliseconds})


def make_constant(nanoseconds: float) -> Curves:
    points = (Point(1, nanoseconds, "a test"),)
    return Curves(Curve(points, points), Curve(points, points))


INTEL = curves_from_busy(make_busy(BUSY_49), make_busy(BUSY_50))


@pytest.mark.parametrize("registration", KINDS)
@pytest.mark.parametrize(("modules", "fdes"), [(1, 2008), (20, 17), (1000, 497)])
def test_constant_rate_gives_the_exact_entries(
    modules: int, fdes: int, registration: Registration
) -> None:
    stay = (modules - 1) * fdes
    for unloaded, residents, drop in (
        (modules, 0, Drop.ALL_NEWEST_FIRST),
        (modules, 10_040, Drop.ALL_NEWEST_FIRST),
        (1, stay, Drop.NEWEST),
    ):
        others = residents if unloaded == modules else 0
        expected = unload(modules, fdes, registration, drop, others).entries * 0.5 / 1e6
        cost = estimate_ms(unloaded, fdes, residents, registration, make_constant(0.5))
        assert cost == pytest.approx((expected, expected + FDE_NS[1] * fdes / 1e6))
    first, following = split_entries(1, fdes, stay, registration)
    assert first == modules * fdes
    assert (following == 0) == (registration is Registration.SECTIONS)


@pytest.mark.parametrize("modules", [3, 1000])
def test_table_shrinks_under_the_scans_when_all_modules_go(modules: int) -> None:
    fdes = 108
    high = UNKNOWN_MACHINE.high
    sections = functions = 0.0
    for loaded in range(1, modules + 1):
        table = loaded * fdes
        first = table * max(rate_at(high.first, table), rate_at(high.following, table))
        sections += first
        functions += first
        functions += sum(
            entries * rate_at(high.following, entries) for entries in range(table - fdes + 1, table)
        )
    for registration, total in (
        (Registration.SECTIONS, sections),
        (Registration.FUNCTIONS, functions),
    ):
        expected = (total / modules + FDE_NS[1] * fdes) / 1e6
        cost = estimate_ms(modules, fdes, 0, registration, UNKNOWN_MACHINE)
        assert cost[1] == pytest.approx(expected, rel=0.01)


def test_curve_of_a_machine_gives_its_own_busy_process_again() -> None:
    for registration, recorded in (
        (Registration.FUNCTIONS, BUSY_49),
        (Registration.SECTIONS, BUSY_50),
    ):
        for step, milliseconds in recorded.items():
            cost = estimate_ms(1, 17, step, registration, INTEL)
            assert cost[0] == pytest.approx(milliseconds - 0.01, rel=0.01)


def test_curve_of_a_machine_spans_the_quartiles_of_its_samples() -> None:
    curves = curves_from_busy(make_busy(BUSY_49, 0.1), make_busy(BUSY_50, 0.1))
    for low, middle, high in zip(curves.low.first, INTEL.low.first, curves.high.first, strict=True):
        assert low.nanoseconds < middle.nanoseconds < high.nanoseconds


def test_negative_extra_time_is_noise() -> None:
    curves = curves_from_busy(make_busy(BUSY_49), make_busy(dict.fromkeys(STEPS, 0.009)))
    assert {point.nanoseconds for point in curves.high.first} == {0}
    assert min(point.nanoseconds for point in curves.low.following) > 0


def test_curve_needs_steps_in_common_and_samples() -> None:
    with pytest.raises(ValueError, match="no number of resident FDEs was measured for both"):
        curves_from_busy(make_busy(BUSY_49), make_busy({}))
    few = Busy(17, {2_008: [1.0]}, {2_008: [1.0]})
    with pytest.raises(ValueError, match="fewer than two samples beside 2,008 FDEs"):
        curves_from_busy(make_busy(BUSY_49), few)


@pytest.mark.parametrize("curves", [INTEL, UNKNOWN_MACHINE], ids=["own curve", "unknown machine"])
@pytest.mark.parametrize(("load", "milliseconds"), LOADS_50.items())
def test_measured_loads_are_in_the_estimated_range(
    load: tuple[int, int], milliseconds: float, curves: Curves
) -> None:
    modules, fdes = load
    low, high = estimate_ms(modules, fdes, 0, Registration.SECTIONS, curves)
    assert low - max(0.25 * low, 0.01) <= milliseconds <= high + max(0.25 * high, 0.01)


def test_constant_rate_contradicts_the_measured_loads() -> None:
    missed = 0
    for (modules, fdes), measured in LOADS_50.items():
        high = estimate_ms(modules, fdes, 0, Registration.SECTIONS, make_constant(OLD_RATES[1]))[1]
        missed += measured > high + max(0.25 * high, 0.01)
    assert missed == 3


def test_reports_are_in_the_range_for_unknown_machines() -> None:
    for modules, fdes, milliseconds in (
        (1, 266_664, 22_400),  # wasmtime#6541
        (1000, 106, 1.5),  # wasmtime#10287, per module
    ):
        low, high = estimate_ms(modules, fdes, 0, Registration.FUNCTIONS, UNKNOWN_MACHINE)
        assert low <= 1.01 * milliseconds
        assert milliseconds <= high
    low, high = estimate_ms(  # wasmCloud#5555: 2,000 FDEs, or 6,000 with trampolines
        1, 2_000, 400_000, Registration.FUNCTIONS, UNKNOWN_MACHINE
    )
    assert low <= 3_700 <= high


def test_rates_for_unknown_machines_are_ordered_and_have_sources() -> None:
    low, high = UNKNOWN_MACHINE.low, UNKNOWN_MACHINE.high
    for below, above in ((low.first, high.first), (low.following, high.following)):
        for points in (below, above):
            assert [point.entries for point in points] == sorted(p.entries for p in points)
            assert all(point.source for point in points)
        for point in (*below, *above):
            assert rate_at(below, point.entries) < rate_at(above, point.entries)


@pytest.mark.parametrize("registration", KINDS)
@pytest.mark.parametrize("unloading", Unloading)
def test_rules_agree_with_the_estimates(unloading: Unloading, registration: Registration) -> None:
    keep, turn_off = rule_limits(unloading, registration, UNKNOWN_MACHINE, THRESHOLD)

    def cost(total: float, fdes: int) -> tuple[float, float]:
        modules = total / fdes if unloading is Unloading.ALL else 1
        return estimate_ms(modules, fdes, total - modules * fdes, registration, UNKNOWN_MACHINE)

    assert keep < turn_off
    for fdes in RULE_FDES:
        factor = fdes if registration is Registration.FUNCTIONS else 1
        below, above = keep / factor, turn_off / factor
        if below >= fdes:
            assert cost(below, fdes)[1] <= THRESHOLD
        if above >= fdes:
            assert cost(above, fdes)[0] >= 0.99 * THRESHOLD


@pytest.mark.parametrize("registration", KINDS)
def test_limits_are_lower_if_the_others_stay(registration: Registration) -> None:
    every, one = (
        rule_limits(unloading, registration, UNKNOWN_MACHINE, THRESHOLD) for unloading in Unloading
    )
    assert one[0] < 0.7 * every[0]
    assert one[1] < 0.7 * every[1]


def test_module_without_fdes_costs_nothing() -> None:
    for registration in KINDS:
        assert estimate_ms(1000, 0, 7, registration, UNKNOWN_MACHINE) == (0, 0)
