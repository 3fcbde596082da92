"""What goes wrong around a run ends in a sentence, and loses nothing."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from asv.config import Config
from asv.util import UserError

from scripts.measuring import alone, asv_changes, machines
from scripts.releases import pins

from .conftest import COMMITS, SYSTEM, Measured

pytestmark = pytest.mark.slow

SMALLEST = r"time_teardown\('off', '1000x1'\)"
QUICK = ("run", "--quick", "--bench", SMALLEST, "-E", SYSTEM, "--machine", "faults")
NO_INDEX = {
    "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1",
}  # fmt: skip
TIME = "module_teardown.ModuleTeardown.time_teardown"


@pytest.fixture
def folder(measured: Measured) -> Iterator[Path]:
    """The folder of a machine of this test's own."""
    folder = measured.copy / "results/faults"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def said(answer: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def samples(measured: Measured, version: str) -> Any:
    stored = measured.results("faults", version)
    return stored["results"][TIME][stored["result_columns"].index("samples")]


def test_a_release_that_cannot_be_installed_is_not_stored_and_tried_again(
    measured: Measured, folder: Path
) -> None:
    assert measured.asv(*QUICK, "--dry-run", "50.0.1").returncode == 0  # installs it
    answer = measured.asv(*QUICK, "50.0.1 47.0.1", **NO_INDEX)
    assert answer.returncode == 2
    assert "47.0.1" in said(answer)
    assert [path.name[:8] for path in folder.glob("*-*.json")] == [COMMITS["50.0.1"][:8]]
    again = measured.asv(*QUICK, "--skip-existing-successful", "47.0.1 50.0.1")
    assert again.returncode == 0
    assert "<47.0.1>" in again.stdout
    assert "commit " + COMMITS["50.0.1"][:8] not in again.stdout
    assert len(list(folder.glob("*-*.json"))) == 2


def test_what_is_skipped_is_not_installed(measured: Measured, folder: Path) -> None:
    assert measured.asv(*QUICK, "49.0.0 50.0.1").returncode == 0
    assert len(list(folder.glob("*-*.json"))) == 2
    answer = measured.asv(*QUICK, "--skip-existing-successful", "49.0.0 50.0.1", **NO_INDEX)
    assert answer.returncode == 0, said(answer)
    assert "Installing" not in answer.stdout
    assert "Building" not in answer.stdout


def test_without_an_index_no_environment_is_made(measured: Measured, tmp_path: Path) -> None:
    conf = tmp_path / "conf/asv.conf.json"
    shutil.copytree(
        measured.copy, conf.parent, ignore=shutil.ignore_patterns(".asv", ".git", "results")
    )
    answer = subprocess.run(
        [sys.executable, "-m", "asv", "--config", conf, *QUICK, "50.0.1"],
        cwd=tmp_path, capture_output=True, text=True, env={**measured.environment(), **NO_INDEX},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "Is the package index there?" in said(answer)


def test_a_damaged_result_is_set_aside_and_the_releases_behind_it_are_measured(
    measured: Measured, folder: Path
) -> None:
    assert measured.asv(*QUICK, "50.0.1").returncode == 0
    (path,) = folder.glob("*-*.json")
    path.write_text(path.read_text()[:300])
    answer = measured.asv(*QUICK, "50.0.1 49.0.0")
    assert answer.returncode == 0, said(answer)
    assert f"{path.name} is damaged" in said(answer)
    assert f"set aside as {path.name}.damaged" in answer.stdout
    assert len(list(folder.glob("*-*.json"))) == 2
    assert (folder / f"{path.name}.damaged").stat().st_size == 300


def test_samples_are_always_recorded(measured: Measured, folder: Path) -> None:
    assert measured.asv(*[word for word in QUICK if word != "--quick"], "50.0.1").returncode == 0
    assert len(list(filter(None, samples(measured, "50.0.1")))) == 1
    assert json.loads((folder / "machine.json").read_text())["machine"] == "faults"


def test_single_samples_are_not_marked(measured: Measured, folder: Path) -> None:
    assert measured.asv(*QUICK, "49.0.0 50.0.1").returncode == 0
    for version, seconds in (("49.0.0", 0.01), ("50.0.1", 0.5)):
        path = folder / f"{COMMITS[version][:8]}-{SYSTEM}.json"
        stored = json.loads(path.read_text())
        columns = stored["result_columns"]
        for column in ("result", "samples"):
            row = stored["results"][TIME][columns.index(column)]
            value: Any = seconds if column == "result" else [seconds]
            stored["results"][TIME][columns.index(column)] = [
                value if cell else cell for cell in row
            ]
        path.write_text(json.dumps(stored))
    answer = measured.asv("compare", "--machine", "faults", "49.0.0", "50.0.1")
    (row,) = [line for line in answer.stdout.splitlines() if "('off', '1000x1')" in line]
    assert "~50.00" in row
    assert row.split("|")[1].strip() == ""


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [("time_(", r"--bench is no regular expression.*Write \\\( for a parenthesis")],
)
def test_a_pattern_that_is_none(measured: Measured, pattern: str, sentence: str) -> None:
    answer = measured.asv("run", "--dry-run", "--bench", pattern, "-E", SYSTEM, "50.0.1")
    assert answer.returncode == 1
    assert re.search(sentence, said(answer))


def test_results_that_are_a_file(measured: Measured, tmp_path: Path) -> None:
    shutil.move(measured.copy / "results", tmp_path / "results")
    (measured.copy / "results").touch()
    try:
        answer = measured.asv(*QUICK, "50.0.1")
    finally:
        (measured.copy / "results").unlink()
        shutil.move(tmp_path / "results", measured.copy / "results")
    assert answer.returncode == 1
    assert "asv could not go on" in said(answer)
    assert "results/faults" in said(answer)


def test_a_full_disk_is_said() -> None:
    def run(conf: Any) -> None:
        raise OSError(28, "No space left on device", "results/faults/x.json.1.tmp")

    measure = asv_changes.before(run, asv_changes.end_with_a_sentence)
    with pytest.raises(UserError, match=r"No space left on device: 'results.*finished is stored"):
        measure(Config())


def test_a_machine_without_description_has_the_remedy_that_fits(measured: Measured) -> None:
    path = measured.copy / "results" / machines.local_name() / "machine.json"
    before = path.read_bytes()
    path.unlink()
    answer = measured.asv("compare", "49.0.0", "50.0.1")
    path.write_bytes(before)
    assert answer.returncode == 1
    assert "machine.json is missing. Run `uv run asv run` on that machine" in said(answer)
    assert f"or remove results/{machines.local_name()}." in said(answer)
    assert "git" not in said(answer)


def test_pins_that_are_nested_too_deep(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    path.write_text('{"releases":' + "[" * 100_000)
    with pytest.raises(UserError, match="is not a list of pinned releases"):
        pins.load(path)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe ends otherwise there")
def test_a_reader_that_stops_reading(measured: Measured) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "asv", "show", "50.0.1", "--machine", machines.local_name()],
        cwd=measured.copy, env=measured.environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)


def test_what_a_killed_asv_left_running_is_ended(measured: Measured) -> None:
    (environment,) = (measured.copy / ".asv/env").glob("*/pyvenv.cfg")
    (python,) = [
        path
        for name in ("bin/python", "Scripts/python.exe")
        if (path := environment.parent / name).exists()
    ]
    left = subprocess.Popen([python, "-c", "import time; time.sleep(600)"])
    threading.Thread(target=left.wait, daemon=True).start()  # as init does for an orphan
    try:
        answer = measured.asv("run", "--dry-run", "--bench", "nothing", "-E", SYSTEM, "50.0.1")
        assert f"Ending process {left.pid}, which a stopped asv has left" in answer.stdout
        assert left.wait(timeout=60) != 0
    finally:
        left.kill()
    assert not psutil.pid_exists(left.pid)


def test_the_lock_is_one_for_all_clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = alone.lock_file()
    monkeypatch.chdir(tmp_path)
    assert alone.lock_file() == there
    assert there.is_absolute()


def test_a_number_is_printed_with_the_digits_that_it_has() -> None:
    program = (
        "from math import nan; from asv.plugin_manager import plugin_manager; "
        "from asv import util; from asv.commands import compare; "
        "plugin_manager.import_plugin('.scripts.asv_plugin'); "
        "print(compare.human_value(1.5059999999999998, '×')); "
        "print(*(util.human_value(value, '×', 0.013) for value in (1.5059999999999998, nan)), "
        "*(util.human_value(value, 'instructions') for value in (469667.5, 381112.12, 1156765)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == ["1.506", "1.506±0.013", "n/a", "469667.5", "381112.12", "1156765"]
