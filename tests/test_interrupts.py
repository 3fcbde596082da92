"""A single Ctrl-C ends a run, wherever it lands."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from scripts.measuring import interrupts
from scripts.measuring.asv_changes import how_to_go_on

from .conftest import LIBUNWIND, SYSTEM, Measured

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

SMALLEST = r"time_teardown\('off', '1000x1'\)"
MOMENTS = 20
SECONDS = 20  # in which an interrupted run has to be over, on a loaded machine too


def start(measured: Measured, version: str) -> subprocess.Popen[str]:
    """A run that installs, compiles, measures and saves, once for each unwinder."""
    run = subprocess.Popen(
        [sys.executable, "-u", "-m", "asv", "run", "--quick", "--bench", SMALLEST, "--machine",
         "interrupted", "-E", SYSTEM, "-E", LIBUNWIND, version],
        cwd=measured.copy, env=measured.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    assert run.stdout.readline()  # from here on asv has loaded the plugin
    return run


@pytest.mark.slow
def test_one_interrupt_at_any_moment_ends_the_run(measured: Measured) -> None:
    folder = measured.copy / "results/interrupted"
    begun = time.monotonic()
    run = start(measured, "48.0.0")
    run.communicate(timeout=300)
    whole = time.monotonic() - begun
    shutil.rmtree(folder)
    interrupted = 0
    for moment in range(MOMENTS):
        run = start(measured, ("49.0.0", "48.0.0")[moment % 2])  # another one has to be installed
        try:
            run.wait(whole * moment / MOMENTS)
        except subprocess.TimeoutExpired:
            finished = {path: path.read_bytes() for path in folder.glob("*-*.json")}
            run.send_signal(signal.SIGINT)
            said, _ = run.communicate(timeout=SECONDS)
            interrupted += run.returncode == 1 and "Interrupted." in said
            if "Interrupted." not in said:  # it was through, and about to end
                assert "What unwind info costs" in said
            assert "Traceback" not in said.split("Exception ignored in")[0]
            for path, content in finished.items():
                json.loads(path.read_text())
                assert path.stat().st_size >= len(content) // 2
        else:
            run.communicate()
        assert not leftovers(measured.copy / ".asv/env"), moment
        assert not list(folder.glob("*.tmp"))
    shutil.rmtree(folder, ignore_errors=True)
    assert interrupted >= MOMENTS / 2


def leftovers(environments: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(str(environments))
    ]


def test_an_interrupt_that_python_forgets_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "AGAIN", 0.05)
    forgotten = threading.Event()

    def run() -> None:
        with interrupts.until_it_ends():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                forgotten.set()  # as a callback of Python's would
            threading.Event().wait(60)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert forgotten.is_set()


def test_the_handlers_are_those_of_before_when_it_has_ended() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupts.until_it_ends():
        signal.raise_signal(signal.SIGTERM)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_the_hint_recommends_no_option_that_does_not_fit() -> None:
    option = "--skip-existing-successful"
    assert option in how_to_go_on({"skip_successful": False})
    assert option in how_to_go_on({"skip_successful": False, "bench": ["time_teardown"]})
    filtered = how_to_go_on({"skip_successful": False, "bench": [SMALLEST]})
    assert option not in filtered
    assert "name the others" in filtered
    assert how_to_go_on({}) == how_to_go_on({"skip_successful": False, "dry_run": True}) == ""
