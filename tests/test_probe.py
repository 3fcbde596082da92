"""The probe, on modules of all kinds, with real environments in a cache of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv_runner.statistics import compute_stats

from scripts.probe import __main__ as probe

from .conftest import ROOT, environment

EIGHT = ROOT / "fixtures/functions-8.wasm"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(cache: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.probe", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**environment(), "XDG_CACHE_HOME": str(cache), **variables},
    )  # fmt: skip


def probed(cache: Path, *arguments: str | Path) -> list[dict[str, Any]]:
    answer = run(cache, *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


@pytest.mark.usefixtures("libunwind")
def test_it_agrees_with_the_suite(cache: Path, install: Callable[[str], Path]) -> None:
    (one,) = probed(cache, EIGHT, "--release", "49.0.0", "--unwinder", "libunwind")
    program = (
        "import json; from benchmarks.teardown_gap import TeardownGap; "
        "gap = TeardownGap(); gap.setup('1000x8'); print(json.dumps(gap.track_ratio('1000x8')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**environment(), "UNWINDER": "libunwind",
             "PYTHONPATH": f"{install('49.0.0')}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    ratio, stats = compute_stats(json.loads(answer.stdout)["samples"], 1)
    # a quarter beside the intervals, which know nothing of what differs between two processes
    assert one["low"] / 1.25 <= stats["ci_99_b"]
    assert stats["ci_99_a"] <= one["high"] * 1.25
    assert one["ratio"] > 4 < ratio
    assert one["modules"] == 1000
    assert one["fdes"] == 17
    assert one["eh_frame_bytes"] > 500
    assert one["excess"] == pytest.approx(one["off"] * (one["ratio"] - 1))
    assert one["peak_memory"] > 2**25
    # one table is searched for every FDE
    assert 1.3 < one["exponent"] < 3
    assert one["predicted"] / 2 < one["half"] < one["predicted"] * 2


def test_text_folders_and_the_release_of_another_python(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "modules/deeper").mkdir(parents=True)
    shutil.copy(ROOT / "fixtures/functions-1.wat", tmp_path / "modules")
    shutil.copy(EIGHT, tmp_path / "modules/deeper")
    answer = run(cache, tmp_path / "modules", "--python", sys.executable, "--modules", "50")
    assert answer.returncode == 0, answer.stderr
    for name in ("functions-1.wat", "functions-8.wasm"):
        assert f"{name}, 50.0.1: keep unwind info" in answer.stdout
    assert "compiling with unwind info off" in answer.stderr
    assert "installing" in answer.stderr or list(cache.glob("wasmtime-teardown/50.0.1-*"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "is no WebAssembly"),
        (b"\0asm\x0d\0\x01\0", "no core module but a component"),
        (b"\0asm", "no core module but a component, or cut short"),
    ],
)
def test_what_is_no_module_is_refused(
    content: bytes, said: str, cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "my.wasm"
    path.write_bytes(content)
    answer = run(cache, path)
    assert answer.returncode == 2
    assert f"{path} " in answer.stderr
    assert said in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere.wasm"], "Cannot read /nowhere.wasm: No such file"),
        ([EIGHT, "--release", "50.0.99"], "50.0.99 is no pinned release. Did you mean 50.0.1"),
        ([EIGHT, "--python", "/nowhere"], "--python /nowhere cannot be started"),
    ],
)
def test_unknown_names_are_errors(arguments: list[str], said: str, cache: Path) -> None:
    answer = run(cache, *arguments)
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_module_that_cannot_be_compiled_is_the_release_s_own_error(
    cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.wasm"
    path.write_bytes(EIGHT.read_bytes()[:200])
    answer = run(cache, path, EIGHT, "--modules", "20")
    assert answer.returncode == 0  # the other was measured
    assert "cut.wasm, 50.0.1: failed to parse WebAssembly module" in answer.stdout
    assert "functions-8.wasm, 50.0.1: keep unwind info" in answer.stdout


def test_what_does_not_fit_is_reduced_and_said() -> None:
    program = (
        "import json; from pathlib import Path; from benchmarks import _one_module as one; "
        "wasm = Path('fixtures/functions-8.wasm'); "
        "one.MEMORY = 50 * 2 * len(one.image(wasm, 'on')); few = one.fit(1000, wasm); "
        "one.MEMORY, one.SECONDS = 2**31, 0.01; slow = one.fit(1000, wasm); "
        "one.SECONDS = 600; print(json.dumps([few, slow, one.fit(100, wasm)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    few, slow, all_of_them = json.loads(answer.stdout)
    assert few[0] == 50
    assert "are full" in few[1]
    assert slow[0] == 10
    assert "longer than" in slow[1]
    assert all_of_them == [100, ""]


@pytest.mark.parametrize(("wanted", "room"), [(1005, 10_000), (1000, 57)])
def test_a_budget_that_is_no_multiple_of_ten_comes_to_an_end(wanted: int, room: int) -> None:
    program = (
        "from pathlib import Path; from benchmarks import _one_module as one; "
        "wasm = Path('fixtures/functions-1.wasm'); one.SECONDS = 600; "
        f"one.MEMORY = {room} * 2 * len(one.image(wasm, 'on')); print(one.fit({wanted}, wasm)[0])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert int(answer.stdout) == min(wanted, room) // 10 * 10


def test_growth_is_checked_and_noise_does_not_grow() -> None:
    exponent, half, predicted = probe.grow({250: 5.0, 500: 20.0, 1000: 80.0})
    assert exponent == pytest.approx(2)
    assert half == predicted == pytest.approx(20)
    assert probe.grow({250: -1.0, 500: 2.0, 1000: 4.0}) == (None, None, None)
    measured = {
        "modules": 1000, "reduced": "", "ratios": [1.0 + 0.01 * step for step in range(8)],
        "on": 0.0144, "off": 0.014, "excess_of_fewer": {"250": 1e-4, "500": 2e-4}, "load": 0.1,
        "fdes": 17, "eh_frame_bytes": 772, "peak_memory": 2**26,
    }  # fmt: skip
    assert probe.evaluate("my.wasm", "50.0.1", measured).exponent is None
    measured["ratios"] = [2.0 + 0.01 * step for step in range(8)]
    said = " ".join(probe.sentences(probe.evaluate("my.wasm", "50.0.1", measured)))
    assert "no prediction for other counts" in said  # 14 ms against 0.2 of a half


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = run(tmp_path / "file", EIGHT)
    assert answer.returncode == 1
    assert "cannot be written" in answer.stdout
    assert "Set XDG_CACHE_HOME" in answer.stdout


@pytest.mark.parametrize("uv", [True, False])
def test_without_an_index_it_says_so_and_leaves_nothing(uv: bool, tmp_path: Path) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    without = os.pathsep.join(folder for folder in folders if not shutil.which("uv", path=folder))
    dead = "http://127.0.0.1:9"
    answer = run(
        tmp_path, EIGHT, PIP_INDEX_URL=dead, PIP_RETRIES="0", PIP_NO_CACHE_DIR="1",
        PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="", UV_DEFAULT_INDEX=dead, UV_INDEX="",
        UV_FIND_LINKS="", UV_EXTRA_INDEX_URL="", UV_HTTP_RETRIES="0", UV_NO_CACHE="1",
        **({} if uv else {"PATH": without, "UV": ""}),
    )  # fmt: skip
    assert answer.returncode == 1
    assert "50.0.1 cannot be installed" in answer.stdout
    assert "Is the package index there?" in answer.stdout
    assert not list((tmp_path / "wasmtime-teardown").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_leaves_nothing_but_the_cache(cache: Path, tmp_path: Path) -> None:
    run(cache, EIGHT, "--modules", "10")  # so that there is an environment
    before = sorted((cache / "wasmtime-teardown").iterdir())
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    started = subprocess.Popen(
        [sys.executable, "-m", "scripts.probe", EIGHT],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**environment(), "XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert started.stderr is not None
    while "dropping" not in started.stderr.readline():
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=30)
    assert started.returncode == 130
    assert "Interrupted." in error
    assert "Traceback" not in error
    assert sorted((cache / "wasmtime-teardown").iterdir()) == before
    assert not list(temporary.iterdir())


def test_windows_is_told_that_it_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the suite's own code refuses, as it does in every benchmark."""
    from benchmarks import _one_module

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows"):
        _one_module.measure(EIGHT, 10, Path("unused"))
