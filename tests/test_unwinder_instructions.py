"""The counts: exact, those of the unwinder in effect, and as their closed form says."""

import functools
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import unwinder_instructions
from benchmarks._callgrind import ALL, Profile
from benchmarks._counted import TAKES, Load
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

from .conftest import ROOT, absent, environment

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
CountOf = Callable[..., Counted]
LAST_FIRST = Shape(250, 8)
SHAPES = {"on": LAST_FIRST, "off": Shape(20, 8, unwind_info="off")}


@pytest.fixture(scope="session")
def counted(install: Callable[[str], Path]) -> CountOf:
    """Count shapes of a release in a process of its own, once a session."""

    @functools.cache
    def count_shapes(version: str, unwinder: str, shapes: str) -> Counted:
        if shutil.which("valgrind") is None:
            absent("valgrind is not installed (Debian: valgrind)")
        answer = subprocess.run(
            [sys.executable, "-c", PROGRAM, shapes],
            cwd=ROOT, capture_output=True, text=True,
            env={
                **environment(), "UNWINDER": unwinder,
                "PYTHONPATH": f"{install(version)}{os.pathsep}{ROOT}",
            },
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        library, build, costs = json.loads(answer.stdout)
        by_key: Any = {tuple(key.split("/")): cost for key, cost in costs.items()}
        return Counted(library, build, by_key)

    return lambda version, unwinder, **shapes: count_shapes(version, unwinder, json.dumps(shapes))


@linux
@pytest.mark.usefixtures("libunwind")
@pytest.mark.parametrize(
    ("version", "fdes", "scans_per_fde"),
    [("21.0.0", 25, True), ("22.0.0", 17, True), ("50.0.1", 17, False)],
)
def test_the_falls_at_22_and_50_are_exact(
    version: str, fdes: int, scans_per_fde: bool, counted: CountOf
) -> None:
    """A scan executes 8 instructions per entry, and half of the table is full on average."""
    seen = counted(version, "libunwind", **SHAPES)
    table = LAST_FIRST.modules * fdes
    expected = fdes * (4 * table + 45) if scans_per_fde else 4 * table + fdes + 26
    total = seen.costs["on", "drop", ALL]
    assert total == pytest.approx(expected, rel=1e-3)
    assert seen.costs["off", "drop", ALL] == seen.costs["off", "load", ALL] == 0
    assert "libunwind.so.1" in seen.library
    by_function = {name: seen.costs["on", "drop", name] for name in (*FUNCTIONS, OTHERS)}
    assert sum(by_function.values()) == total
    scan = "__unw_remove_dynamic_" + ("fde" if scans_per_fde else "eh_frame_section")
    assert by_function[scan] > 0.99 * total


@linux
@pytest.mark.usefixtures("libunwind")
def test_a_second_run_gives_the_same_digits(counted: CountOf) -> None:
    again = dict(reversed(SHAPES.items()))
    assert counted("50.0.1", "libunwind", **SHAPES) == counted("50.0.1", "libunwind", **again)


@linux
def test_code_for_every_processor_is_counted_at_18(counted: CountOf) -> None:
    """18.0.2 uses features of the processor unasked, which valgrind would refuse to run."""
    seen = counted("18.0.2", "system", **SHAPES)
    assert seen.costs["on", "drop", ALL] > 0
    assert seen.costs["off", "drop", ALL] == 0


@linux
def test_libgcc_12_searches_a_list_from_its_newest_end(counted: CountOf) -> None:
    fifo = LAST_FIRST._replace(order="first first")
    seen = counted("50.0.1", "system", lifo=LAST_FIRST, fifo=fifo)
    assert "libgcc_s" in seen.library
    assert seen.build == library_build(Path(seen.library))
    if seen.costs["lifo", "drop", ALL] != 51:
        pytest.skip(f"{seen.library} is not libgcc 12")
    assert seen.costs["fifo", "drop", ALL] == 1047


# Without valgrind: profiles made by hand

LIBGCC = os.path.realpath("/libgcc_s.so.1")


def make_profiles(loaded: tuple[int, int], dropped: tuple[int, int]) -> list[Profile]:
    """Return the profiles of one load: at the start, and for each take loaded and dropped."""
    start = 100
    numbers = [start]
    for load, drop in zip(loaded, dropped, strict=True):
        numbers += [start + load, start + load + drop]
    return [
        Counter({(LIBGCC, ALL): number, (LIBGCC, FUNCTIONS[0]): number * 2 // 3})
        for number in numbers
    ]


@pytest.fixture
def count_profiles(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counted]:
    """Count a load for which valgrind wrote these profiles."""

    def count_profiles(
        modules: int,
        dropped: tuple[int, int],
        loaded: tuple[int, int] = (8, 8),
        unwind_info: UnwindInfo = "on",
    ) -> Counted:
        load = Load(modules, b"image", unwind_info)

        def run(_module: str, slots: int, data: bytes) -> list[Profile]:
            assert slots == 1 + 2 * TAKES
            assert data == pickle.dumps([load])
            return make_profiles(loaded, dropped)

        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(unwinder_instructions, "require_unwinder", lambda: LIBGCC)
        monkeypatch.setattr(unwinder_instructions, "library_build", lambda _: 7)
        monkeypatch.setattr(unwinder_instructions, "run_profiled", run)
        return count({"shape": load})

    return count_profiles


def test_a_cost_is_the_mean_of_the_modules(count_profiles: CountOf) -> None:
    seen = count_profiles(4, (6, 6))
    assert (seen.library, seen.build) == (LIBGCC, 7)
    # whole numbers are ints: asv prints every digit
    shown = {key[1:]: json.dumps(cost) for key, cost in seen.costs.items() if cost}
    assert shown == {
        ("load", ALL): "2", ("load", FUNCTIONS[0]): "1.5", ("load", OTHERS): "0.5",
        ("drop", ALL): "1.5", ("drop", FUNCTIONS[0]): "1", ("drop", OTHERS): "0.5",
    }  # fmt: skip


@pytest.mark.parametrize("dropped", [(663_155, 663_160), (663_160, 663_155)])
def test_the_lesser_of_two_takes_counts_if_they_hardly_differ(
    count_profiles: CountOf, dropped: tuple[int, int]
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
def test_impossible_counts_are_a_failure_and_not_na(
    unwind_info: Any,
    loaded: tuple[int, int],
    dropped: tuple[int, int],
    message: str,
    count_profiles: CountOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counting = partial(count_profiles, 1, dropped, loaded, unwind_info)
    with pytest.raises(AssertionError, match=message):
        counting()
    monkeypatch.setattr(unwinder_instructions, "COUNTED", {})
    monkeypatch.setattr(unwinder_instructions, "count", lambda _: counting())
    cache = UnwinderInstructions().setup_cache()
    assert isinstance(cache, AssertionError)
    assert pickle.dumps(cache)  # asv hands it to other processes
    with pytest.raises(AssertionError, match=message):
        UnwinderInstructions().setup(cache, "shape")


def test_off_is_zero(count_profiles: CountOf) -> None:
    seen = count_profiles(1, (0, 0), loaded=(0, 0), unwind_info="off")
    assert seen.costs["shape", "drop", ALL] == 0


def test_every_parameter_has_a_count() -> None:
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
def test_nothing_is_counted_on_other_platforms(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwinder_instructions, "COUNTED", {})
    monkeypatch.setattr(sys, "platform", platform)
    benchmark = UnwinderInstructions()
    with pytest.raises(NotImplementedError, match="on Linux only"):
        benchmark.setup(benchmark.setup_cache(), "1000x8")


# The build of a library


@linux
def test_a_build_is_the_start_of_the_build_id() -> None:
    facts: Any = unwinders.collect_facts()["libgcc"]
    assert facts["build_id"].startswith(f"{library_build(Path(facts['file'])):012x}")


@linux
def test_without_a_build_id_the_content_identifies_a_build(tmp_path: Path) -> None:
    facts: Any = unwinders.collect_facts()["libgcc"]
    stripped = tmp_path / "libgcc_s.so.1"
    content = Path(facts["file"]).read_bytes()
    stripped.write_bytes(content.replace(b".note.gnu.build-id", b".note.gnu.build-no"))
    expected = hashlib.sha256(stripped.read_bytes()).hexdigest()
    assert f"{library_build(stripped):012x}" == expected[:12]
    assert library_build(stripped) < 2**53  # exact in JSON
