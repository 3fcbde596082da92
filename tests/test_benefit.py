"""The benefit of unwind info, from the recorded backtraces."""

import pytest

from scripts.cost.benefit import (
    UNKNOWN,
    UNRECORDED,
    Backtrace,
    Benefit,
    Embedder,
    Evidence,
    Finding,
    describe_loss,
    find_benefit,
)


@pytest.mark.parametrize(
    ("backtrace", "benefit"),
    [
        (Backtrace(5, 1), Benefit.ALL),
        (Backtrace(4, 1), Benefit.ALL),  # up to 14.0.0
        (Backtrace(5, 0), Benefit.WASM_FRAMES),
        (Backtrace(0, 0), Benefit.NOTHING),
    ],
)
def test_record_decides_for_users_of_the_c_api(backtrace: Backtrace, benefit: Benefit) -> None:
    expected = Finding(benefit, Evidence.MEASURED)
    assert find_benefit(Embedder.C_API, "30.0.0", backtrace) == expected
    # a Mac that was measured needs no inference
    measured = find_benefit(Embedder.C_API, "30.0.0", backtrace, apple_silicon=True)
    assert measured == expected._replace(serves_profilers=False)


@pytest.mark.parametrize("backtrace", [UNRECORDED, Backtrace(None, 1), Backtrace(5, None)])
def test_benefit_is_unknown_without_a_complete_record(backtrace: Backtrace) -> None:
    assert find_benefit(Embedder.C_API, "49.0.0", backtrace) == UNKNOWN
    assert find_benefit(Embedder.C_API, "50.0.1", backtrace, apple_silicon=True) == UNKNOWN


@pytest.mark.parametrize("backtrace", [UNRECORDED, Backtrace(0, 0), Backtrace(5, 1)])
def test_rust_programs_do_not_depend_on_the_library_in_the_wheels(backtrace: Backtrace) -> None:
    finding = find_benefit(Embedder.RUST, "30.0.0", backtrace)
    assert finding == Finding(Benefit.ALL, Evidence.INFERRED)


@pytest.mark.parametrize("embedder", Embedder)
def test_apple_silicon_has_no_benefit_before_50_0_0(embedder: Embedder) -> None:
    nothing = Finding(Benefit.NOTHING, Evidence.INFERRED, serves_profilers=False)
    assert find_benefit(embedder, "49.0.0", apple_silicon=True) == nothing
    assert find_benefit(embedder, "50.0.0", apple_silicon=True) != nothing
    assert find_benefit(embedder, "49.0.0", apple_silicon=False) != nothing


def test_sentences_say_what_is_lost_and_how_it_is_known() -> None:
    measured = {benefit: Finding(benefit, Evidence.MEASURED) for benefit in Benefit}
    nothing = describe_loss(measured[Benefit.NOTHING])
    assert "Nothing is lost for backtraces and exceptions from a host function" in nothing
    assert "(measured)" in nothing
    assert "A profiler inside the process" in nothing
    inferred = describe_loss(Finding(Benefit.NOTHING, Evidence.INFERRED, False))
    assert "(inferred)" in inferred
    assert "profiler" not in inferred
    behind = "and all behind them"
    assert behind in describe_loss(measured[Benefit.ALL])
    assert behind not in describe_loss(measured[Benefit.WASM_FRAMES])
    assert "It is unknown" in describe_loss(UNKNOWN)
