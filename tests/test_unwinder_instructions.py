"""Counts are exact, belong to the unwinder in effect, and follow the formulas of the model."""

import functools
import hashlib
import json
import os
import pickle
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import unwinder_instructions
from benchmarks._callgrind import ALL, Profile
from benchmarks._counted import CountedLoad
from benchmarks._shapes import COUNTED, Shape, UnwindInfo
from benchmarks.unwinder_instructions import (
    FUNCTIONS,
    OTHERS,
    Counted,
    UnwinderInstructions,
    count,
    library_build,
)
from scripts.measuring import unwinders

from .conftest import run_release, skip_missing

PROGRAM = """
import json, sys
from benchmarks._shapes import Shape
from benchmarks.unwinder_instructions import compile_load, count
shapes = json.loads(sys.argv[1])
counted = count({name: compile_load(Shape(*shape)) for name, shape in shapes.items()})
costs = {"/".join(key): cost for key, cost in counted.costs.items()}
print(json.dumps([counted.library, counted.build, costs]))
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux")
CountShapes = Callable[..., Counted]
LAST_FIRST = Shape(250, 8)
SHAPES = {"on": LAST_FIRST, "off": Shape(20, 8, unwind_info="off")}


@pytest.fixture(scope="session")
def counted(install: Callable[[str], Path]) -> CountShapes:
    """Count shapes with a release in a new process, once per session."""

    @functools.cache
    def count_shapes(version: str, unwinder: str, shapes: str) -> Counted:
        if shutil.which("valgrind") is None:
            skip_missing("valgrind is not installed (Debian: valgrind)")
        library, build, costs = run_release(
            install(version), "-c", PROGRAM, shapes, unwinder=unwinder
        )
        by_key: Any = {tuple(key.split("/")): cost for key, cost in costs.items()}
        return Counted(library, build, by_key)

    return lambda version, unwinder, **shapes: count_shapes(version, unwinder, json.dumps(shapes))


@linux
@pytest.mark.usefixtures("libunwind")
@pytest.mark.parametrize(
    ("version", "fdes", "scans_per_fde"),
    [("21.0.0", 25, True), ("22.0.0", 17, True), ("50.0.1", 17, False)],
)
def test_counts_before_and_after_22_and_50_match_the_model(
    version: str, fdes: int, scans_per_fde: bool, counted: CountShapes
) -> None:
    """A scan takes 8 instructions per entry, and the table is half full on average."""
    result = counted(version, "libunwind", **SHAPES)
    table = LAST_FIRST.modules * fdes
    expected = fdes * (4 * table + 45) if scans_per_fde else 4 * table + fdes + 26
    total = result.costs["on", "drop", ALL]
    assert total == pytest.approx(expected, rel=1e-3)
    assert result.costs["off", "drop", ALL] == result.costs["off", "load", ALL] == 0
    assert "libunwind.so.1" in result.library
    by_function = {name: result.costs["on", "drop", name] for name in (*FUNCTIONS, OTHERS)}
    assert sum(by_function.values()) == total
    scan = "__unw_remove_dynamic_" + ("fde" if scans_per_fde else "eh_frame_section")
    assert by_function[scan] > 0.99 * total


@linux
@pytest.mark.usefixtures("libunwind")
def test_counts_of_a_second_run_are_equal(counted: CountShapes) -> None:
    # another order, so that the fixture's cache does not answer
    reordered = dict(reversed(SHAPES.items()))
    assert counted("50.0.1", "libunwind", **SHAPES) == counted("50.0.1", "libunwind", **reordered)


@linux
def test_18_0_2_is_counted_on_every_processor(counted: CountShapes) -> None:
    """18.0.2 uses all features of the host by default, and valgrind would not run such code."""
    result = counted("18.0.2", "system", **SHAPES)
    assert result.costs["on", "drop", ALL] > 0
    assert result.costs["off", "drop", ALL] == 0


@linux
def test_libgcc_12_searches_its_list_from_the_newest_module(counted: CountShapes) -> None:
    fifo = LAST_FIRST._replace(order="first first")
    result = counted("50.0.1", "system", lifo=LAST_FIRST, fifo=fifo)
    assert "libgcc_s" in result.library
    assert result.build == library_build(Path(result.library))
    if result.costs["lifo", "drop", ALL] != 51:
        pytest.skip(f"{result.library} is not libgcc 12")
    assert result.costs["fifo", "drop", ALL] == 1047


# Tests with simulated profiles, without valgrind

LIBGCC = os.path.realpath("/libgcc_s.so.1")


def make_profiles(loaded: tuple[int, int], dropped: tuple[int, int]) -> list[Profile]:
    """Return the profiles of one load: the start, then loaded and dropped for each repeat."""
    start = 100
    totals = [start]
    for load, drop in zip(loaded, dropped, strict=True):
        totals += [start + load, start + load + drop]
    return [
        Counter({(LIBGCC, ALL): total, (LIBGCC, FUNCTIONS[0]): total * 2 // 3}) for total in totals
    ]


@pytest.fixture
def count_profiles(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counted]:
    """Count a load with simulated profiles, in instructions to load and to drop it."""

    def count_simulated(
        modules: int,
        dropped: tuple[int, int],
        loaded: tuple[int, int] = (8, 8),
        unwind_info: UnwindInfo = "on",
    ) -> Counted:
        load = CountedLoad(modules, b"image", unwind_info)

        def run(_module: str, slots: int, data: bytes) -> list[Profile]:
            assert slots == 1 + 2 * len(dropped)
            assert data == pickle.dumps([load])
            return make_profiles(loaded, dropped)

        monkeypatch.setattr(unwinder_instructions, "REPEATS", len(dropped))  # two on arm64
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(unwinder_instructions, "require_unwinder", lambda: LIBGCC)
        monkeypatch.setattr(unwinder_instructions, "library_build", lambda _: 7)
        monkeypatch.setattr(unwinder_instructions, "run_profiled", run)
        return count({"shape": load})

    return count_simulated


def test_cost_is_the_mean_per_module(count_profiles: CountShapes) -> None:
    result = count_profiles(4, (6, 6))
    assert (result.library, result.build) == (LIBGCC, 7)
    # whole numbers are ints, because asv prints every digit
    costs = {key[1:]: json.dumps(cost) for key, cost in result.costs.items() if cost}
    assert costs == {
        ("load", ALL): "2", ("load", FUNCTIONS[0]): "1.5", ("load", OTHERS): "0.5",
        ("drop", ALL): "1.5", ("drop", FUNCTIONS[0]): "1", ("drop", OTHERS): "0.5",
    }  # fmt: skip


@pytest.mark.parametrize("dropped", [(663_155, 663_160), (663_160, 663_155)])
def test_lower_of_two_close_repeats_is_the_count(
    count_profiles: CountShapes, dropped: tuple[int, int]
) -> None:
    assert count_profiles(1, dropped).costs["shape", "drop", ALL] == 663_155


@pytest.mark.parametrize(
    ("unwind_info", "loaded", "dropped", "message"),
    [
        ("on", (8, 8), (6, 7), r"counts are not exact: shape, drop took \[6, 7\] instructions"),
        ("on", (8, 8), (663_155, 663_222), "counts are not exact: shape, drop"),  # 0.0101 %
        ("on", (8, 9), (6, 6), "counts are not exact: shape, load"),
        ("on", (8, 8), (0, 0), "unwind info is on, but .* executed 0 instructions to drop"),
        ("on", (0, 0), (6, 6), "unwind info is on, but .* executed 0 instructions to load"),
        ("off", (0, 0), (1, 1), "unwind info is off, but .* executed 1 instructions to drop"),
    ],
)
def test_contradictory_counts_are_a_failure_instead_of_na(
    unwind_info: Any,
    loaded: tuple[int, int],
    dropped: tuple[int, int],
    message: str,
    count_profiles: CountShapes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count_load = partial(count_profiles, 1, dropped, loaded, unwind_info)
    with pytest.raises(AssertionError, match=message):
        count_load()
    monkeypatch.setattr(unwinder_instructions, "COUNTED", {})
    monkeypatch.setattr(unwinder_instructions, "count", lambda _: count_load())
    cache = UnwinderInstructions().setup_cache()
    assert isinstance(cache, AssertionError)
    assert pickle.dumps(cache)  # asv pickles the cache for the processes of the benchmarks
    with pytest.raises(AssertionError, match=message):
        UnwinderInstructions().setup(cache, "shape")


def test_count_is_zero_with_unwind_info_off(count_profiles: CountShapes) -> None:
    result = count_profiles(1, (0, 0), loaded=(0, 0), unwind_info="off")
    assert result.costs["shape", "drop", ALL] == 0


def test_benchmarks_return_a_count_for_every_parameter() -> None:
    functions = (ALL, *FUNCTIONS, OTHERS)
    costs = {
        (shape, step, function): 1.0
        for shape in COUNTED for step in ("load", "drop") for function in functions
    }  # fmt: skip
    counted = Counted(LIBGCC, 7, costs)
    benchmark: Any = UnwinderInstructions()
    for name in ("removal", "registration", "function"):
        track = getattr(benchmark, f"track_{name}")
        (params,) = track.params
        for param in params:
            benchmark.setup(counted, param)
            assert track(counted, param) == 1
    benchmark.setup(counted)
    assert benchmark.track_library(counted) == 7


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_counts_are_na_on_macos_and_windows(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwinder_instructions, "COUNTED", {})
    monkeypatch.setattr(sys, "platform", platform)
    benchmark = UnwinderInstructions()
    with pytest.raises(NotImplementedError, match="on Linux only"):
        benchmark.setup(benchmark.setup_cache(), "1000x8")


# library_build


@linux
def test_library_build_is_the_start_of_the_build_id() -> None:
    facts: Any = unwinders.collect_facts()["libgcc"]
    assert facts["build_id"].startswith(f"{library_build(Path(facts['file'])):012x}")


@linux
def test_library_build_without_a_build_id_is_the_hash_of_the_content(tmp_path: Path) -> None:
    facts: Any = unwinders.collect_facts()["libgcc"]
    stripped = tmp_path / "libgcc_s.so.1"
    content = Path(facts["file"]).read_bytes()
    stripped.write_bytes(content.replace(b".note.gnu.build-id", b".note.gnu.build-no"))
    expected = hashlib.sha256(stripped.read_bytes()).hexdigest()
    assert f"{library_build(stripped):012x}" == expected[:12]
    assert library_build(stripped) < 2**53  # exact in JSON
