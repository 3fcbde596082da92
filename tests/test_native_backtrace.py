"""How far a native backtrace gets: with real releases, and what becomes of a walk that fails."""

import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _walk, native_backtrace
from benchmarks._shapes import UnwindInfo
from benchmarks._unwinder import load_wasmtime
from benchmarks.native_backtrace import NativeBacktrace, Walk, run_walk

from .conftest import (
    DEADLINE,
    ROOT,
    environment,
    has_libunwind,
    release_environment,
    run_release,
    skip_missing,
)

WALK = """
import json, sys
from benchmarks.native_backtrace import NativeBacktrace
values = {}
for unwind_info in ("on", "off"):
    benchmark = NativeBacktrace()
    benchmark.setup(unwind_info)
    values[unwind_info] = [
        benchmark.track_wasm_frames(unwind_info), benchmark.track_reaches_bottom(unwind_info)
    ]
print(json.dumps(values))
"""
# Walk with glibc's `backtrace`, and find the code by the kernel's list of mappings. Print the names
# of the functions in the compiled module, or how many frames are behind them.
CROSS_CHECK = """
import ctypes, io, json, sys
from elftools.elf.elffile import ELFFile
from benchmarks import _walk

def backtrace(_):
    frames = (ctypes.c_void_p * 200)()
    return list(frames[:ctypes.CDLL(None).backtrace(frames, 200)])

unwind_info = sys.argv[1]
before = _walk.read_executable_mappings()
module, _ = _walk.load_module(unwind_info)
[mapping] = _walk.read_executable_mappings() - before
elf = ELFFile(io.BytesIO(module.serialize()))
functions = [symbol for symbol in elf.get_section_by_name(".symtab").iter_symbols()
             if symbol["st_info"]["type"] == "STT_FUNC"]
_walk.walk_stack = backtrace
names = []
for frame in _walk.walk_from_wasm(None, module, unwind_info):
    offset = frame - 1 - mapping.start  # a return address is behind the call
    names += [function.name for function in functions
              if 0 <= offset - function["st_value"] < function["st_size"]]
print(json.dumps(names))
"""
# A signal interrupts wasm code, and its handler walks the stack, as profilers in a process do.
PROFILER = """
import ctypes, json, signal, sys
from benchmarks import _walk
from wasmtime import Instance, Module, Store
TEXT = '''(module
  (func $inner (param $left i32)
    (loop $again
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left))))
  (func $middle (param i32) (call $inner (local.get 0)))
  (func (export "run") (param i32) (call $middle (local.get 0))))'''
unwinder, engine = _walk.load_unwinder(), _walk.make_engine(sys.argv[1])
before = _walk.read_executable_mappings()
module = Module(engine, TEXT)
[code] = _walk.read_executable_mappings() - before
store = Store(engine)
run = Instance(store, module, []).exports(store)["run"]
walks = []
handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: walks.append(_walk.walk_stack(unwinder)))
libc = ctypes.CDLL(None)
libc.signal(int(signal.SIGVTALRM), handler)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.15)  # seconds of CPU time, of which wasm takes most
run(store, 700_000_000)
frames = [frame in code for frame in walks[0]]
print(json.dumps([any(frames), sum(frames[:-1])]))
"""
# Stop wasm with a trap, and print Wasmtime's own backtrace.
TRAP = """
import json, sys
from wasmtime import Instance, Module, Store, Trap
from benchmarks._modules import make_engine
TEXT = '(module (func $inner unreachable) (func $outer (export "run") (call $inner)))'
store = Store(make_engine(sys.argv[1]))
try:
    Instance(store, Module(store.engine, TEXT), []).exports(store)["run"](store)
except Trap as trap:
    print(json.dumps([frame.func_name for frame in trap.frames]))
"""
# Spin in wasm for perf, or stop in a host function for gdb.
INSPECTED = """
import os, signal, sys
from wasmtime import Func, FuncType, Instance, Module, Store
from benchmarks._modules import make_engine
TEXT = '''(module
  (import "host" "stop" (func $stop))
  (func $inner (param $left i32)
    (if (i32.eqz (local.get $left)) (then (call $stop) (return)))
    (loop $again
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left))))
  (func $middle (param i32) (call $inner (local.get 0)))
  (func (export "run") (param i32) (call $middle (local.get 0))))'''
unwind_info, iterations = sys.argv[1], int(sys.argv[2])
engine = make_engine(unwind_info)
store = Store(engine)
stop = Func(store, FuncType([], []), lambda: os.kill(os.getpid(), signal.SIGTRAP))
Instance(store, Module(engine, TEXT), [stop]).exports(store)["run"](store, iterations)
"""
ITERATIONS = 1_500_000_000  # about a second
linux = pytest.mark.skipif(sys.platform != "linux", reason="the releases are walked on Linux")
SETTINGS: tuple[UnwindInfo, UnwindInfo] = ("on", "off")
Install = Callable[[str], Path]


# Tests with real releases


@linux
@pytest.mark.parametrize("unwinder", ["system", "libunwind"])
@pytest.mark.parametrize(
    ("version", "frames", "bottom"),
    [
        ("13.0.0", 4, 1),
        ("14.0.0", 4, 1),
        ("15.0.0", 0, 0),
        ("22.0.0", 0, 0),
        ("23.0.0", 5, 0),
        ("27.0.2", 5, 0),
        ("28.0.0", 0, 0),
        ("36.0.0", 0, 0),
        ("37.0.0", 5, 1),
        ("50.0.1", 5, 1),
    ],
)
def test_backtrace_gets_this_far(
    version: str, frames: int, bottom: int, unwinder: str, install: Install
) -> None:
    if unwinder == "libunwind":
        if int(version.split(".")[0]) < 19:
            pytest.skip("releases before 19.0.0 do not look for libunwind")
        if not has_libunwind():
            skip_missing("LLVM's libunwind is not installed (Debian: libunwind-19)")
    values = run_release(install(version), "-c", WALK, unwinder=unwinder)
    assert values == {"on": [frames, bottom], "off": [0, 0]}


@linux
def test_glibc_backtrace_passes_the_same_frames(install: Install) -> None:
    """glibc's `backtrace` and the kernel's mappings agree with the walk, function by function."""
    names = run_release(install("49.0.0"), "-c", CROSS_CHECK, "on")
    functions = [re.sub(r"\W+", " ", name).split()[-2:] for name in names]
    assert len(names) == 5
    # `$walk` is function 0, `$inner` is 1, `$middle` is 2 and `$outer` is 3
    inner, middle, outer = names[1:4]
    assert ["1" in inner, "2" in middle, "3" in outer] == [True] * 3, functions
    assert "trampoline" in names[0]
    assert "trampoline" in names[4]
    stopped = run_release(install("49.0.0"), "-c", CROSS_CHECK, "off")
    assert stopped == names[:1]  # like libgcc, `backtrace` reports the frame at which it stops
    assert run_release(install("30.0.0"), "-c", CROSS_CHECK, "on") == []


@linux
@pytest.mark.parametrize("version", ["15.0.0", "30.0.0", "49.0.0"])
def test_profiler_in_the_process_passes_wasm_frames_with_unwind_info_only(
    version: str, install: Install
) -> None:
    """It starts in wasm, so that Wasmtime's library does not come first."""
    # three functions and the trampoline into wasm; off: the interrupted frame is not passed
    assert run_release(install(version), "-c", PROFILER, "on") == [True, 4]
    assert run_release(install(version), "-c", PROFILER, "off") == [True, 0]


@linux
@pytest.mark.parametrize("version", ["30.0.0", "49.0.0"])
def test_own_backtraces_and_traps_do_not_need_unwind_info(version: str, install: Install) -> None:
    for unwind_info in SETTINGS:
        assert run_release(install(version), "-c", TRAP, unwind_info) == ["inner", "outer"]


@linux
@pytest.mark.slow
def test_gdb_loses_its_way_in_wasm_with_unwind_info_on_and_off(install: Install) -> None:
    if shutil.which("gdb") is None:
        skip_missing("gdb is not installed (Debian: gdb)")
    frames = {}
    for unwind_info in SETTINGS:
        process = subprocess.run(
            [
                "gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "run",
                "-ex", "backtrace", "--args", sys.executable, "-c", INSPECTED, unwind_info, "0",
            ],
            cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE,
            env=release_environment(install("49.0.0")),
        )  # fmt: skip
        if "SIGTRAP" not in process.stdout:
            pytest.skip(f"gdb may not trace a process here: {process.stderr[-200:]}")
        # "#19 0x00007f12 in function (…": keep the function
        functions = re.findall(r"^#\d+ +(?:0x\w+ in )?(\S+)", process.stdout, re.MULTILINE)
        frames[unwind_info] = functions
    for names in frames.values():
        host = next(index for index, name in enumerate(names) if "array_call" in name)
        assert names[host + 1] == "??"  # the first wasm frame has no name; gdb guesses the others
        assert not {"wasmtime_func_call", "main"} & {*names[host:]}
        del names[host + 2 :]
    assert frames["on"] == frames["off"]


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("method", "passes"), [("fp", True), ("dwarf", False)])
def test_perf_does_not_depend_on_unwind_info(
    method: str, passes: bool, install: Install, tmp_path: Path
) -> None:
    """With frame pointers perf passes wasm frames, with DWARF it does not, on and off."""
    if shutil.which("perf") is None:
        skip_missing("perf is not installed (Debian: linux-perf)")
    for unwind_info in SETTINGS:
        data = str(tmp_path / unwind_info)
        recorded = subprocess.run(
            [
                "perf", "record", "-q", "-e", "cpu-clock:u", "-F", "200", "--call-graph", method,
                "-o", data, sys.executable, "-c", INSPECTED, unwind_info, str(ITERATIONS),
            ],
            cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
            env=release_environment(install("49.0.0")),
        )  # fmt: skip
        if recorded.returncode:
            pytest.skip(f"perf may not sample here: {recorded.stderr.strip()[-200:]}")
        script = subprocess.run(
            ["perf", "script", "-i", data, "-F", "ip,sym,dso"],
            capture_output=True, text=True, check=True, timeout=DEADLINE,
        ).stdout  # fmt: skip
        samples = [lines.splitlines() for lines in re.split(r"\n\n+", script.strip())]
        # perf names memory that no file holds after a map file which a JIT may write
        in_wasm = [sample for sample in samples if "/perf-" in sample[0]]
        assert len(in_wasm) > 10
        passed = ["_libwasmtime" in "".join(sample) for sample in in_wasm]
        if passes:
            assert sum(passed) > 0.9 * len(in_wasm)  # a sample in a prologue may lose its way
        else:
            assert not any(passed)


# Tests with the release that is installed with the test tools, or with simulated walks


@linux
def test_on_passes_wasm_frames_and_off_does_not() -> None:
    """A swap of on and off would be found here: the release of the test tools has both tables."""
    assert run_walk("on") == Walk(5, True)
    assert run_walk("off") == Walk(0, False)


@linux
def test_frames_lie_in_the_libraries_between_host_function_and_program() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks._walk", "on"],
        capture_output=True, text=True, check=True, timeout=DEADLINE, env=environment(),
    )  # fmt: skip
    files = json.loads(process.stdout)["files"]
    first = files.index(_walk.WASM_CODE)
    assert files[first : first + 5] == [_walk.WASM_CODE] * 5
    assert "_libwasmtime" in files[first - 1]
    assert "_libwasmtime" in files[first + 5]


def simulate(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the process that walks run some other code."""
    run = subprocess.run

    def run_code(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[-2] == "benchmarks._walk"
        return run([sys.executable, "-c", code, command[-1]], **options)

    monkeypatch.setattr(subprocess, "run", run_code)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_crash_of_the_walk_is_an_error_that_names_the_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulate(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(RuntimeError, match="SIGSEGV ended the walk with unwind info on"):
        NativeBacktrace().setup("on")


def test_failed_walk_is_an_error_with_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, "raise RuntimeError('another unwinder is in effect')")
    monkeypatch.setattr(sys, "platform", "linux")
    message = "the walk with unwind info off failed: RuntimeError: another unwinder is in effect"
    with pytest.raises(RuntimeError, match=message):
        NativeBacktrace().setup("off")


def test_walk_that_is_not_available_is_na(monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, 'print(\'{"not_available": "no mappings"}\')')
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NotImplementedError, match="no mappings"):
        NativeBacktrace().setup("on")


def test_each_value_belongs_to_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"on": Walk(5, True), "off": Walk(0, False)}
    monkeypatch.setattr(native_backtrace, "run_walk", answers.__getitem__)
    for unwind_info in SETTINGS:
        benchmark = NativeBacktrace()
        benchmark.setup(unwind_info)
        frames, bottom = answers[unwind_info]
        assert benchmark.track_wasm_frames(unwind_info) == frames
        assert benchmark.track_reaches_bottom(unwind_info) == int(bottom)


def test_windows_is_na(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    for unwind_info in SETTINGS:
        with pytest.raises(NotImplementedError, match="Windows has no _Unwind_Backtrace"):
            NativeBacktrace().setup(unwind_info)


# The walk, with simulated frames: the unwinder reports addresses, and files hold them

CODE = range(100, 200)
FILES = {1: "libffi", 2: "libwasmtime", 3: "python"}


@pytest.fixture
def describe(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[int]], dict[str, Any]]:
    """Return a function that describes a walk through some frames. Frame 3 is the outermost."""

    def describe_frames(frames: list[int]) -> dict[str, Any]:
        monkeypatch.setattr(_walk, "load_unwinder", lambda: None)
        monkeypatch.setattr(_walk, "walk_from_libc", lambda _: [1, 3])
        monkeypatch.setattr(_walk, "load_module", lambda _: (None, CODE))
        monkeypatch.setattr(_walk, "walk_from_wasm", lambda *_: frames)
        monkeypatch.setattr(_walk, "find_file", FILES.get)
        return _walk.walk("on")

    return describe_frames


@pytest.mark.parametrize(
    ("frames", "wasm_frames", "reaches_bottom"),
    [
        ([1, 2, 100, 150, 199, 2, 1, 3], 3, True),
        ([1, 2, 100, 150, 199, 2], 3, False),
        ([1, 2, 100], 0, False),  # libgcc reports the frame at which it stops
        ([1, 2], 0, False),
        ([1, 2, 99, 200, 3], 0, True),  # addresses next to the code
    ],
)
def test_only_frames_that_the_unwinder_passes_count(
    frames: list[int],
    wasm_frames: int,
    reaches_bottom: bool,
    describe: Callable[[list[int]], dict[str, Any]],
) -> None:
    walk = describe(frames)
    assert (walk["wasm_frames"], walk["reaches_bottom"]) == (wasm_frames, reaches_bottom)


def test_frame_that_no_file_holds_is_not_taken_for_wasm(
    describe: Callable[[list[int]], dict[str, Any]],
) -> None:
    """Up to 14.0.0 the trampoline to the host function is such a frame."""
    assert describe([2, 50, 100, 2, 3])["files"] == [
        "libwasmtime",
        None,
        "wasm",
        *map(FILES.get, (2, 3)),
    ]


def test_unwinder_that_cannot_pass_python_is_na(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "walk_stack", lambda _: [1])
    monkeypatch.setattr(_walk, "find_file", {1: "libffi"}.get)
    with pytest.raises(NotImplementedError, match="the unwinder cannot get through"):
        _walk.walk_from_libc(None)  # type: ignore[arg-type] # the walk is simulated


@pytest.fixture
def without_image_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the C API look like that of 13.x."""
    monkeypatch.setattr(_walk, "load_wasmtime", object)


@linux
@pytest.mark.usefixtures("without_image_range")
def test_mapping_of_13_0_0_lies_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    module, mapping = _walk.load_module("on")
    monkeypatch.undo()
    image = _walk.read_image_range(load_wasmtime(), module)
    assert image.start <= mapping.start < mapping.stop <= image.stop


@pytest.mark.usefixtures("without_image_range")
def test_13_0_0_is_na_where_the_system_does_not_list_mappings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_walk, "MAPS", tmp_path / "missing")
    with pytest.raises(NotImplementedError, match="only Linux can tell where the code"):
        _walk.load_module("on")


@linux
@pytest.mark.usefixtures("without_image_range")
def test_unclear_mappings_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([{range(1)}, {range(1), range(2), range(3)}])
    monkeypatch.setattr(_walk, "read_executable_mappings", functools.partial(next, answers))
    with pytest.raises(RuntimeError, match="added 2 executable mappings, not one"):
        _walk.load_module("on")


@linux
def test_other_unwinder_for_the_walk_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "find_file", lambda _: "/lib/other.so")
    with pytest.raises(RuntimeError, match=r"but /lib/other\.so would walk"):
        _walk.load_unwinder()
