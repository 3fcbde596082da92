"""Releases of a run take turns, a process each, and are stored when they are through."""

import json
import math
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asv.console import log
from asv.results import Results
from wasmtime import Module

from benchmarks import _modules
from benchmarks._modules import fixture
from scripts.measuring import aa, asv_changes, rounds

from .conftest import COMMITS, SYSTEM, Measured, Started
from .test_asv_changes import BENCHMARK, changed, results
from .test_asv_changes import measured as sampled

NAME = BENCHMARK["name"]
RUN = ("run", "--bench", r"time_teardown\(.*, '1000x1'\)", "-E", SYSTEM, "--machine", "rounds")
ROUNDS = 8


@pytest.fixture
def folder(measured: Measured) -> Iterator[Path]:
    folder = measured.copy / "results/rounds"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def counts(measured: Measured, version: str) -> list[int]:
    """How many samples each parameter has that was measured."""
    stored = measured.results("rounds", version)
    samples = stored["results"][NAME][stored["result_columns"].index("samples")]
    return [len(one) for one in samples if one]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_what_was_interrupted_in_a_round_is_measured_again(
    measured: Measured, folder: Path
) -> None:
    command = [sys.executable, "-u", "-m", "asv", *RUN, "49.0.0 50.0.1"]
    with Started(command, measured.copy, measured.environment()) as run:
        run.wait_for("round 3/8")
        run.wait_for("Running")
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 1
    assert "Interrupted. What was finished is stored" in run.said
    assert not list(folder.glob("*-*.json"))
    again = measured.asv(*RUN, "--skip-existing-successful", "49.0.0 50.0.1")
    assert again.returncode == 0, again.stdout + again.stderr
    turns = re.findall(r"<([\d.]+)> \(round", again.stdout)
    assert len(turns) == 2 * ROUNDS
    assert turns[:4] in (["49.0.0", "50.0.1", "50.0.1", "49.0.0"],
                         ["50.0.1", "49.0.0", "49.0.0", "50.0.1"])  # fmt: skip
    for version in ("49.0.0", "50.0.1"):
        assert counts(measured, version) == [ROUNDS] * 2
    last = measured.asv(*RUN, "--skip-existing-successful", "49.0.0 50.0.1")
    assert "Benchmarking" not in last.stdout


@pytest.mark.slow
def test_quick_samples_are_not_taken_for_done(measured: Measured, folder: Path) -> None:
    assert measured.asv(*RUN, "--quick", "50.0.1").returncode == 0
    assert counts(measured, "50.0.1") == [1, 1]
    assert measured.asv(*RUN, "--skip-existing-successful", "50.0.1").returncode == 0
    assert counts(measured, "50.0.1") == [ROUNDS] * 2


def test_a_long_history_is_measured_two_releases_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    history, folders, turns = list(COMMITS.values())[:5], [], []

    def run(conf: Any, range_spec: Any, **options: Any) -> int:
        commits = history if range_spec == "ALL" else range_spec
        changed(asv_changes.discover_in_what_is_installed, lambda *_: {})(conf, None, [], commits)
        assert options["interleave_rounds"] is None
        folders.append(os.environ[rounds.IMAGES])
        assert Path(folders[-1]).is_dir()
        turns.append(commits)
        return 2 if commits == history[2:4] else 0

    monkeypatch.setattr(log, "info", lambda *_: None)
    take_turns = changed(asv_changes.take_turns, run)
    conf = SimpleNamespace(results_dir=str(tmp_path))
    assert take_turns(conf, range_spec="ALL", quick=False) == 2
    assert turns == [history[:2], history[2:4], history[4:]]
    assert len(set(folders)) == 3  # no image outlives its releases
    assert not any(Path(folder).exists() for folder in folders)
    assert not rounds.measuring()


def test_a_round_goes_on_from_the_one_before_and_is_held_back(tmp_path: Path) -> None:
    with rounds.group(str(tmp_path)):
        for number in range(3):
            one = results()
            one.load_data(str(tmp_path))
            one.add_result(
                BENCHMARK, sampled([1.0], [2.0]), record_samples=True, append_samples=number > 0
            )
            one.save(str(tmp_path))
            assert not list(tmp_path.iterdir())
    stored = Results.load(str(tmp_path / one._filename))
    assert [len(s) for s in stored.get_result_samples(NAME, BENCHMARK["params"])] == [3, 3]


def test_a_release_of_which_a_round_is_missing_is_not_stored(tmp_path: Path) -> None:
    with rounds.group(str(tmp_path)):
        for missed in (False, True, False):
            one = results()
            one.load_data(str(tmp_path))
            if missed:
                skip = changed(asv_changes.store_no_failed_install, lambda *_, **__: None)
                assert skip({NAME: BENCHMARK}, None, results=one).errcode == {NAME: 1}
            one.save(str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [math.nan, None])
def test_what_failed_or_is_na_in_one_round_is_not_started_in_the_next(
    value: float | None, tmp_path: Path
) -> None:
    started: list[str] = []
    answers = {"na": sampled(value, value), "some": sampled(value, [1.0])}

    def run(benchmark: dict[str, Any], _: Any, **__: Any) -> Any:
        started.append(benchmark["name"])
        return answers[benchmark["name"]]

    def a_round(commit: str) -> None:
        environment = SimpleNamespace(name="env", installed_commit_hash=commit)
        for name, answer in answers.items():
            spawner = SimpleNamespace(env=environment)
            assert give_up({"name": name}, spawner, selected_idx=None) is answer

    give_up = changed(asv_changes.give_up, run)
    a_round("49")  # outside of a group, as asv
    a_round("49")
    assert started == ["na", "some"] * 2
    for _ in range(2):  # what one group has given up is nothing to the next
        started.clear()
        with rounds.group(str(tmp_path)):
            for commit in ("49", "50", "50", "49"):
                a_round(commit)
        assert started == ["na", "some", "na", "some", "some", "some"]


def test_only_in_a_group_a_value_needs_a_sample_of_each_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stored() -> Results:
        one = results()
        one.add_result(BENCHMARK, sampled([1.0] * 7, math.nan), record_samples=True)
        return one

    skip = changed(asv_changes.skip_complete_alone, lambda: [stored()])
    for needed, complete in ((8, False), (7, True)):
        monkeypatch.setattr(rounds, "NEEDED", {NAME: needed})
        assert [NAME in one.get_all_result_keys() for one in skip()] == [True]
        with rounds.group(str(tmp_path)):
            assert [NAME in one.get_all_result_keys() for one in skip()] == [complete]


def test_the_first_process_compiles_and_leaves_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    class Counted(Module):
        def __init__(self, *args: Any) -> None:
            compiled.append("once")
            super().__init__(*args)

    def process(release: str, unwind_info: _modules.UnwindInfo = "on") -> int:
        monkeypatch.setattr(_modules, "images", {})
        monkeypatch.setenv("ASV_COMMIT", release)
        compiled.clear()
        assert len(_modules.load(3, fixture(1), unwind_info)) == 3
        return len(compiled)

    monkeypatch.setattr(_modules, "Module", Counted)
    monkeypatch.delenv(rounds.IMAGES, raising=False)
    assert [process("one"), process("one")] == [3, 3]
    monkeypatch.setenv(rounds.IMAGES, str(tmp_path))
    assert [process("one"), process("one"), process("other"), process("one", "off")] == [3, 0, 3, 3]
    monkeypatch.setenv("UNWINDER", "another")
    assert process("one") == 3
    _modules.image(fixture(8), "on")  # one is enough where not all are asked for
    assert len(_modules.load(2, fixture(8), "on")) == 2
    assert not list(tmp_path.glob("*.[0-9]*"))


def test_marked_rows_are_counted() -> None:
    table = """
All benchmarks:

| Change   | Before [ddb535a5] <48.0.0>   | After   | Ratio   | Benchmark (Parameter)     |
|----------|------------------------------|---------|---------|---------------------------|
| +        | 11.2±0.2ms                   | 15.3ms  | 1.31    | a.A.time_x('on', '1000x1') [local-aa/virtualenv-py3.11-UNWINDERlibunwind] |
|          | 2.532±0.23                   | 2.479   | 0.98    | teardown_gap.TeardownGap.track_extra('1000x1') [local-aa/virtualenv-py3.11-UNWINDERsystem] |
| -        | 12                           | 11      | 0.9     | unwinder_instructions.B.track_y('1x2 beside') [local-aa/e] |
"""  # noqa: E501
    assert aa.rows(table) == [
        (True, "a.A.time_x('on',"),
        (False, "teardown_gap.TeardownGap.track_extra('1000x1')"),
        (True, "unwinder_instructions.B.track_y('1x2"),
    ]


@pytest.mark.slow
def test_equal_work_is_measured_and_compared_in_one_command(
    measured: Measured,
) -> None:
    command = [sys.executable, "-m", "scripts.measuring.aa", "--bench", "track_fde_count", "--busy"]
    with Started(command, measured.copy, measured.environment()) as run:
        assert run.end() == 0, run.said
    assert re.search(r"counted: 0 of [36] rows are marked", run.said)
    folder = measured.copy / "results" / aa.MACHINE
    assert json.loads((folder / "machine.json").read_text())["machine"] == aa.MACHINE
    shutil.rmtree(folder)
