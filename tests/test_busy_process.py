"""Unloading one module while others stay: what is timed, what is n/a, and how the process ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks import _busy, _modules
from benchmarks._busy import Cells
from benchmarks._shapes import RESIDENT_FDES
from benchmarks.busy_process import UnloadFromBusyProcess

from .conftest import ROOT, run_release

FEW, MANY = RESIDENT_FDES[0], RESIDENT_FDES[-1]
PROGRAM = """
import json
from benchmarks.busy_process import UnloadFromBusyProcess
cells = UnloadFromBusyProcess().setup_cache()
if isinstance(cells, Exception):
    print(json.dumps(str(cells)))
else:
    print(json.dumps({"/".join(map(str, cell)): samples for cell, samples in cells.items()}))
"""


@pytest.fixture(autouse=True)
def _clear_caches() -> Iterator[None]:
    yield
    _modules.make_engine.cache_clear()
    _modules.compile_image.cache_clear()


class Simulated:
    """Modules whose drop takes as many seconds as FDEs stay loaded, and one more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.resident = 0
        self.steps: list[str] = []
        monkeypatch.setattr(_busy, "CLOCK", lambda: self.now)
        monkeypatch.setattr(_busy, "load_image", self.load)
        monkeypatch.setattr(_busy, "drop_all", self.drop)
        monkeypatch.setattr(_busy, "compile_image", lambda wasm, setting: f"{wasm.stem} {setting}")
        monkeypatch.setattr(_busy, "check_unwind_info", lambda _image, _setting: None)

    def load(self, count: int, image: str, setting: str) -> list[str]:
        self.now += 1000  # loading must not be part of a sample
        if image == "functions-2000 on":
            self.resident += count
        self.steps.append(f"load {count} {image}")
        assert image.endswith(setting)
        return [image] * count

    def drop(self, modules: list[str], count: int) -> None:
        assert len(modules) == count == 1
        self.steps.append(f"drop {modules[0]}")
        self.now += 1 + (2000 * self.resident if modules == ["functions-8 on"] else 0)
        modules.clear()


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    return Simulated(monkeypatch)


def test_only_the_drop_beside_the_residents_is_timed(simulated: Simulated) -> None:
    residents: list[Any] = []
    cells = _busy.sample_cells(residents)
    assert cells == {
        (setting, fdes): [1 + (fdes if setting == "on" else 0)]
        for setting in ("on", "off")
        for fdes in RESIDENT_FDES
    }
    assert len(residents) == MANY // 2000
    assert not [step for step in simulated.steps if step.startswith("drop functions-2000")]


def test_settings_alternate_so_that_each_finds_the_same_caches(simulated: Simulated) -> None:
    _busy.sample_cells([])
    drops = [step for step in simulated.steps if step.startswith("drop")]
    assert drops[::2] == ["drop functions-8 on"] * (len(drops) // 2)
    assert drops[1::2] == ["drop functions-8 off"] * (len(drops) // 2)


@pytest.mark.parametrize(("seconds", "drops"), [(0.0, _busy.DROPS), (60.0, _busy.MIN_DROPS)])
def test_slow_drops_are_fewer(
    seconds: float, drops: int, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "benchmarks._busy.time.perf_counter", lambda: seconds * len(simulated.steps)
    )
    images: Any = {"on": "functions-8 on", "off": "functions-8 off"}
    times = _busy.sample_drops(images)
    assert [len(times["on"]), len(times["off"])] == [drops, drops]


@pytest.mark.usefixtures("simulated")
def test_steps_that_exceed_the_memory_are_na(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = bytes(1_000_000)
    monkeypatch.setattr(_busy, "compile_image", lambda *_: image)
    monkeypatch.setattr(_busy, "load_image", lambda count, *_: [image] * count)
    monkeypatch.setattr(_busy, "drop_all", lambda *_: None)
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000000 kB\nMemAvailable:  300000 kB\n")
    monkeypatch.setattr(_busy, "MEMINFO", meminfo)
    cells = _busy.sample_cells([])
    reasons = [cells["on", MANY], cells["off", MANY]]
    assert [str(reason) for reason in reasons] == [
        "modules with 1,000,000 FDEs need 480 MB more memory, but only 307 MB are available"
    ] * 2
    assert isinstance(cells["on", 400_000], list)


def test_memory_is_not_checked_where_the_system_does_not_state_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_busy, "MEMINFO", tmp_path / "missing")
    assert _busy.find_shortage(MANY, 1e15) is None


def test_unwind_info_off_is_na_on_windows_and_on_is_measured(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_off(wasm: Path, setting: str) -> str:
        if setting == "off":
            raise NotImplementedError("Windows requires unwind info")
        return f"{wasm.stem} {setting}"

    monkeypatch.setattr(_busy, "compile_image", refuse_off)
    cells = _busy.sample_cells([])
    assert cells["on", MANY] == [MANY + 1]
    benchmark = UnloadFromBusyProcess()
    benchmark.setup(cells, "on", MANY)
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        benchmark.setup(cells, "off", MANY)
    assert "drop functions-8 off" not in simulated.steps


def test_each_process_contributes_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    shortage = NotImplementedError("modules need more memory")
    answers: list[Cells] = [{("on", FEW): [float(n)], ("on", MANY): [9.0]} for n in range(8)]
    answers[5]["on", MANY] = shortage
    monkeypatch.setattr(_busy, "run_program", iter(answers).__next__)
    cells = _busy.sample_in_processes()
    assert cells == {("on", FEW): [0, 1, 2, 3, 4, 5, 6, 7], ("on", MANY): shortage}
    stored = UnloadFromBusyProcess().track_unload(cells, "on", FEW)  # type: ignore[arg-type]
    assert stored == {"samples": cells["on", FEW], "number": 1}


def test_unknown_unwinder_is_reported_for_every_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNWINDER", "libunwynd")
    benchmark = UnloadFromBusyProcess()
    answer = benchmark.setup_cache()
    assert isinstance(answer, ValueError)
    with pytest.raises(ValueError, match="UNWINDER=libunwynd is unknown"):
        benchmark.setup(answer, "on", FEW)


def test_program_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_busy, "ROOT", tmp_path)  # has no package `benchmarks`
    monkeypatch.delenv("PYTHONPATH", raising=False)
    answer = UnloadFromBusyProcess().setup_cache()
    assert "ended with exit code 1" in str(answer)


LEAVE = """
import os, signal, sys
from benchmarks._busy import ExitWithoutCleanup

class Module:
    def __del__(self):
        os.write(1, b"dropped")

def main():
    module = Module()
    with ExitWithoutCleanup():
        exec(sys.argv[1])

main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("print('done')", 0),
        ("raise TypeError('a mistake')", 1),
        ("sys.exit(3)", 1),
        ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_process_ends_without_dropping_what_is_loaded(work: str, code: int) -> None:
    process = subprocess.run(
        [sys.executable, "-c", LEAVE, work], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == code
    assert "dropped" not in process.stdout
    assert ("a mistake" in process.stderr) == ("mistake" in work)


# Tests with real wheels


@pytest.fixture(scope="module")
def sample(install: Callable[[str], Path]) -> Callable[[str, str], Any]:
    """Return a function that samples all cells with a release, as asv would."""

    def sample_release(version: str, unwinder: str) -> Any:
        return run_release(install(version), "-c", PROGRAM, unwinder=unwinder)

    return sample_release


@pytest.mark.skipif(sys.platform != "linux", reason="compares libgcc with LLVM libunwind")
@pytest.mark.parametrize("version", ["13.0.0", "21.0.0", "49.0.0"])
def test_residents_do_not_matter_to_libgcc(version: str, sample: Callable[[str, str], Any]) -> None:
    cells = sample(version, "system")
    assert {len(samples) for samples in cells.values()} == {_busy.PROCESSES}
    assert len(cells) == 2 * len(RESIDENT_FDES)
    for setting in ("on", "off"):
        assert median(cells[f"{setting}/{MANY}"]) < 4 * median(cells[f"{setting}/{FEW}"])


@pytest.mark.usefixtures("libunwind")
def test_cost_under_libunwind_grows_with_the_residents_and_falls_at_50(
    sample: Callable[[str, str], Any],
) -> None:
    old, new = (sample(version, "libunwind") for version in ("49.0.0", "50.0.1"))
    for cells in (old, new):
        on = [median(cells[f"on/{fdes}"]) for fdes in RESIDENT_FDES]
        assert on == sorted(on)
        assert on[-1] > 10 * median(cells[f"off/{MANY}"])
    assert median(old[f"on/{MANY}"]) > 4 * median(new[f"on/{MANY}"])


@pytest.mark.usefixtures("libunwind")
def test_release_that_does_not_look_for_libunwind_is_na(
    sample: Callable[[str, str], Any],
) -> None:
    assert "19.0.0 and later" in sample("18.0.2", "libunwind")
