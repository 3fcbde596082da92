"""The advice: the cost, its basis, the benefit of unwind info, and the decision."""

import re

import pytest
from asv.util import UserError

from scripts.cost.advice import (
    THRESHOLD,
    Basis,
    Decision,
    Load,
    Range,
    advise,
    decide,
    list_rules,
    read_reports,
)
from scripts.cost.benefit import Backtrace, Embedder
from scripts.cost.platforms import Platform
from scripts.cost.rates import Curve, Curves, Point

from .conftest import ROOT

PARSER = 497  # FDEs of a parser of 210 KB


def test_measured_cost_takes_precedence_over_the_estimate() -> None:
    estimated = advise(Platform.LIBUNWIND, "50.0.1", Load(600, PARSER))
    assert estimated.decision is Decision.EITHER
    assert estimated.basis is Basis.ESTIMATED
    measured = Range(0.120, 0.128)
    advice = advise(Platform.LIBUNWIND, "50.0.1", Load(600, PARSER), measured=measured)
    assert (advice.decision, advice.basis) == (Decision.TURN_OFF, Basis.MEASURED)
    assert advise(Platform.LIBUNWIND, "50.0.1", Load(20, PARSER)).decision is Decision.KEEP


def test_rates_of_the_machine_narrow_the_estimate() -> None:
    points = (Point(1, 1.0, "measured"),)
    own = Curves(Curve(points, points), Curve(points, points))
    advice = advise(Platform.LIBUNWIND, "50.0.1", Load(600, PARSER), curves=own)
    assert advice.basis is Basis.OWN_RATES
    assert advice.cost == pytest.approx((0.1493, 0.1618), abs=0.0001)
    assert advice.decision is Decision.TURN_OFF
    assert advise(Platform.LIBGCC_TREE, "50.0.1", Load(1, 1), curves=own).basis is Basis.ESTIMATED


@pytest.mark.parametrize(
    ("load", "release", "measured"),
    [  # milliseconds, DESIGN: a quiet host with 2 MiB of L2
        (Load(1000, 108), "50.0.1", 0.114),
        (Load(1000, 497), "50.0.1", 0.383),
        (Load(1, 17, 10_040), "49.0.0", 0.16),
        (Load(1, 17, 401_600), "50.0.1", 0.69),
    ],
)
def test_advice_does_not_contradict_the_stopwatch(
    load: Load, release: str, measured: float
) -> None:
    advice = advise(Platform.LIBUNWIND, release, load)
    assert advice.cost is not None
    assert advice.cost.low <= measured <= advice.cost.high
    assert advice.decision is not Decision.KEEP


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


@pytest.mark.parametrize("version", ["13.3", "14", "15.1", "26", "27.0", "99"])
def test_macos_13_3_and_later_registers_sections(version: str) -> None:
    new, current = (
        advise(Platform.INTEL_MAC, "50.0.1", Load(1000, 17), macos=macos) for macos in (version, "")
    )
    assert new.decision is Decision.KEEP
    assert new.cost == current.cost
    assert new.notes == []


@pytest.mark.parametrize("version", ["11", "11.3", "12", "12.7.6"])
def test_macos_11_and_12_have_the_cost_of_49(version: str) -> None:
    load = Load(1000, 106)
    new, old = (
        advise(Platform.INTEL_MAC, release, load, macos=version) for release in ("50.0.1", "49.0.0")
    )
    assert (new.cost, new.decision) == (old.cost, Decision.TURN_OFF)
    current = advise(Platform.INTEL_MAC, "50.0.1", load)
    assert current.cost != new.cost
    assert any("On macOS 11 and 12" in note for note in current.notes)


@pytest.mark.parametrize("version", ["13.0", "13.2.1", "13"])
def test_macos_13_0_to_13_2_has_a_range_over_both(version: str) -> None:
    load = Load(1000, 106)
    unsure, new, old = (
        advise(Platform.APPLE_SILICON, "50.0.1", load, macos=macos).cost
        for macos in (version, "15", "12")
    )
    assert unsure is not None
    assert new is not None
    assert old is not None
    assert unsure == (new.low, old.high)
    notes = advise(Platform.APPLE_SILICON, "50.0.1", load, macos=version).notes
    assert any("not known for sure" in note for note in notes)


def test_malformed_version_of_macos_is_an_error() -> None:
    with pytest.raises(UserError, match="'Sonoma' is not a macOS version"):
        advise(Platform.INTEL_MAC, "50.0.1", Load(1, 1), macos="Sonoma")


@pytest.mark.parametrize("release", ["19.0.0", "21.0.0", "25.0.0"])
def test_static_libunwind_registers_nothing_until_27(release: str) -> None:
    advice = advise(Platform.STATIC_LIBUNWIND, release, Load(1000, 500))
    assert advice.decision is Decision.TURN_OFF
    assert advice.cost == (0, 0)
    assert "registers nothing" in advice.gives


@pytest.mark.parametrize("release", ["18.0.2", "27.0.1", "49.0.0", "50.0.1"])
def test_static_libunwind_costs_what_a_shared_one_does_otherwise(release: str) -> None:
    load = Load(1000, 500)
    advice = advise(Platform.STATIC_LIBUNWIND, release, load)
    shared = "22.0.0" if release == "18.0.2" else release
    assert advice.cost == advise(Platform.LIBUNWIND, shared, load).cost
    assert advice.decision is not Decision.UNKNOWN


def test_python_users_lose_nothing_where_backtraces_never_reach_wasm() -> None:
    load, stops = Load(1000, 8), Backtrace(0, 0)
    lossless = advise(Platform.LIBUNWIND, "30.0.0", load, embedder=Embedder.C_API, backtrace=stops)
    assert lossless.decision is Decision.TURN_OFF
    assert "Nothing is lost" in lossless.gives
    assert "profiler inside the process" in lossless.gives
    passes = Backtrace(5, 1)
    lossy = advise(Platform.LIBUNWIND, "49.0.0", load, embedder=Embedder.C_API, backtrace=passes)
    assert "lose the wasm frames and all behind them" in lossy.gives
    libgcc = advise(Platform.LIBGCC_LIST, "30.0.0", load, embedder=Embedder.C_API, backtrace=stops)
    assert libgcc.decision is Decision.KEEP  # there is no cost to avoid


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
    assert "native backtraces inside the process" in few.gives


def test_reported_measurements_match_their_addresses() -> None:
    for report in read_reports():
        assert re.fullmatch(r"https://github.com/\w+/\w+/(issues|pull)/\d+", report["url"])
        assert report["name"].split("#") == [
            report["url"].split("/")[4],
            report["url"].split("/")[-1],
        ]
        assert set(report["platforms"]) <= {platform.value for platform in Platform}


def test_readme_has_the_limits_of_the_rules() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for rule in list_rules():
        assert f"{rule.keep:,}" in text, rule
        assert f"{rule.turn_off:,}" in text, rule
