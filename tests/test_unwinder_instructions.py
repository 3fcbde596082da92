"""The counts: exact, those of the unwinder in effect, and what DESIGN.md says of them."""

import ctypes
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import _callgrind, unwinder_instructions
from benchmarks._counted import TAKES, Shape
from benchmarks.unwinder_instructions import (
    ALL,
    BY_SIZE,
    FUNCTIONS,
    OFF,
    SHAPES,
    ProcessInstructions,
    UnwinderInstructions,
    count,
)

from .conftest import ROOT, absent, environment

PROGRAM = """
import json, sys
from benchmarks._counted import Shape
from benchmarks.unwinder_instructions import count
library, costs = count({name: Shape(*shape) for name, shape in json.loads(sys.argv[1])})
print(json.dumps([library, {" ".join(key): cost for key, cost in costs.items()}]))
"""
LIFO, FIFO, SMALL = Shape(1000, 8), Shape(1000, 8, "fifo"), Shape(50, 8)
WITHOUT = Shape(50, 8, unwind_info="off")

linux = pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux")
CountOf = Callable[..., tuple[str, dict[str, float]]]


@pytest.fixture(scope="session")
def counted(install: Callable[[str], Path]) -> CountOf:
    """Count shapes of a release, in a process of their own."""

    def counted(version: str, unwinder: str, **shapes: Shape) -> tuple[str, dict[str, float]]:
        if subprocess.run(["which", "valgrind"], capture_output=True).returncode:
            absent("valgrind is not installed (Debian: valgrind)")
        answer = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(list(shapes.items()))],
            cwd=ROOT, capture_output=True, text=True,
            env={
                **environment(), "UNWINDER": unwinder,
                "PYTHONPATH": f"{install(version)}{os.pathsep}{ROOT}",
            },
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        library, costs = json.loads(answer.stdout)
        return library, costs

    return counted


@linux
@pytest.mark.usefixtures("libunwind")
@pytest.mark.parametrize(
    ("version", "calls", "instructions"),
    [("21.0.0", 25, 2_501_139), ("22.0.0", 17, 1_156_765), ("50.0.1", 1, 68_043)],
)
def test_the_falls_at_22_and_50_are_exact(
    version: str, calls: int, instructions: int, counted: CountOf
) -> None:
    library, costs = counted(version, "libunwind", lifo=LIFO)
    assert "libunwind.so.1" in library
    assert costs["lifo drop instructions"] == pytest.approx(instructions, rel=1e-3)
    assert costs["lifo drop calls"] == costs["lifo load calls"] == calls
    functions = {name: costs[f"lifo drop {name}"] for name in (*FUNCTIONS, "others")}
    assert sum(functions.values()) == costs["lifo drop instructions"]
    most = "eh_frame_section" if version == "50.0.1" else "fde"
    assert functions[f"__unw_remove_dynamic_{most}"] > 0.99 * instructions


@linux
@pytest.mark.usefixtures("libunwind")
@pytest.mark.parametrize(("version", "unwinder"), [("18.0.2", "system"), ("49.0.0", "libunwind")])
def test_two_runs_agree_to_the_digit_and_off_is_off(
    version: str, unwinder: str, counted: CountOf
) -> None:
    # 18.0.2 makes use of the processor unasked, and valgrind loads what it has compiled even so
    shapes = {"on": SMALL, "random": SMALL._replace(order="random"), "off": WITHOUT}
    if unwinder == "system":
        shapes["program"] = Shape(1)
    first, second = (counted(version, unwinder, **shapes)[1] for _ in range(2))
    for key, cost in first.items():
        if key.endswith("wasmtime"):
            assert second[key] == pytest.approx(cost, rel=0.01)
        else:
            assert second[key] == cost
            if key.endswith(("instructions", "calls")):
                assert (cost == 0) == key.startswith("off ")


@linux
def test_libgcc_searches_a_list_from_its_newest_end(counted: CountOf) -> None:
    library, costs = counted("50.0.1", "system", lifo=LIFO, fifo=FIFO)
    assert "libgcc_s" in library
    if costs["lifo drop instructions"] != 51:
        pytest.skip(f"{library} is not libgcc 12")
    assert costs["fifo drop instructions"] == 4047


def counts(loaded: int, dropped: int, again: int) -> list[_callgrind.Counts]:
    """What valgrind would have counted of one shape, by hand."""
    before = 100
    return [
        Counter({("/libgcc_s.so.1", "instructions"): number, ("/libgcc_s.so.1", "calls"): number,
                 ("/libgcc_s.so.1", FUNCTIONS[0]): number * 2 // 3,
                 ("/libwasmtime.so", "instructions"): number})
        for number in (before, before + loaded, before + loaded + dropped,
                       before + loaded, before + loaded + again)
    ]  # fmt: skip


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, Any]]:
    """Count a shape of which valgrind has found this."""

    def by_hand(shape: Shape, *found: int) -> tuple[str, Any]:
        def run(_module: str, slots: int, data: bytes) -> list[_callgrind.Counts]:
            assert slots == 1 + 2 * TAKES
            compiled = {(shape.wasm, shape.unwind_info): b"image"}
            assert data == pickle.dumps(([shape], compiled))
            return counts(*found)

        library = SimpleNamespace(_name="/libwasmtime.so")
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(unwinder_instructions, "require", lambda: "/libgcc_s.so.1")
        monkeypatch.setattr(unwinder_instructions, "wasmtime_library", lambda: library)
        monkeypatch.setattr(unwinder_instructions, "plain_image", lambda *_: b"image")
        monkeypatch.setattr(_callgrind, "run", run)
        return count({"shape": shape})

    return by_hand


def test_a_cost_is_the_mean_of_the_modules(by_hand: Callable[..., tuple[str, Any]]) -> None:
    library, costs = by_hand(Shape(4, 8), 8, 6, 6)
    assert library == os.path.realpath("/libgcc_s.so.1")
    shown = {key[1:]: json.dumps(cost) for key, cost in costs.items() if cost}
    assert shown == {
        ("load", "instructions"): "2", ("load", "calls"): "2",
        ("drop", "instructions"): "1.5", ("drop", "calls"): "1.5", ("drop", "wasmtime"): "1.5",
        ("drop", "others"): "0.5", ("drop", FUNCTIONS[0]): "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("unwind_info", "found", "message"),
    [
        ("on", (8, 6, 7), r"not exact: .*instructions'\): 6.* and then .*instructions'\): 7"),
        ("on", (8, 0, 0), r"unwind info is on, but .*libgcc_s"),
        ("on", (0, 6, 6), r"unwind info is on, but .*libgcc_s"),
        ("off", (0, 1, 1), r"unwind info is off, but .*libgcc_s"),
    ],
)
def test_counts_that_cannot_be_are_a_failure(
    unwind_info: Any, found: tuple[int, ...], message: str,
    by_hand: Callable[..., tuple[str, Any]], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    counting = partial(by_hand, Shape(1, 8, unwind_info=unwind_info), *found)
    with pytest.raises(AssertionError, match=message):
        counting()
    monkeypatch.setattr(unwinder_instructions, "count", counting)
    cache = UnwinderInstructions().setup_cache()
    assert isinstance(cache, AssertionError)
    assert pickle.dumps(cache)  # as asv does
    with pytest.raises(AssertionError, match=message):  # which is no n/a
        UnwinderInstructions().setup(cache, "shape")


def test_off_is_zero(by_hand: Callable[..., tuple[str, Any]]) -> None:
    _, costs = by_hand(Shape(1, 8, unwind_info="off"), 0, 0, 0)
    assert costs["shape", "drop", "instructions"] == 0


def test_each_row_has_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    costs = {(shape, step, what): 1.0 for shape in SHAPES for step in ("load", "drop")
             for what in ("instructions", "calls", "wasmtime", *FUNCTIONS, "others")}  # fmt: skip
    benchmark: Any = UnwinderInstructions()
    counted = ("/usr/lib/libgcc_s.so.1", costs)
    for name in ("removal", "registration", "removal_calls", "registration_calls", "wasmtime"):
        track = getattr(benchmark, f"track_{name}")
        (shapes,) = track.params
        for shape in shapes:
            benchmark.setup(counted, shape)
            assert track(counted, shape) == 1
    assert capsys.readouterr().out.startswith("counted: /usr/lib/libgcc_s.so.1\n")
    assert benchmark.track_function(counted, "others") == 1
    assert {*BY_SIZE[0], *OFF[0]} <= {*ALL[0]} == {*SHAPES}


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_it_is_na(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    benchmark = UnwinderInstructions()
    with pytest.raises(NotImplementedError, match="on Linux"):
        benchmark.setup(benchmark.setup_cache(), "1000x8")


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A Mac that says, in turn, what it has counted."""
    answers: list[int] = []

    def proc_pid_rusage(pid: int, flavor: int, usage: Any) -> int:
        assert (pid, flavor) == (os.getpid(), 4)
        assert ctypes.sizeof(usage._obj) == 16 + 35 * 8  # a UUID, then the fields of version 4
        usage._obj[2 + 29] = answers.pop(0)  # ri_instructions is the 30th field
        return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    library = SimpleNamespace(proc_pid_rusage=proc_pid_rusage)
    monkeypatch.setattr(
        unwinder_instructions, "ctypes",
        SimpleNamespace(CDLL=lambda _: library, c_uint64=ctypes.c_uint64, byref=ctypes.byref),
    )  # fmt: skip
    return answers


def test_a_mac_counts_for_the_process(mac: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    mac += [1]
    benchmark = ProcessInstructions()
    benchmark.setup("on")
    dropped = []
    monkeypatch.setattr(unwinder_instructions, "load_image", lambda *_: ["module"])
    monkeypatch.setattr(unwinder_instructions, "drop_all", lambda *what: dropped.append(what))
    mac += [500, 2500]
    assert unwinder_instructions.executed_to_drop("on") == 2000
    assert dropped == [(["module"], 1000)]


def test_a_mac_samples_several_processes(mac: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def check_output(command: list[str], cwd: Path) -> bytes:
        started.append((command[1:], cwd))
        return b"2000\n"

    monkeypatch.setattr(subprocess, "check_output", check_output)
    answer = ProcessInstructions().track_process_instructions("off")
    assert answer == {"samples": [2000] * 8, "number": 1}
    assert started == [(["-m", "benchmarks.unwinder_instructions", "off"], ROOT)] * 8


def test_a_mac_that_counts_nothing_is_na(mac: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    mac += [0]
    with pytest.raises(NotImplementedError, match="counts no instructions"):
        ProcessInstructions().setup("on")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(NotImplementedError, match="are counted on macOS"):
        ProcessInstructions().setup("on")
