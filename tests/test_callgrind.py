"""How callgrind is run, how its profiles are parsed, and how its failures are reported."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import _callgrind
from benchmarks._callgrind import ALL

from .conftest import ROOT, environment, skip_missing

FILE = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 42
cmd:  python -c calls=9 9
part: 1

desc: Timerange: Basic block 0 - 5
desc: Trigger: Program termination

positions: line
events: Ir
summary: 1286

ob=(1) /usr/bin/python3.11
fl=(1) main.c
fn=(1) main
10 100
+3 20
cfn=(2) helper
calls=2 7
* 1100
cob=(2) /lib/lib wasmtime.so
cfi=(2) lib.rs
cfn=(3) wasmtime::drop
calls=1000 0
-2 900
jcnd=3/7 +2
*
fi=(3) inlined.h
4 1
fe=(1)
jump=5 +4
+1
* 5

fn=(2)
7 60

ob=(2)
fl=(2)
fn=(3)
0 40
cob=(3) /lib/libunwind.so.1.0
cfi=(4) ???
cfn=(4) __register_frame
calls=25 0
0 1000
cfn=(5) wasmtime::inner
calls=1 0
0 10
+1 10
fn=(5)
* 10

ob=(3)
fl=(4)
fn=(4)
0 1000
cfn=(6) scan
calls=25 +3
+3 700
cob=(2)
cfi=(2)
cfn=(5)
calls=4 0
* 4
fn=(6)
-3 40

totals: 1286
"""
PYTHON, WASMTIME, LIBUNWIND = (
    "/usr/bin/python3.11", "/lib/lib wasmtime.so", "/lib/libunwind.so.1.0"
)  # fmt: skip
linux = pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux")


def parse(text: str) -> _callgrind.Profile:
    return _callgrind.parse_profile(io.StringIO(text))


def test_library_total_leaves_out_its_callees() -> None:
    profile = parse(FILE)
    assert profile[PYTHON, ALL] == 100 + 20 + 1 + 5 + 60
    assert profile[WASMTIME, ALL] == 40 + 10 + 10
    assert profile[LIBUNWIND, ALL] == 1000 + 40


def test_function_total_leaves_out_its_callees() -> None:
    profile = parse(FILE)
    assert profile[PYTHON, "main"] == 100 + 20 + 1 + 5
    assert profile[PYTHON, "helper"] == 60
    assert profile[WASMTIME, "wasmtime::drop"] == 40 + 10
    assert profile[LIBUNWIND, "scan"] == 40


def test_lines_that_begin_with_an_address_are_parsed() -> None:
    by_address = FILE.replace("positions: line", "positions: instr line")
    by_address = by_address.replace("\n+3 20\n", "\n0x4a2c +3 20\n")
    assert parse(by_address) == parse(FILE)


def test_truncated_profile_is_an_error() -> None:
    for length in range(len(FILE.rstrip())):
        with pytest.raises(ValueError, match=r"is cut off|add up to 1286, but"):
            parse(FILE[:length])
    with pytest.raises(ValueError, match="is cut off after 0 lines"):
        parse("")


def test_profile_with_a_wrong_total_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"add up to 1287, but it states totals: 1286"):
        parse(FILE.replace("* 5", "* 6"))


def path_with_valgrind(folder: Path, script: str) -> str:
    """Write a shell script named `valgrind`, and return a PATH that begins with its folder."""
    path = folder / "valgrind"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@linux
@pytest.mark.parametrize(("strict", "error"), [("0", NotImplementedError), ("1", RuntimeError)])
def test_missing_valgrind_is_na_or_an_error_in_strict_mode(
    strict: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARKS_STRICT", strict)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(error, match="apt install valgrind; Alpine: apk add valgrind"):
        _callgrind.run_profiled("this", 1, b"")


@linux
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'one\ntwo\nno such processor' >&2; exit 3",
            "ended with exit code 3: one two no such proc",
        ),
        ("kill -ILL $$", "valgrind does not know an instruction"),
        ("kill -KILL $$", r"was killed by SIGKILL \(most likely the system ran out of memory\)$"),
    ],
)
def test_failed_valgrind_is_na_and_its_output_is_the_reason(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHMARKS_STRICT", raising=False)
    monkeypatch.setenv("PATH", path_with_valgrind(tmp_path, script))
    with pytest.raises(NotImplementedError, match=reason):
        _callgrind.run_profiled("this", 1, b"")
    monkeypatch.setenv("BENCHMARKS_STRICT", "1")
    with pytest.raises(RuntimeError, match=reason):
        _callgrind.run_profiled("this", 1, b"")


@linux
@pytest.mark.parametrize(
    "script",
    [
        "kill -ILL $$",
        "echo 'a forked process was killed by SIGILL' >&2; exit 1",
        "echo '==7== valgrind: Unrecognised instruction at address 0x1.\nmore\nx\ny' >&2; exit 1",
    ],
)
def test_instruction_that_valgrind_lacks_is_blamed_on_valgrind(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BENCHMARKS_STRICT", raising=False)
    monkeypatch.setenv("PATH", path_with_valgrind(tmp_path, script))
    with pytest.raises(NotImplementedError) as caught:
        _callgrind.run_profiled("this", 1, b"")
    assert "Install a newer valgrind" in str(caught.value)
    assert "exit code" not in str(caught.value)


@linux
def test_empty_profile_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path_with_valgrind(tmp_path, "exit 0"))
    with pytest.raises(ValueError, match="is cut off after 0 lines"):
        _callgrind.run_profiled("this", 1, b"")


@pytest.mark.slow
@linux
def test_valgrind_fails_without_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("valgrind") is None:
        skip_missing("valgrind is not installed")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    monkeypatch.delenv("BENCHMARKS_STRICT", raising=False)
    with pytest.raises(
        NotImplementedError, match=r"ended with exit code 1: .*nowhere.* start up properly"
    ):
        _callgrind.run_profiled("this", 1, b"")


@linux
def test_counted_program_inherits_only_the_kept_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_with_valgrind(tmp_path, f"env > {tmp_path}/environment"))
    monkeypatch.setenv("UNWINDER", "libunwind")
    monkeypatch.setenv("VALGRIND_LIB", "/opt/valgrind")
    monkeypatch.setenv("SESSION", "moves addresses")
    with pytest.raises(ValueError, match="is cut off"):
        _callgrind.run_profiled("this", 1, b"")
    variables = (tmp_path / "environment").read_text().splitlines()
    assert {"PYTHONHASHSEED=0", "UNWINDER=libunwind", "VALGRIND_LIB=/opt/valgrind"} <= {*variables}
    assert not [line for line in variables if line.startswith("SESSION=")]


@linux
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_valgrind_ends_with_the_process_that_started_it(
    stop: signal.Signals, tmp_path: Path
) -> None:
    path = path_with_valgrind(tmp_path, f"echo $$ > {tmp_path}/started; exec sleep 60")
    program = "from benchmarks import _callgrind; _callgrind.run_profiled('this', 1, b'')"
    counting = subprocess.Popen(
        [sys.executable, "-c", program], env={**environment(), "PATH": path}, cwd=ROOT
    )
    deadline = time.monotonic() + 30
    while not (started := tmp_path / "started").exists() or not started.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    counting.send_signal(stop)
    assert counting.wait() == -stop
    while Path(f"/proc/{int(started.read_text())}").exists():
        assert time.monotonic() < deadline, "valgrind is still running"
        time.sleep(0.05)
