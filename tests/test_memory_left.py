"""The benchmark of memory that is left, with simulated systems and with real wheels."""

import ctypes
import mmap
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import _memory, _modules, memory_left
from benchmarks.memory_left import LOADS, MemoryLeft

from .conftest import run_release

MEGABYTE = 1 << 20
PROGRAM = """
import json
from benchmarks import memory_left
from benchmarks.memory_left import LOADS, sample_memory_left
memory_left.SAMPLES = 3
kept = "30x100 in 30 engines"
print(json.dumps({
    "kept": {unwind_info: sample_memory_left(kept, unwind_info) for unwind_info in ("on", "off")},
    "others": [sample_memory_left(load, "on") for load in LOADS if load != kept],
}))
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps_rollup")
forks = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")


def median(samples: list[int]) -> int:
    return sorted(samples)[len(samples) // 2]


@linux
def test_private_memory_counts_pages_that_are_written_and_nothing_else() -> None:
    file = mmap.mmap(os.open(sys.executable, os.O_RDONLY), 0, access=mmap.ACCESS_READ)
    pages = mmap.mmap(-1, 64 * MEGABYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    before = _memory.read_memory()
    assert sum(file[:: mmap.PAGESIZE]) > 0  # file pages are resident now
    assert abs(_memory.read_memory() - before) < MEGABYTE
    pages.write(b"x" * len(pages))
    assert abs(_memory.read_memory() - before - 64 * MEGABYTE) < 2 * MEGABYTE
    pages.close()
    assert abs(_memory.read_memory() - before) < 2 * MEGABYTE


@linux
def test_forked_process_does_not_gain_memory_by_touching_what_it_inherited() -> None:
    inherited = bytearray(32 * MEGABYTE)
    reader, writer = os.pipe()
    if not os.fork():
        before = _memory.read_memory()
        for page in range(0, len(inherited), mmap.PAGESIZE):
            inherited[page] = 1
        os.write(writer, str(_memory.read_memory() - before).encode())
        os._exit(0)
    os.wait()
    assert int(os.read(reader, 20)) < MEGABYTE


def test_linux_sums_anonymous_and_swapped_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollup = tmp_path / "smaps_rollup"
    rollup.write_text(
        "55d0-7ffc ---p 00000000 00:00 0 [rollup]\n"
        "Rss: 900 kB\nPrivate_Dirty: 500 kB\nAnonymous: 400 kB\nSwap: 30 kB\nSwapPss: 20 kB\n"
    )
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(_memory, "SMAPS", rollup)
    assert _memory.read_memory() == 430 * 1024


def test_linux_without_smaps_is_na(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(_memory, "SMAPS", tmp_path / "missing")
    monkeypatch.setattr(memory_left, "require_unwind_setting", lambda _: None)
    with pytest.raises(NotImplementedError, match=r"does not tell a process' memory: .*missing"):
        MemoryLeft().setup("on", next(iter(LOADS)))


class FakeMac:
    """macOS's task_info and allocator, in place of the C library."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.relieved: list[tuple[Any, int]] = []

    def task_info(self, task: Any, flavor: int, info: Any, count: Any) -> int:
        assert (task, flavor, count._obj.value) == ("this task", 22, 38)  # TASK_VM_INFO_REV1_COUNT
        if not self.status:
            ctypes.memmove(ctypes.addressof(info._obj) + 144, (123456789).to_bytes(8, "little"), 8)
        return self.status

    def malloc_zone_pressure_relief(self, zone: Any, goal: Any) -> int:
        self.relieved.append((zone, goal.value))
        return 0


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> FakeMac:
    system = FakeMac()
    monkeypatch.setattr(sys, "platform", "darwin")
    task = SimpleNamespace(in_dll=lambda *_: "this task")
    types = {name: getattr(ctypes, name) for name in ("byref", "sizeof", "c_size_t")}
    count = type("Count", (ctypes.c_uint32,), {"in_dll": task.in_dll})
    monkeypatch.setattr(
        _memory, "ctypes", SimpleNamespace(**types, c_uint32=count, CDLL=lambda _: system)
    )
    return system


def test_macos_reads_the_footprint(mac: FakeMac) -> None:
    assert _memory.read_memory() == 123456789
    mac.status = 4
    with pytest.raises(NotImplementedError, match="task_info ended with error 4"):
        _memory.read_memory()


def test_macos_asks_all_zones_for_all_free_memory(mac: FakeMac) -> None:
    _memory.return_free_memory()
    assert mac.relieved == [(None, 0)]


class FakeKernel32:
    """The calls of Windows' kernel32."""

    def __init__(self) -> None:
        self.compacted: list[int | None] = []
        self.succeeds = 1
        self.GetCurrentProcess = lambda: 2**64 - 1  # a pseudo handle
        self.GetProcessHeap = lambda: 2**40  # does not fit into an int

    def K32GetProcessMemoryInfo(self, process: Any, counters: Any, size: int) -> int:  # noqa: N802
        assert (process.value, size) == (2**64 - 1, 80)
        assert counters._obj.size == 80
        ctypes.memmove(ctypes.addressof(counters._obj) + 72, (98765432).to_bytes(8, "little"), 8)
        return self.succeeds

    def HeapCompact(self, heap: Any, flags: int) -> int:  # noqa: N802
        self.compacted.append(heap.value)
        return flags


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> FakeKernel32:
    kernel32 = FakeKernel32()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_memory, "_kernel32", lambda: kernel32)
    return kernel32


def test_windows_reads_private_bytes(windows: FakeKernel32) -> None:
    assert _memory.read_memory() == 98765432
    windows.succeeds = 0
    with pytest.raises(NotImplementedError, match="GetProcessMemoryInfo failed"):
        _memory.read_memory()


def test_windows_compacts_the_heap_of_the_process(windows: FakeKernel32) -> None:
    _memory.return_free_memory()
    assert windows.compacted == [2**40]


def test_c_library_without_malloc_trim_is_asked_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    _memory.return_free_memory()


def test_unwind_info_off_is_na_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_modules, "require_unwinder", lambda: None)
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        MemoryLeft().setup("off", next(iter(LOADS)))


@linux
def test_memory_left_includes_what_engines_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(_: object) -> list[Any]:
        return [b"x" * (16 * MEGABYTE)]

    def drop(_: object) -> list[Any]:
        assert len(b"x" * (16 * MEGABYTE))
        return []

    monkeypatch.setattr(memory_left, "LOADS", {"keep": keep, "drop": drop})
    assert abs(memory_left.memory_left("keep", "on") - 16 * MEGABYTE) < MEGABYTE
    assert memory_left.memory_left("drop", "on") < MEGABYTE


def test_process_with_less_memory_than_before_has_gained_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # the report leaves out result files with negative values
    readings = iter([5000, 4000])
    monkeypatch.setattr(memory_left, "read_memory", lambda: next(readings))
    monkeypatch.setattr(memory_left, "return_free_memory", lambda: None)
    monkeypatch.setattr(memory_left, "LOADS", {"none": lambda _: []})
    assert memory_left.memory_left("none", "on") == 0


@forks
def test_each_sample_is_of_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_left, "memory_left", lambda *_: os.getpid())
    samples = MemoryLeft().track_memory_left("on", next(iter(LOADS)))["samples"]
    assert len({*samples, os.getpid()}) == memory_left.SAMPLES + 1


@forks
def test_process_that_fails_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise AssertionError("999 modules are loaded, not 1000")

    monkeypatch.setattr(memory_left, "memory_left", fail)
    with pytest.raises(EOFError):
        MemoryLeft().track_memory_left("on", next(iter(LOADS)))
    assert "999 modules are loaded, not 1000" in capfd.readouterr().err


def test_system_that_cannot_fork_takes_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    monkeypatch.setattr(memory_left, "memory_left", lambda *_: os.getpid())
    assert memory_left.sample_memory_left("any", "on") == [os.getpid()]


@pytest.mark.parametrize("load", LOADS)
def test_loads_drop_all_modules(load: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[int] = []
    check = _modules.drop_all

    def record(modules: list[Any], count: int) -> None:
        check(modules, count)
        dropped.append(count)

    monkeypatch.setattr(memory_left, "drop_all", record)
    engines = LOADS[load]("on")
    expected = {1: [1000], 30: [30], 0: [2] * 10}
    assert dropped == expected[len(engines)]
    assert len({id(engine) for engine in engines}) == len(engines)


@pytest.mark.parametrize("load", LOADS)
def test_loads_reject_modules_with_the_wrong_unwind_info(
    load: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_left, "new_engine", lambda *_, **__: _modules.make_engine("on"))
    with pytest.raises(AssertionError, match="native_unwind_info is off, but"):
        LOADS[load]("off")


@linux
@pytest.mark.slow
def test_48_0_0_leaves_memory_in_engines_and_its_neighbors_do_not(
    install: Callable[[str], Path],
) -> None:
    # 48.0.0 keeps register allocation's working memory in each engine (#13912); 49.0.0 clears it
    left: dict[str, Any] = {
        version: run_release(install(version), "-c", PROGRAM)
        for version in ("13.0.0", "47.0.1", "48.0.0", "49.0.0")
    }
    for unwind_info in ("on", "off"):
        kept = {version: median(report["kept"][unwind_info]) for version, report in left.items()}
        assert kept["48.0.0"] > 1.5 * kept["47.0.1"]
        assert kept["48.0.0"] > 2 * kept["49.0.0"]
        assert 0 < kept["49.0.0"] < kept["13.0.0"]
    for report in left.values():
        # in one engine, or when engines are dropped too, all releases give memory back
        assert all(0 < sample < MEGABYTE for samples in report["others"] for sample in samples)
