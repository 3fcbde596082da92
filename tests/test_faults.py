"""Runs that fail: each ends with a one-line message, and no stored value is lost."""

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from scripts.measuring import machines
from scripts.releases import environment

from .conftest import COMMITS, SMALLEST, SYSTEM, Measured, RunningCommand

OPTIONS = ("--quick", "--bench", SMALLEST, "-E", SYSTEM)
QUICK = ("run", *OPTIONS, "--machine", "faults")
NO_INDEX = {
    "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1",
}  # fmt: skip
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")


@pytest.fixture
def folder(measured: Measured) -> Iterator[Path]:
    """Return the results folder of a machine that only this test uses."""
    folder = measured.copy / "results/faults"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def check_output(answer: subprocess.CompletedProcess[str]) -> str:
    """Return all output of a command; fail if it has a traceback."""
    output = answer.stdout + answer.stderr
    assert "Traceback" not in output
    return output


def stored_releases(folder: Path) -> list[str]:
    """Return the releases that have a result file."""
    names = {path.name[:8] for path in folder.glob("*-*.json")}
    return [version for version, commit in COMMITS.items() if commit[:8] in names]


# Installing


def test_failed_install_stores_nothing_and_is_tried_again(measured: Measured, folder: Path) -> None:
    assert measured.asv(*QUICK, "--dry-run", "50.0.1").returncode == 0  # installs it
    answer = measured.asv(*QUICK, "50.0.1 47.0.1", **NO_INDEX)
    assert answer.returncode == 2
    assert "47.0.1" in check_output(answer)
    assert stored_releases(folder) == ["50.0.1"]
    again = measured.asv(*QUICK, "--skip-existing-successful", "47.0.1 50.0.1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert stored_releases(folder) == ["47.0.1", "50.0.1"]


def test_unreachable_index_is_suggested_as_the_cause(measured: Measured, tmp_path: Path) -> None:
    conf = tmp_path / "conf/asv.conf.json"
    shutil.copytree(
        measured.copy, conf.parent, ignore=shutil.ignore_patterns(".asv", ".git", "results")
    )
    answer = subprocess.run(
        [sys.executable, "-m", "asv", "--config", conf, *QUICK, "50.0.1"],
        cwd=tmp_path, capture_output=True, text=True, env={**measured.environment(), **NO_INDEX},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "Is the package index reachable?" in check_output(answer)


def test_library_of_another_release_is_not_measured(
    measured: Measured, folder: Path, install: Callable[[str], Path]
) -> None:
    assert measured.asv(*QUICK, "--dry-run", "50.0.1").returncode == 0  # installs it
    (library,) = measured.copy.glob(".asv/env/*/**/_libwasmtime.*")
    original = library.read_bytes()
    (other,) = install("49.0.0").glob("wasmtime/*/_libwasmtime.*")
    shutil.copy(other, library)
    answer = measured.asv(*QUICK, "50.0.1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.search(r"_libwasmtime\.\w+ is missing or was changed\. Recreating", answer.stdout)
    (library,) = measured.copy.glob(".asv/env/*/**/_libwasmtime.*")
    assert library.read_bytes() == original
    assert stored_releases(folder) == ["50.0.1"]


@pytest.mark.usefixtures("folder")  # asv writes machine.json even in a dry run
def test_half_deleted_environment_is_recreated(measured: Measured) -> None:
    assert measured.asv(*QUICK, "--dry-run", "50.0.1").returncode == 0
    (pip,) = measured.copy.glob(".asv/env/*/**/site-packages/pip")
    shutil.rmtree(pip)
    answer = measured.asv(*QUICK, "--dry-run", "50.0.1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "is missing or was changed. Recreating" in check_output(answer)


@pytest.mark.usefixtures("folder")
def test_user_variables_do_not_reach_benchmarks(measured: Measured, libunwind: str) -> None:
    answer = measured.asv(
        *QUICK, "--dry-run", "--show-stderr", "50.0.1",
        LD_PRELOAD=libunwind, PYTHONTRACEMALLOC="10", PYTHONPATH="/nowhere",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "preloaded" not in check_output(answer)


# Input


def test_invalid_regular_expression_is_rejected(measured: Measured) -> None:
    answer = measured.asv("run", "--dry-run", "--bench", "time_(", "-E", SYSTEM, "50.0.1")
    assert answer.returncode == 1
    assert re.search(r"--bench is not a regular expression.*Write \\\(", check_output(answer))


def test_results_folder_that_is_a_file_is_an_error(measured: Measured, tmp_path: Path) -> None:
    results = measured.copy / "results"
    shutil.move(results, tmp_path / "results")
    results.touch()
    try:
        answer = measured.asv(*QUICK, "50.0.1")
    finally:
        results.unlink()
        shutil.move(tmp_path / "results", results)
    assert answer.returncode == 1
    assert "asv stopped: " in check_output(answer)
    assert "results/benchmarks.json" in check_output(answer)


def test_dry_run_changes_no_tracked_file(measured: Measured) -> None:
    folder = measured.copy / "results/dry"
    shutil.copytree(measured.copy / "results" / machines.local_name(), folder)
    for path in folder.glob("*.json*"):
        path.write_text(path.read_text().replace(machines.local_name(), "dry"))
    (folder / "hosts.jsonl").write_text("")  # this host is not recorded yet
    subprocess.run(["git", "add", folder], cwd=measured.copy, check=True)
    try:
        answer = measured.asv("run", *OPTIONS, "--dry-run", "--machine", "dry", "50.0.1")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        changed = subprocess.run(
            ["git", "diff", "--name-only"], cwd=measured.copy, capture_output=True, text=True
        ).stdout
        assert changed == ""
    finally:
        subprocess.run(["git", "rm", "-rqf", folder], cwd=measured.copy, check=True)


def test_machine_that_contradicts_its_description_is_rejected(
    measured: Measured, folder: Path
) -> None:
    folder.mkdir()
    description = folder / "machine.json"
    fields = {**machines.describe_machine("faults"), "os": "Plan 9", "version": 1}
    description.write_text(json.dumps(fields))
    before = description.read_bytes()
    answer = measured.asv(*QUICK, "50.0.1")
    assert answer.returncode == 1
    assert "another kind of machine: os is 'Plan 9' there and " in check_output(answer)
    assert [path.read_bytes() for path in folder.iterdir()] == [before]


# Other processes


def start_asv(measured: Measured, *arguments: str) -> RunningCommand:
    command = [sys.executable, "-u", "-m", "asv", *arguments]
    return RunningCommand(command, measured.copy, measured.environment())


def test_second_run_waits_for_the_first(measured: Measured) -> None:
    lock = FileLock(environment.lock_path())
    with lock, start_asv(measured, "run", *OPTIONS, "--dry-run", "50.0.1") as second:
        second.wait_for("has finished measuring (Ctrl-C to stop)")
        assert second.process.poll() is None
        assert "Benchmarking" not in second.output
        lock.release()
        assert second.end() == 0, second.output
        assert "Benchmarking" in second.output


@needs_signals
def test_waiting_run_can_be_interrupted(measured: Measured) -> None:
    lock = FileLock(environment.lock_path())
    with lock, start_asv(measured, "run", *OPTIONS, "50.0.1") as second:
        second.wait_for("has finished measuring (Ctrl-C to stop)")
        second.process.send_signal(signal.SIGINT)
        assert second.end() != 0
    assert "Interrupted" in second.output
    assert "Traceback" not in second.output


def find_leftovers(environments: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith(str(environments))
    ]


@needs_signals
@pytest.mark.parametrize(
    ("moment", "stop"),
    [
        ("Discovering", signal.SIGINT),
        ("Building", signal.SIGTERM),  # pip installs the second release
        ("Benchmarking", signal.SIGTERM),
        ("Benchmarking", signal.SIGINT),
    ],
)
def test_interrupted_run_prints_a_message_and_leaves_no_process(
    moment: str, stop: signal.Signals, measured: Measured, folder: Path
) -> None:
    with start_asv(measured, *QUICK, "49.0.0 50.0.1") as run:  # one of them is not installed
        run.wait_for(moment)
        run.process.send_signal(stop)
        assert run.end(seconds=60) != 0, run.output
    assert "Interrupted." in run.output
    assert "Traceback" not in run.output.split("Exception ignored in")[0]
    assert find_leftovers(measured.copy / ".asv/env") == []
    assert not list(folder.glob("*.tmp"))


@needs_signals
def test_run_after_an_interrupted_run_measures_only_the_rest(
    measured: Measured, folder: Path
) -> None:
    with start_asv(measured, *QUICK, "50.0.1 49.0.0") as run:
        run.wait_for("<49.0.0>:")
        run.process.send_signal(signal.SIGINT)
        assert run.end() != 0
    assert stored_releases(folder) == ["50.0.1"]
    before = measured.results("faults", "50.0.1")
    again = measured.asv(*QUICK, "--skip-existing-successful", "50.0.1 49.0.0")
    assert again.returncode == 0, again.stdout + again.stderr
    assert stored_releases(folder) == ["49.0.0", "50.0.1"]
    assert measured.results("faults", "50.0.1") == before


def test_processes_left_by_a_killed_asv_are_killed(measured: Measured) -> None:
    (config,) = (measured.copy / ".asv/env").glob("*/pyvenv.cfg")
    (python,) = [
        path
        for name in ("bin/python", "Scripts/python.exe")
        if (path := config.parent / name).exists()
    ]
    leftover = subprocess.Popen([python, "-c", "import time; time.sleep(600)"])
    # reap the process when it ends, as init does for an orphan
    threading.Thread(target=leftover.wait, daemon=True).start()
    try:
        answer = measured.asv("run", "--dry-run", "--bench", "nothing", "-E", SYSTEM, "50.0.1")
        message = f"Killing process {leftover.pid}, which an earlier command left running"
        assert message in answer.stdout
        assert leftover.wait(timeout=60) != 0
    finally:
        leftover.kill()
    assert not psutil.pid_exists(leftover.pid)


def test_asv_check_finds_no_problems(measured: Measured) -> None:
    answer = measured.asv("check", "-E", SYSTEM)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "No problems found" in answer.stdout
