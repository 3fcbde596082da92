"""The probe, on modules of all kinds, with real environments in a cache of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv_runner.statistics import compute_stats

from scripts.probe import __main__ as probe

from .conftest import COMMITS, DEADLINE, ROOT, Started, environment

EIGHT = ROOT / "fixtures/functions-8.wasm"
NEWEST = list(COMMITS)[-1]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(cache: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.probe", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE,
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
        "gap = TeardownGap(); gap.setup(gap.setup_cache(), '1000x8'); "
        "print(json.dumps(gap.track_ratio(None, '1000x8')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**environment(), "UNWINDER": "libunwind",
             "PYTHONPATH": f"{install('49.0.0')}{os.pathsep}{ROOT}"},
        timeout=DEADLINE,
    )  # fmt: skip
    ratio, _ = compute_stats(json.loads(answer.stdout)["samples"], 1)
    # two processes may differ by a factor of two; another benchmark, or libgcc, by more than three
    assert ratio / 3 < one["ratio"] < ratio * 3
    assert one["ratio"] > 2.5 < ratio
    assert one["low"] <= one["ratio"] <= one["high"]
    assert one["modules"] == 1000
    assert one["fdes"] == 17
    assert one["eh_frame_bytes"] > 500
    assert one["excess"] == pytest.approx(one["off"] * (one["ratio"] - 1))
    assert one["peak_memory"] > 2**25
    # one table is searched for every FDE: quadratic, and linear without that
    assert one["exponent"] > 1.3


def test_text_folders_and_the_release_of_another_python(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "modules/deeper").mkdir(parents=True)
    shutil.copy(ROOT / "fixtures/functions-1.wat", tmp_path / "modules")
    shutil.copy(EIGHT, tmp_path / "modules/deeper")
    answer = run(cache, tmp_path / "modules", "--python", sys.executable, "--modules", "50")
    assert answer.returncode == 0, answer.stderr
    for name in ("functions-1.wat", "functions-8.wasm"):
        assert f"{name}, {NEWEST}: keep unwind info" in answer.stdout
    assert "compiling with unwind info off" in answer.stderr
    assert "installing" in answer.stderr or list(cache.glob(f"wasmtime-teardown/{NEWEST}-*"))


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
        ([EIGHT, "--release", "45.0.99"], "45.0.99 is no pinned release. Did you mean 45.0.0"),
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
    assert f"cut.wasm, {NEWEST}: failed to parse WebAssembly module" in answer.stdout
    assert f"functions-8.wasm, {NEWEST}: keep unwind info" in answer.stdout


def test_what_does_not_fit_is_reduced_and_said() -> None:
    program = (
        "import json; from pathlib import Path; from benchmarks import _one_module as one; "
        "wasm = Path('fixtures/functions-8.wasm'); "
        "one.MEMORY = 50 * 2 * len(one.image(wasm, 'on')); few = one.fit(1000, wasm); "
        "one.MEMORY, one.SECONDS = 2**31, 0; slow = one.fit(1000, wasm); "
        "one.SECONDS = 600; print(json.dumps([few, slow, one.fit(100, wasm)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
    )  # fmt: skip
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
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE,
    )  # fmt: skip
    assert int(answer.stdout) == min(wanted, room) // 10 * 10


def measured(ratio: float, quarter: float, half: float) -> dict[str, Any]:
    """What a child reports of 1000 modules that take 14 ms with unwind info off."""
    return {
        "modules": 1000, "reduced": "", "ratios": [ratio] * 8, "on": 0.014 * ratio, "off": 0.014,
        "excess_of_fewer": {"250": quarter, "500": half}, "load": 0.1, "fdes": 17,
        "eh_frame_bytes": 772, "peak_memory": 2**26,
    }  # fmt: skip


def test_growth_is_that_of_a_power_law_and_noise_does_not_grow() -> None:
    exponent, half, predicted = probe.grow({250: 5.0, 500: 20.0, 1000: 80.0})
    assert exponent == pytest.approx(2)
    assert half == predicted == pytest.approx(20)
    assert probe.grow({250: -1.0, 500: 2.0, 1000: 4.0}) == (None, None, None)
    told, not_told = (
        probe.evaluate("my.wasm", "50.0.1", measured(ratio, 1e-4, 2e-4)).exponent
        for ratio in (1.15, 1.05)
    )
    assert told is not None
    assert not_told is None


@pytest.mark.parametrize(
    ("off_by", "agrees"), [(1, True), (1.4, True), (1.6, False), (1 / 1.4, True), (1 / 1.6, False)]
)
def test_growth_is_checked_at_a_half(off_by: float, agrees: bool) -> None:
    # 14 ms more, linear, so that it is 3.5 of a quarter, and ought to be 7 of a half
    result = probe.evaluate("my.wasm", "50.0.1", measured(2.0, 0.0035, 0.007 * off_by))
    assert result.exponent == pytest.approx(1)
    assert result.predicted == pytest.approx(7)
    said = " ".join(probe.sentences(result))
    assert ("cost by modules loaded at once" in said) is agrees
    assert ("no prediction for other counts" in said) is not agrees


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
    assert f"{NEWEST} cannot be installed" in answer.stdout
    assert "Is the package index there?" in answer.stdout
    assert not list((tmp_path / "wasmtime-teardown").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_leaves_nothing_but_the_cache(cache: Path, tmp_path: Path) -> None:
    run(cache, EIGHT, "--modules", "10")  # so that there is an environment
    before = sorted((cache / "wasmtime-teardown").iterdir())
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command: list[str | Path] = [sys.executable, "-u", "-m", "scripts.probe", EIGHT]
    variables = {**environment(), "XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary)}
    with Started(command, ROOT, variables) as started:
        started.wait_for("dropping")
        started.process.send_signal(signal.SIGINT)
        assert started.end() == 130
    assert "Interrupted." in started.said
    assert "Traceback" not in started.said
    assert sorted((cache / "wasmtime-teardown").iterdir()) == before
    assert not list(temporary.iterdir())


def test_windows_is_told_that_it_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the suite's own code refuses, as it does in every benchmark."""
    from benchmarks import _one_module

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows"):
        _one_module.measure(EIGHT, 10, Path("unused"))
