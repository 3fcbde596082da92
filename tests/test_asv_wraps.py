"""What is changed in asv, wrap by wrap."""

import json
import math
from pathlib import Path
from typing import Any

import asv
import pytest
from asv import util
from asv.machine import Machine
from asv.results import Results
from asv.runner import BenchmarkResult
from asv.util import UserError

from scripts import asv_wraps, machines

BENCHMARK = {
    "name": "module_teardown.ModuleTeardown.time_teardown",
    "version": "1",
    "params": [["'on'", "'off'"]],
}


def test_another_asv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asv, "__version__", "0.7")
    with pytest.raises(UserError, match=r"written for asv 0\.6\.6, this is 0\.7.*uv run asv"):
        asv_wraps.setup()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write = asv_wraps.write_all_or_nothing(util.write_json)
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
        asv_wraps.write_all_or_nothing(killed_half_way)(str(path), {"value": 1})
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


@pytest.mark.parametrize("worse", [math.nan, None])
@pytest.mark.parametrize("append", [False, True])
def test_a_stored_value_outlives_na_and_failure(worse: float | None, append: bool) -> None:
    add = asv_wraps.keep_values(Results.add_result)
    results = Results.unnamed()
    name, params = BENCHMARK["name"], BENCHMARK["params"]
    add(results, BENCHMARK, measured([1.0, 1.2, 1.1], [0.1, 0.2, 0.3]), record_samples=True)
    add(results, BENCHMARK, measured(worse, [0.5]), record_samples=append, append_samples=append)
    assert results.get_result_value(name, params)[0] == 1.1
    assert results.get_result_samples(name, params)[0] == [1.0, 1.2, 1.1]
    assert results.get_result_stats(name, params)[0]["repeat"] == 3
    latest = results.get_result_samples(name, params)[1]
    assert latest == ([0.1, 0.2, 0.3, 0.5] if append else [0.5])
    add(results, BENCHMARK, measured(worse, worse))
    assert results.get_result_value(name, params)[0] == 1.1


def test_na_is_stored_where_there_was_nothing_better() -> None:
    add = asv_wraps.keep_values(Results.add_result)
    results = Results.unnamed()
    add(results, BENCHMARK, measured(None, math.nan))
    add(results, BENCHMARK, measured(math.nan, [0.5]))
    value = results.get_result_value(BENCHMARK["name"], BENCHMARK["params"])
    assert math.isnan(value[0])
    assert value[1] == 0.5
    add(results, {**BENCHMARK, "version": "2"}, measured(math.nan, math.nan))
    assert all(map(math.isnan, results.get_result_value(BENCHMARK["name"], BENCHMARK["params"])))


def machine(name: str, **fields: str) -> Machine:
    described = Machine()
    vars(described).update({**machines.fields(name), **fields})
    return described


def test_a_recorded_machine_stays_what_it_is(tmp_path: Path) -> None:
    save = asv_wraps.save_machine(Machine.save)
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


def test_a_local_machine_may_change(tmp_path: Path) -> None:
    save = asv_wraps.save_machine(Machine.save)
    save(machine(machines.local_name()), str(tmp_path))
    save(machine(machines.local_name(), os="Plan 9"), str(tmp_path))
    path = tmp_path / machines.local_name() / "machine.json"
    assert util.load_json(str(path), 1)["os"] == "Plan 9"


def test_tags_are_refused_before_anything_is_done() -> None:
    run = asv_wraps.measure_alone(lambda **_: pytest.fail("asv was started"))
    with pytest.raises(UserError, match="TAGS is not supported: write ALL"):
        run(conf=None, range_spec="TAGS")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("Interrupted.")])
def test_an_interruption_says_how_to_go_on(error: BaseException) -> None:
    def run() -> None:
        raise error

    with pytest.raises(UserError, match="--skip-existing-successful"):
        asv_wraps.measure_alone(run)()
    with pytest.raises(UserError, match="something else"):
        asv_wraps.measure_alone(lambda: raise_(UserError("something else")))()


def raise_(error: Exception) -> None:
    raise error
