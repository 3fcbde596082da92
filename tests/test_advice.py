"""The advice: the cost, its basis, the benefit of unwind info, and the decision."""

import re

import pytest

from scripts.cost.advice import (
    THRESHOLD,
    Basis,
    Decision,
    Load,
    Range,
    advise,
    decide,
    read_reports,
    rule_limits,
)
from scripts.cost.model import ENTRY_NS
from scripts.cost.platforms import Platform

from .conftest import ROOT

PARSER = 497  # FDEs of a parser of 210 KB


def test_measured_cost_takes_precedence_over_the_estimate() -> None:
    estimated = advise(Platform.LIBUNWIND, "50.0.1", Load(1000, PARSER))
    assert estimated.decision is Decision.EITHER
    assert estimated.cost == pytest.approx((0.067, 0.157), abs=0.001)
    assert estimated.basis is Basis.ESTIMATED
    measured = Range(0.120, 0.128)
    advice = advise(Platform.LIBUNWIND, "50.0.1", Load(1000, PARSER), measured=measured)
    assert (advice.decision, advice.basis) == (Decision.TURN_OFF, Basis.MEASURED)
    assert advise(Platform.LIBUNWIND, "50.0.1", Load(20, PARSER)).decision is Decision.KEEP


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [
        (0, THRESHOLD, Decision.KEEP),
        (THRESHOLD, THRESHOLD + 0.01, Decision.EITHER),
        (0.01, 5, Decision.EITHER),
        (THRESHOLD + 0.01, 5, Decision.TURN_OFF),
    ],
)
def test_cost_range_that_spans_the_threshold_is_too_close_to_call(
    low: float, high: float, decision: Decision
) -> None:
    assert decide(Range(low, high)) is decision


def test_unwind_info_has_no_benefit_on_apple_silicon_up_to_49() -> None:
    small = Load(10, 3)
    advice = advise(Platform.APPLE_SILICON, "49.0.0", small)
    assert advice.decision is Decision.TURN_OFF
    assert "Nothing is lost" in advice.gives
    assert "inferred" in advice.gives
    assert advise(Platform.INTEL_MAC, "49.0.0", small).decision is Decision.KEEP
    assert advise(Platform.APPLE_SILICON, "50.0.1", small).decision is Decision.KEEP


def test_mac_that_cannot_register_sections_has_the_cost_of_49() -> None:
    load = Load(1000, 106)
    new, old = (advise(Platform.INTEL_MAC, release, load) for release in ("50.0.1", "49.0.0"))
    assert new.decision is Decision.KEEP
    assert any("cannot register sections" in note for note in new.notes)
    same = advise(Platform.INTEL_MAC, "50.0.1", load, sections=False)
    assert (same.cost, same.decision) == (old.cost, Decision.TURN_OFF)


def test_table_that_exceeds_the_caches_is_noted() -> None:
    large = advise(Platform.LIBUNWIND, "50.0.1", Load(1000, PARSER))
    assert any("does not fit the processor's caches" in note for note in large.notes)
    assert advise(Platform.LIBUNWIND, "50.0.1", Load(20, PARSER)).notes == []


def test_advice_is_unknown_before_19_and_fixed_on_windows() -> None:
    early = advise(Platform.LIBUNWIND, "18.0.2", Load(1000, 17))
    assert early.decision is Decision.UNKNOWN
    assert early.cost is None
    assert advise(Platform.WINDOWS, "50.0.1", Load(1000, 17)).decision is Decision.FIXED


@pytest.mark.parametrize("platform", [Platform.LIBGCC_LIST, Platform.LIBGCC_TREE])
@pytest.mark.parametrize("release", ["13.0.0", "49.0.0", "50.0.1"])
def test_unwind_info_is_kept_with_libgcc_for_any_load(platform: Platform, release: str) -> None:
    few, many = (advise(platform, release, Load(modules, 106)) for modules in (1, 5000))
    assert few.decision is many.decision is Decision.KEEP
    assert "debuggers and profilers" in few.gives


def test_reported_measurements_match_their_addresses_and_the_model() -> None:
    bounds: list[float] = []
    for report in read_reports():
        assert re.fullmatch(r"https://github.com/\w+/\w+/(issues|pull)/\d+", report["url"])
        assert report["name"].split("#") == [
            report["url"].split("/")[4],
            report["url"].split("/")[-1],
        ]
        assert set(report["platforms"]) <= {platform.value for platform in Platform}
        if report["name"] in ("wasmtime#6541", "wasmtime#10287"):
            bounds += report["entry_ns"]
    assert (min(bounds), max(bounds)) == ENTRY_NS


def test_nanoseconds_per_entry_follow_from_the_reported_numbers() -> None:
    half_of_the_table = 266_664 / 2
    slow = 84.3e3 / half_of_the_table
    fast = 1.5e9 / (1000 * 106 * (1000 * 106 + 1) / 2)
    assert (fast, slow) == pytest.approx(ENTRY_NS, abs=0.005)


def test_readme_has_the_limits_of_the_rules() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    low, middle, high = rule_limits()
    assert f"f² × N > {middle:,}" in text
    assert f"f × N > {middle:,}" in text
    assert f"the limit is between {low:,} and {high:,}" in " ".join(text.split())
