"""What is changed in asv, wrap by wrap."""

import inspect
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asv
import pytest
from asv import util
from asv.config import Config
from asv.console import log
from asv.environment import iter_matrix
from asv.machine import Machine
from asv.results import Results
from asv.runner import BenchmarkResult
from asv.util import UserError

from scripts.measuring import asv_changes, machines
from scripts.measuring.rounds import Measured


def changed(change: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """What asv calls in place of the original."""
    return asv_changes.before(original, change)


BENCHMARK: dict[str, Any] = {
    "name": "module_teardown.ModuleTeardown.time_teardown",
    "version": "1",
    "params": [["'on'", "'off'"]],
}


def test_another_asv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asv, "__version__", "0.7")
    with pytest.raises(UserError, match=r"written for asv 0\.6\.6, this is 0\.7.*uv run asv"):
        asv_changes.apply()


def test_every_change_is_made() -> None:
    """A function that takes asv's own as its first argument stands before one of asv."""
    changes = {
        function
        for function in vars(asv_changes).values()
        if inspect.isfunction(function) and function is not asv_changes.before
        for parameter in list(inspect.signature(function).parameters.values())[:1]
        if parameter.annotation is asv_changes.Function
    }
    assert changes == {change for _, _, change in asv_changes.CHANGES}
    for owner, name, _ in asv_changes.CHANGES:
        assert callable(getattr(owner, name))


def test_every_command_that_installs_or_measures_does_so_alone() -> None:
    alone = {
        owner.__name__
        for owner, name, change in asv_changes.CHANGES
        if (name, change) == ("run", asv_changes.measure_alone)
    }
    assert alone == {"Run", "Continuous", "Find", "Profile", "Setup", "Check"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Environment._get_install_checksum", "count_helpers"),
        ("Run.run", "measure_alone"),
        ("Publish.run", "end_with_a_sentence"),
        ("Rm.run", "end_with_a_sentence"),
        ("Run.run", "refuse_traps"),
        ("Machine.save", "save_machine"),
        ("asv.util.write_json", "write_all_or_nothing"),
        ("asv.runner.log_benchmark_result", "tell_reasons"),
    ],
)
def test_what_a_change_stands_before(name: str, change: str) -> None:
    before = {
        (f"{owner.__name__}.{name}", function.__name__)
        for owner, name, function in asv_changes.CHANGES
    }
    assert (name, change) in before


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write = changed(asv_changes.write_all_or_nothing, util.write_json)
    write(str(path), {"value": 1}, 2, compact=True)
    assert util.load_json(str(path), 2) == {"value": 1}
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write(str(path), {"first": 1, "then": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_never_seen_half_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"

    def killed_half_way(target: str, data: Any) -> None:
        Path(target).write_text(json.dumps(data)[:5])
        raise KeyboardInterrupt

    path.write_text("whole")
    with pytest.raises(KeyboardInterrupt):
        changed(asv_changes.write_all_or_nothing, killed_half_way)(str(path), {"value": 1})
    assert path.read_text() == "whole"


def measured(*values: list[float] | float | None) -> BenchmarkResult:
    """What asv gets from a benchmark process: samples, nan for n/a or None for a failure."""
    samples = [value if isinstance(value, list) else None for value in values]
    return BenchmarkResult(
        result=[True if isinstance(value, list) else value for value in values],
        samples=samples,
        number=[None if sample is None else 1 for sample in samples],
        errcode=0, stderr="", profile=None,
    )  # fmt: skip


def results() -> Measured:
    return Measured({"machine": "here"}, {}, "0" * 40, 0, "3.11", "env", {})


@pytest.mark.parametrize("worse", [math.nan, None])
def test_a_stored_value_outlives_na_and_failure(tmp_path: Path, worse: float | None) -> None:
    name, params = BENCHMARK["name"], BENCHMARK["params"]
    first = results()
    sampled = measured([1.0, 1.2, 1.1], [0.1, 0.2])
    first.add_result(BENCHMARK, sampled, duration=9, record_samples=True)
    first.save(str(tmp_path))

    second = results()
    second.load_data(str(tmp_path))
    second.add_result(BENCHMARK, measured(worse, [0.5]), duration=1, record_samples=True)
    assert util.is_na(second.get_result_value(name, params)[0])  # what asv prints
    second.save(str(tmp_path))
    stored = Results.load(str(tmp_path / second._filename))
    assert stored.get_result_value(name, params) == [1.1, 0.5]
    assert stored.get_result_samples(name, params) == [[1.0, 1.2, 1.1], [0.5]]
    assert stored.get_result_stats(name, params)[0]["repeat"] == 3
    assert stored.duration[name] == 1

    third = results()
    third.load_data(str(tmp_path))
    third.add_result(BENCHMARK, measured(worse, worse), duration=2)
    third.save(str(tmp_path))
    again = Results.load(str(tmp_path / third._filename))
    assert again.get_result_value(name, params) == [1.1, 0.5]
    assert again.duration[name] == 1
    assert again.started_at[name] == stored.started_at[name]


def test_samples_are_never_replaced_by_none(tmp_path: Path) -> None:
    """Neither those of parameters that were not run, nor by a run that recorded none."""
    name, params = BENCHMARK["name"], BENCHMARK["params"]
    first = results()
    first.add_result(BENCHMARK, measured([1.0, 1.2, 1.1], [0.1, 0.2]), record_samples=True)
    first.save(str(tmp_path))
    second = results()
    second.load_data(str(tmp_path))
    second.add_result(BENCHMARK, measured(math.nan, [0.5]), selected_idx={1})
    second.save(str(tmp_path))
    stored = Results.load(str(tmp_path / second._filename))
    assert stored.get_result_samples(name, params) == [[1.0, 1.2, 1.1], [0.1, 0.2]]
    assert stored.get_result_value(name, params)[1] == pytest.approx(0.15)


def test_samples_are_appended_where_the_median_stays(tmp_path: Path) -> None:
    name, params = BENCHMARK["name"], BENCHMARK["params"]
    first = results()
    first.add_result(BENCHMARK, measured([1.0, 1.2, 1.1], [0.1]), record_samples=True)
    first.save(str(tmp_path))
    second = results()
    second.load_data(str(tmp_path))
    appended = measured([1.0, 1.2, 1.1, 1.0, 1.2, 1.1], [0.1, 0.1])
    second.add_result(BENCHMARK, appended, record_samples=True)
    second.save(str(tmp_path))
    stored = Results.load(str(tmp_path / second._filename))
    assert stored.get_result_value(name, params)[0] == 1.1
    assert [len(one) for one in stored.get_result_samples(name, params)] == [6, 2]


def test_na_is_stored_where_there_is_nothing_better(tmp_path: Path) -> None:
    name, params = BENCHMARK["name"], BENCHMARK["params"]
    first = results()
    first.add_result(BENCHMARK, measured(None, math.nan))
    first.save(str(tmp_path))
    second = results()
    second.add_result(BENCHMARK, measured(math.nan, [0.5]))
    second.save(str(tmp_path))
    value = Results.load(str(tmp_path / second._filename)).get_result_value(name, params)
    assert math.isnan(value[0])
    assert value[1] == 0.5
    newer = results()
    newer.add_result({**BENCHMARK, "version": "2"}, measured(math.nan, math.nan))
    newer.save(str(tmp_path))
    value = Results.load(str(tmp_path / newer._filename)).get_result_value(name, params)
    assert all(map(math.isnan, value))


def machine(name: str, **fields: str) -> Machine:
    described = Machine()
    vars(described).update({**machines.fields(name), **fields})
    return described


def test_a_recorded_machine_stays_what_it_is(tmp_path: Path) -> None:
    save = changed(asv_changes.save_machine, Machine.save)
    save(machine("linux-x86_64"), str(tmp_path))
    path = tmp_path / "linux-x86_64/machine.json"
    before = path.read_bytes()
    save(machine("linux-x86_64"), str(tmp_path))
    with pytest.raises(UserError, match=r"linux-x86_64/machine\.json.*--machine"):
        save(machine("linux-x86_64", os="Plan 9"), str(tmp_path))
    assert path.read_bytes() == before
    path.write_bytes(before[:20])
    with pytest.raises(UserError, match=r"machine\.json"):
        save(machine("linux-x86_64"), str(tmp_path))
    assert (tmp_path / "linux-x86_64/hosts.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("macos-15-arm64-tester", "Debian 12, libgcc 12"), ("my-mac", "Windows 11"),
        ("linux-x86_64", "macOS 15"), ("windows-2025", "Alpine 3.22, musl"), ("ubuntu", "macOS 26"),
    ],
)  # fmt: skip
def test_a_name_of_another_system_is_refused(tmp_path: Path, name: str, system: str) -> None:
    save = changed(asv_changes.save_machine, Machine.save)
    with pytest.raises(UserError, match="names another system than this one"):
        save(machine(name, os=system), str(tmp_path))
    assert not any(tmp_path.iterdir())
    for own, described in (
        ("macos-15-arm64", "macOS 15"),
        ("alpine-x", "Alpine 3.22, musl"),
        ("machine-of-mine", "Debian 12"),
        ("windows-2025", "Windows 2025"),
    ):
        save(machine(own, os=described), str(tmp_path))  # fmt: skip


def test_a_local_machine_may_change(tmp_path: Path) -> None:
    save = changed(asv_changes.save_machine, Machine.save)
    save(machine(machines.local_name()), str(tmp_path))
    save(machine(machines.local_name(), os="Plan 9"), str(tmp_path))
    path = tmp_path / machines.local_name() / "machine.json"
    assert util.load_json(str(path), 1)["os"] == "Plan 9"


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden"])
def test_a_machine_s_name_is_a_folder_of_results(tmp_path: Path, name: str) -> None:
    save = changed(asv_changes.save_machine, Machine.save)
    with pytest.raises(UserError, match="--machine"):
        save(machine(name), str(tmp_path / "results"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"range_spec": "TAGS"}, "write ALL"),
        ({"parallel": 2}, "one environment"),
        ({"parallel": -1}, "one environment"),
        ({"set_commit_hash": "49.0.0"}, "name the release to run"),
    ],
)
def test_traps_are_refused(options: dict[str, Any], message: str) -> None:
    run = changed(asv_changes.refuse_traps, lambda **_: pytest.fail("asv was started"))
    with pytest.raises(UserError, match=message):
        run(conf=None, **options)
    assert changed(asv_changes.refuse_traps, lambda **kwargs: kwargs)(parallel=1, range_spec="ALL")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("Interrupted.")])
def test_an_interruption_says_how_to_go_on(error: BaseException) -> None:
    def run(_: Any, **__: Any) -> None:
        raise error

    interrupted = changed(asv_changes.end_with_a_sentence, run)
    with pytest.raises(UserError, match="--skip-existing-successful"):
        interrupted(Config(), skip_successful=False)
    options: dict[str, bool]
    for options in ({}, {"skip_successful": False, "dry_run": True}):
        with pytest.raises(UserError, match=r"^Interrupted\.$"):
            interrupted(Config(), **options)
    with pytest.raises(UserError, match="something else"):
        changed(asv_changes.end_with_a_sentence, lambda: raise_(UserError("something else")))()


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("platform", "unwinders"),
    [("linux", ["system", "libunwind"]), ("darwin", ["system"]), ("win32", ["system"])],
)
def test_libunwind_is_an_environment_of_linux_only(
    monkeypatch: pytest.MonkeyPatch, platform: str, unwinders: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    conf = Config.load("asv.conf.json")
    entries = iter_matrix("virtualenv", conf.pythons, conf)
    assert [entry["env_nobuild", "UNWINDER"] for entry in entries] == unwinders


def test_an_environment_names_what_another_one_installed_in_its_folder() -> None:
    class Environment:
        named = "before"

        def _get_installed_commit_hash(self) -> str:
            return "now"

        def _set_commit_hash(self, commit: str) -> None:
            self.named = commit

    environment = Environment()
    assert asv_changes.name_installed_commit(environment) == "now"
    assert environment.named == "now"


def test_each_reason_for_na_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(asv_changes, "TOLD", set())
    monkeypatch.setattr(log, "info", lambda line, **_: said.append(line))
    log_result = changed(asv_changes.tell_reasons, lambda *_, **__: None)
    output = (
        "For parameters: 'on', 8\nasv: skipped: NotImplementedError('no library') \n\n\n"
        "For parameters: 'off', 8\nasv: skipped: NotImplementedError(\"it's Windows\") "
    )
    for _ in range(2):
        run = results()
        run.stderr[BENCHMARK["name"]] = output
        log_result(run, BENCHMARK, show_stderr=False)
    log_result(results(), BENCHMARK)
    assert said == ["n/a: no library", "n/a: it's Windows"]


def test_changed_helpers_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asv_changes, "HELPERS", tmp_path / "helpers.txt")
    checksum = changed(asv_changes.count_helpers, lambda _: ["commands"])
    asv_changes.HELPERS.write_text("numpy==2.4.5")
    before = checksum(None)
    assert before == checksum(None)
    asv_changes.HELPERS.write_text("numpy==2.4.6")
    assert before != checksum(None)
