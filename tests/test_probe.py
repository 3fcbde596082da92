"""Tests of the probe: its plan, advice, child processes, report and command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from scripts.cost.advice import Decision, Range
from scripts.cost.platforms import Platform
from scripts.probe import children, command, measuring, plan, report, unwinders
from scripts.probe.children import Progress, describe_exit, name_signals, run_job
from scripts.probe.inputs import Input
from scripts.probe.measuring import Request, Result, compare_builds, compute_growth
from scripts.probe.plan import Run, find_largest_fitting, list_counted_numbers, make_plan
from scripts.probe.verdict import Counts, Times, judge, narrow_range

from .probe_inputs import (
    DEADLINE,
    EIGHT,
    EMPTY,
    HUNDRED,
    INSTALLED,
    LIBGCC_12,
    LIBGCC_14,
    LIBUNWIND,
    NEWEST,
    ONE,
    ROOT,
    environment,
    install_in_cache,
    linux_only,
    make_result,
    make_run,
    needs_valgrind,
    posix_only,
    run_probe,
    run_probe_json,
    without_valgrind,
)

# Advice


@pytest.mark.parametrize("extra", [0.1195, 0.2797, 0.2778, 0.1664, 0.0])
def test_noise_does_not_change_the_advice(extra: float) -> None:
    """A module of 35 MB took 51 instructions to deregister under libgcc, but its times varied."""
    run = make_run(30_000, unwinder=LIBGCC_12)
    counts = Counts({8: 51, 2: 51}, {8: 54, 2: 54})
    times = Times.from_samples(10, [10 * (5 + extra)] * 8, [50.0] * 8)
    verdict = judge(run, 1000, counts, times)
    assert {advice.decision for advice in verdict.advice.values()} == {Decision.KEEP}
    assert bool(verdict.unconfirmed) == (extra > 0)


def test_contradictory_times_do_not_change_the_advice() -> None:
    run = make_run(30_000, unwinder=LIBGCC_12)
    times = Times.from_samples(10, [40.0, 90.0], [50.0, 52.0])
    verdict = judge(run, 1000, Counts({8: 51, 2: 51}), times)
    assert verdict.advice[1000].decision is Decision.KEEP
    assert times.range.low < 0 < times.range.high


@pytest.mark.parametrize(
    ("extra", "decision"),
    [(None, Decision.EITHER), (0.124, Decision.TURN_OFF), (0.08, Decision.KEEP)],
)
def test_times_decide_when_counts_are_too_close_to_call(
    extra: float | None, decision: Decision
) -> None:
    """By its counts, a parser of 497 FDEs costs 0.067 to 0.16 ms in 50.0.1, with 1000 loaded."""
    run = make_run(497)
    times = Times.from_samples(1000, [15 + 1000 * extra] * 8, [15.0] * 8) if extra else None
    verdict = judge(run, 1000, Counts({1000: run.instructions(1000), 250: 500_000}), times)
    advice = verdict.advice[1000]
    assert advice.decision is decision
    assert advice.basis.value == ("measured" if extra else "estimated")
    assert verdict.advice[20].decision is Decision.KEEP
    if not extra:
        assert advice.cost == pytest.approx((0.067, 0.157), rel=0.01)


def test_a_range_around_the_threshold_is_too_close_to_call() -> None:
    result = make_result(1.5e6, counted=1000)
    assert result.verdict
    assert result.verdict.advice[1000].decision is Decision.EITHER
    (line,) = report.describe_verdicts([result])
    assert "too close to call with 1,000 modules loaded" in line


def test_narrowing_accepts_a_slow_processor_and_rejects_other_work() -> None:
    usual, possible = Range(0.27, 0.63), Range(0.1, 5)
    assert narrow_range(usual, Range(0.5, 0.7), possible) == ((0.5, 0.63), True)
    assert narrow_range(usual, Range(0.9, 1.1), possible) == ((0.9, 1.1), True)
    assert narrow_range(usual, Range(40, 50), possible) == (usual, False)
    assert narrow_range(usual, Range(-1, 2), possible) == (usual, True)


def test_extra_time_is_the_difference_of_the_medians() -> None:
    times = Times.from_samples(100, [2.0, 3.0, 7.5], [1.0, 1.5, 1.2])
    assert (times.on, times.off) == (0.03, 0.012)
    assert times.extra == pytest.approx(times.on - times.off)
    assert times.range == pytest.approx((0.01, 0.063))
    assert times.range.low <= times.extra <= times.range.high
    cells = report.format_times(replace(make_result(1), times=times))
    assert float(cells[0]) - float(cells[1]) == pytest.approx(float(cells[2]))


def test_predictions_lie_on_the_line_through_two_counts() -> None:
    run = make_run(17, "49.0.0")
    assert Counts({1000: 1_156_765, 250: 289_765}).instructions(20, run) == run.instructions(20)
    assert Counts({1: run.instructions(1)}).instructions(1000, run) == pytest.approx(1_156_765)
    assert Counts().instructions(1000, run) == 1_156_765
    assert Counts({4: 51, 1: 51}).instructions(1000, make_run(17, unwinder=LIBGCC_12)) == 51


# Plan


def plan_for(
    runs: Sequence[Run], requested: int = 1000, seconds: float = 20, *, time: bool = False
) -> plan.Plan:
    return make_plan(runs, requested, seconds, count=True, time=time)


def test_all_builds_load_the_same_number_of_modules() -> None:
    """The module has 25 FDEs in 21.0.0 and 17 in 22.0.0; both are counted with the same number."""
    runs = [make_run(25, "21.0.0"), make_run(17, "22.0.0")]
    planned = plan_for(runs, time=True)
    alone = plan_for(runs[1:], seconds=15, time=True)
    assert 100 <= planned.counted < alone.counted <= 1000
    assert planned.timed > 500
    assert "counting 1,000 modules would take about" in planned.reduced
    results = [
        make_result(1.2e6, "21.0.0", counted=planned.counted),
        make_result(6e5, "22.0.0", counted=planned.counted),
    ]
    compare_builds(results, 2)
    assert results[1].growth == {"deregister": -50, "register": 0}


def test_a_huge_module_is_predicted_and_the_reason_names_the_needed_minutes() -> None:
    """The module of bytecodealliance/wasmtime#6541 took 22.4 s to deregister on macOS."""
    old, new = make_run(266_664, "49.0.0"), make_run(266_664, "50.0.1")
    planned = plan_for([old, new])
    assert list(planned.predicted) == [old]
    assert "--minutes" in planned.predicted[old]
    assert planned.counted >= 1
    entries = old.entries(1)
    assert entries == pytest.approx(266_664 * 266_665 / 2)
    cost = judge(old, 1, Counts(), None).advice[1].cost
    assert cost
    assert cost.low < 22_400 <= cost.high * 1.001
    patient = plan_for([old, new], seconds=3600 * 5)
    assert not patient.predicted


def test_a_single_module_can_be_counted() -> None:
    assert list_counted_numbers(1) == [1]
    assert list_counted_numbers(3) == [3]
    assert list_counted_numbers(1000) == [1000, 250]
    assert plan_for([make_run(17)], requested=1).counted == 1
    options = command.parse([str(EIGHT), "--modules", "1"])
    assert options.modules == 1


def test_planned_modules_fit_the_budget_and_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(108, "49.0.0")]
    few, many = plan_for(runs, seconds=20), plan_for(runs, seconds=200)
    assert few.counted < many.counted < 1000
    assert runs[0].count_seconds(many.counted) <= 200
    memory = type("Memory", (), {"available": 8e9})()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    large = [make_run(1000, image_mb=200.0)]
    planned = plan_for(large, seconds=10_000)
    assert 1 <= planned.counted <= 10
    assert "1,000 modules exceed the memory" in planned.reduced
    assert plan_for([make_run(1000, image_mb=90_000.0)], seconds=1e6).counted == 1


def test_a_module_that_is_too_slow_to_time_has_a_reason() -> None:
    planned = plan_for([make_run(10**6, "49.0.0")], time=True)
    assert not planned.timed
    assert "timing one module would take about" in planned.not_timed


def test_reduced_numbers_are_rounded_down_to_two_digits() -> None:
    assert find_largest_fitting(1000, lambda n: n <= 767) == 760
    assert find_largest_fitting(767, lambda n: n <= 767) == 767
    assert find_largest_fitting(9, lambda n: n <= 7) == 7
    assert find_largest_fitting(9, lambda _: False) == 0


@pytest.mark.parametrize("unwinder", [LIBGCC_12, LIBGCC_14, LIBUNWIND])
def test_the_model_predicts_instructions_for_every_unwinder(unwinder: unwinders.Unwinder) -> None:
    assert make_run(17, unwinder=unwinder).instructions(1000) > 50
    assert make_run(0, unwinder=unwinder).instructions(1000) == 0


# Failures and interruptions


FACTS = {"fdes": 17, "fdes_counted": 17, "loaded_bytes": 9000, "portable_bytes": 9000,
         "load_seconds": 1e-4, "drop_seconds": 1e-5}  # fmt: skip
COUNT = {
    "instructions_to_remove": {"1000": 51, "250": 51},
    "instructions_to_register": {"1000": 54, "250": 54},
}


def measure(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[str, str], dict[str, Any]],
    *,
    builds: Sequence[str] = ("49.0.0", "50.0.1"),
) -> list[list[Result]]:
    """Measure two modules with a fake child, which answers by job and build.

    An interruption adds an empty list to the results.
    """

    def run_job(build: Any, job: dict[str, Any], **_: object) -> dict[str, Any]:
        return answer(job["job"], build.name)

    monkeypatch.setattr(measuring, "run_job", run_job)
    monkeypatch.setattr(measuring, "find_counting_problem", lambda: "")
    modules = [Input(ONE, "one.wasm"), Input(EIGHT, "eight.wasm")]
    measured = []
    request = Request([make_run(17, name).build for name in builds], [LIBGCC_12], against=True)
    try:
        for results in measuring.measure_modules(modules, request):
            measured.append(results)
    except KeyboardInterrupt:
        measured.append([])
    return measured


ANSWERS: dict[str, dict[str, Any]] = {
    "compile": FACTS,
    "count": COUNT,
    "time": {"on": [2.0], "off": [1.0]},
}


def test_a_failed_timing_keeps_the_other_results(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(job: str, build: str) -> dict[str, Any]:
        return {"error": "no memory"} if (job, build) == ("time", "49.0.0") else ANSWERS[job]

    (old, new), _ = measure(monkeypatch, answer)
    assert old.error == "timing: no memory"
    assert old.counted == new.counted == 1000
    assert new.times
    assert new.growth == {"deregister": 0, "register": 0}
    assert report.to_json(old)["counts"]["instructions_to_remove"]["1000"] == 51


def test_a_build_that_refuses_the_module_keeps_the_results_of_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(job: str, build: str) -> dict[str, Any]:
        refused = {"error": "failed to parse\n\nCaused by:\n    exceptions proposal not enabled"}
        return refused if (job, build) == ("compile", "49.0.0") else ANSWERS[job]

    (old, new), _ = measure(monkeypatch, answer)
    assert old.error.startswith(
        "exceptions proposal not enabled. exceptions is on by default since 47.0.1"
    )
    assert new.counted == 1000
    assert "49.0.0 not counted" in new.not_compared


def test_a_module_that_no_build_compiles_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = measure(monkeypatch, lambda *_: {"error": "unexpected end"})
    assert [result.error for result in (*first, *second)] == ["unexpected end"] * 4
    assert conclude(first) == 2
    assert report.build_rows(first) == []


def test_an_interruption_keeps_the_finished_results(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()

    def answer(job: str, build: str) -> dict[str, Any]:
        calls.append(job)
        if calls.count("count") == 4:
            raise KeyboardInterrupt
        return ANSWERS[job]

    first, second, interrupted = measure(monkeypatch, answer)
    assert [result.error for result in first] == ["", ""]
    assert second[0].counted == 1000
    assert second[1].error == "interrupted"
    assert interrupted == []


# Children


def test_a_module_is_compiled_and_timed(tmp_path: Path) -> None:
    """The child imports the wasmtime of the tests' own environment."""
    if sys.platform == "win32":
        pytest.skip("Windows requires unwind info")
    with (tmp_path / "on").open("w+b") as on, (tmp_path / "off").open("w+b") as off:
        files = {"on": on.fileno(), "off": off.fileno()}
        keywords: dict[str, Any] = {
            "files": list(files.values()),
            "variables": {"UNWINDER": "system"},
            "progress": Progress("test"),
        }
        job: dict[str, Any] = {"job": "compile", "wasm": str(EIGHT), "images": files}
        facts = run_job(INSTALLED, job, **keywords)
        assert facts["fdes"] == 17, facts
        assert facts["on_bytes"] > facts["off_bytes"] > 1000
        assert 0 < facts["drop_seconds"] < 1
        assert facts["loaded_bytes"] >= facts["on_bytes"]
        job = {"job": "time", "modules": 5, "samples": 2, **files}
        times = run_job(INSTALLED, job, **keywords)
    assert all(len(samples) == 2 and min(samples) > 0 for samples in times.values())
    assert times.keys() == {"on", "off"}


@posix_only
def test_a_module_without_functions_registers_nothing(tmp_path: Path) -> None:
    wasm = tmp_path / "empty.wasm"
    wasm.write_bytes(EMPTY)
    with (tmp_path / "on").open("w+b") as on:
        job = {"job": "compile", "wasm": str(wasm), "images": {"on": on.fileno()}}
        facts = run_job(
            INSTALLED, job, files=[on.fileno()], variables={}, progress=Progress("test")
        )
    assert facts["fdes"] == 0


@pytest.fixture
def fake_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that runs a program in place of the measuring child process."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").touch()

    def run(program: str, **keywords: Any) -> children.Answer:
        (tmp_path / "benchmarks/_one_module.py").write_text(program)
        monkeypatch.chdir(tmp_path)
        return run_job(
            INSTALLED, {}, files=[], variables={},
            progress=keywords.pop("progress", Progress("test")), **keywords,
        )  # fmt: skip

    return run


@posix_only
@pytest.mark.parametrize(
    ("program", "cause"),
    [
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL (most likely the system ran out"),
        ("import os; os.abort()", "killed by SIGABRT (wasmtime aborted)"),
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV (the library crashed)"),
        ("raise SystemExit('no way')", "ended with exit code 1: no way"),
        ('print(\'{"error": "valgrind ended with exit code -9: "}\')', "SIGKILL (most likely"),
    ],
)
def test_error_of_a_dead_child_names_the_cause(
    program: str, cause: str, fake_child: Callable[..., children.Answer]
) -> None:
    assert cause in fake_child(program)["error"]


@posix_only
def test_a_child_and_its_descendants_are_stopped_at_the_cpu_limit(
    fake_child: Callable[..., children.Answer], tmp_path: Path
) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "while True: pass"
    )
    answer = fake_child(program, limit=1)
    assert answer["error"] == "stopped after 1 s of CPU time, longer than estimated"
    process_id = int((tmp_path / "pid").read_text())
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process_id).wait(20)


@posix_only
def test_a_child_is_stopped_when_memory_runs_low(
    fake_child: Callable[..., children.Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = type("Memory", (), {"available": 1, "total": 100})()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    answer = fake_child("import time; time.sleep(99)")
    assert "memory ran low: the process used 0.0 GB" in answer["error"]


@posix_only
def test_progress_is_printed_with_an_estimate(
    fake_child: Callable[..., children.Answer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(children, "PROGRESS_INTERVAL", 0.2)
    fake_child("import time; time.sleep(1); print('{}')", progress=Progress("counting", 30))
    assert "counting: 0 of about 30 s\n" in capsys.readouterr().err


@posix_only
def test_a_child_exits_when_its_pipe_closes() -> None:
    """The operating system closes the pipe even if the probe is killed by SIGKILL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks._one_module"],
        cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdin
    # compiling an endless file never ends
    job = {"job": "compile", "wasm": "/dev/zero", "images": {"on": 1}}
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    time.sleep(0.5)
    process.stdin.close()
    assert process.wait(30) == -signal.SIGKILL


def test_errors_name_signals() -> None:
    assert describe_exit(3) == "the process ended with exit code 3"
    assert describe_exit(-9).endswith("SIGKILL (most likely the system ran out of memory)")
    assert describe_exit(-15).endswith("killed by SIGTERM")
    assert name_signals("a forked process ended with exit code -11").count("SIGSEGV") == 1
    assert name_signals("takes differ by -9") == "takes differ by -9"


def read_until(wanted: str, stream: IO[str]) -> str:
    """Return the output of a command up to the line that contains `wanted`, or to its end."""
    output = ""
    for line in stream:
        output += line
        if wanted in line:
            break
    return output


@pytest.mark.slow
@linux_only
@needs_valgrind
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_all_children_end_with_the_probe(name: str, probe_cache: Path, tmp_path: Path) -> None:
    arguments = ["--release", NEWEST, "--counts-only", "--modules", "4000", "--minutes", "9"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.probe", str(HUNDRED), *arguments],
        cwd=ROOT, env=environment(probe_cache, TMPDIR=str(tmp_path)),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stderr
    output = read_until("counting", process.stderr)
    assert "counting" in output
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(getattr(signal, name))
    code = process.wait(60)
    assert code == (-signal.SIGKILL if name == "SIGKILL" else 130)
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    if name != "SIGKILL":
        assert "Interrupted." in process.stderr.read()
        assert not list(tmp_path.glob("wasmtime-probe-*"))


@pytest.mark.slow
@linux_only
def test_the_probe_waits_for_another_measurement(probe_cache: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "import time\nfrom pathlib import Path\n"
         "from scripts.releases.environment import hold_machine\n"
         f"hold_machine(Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(99)"],
        cwd=ROOT, env=environment(probe_cache, TMPDIR=str(tmp_path)), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    hidden = without_valgrind(probe_cache)
    probing = subprocess.Popen(
        [sys.executable, "-m", "scripts.probe", str(ONE), "--modules", "1"],
        cwd=ROOT, env=environment(probe_cache, TMPDIR=str(tmp_path), **hidden),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert probing.stderr
    output = read_until("has finished measuring", probing.stderr)
    assert "has finished measuring" in output
    assert probing.poll() is None
    holder.kill()
    assert probing.wait(DEADLINE) == 0
    holder.wait()


# Comparison and exit codes


@pytest.mark.parametrize(
    ("after", "before", "growth"), [(102, 100, 2), (0, 0, 0), (5, 0, None), (50, 100, -50)]
)
def test_growth_is_in_percent(after: float, before: float, growth: float | None) -> None:
    assert compute_growth(after, before) == growth


def conclude(results: Sequence[Result], fail_above: float | None = 1) -> int:
    compare_builds(results, 2)
    return command.decide_exit_code(results, fail_above, command.Output("table"))


def test_a_failed_check_prints_the_growth(capsys: pytest.CaptureFixture[str]) -> None:
    results = [make_result(2344.1), make_result(1_156_345)]
    assert conclude(results) == 1
    output = capsys.readouterr().out
    assert "FAIL: instructions to deregister +49,230 % > 1 % (functions-8.wasm, 50.0.1, " in output
    assert "register" not in output.replace("deregister", "")


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude([make_result(100), make_result(101)]) == 0
    assert "PASS: no count grew by more than 1 %" in capsys.readouterr().out
    assert conclude([make_result(100), make_result(102)]) == 1
    assert conclude([make_result(100), make_result(102)], None) == 0
    assert conclude([make_result(100), make_result(1, counted=0, not_counted="too slow")]) == 3
    assert "UNKNOWN" in capsys.readouterr().out
    assert conclude([make_result(1, counted=0, not_counted="slow"), make_result(9)], None) == 3
    assert conclude([make_result(100), make_result(100, error="no memory")]) == 2
    assert conclude([make_result(100), make_result(100, error="no memory")], None) == 2
    # growth is reported even if another step failed
    assert conclude([make_result(100), make_result(102, error="no memory")]) == 1


def test_a_library_is_counted_under_both_unwinders(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows requires unwind info")
    for missing, both, option, expected in (
        ("", True, None, ["system", "libunwind"]),
        ("", False, None, ["system"]),
        ("", True, "system", ["system"]),
        ("", True, "libunwind", ["libunwind"]),
        ("not installed", True, None, ["system"]),
    ):
        monkeypatch.setattr(unwinders, "find_libunwind_problem", lambda missing=missing: missing)
        chosen = unwinders.choose_unwinders(option, both=both)
        assert [unwinder.option for unwinder in chosen] == expected


@posix_only
def test_a_missing_libunwind_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIBUNWIND", "/nowhere.so")
    assert command.main([str(EIGHT), "--unwinder", "libunwind"]) == 2
    assert "libunwind" in capsys.readouterr().err


def test_windows_is_rejected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert command.main([str(EIGHT)]) == 2
    assert "Windows requires unwind info" in capsys.readouterr().err


# Report


def full_results() -> list[Result]:
    """Return results of two builds that use every part of a report."""
    times = Times.from_samples(90, [2.0, 3.0], [1.0, 1.5])
    results = [
        make_result(1_809_018_872, "49.0.0", times=times, reduced="it takes long"),
        make_result(43_334, "50.0.1", times=times),
    ]
    for result in results:
        assert result.run
        result.run = replace(result.run, fdes_counted=20)
        result.verdict = judge(result.run, 500, result.counts, times)
    compare_builds(results, 2)
    return results


def test_the_report_starts_with_verdicts_and_has_readable_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = full_results()
    command.Output("table").print_results(results)
    title, first, *rest = capsys.readouterr().out.splitlines()
    assert title.startswith("functions-8.wasm, LLVM libunwind 19.1.7, which stands in for macOS (")
    assert first.startswith("  49.0.0: turn it off with 500 modules loaded. Unwind info costs ")
    text = "\n".join(rest)
    assert "1,809,018,872" in text
    assert "e+" not in text
    assert "the counted code has 20 FDEs" in text
    assert "49.0.0 on Apple silicon: Nothing is lost" in text
    assert len(report.build_rows(results)) <= 15
    assert all(len(row) == 3 for row in report.build_rows(results))
    assert not any("_" in row[0] for row in report.build_rows(results))


def test_advice_is_for_20_1000_and_the_requested_number_of_modules() -> None:
    labels = [row[0] for row in report.build_rows(full_results())]
    assert [label for label in labels if label.startswith("advice")] == [
        f"advice with {number} loaded (ms per module)" for number in ("20", "500", "1,000")
    ]


def test_markdown_has_a_heading_a_list_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    command.Output("markdown").print_results(full_results())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("### functions-8.wasm, LLVM libunwind")
    assert lines[2].startswith("- 49.0.0: turn it off")
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "|  | 49.0.0 | 50.0.1 |"
    assert {line.count("|") for line in table} == {4}


def test_json_is_valid_after_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(KeyboardInterrupt), command.open_output("json") as output:
        output.print_results(full_results())
        output.print_results([make_result(5, error="no memory")])
        raise KeyboardInterrupt
    old, new, failed = json.loads(capsys.readouterr().out)
    assert (old["module"], old["build"], old["unwinder"]) == (
        "functions-8.wasm", "49.0.0", "libunwind"
    )  # fmt: skip
    assert old["counts"]["instructions_to_remove"] == {"100": 1_809_018_872}
    assert new["growth_in_percent"]["instructions_to_remove"] == pytest.approx(-99.998, abs=1e-3)
    assert new["advice"]["500"].keys() == {"decision", "cost_ms", "basis"}
    assert new["extra_ms"] == pytest.approx(new["on_ms"] - new["off_ms"])
    assert failed["error"] == "no memory"
    with command.open_output("json"):
        pass
    assert json.loads(capsys.readouterr().out) == []


def test_every_json_key_is_documented() -> None:
    documented = (ROOT / "docs/using.md").read_text(encoding="utf-8")
    keys = set(report.to_json(full_results()[1])) | {
        "reduced", "not_counted", "not_timed", "not_compared", "error"
    }  # fmt: skip
    assert [key for key in sorted(keys) if f"`{key}`" not in documented] == []


def test_a_note_names_counts_that_differ_from_the_model() -> None:
    run = make_run(17, "50.0.1")
    results = [make_result(run.instructions(100)), make_result(1.02 * run.instructions(100) + 99)]
    notes = [" ".join(report.list_notes([result])) for result in results]
    assert ["differ from the model" in note for note in notes] == [False, True]


# The command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--release", "45.0.99"], "45.0.99 is not a pinned release. Did you mean 45.0.0"),
        (["--against", "45.0.99"], "45.0.99 is not a pinned release. Did you mean 45.0.0"),
        (["--against", NEWEST], f"--against {NEWEST} needs a second build to compare."),
        (["--against", "newest", "--release", NEWEST], "needs a second build to compare."),
        (["--python", ""], "--python  cannot be started"),
        (["--python", "/nowhere"], "--python /nowhere cannot be started"),
        (["--modules", "0"], "--modules 0: must be 1 or more"),
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--minutes", "nan"], "--minutes nan: must be above 0"),
        (["--bindings", "49.0.0"], "--bindings needs --library"),
        (["--fail-above", "1"], "--fail-above needs --against"),
        (["--against", "49.0.0", "--fail-above", "nan"], "a percentage of 0 or more"),
        (["--wasm-features", "gcc"], "gcc is not a proposal that can be enabled. Did you mean gc?"),
        (
            ["--wasm-features", "extended-const"],
            "extended-const is not a proposal that can be enabled.",
        ),
    ],
)
@posix_only
def test_invalid_arguments_are_rejected_with_a_reason(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = command.main([str(EIGHT), *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_three_modules_are_measured_under_two_builds(probe_cache: Path) -> None:
    """The whole call takes less than a minute, unless the machine is busy."""
    started = time.monotonic()
    results = run_probe_json(
        probe_cache, ONE, EIGHT, HUNDRED, "--release", "49.0.0", "--release", NEWEST
    )
    assert time.monotonic() - started < 60 or os.getloadavg()[0] > 2
    assert [(result["module"], result["build"]) for result in results] == [
        (module.name, build) for module in (ONE, EIGHT, HUNDRED) for build in ("49.0.0", NEWEST)
    ]
    assert all(
        old["timed"] == new["timed"] for old, new in zip(results[::2], results[1::2], strict=True)
    )
    for result in results:
        assert result["counts"]["instructions_to_remove"][str(result["counted"])] > 0
        assert result["advice"]["1000"]["decision"] == "keep it"
        assert result["extra_ms_range"][0] <= result["extra_ms"] <= result["extra_ms_range"][1]


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_without_valgrind_counts_are_predicted(probe_cache: Path) -> None:
    (result,) = run_probe_json(probe_cache, EIGHT, "--modules", "20", valgrind=False)
    assert "valgrind, which counts instructions, is not installed" in result["not_counted"]
    assert result["predicted_from"] == "model"
    assert result["timed"] == 20
    completed = run_probe(probe_cache, EIGHT, "--modules", "20", "--counts-only", valgrind=False)
    assert completed.returncode == 2
    assert "error: valgrind, which counts" in completed.stdout
    install_in_cache("49.0.0", probe_cache)
    completed = run_probe(
        probe_cache, EIGHT, "--modules", "20", "--against", "49.0.0", valgrind=False
    )
    assert completed.returncode == 3


@pytest.mark.slow
@posix_only
def test_a_folder_with_damaged_modules_is_measured_without_them(
    probe_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.wasm").write_bytes(EIGHT.read_bytes())
    (tmp_path / "b.wat").write_text("(module)")
    (tmp_path / "cut.wasm").write_bytes(EIGHT.read_bytes()[:200])
    (tmp_path / "bad.wasm").write_bytes(b"hello")
    results = run_probe_json(probe_cache, tmp_path, "--modules", "5", code=2, valgrind=False)
    by_name = {result["module"]: result for result in results}
    assert by_name["a.wasm"]["timed"] == by_name["b.wat"]["timed"] == 5
    assert "unexpected" in by_name["cut.wasm"]["error"]
    assert "is not WebAssembly" in by_name["bad.wasm"]["error"]
    assert "advice" not in by_name["cut.wasm"]


def test_only_libunwind_stands_in_for_macos() -> None:
    assert LIBUNWIND.is_stand_in
    assert not LIBGCC_12.is_stand_in
    assert not LIBUNWIND.supports("18.0.2")
    assert LIBGCC_14.platform is Platform.LIBGCC_TREE


def run_changed_probe(change: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the probe in a process of its own, after a change to its modules."""
    program = f"""
import runpy, sys
{change}
sys.argv = ["probe", *{arguments!r}]
runpy.run_module("scripts.probe", run_name="__main__")
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE,
    )  # fmt: skip


def test_an_unexpected_exception_ends_with_exit_code_2() -> None:
    raise_type_error = "from scripts.probe import builds; builds.choose_builds = None"
    completed = run_changed_probe(raise_type_error, "fixtures/functions-1.wasm")
    assert "TypeError" in completed.stderr
    assert completed.returncode == 2


def test_a_missing_package_ends_with_exit_code_2_and_its_remedy() -> None:
    completed = run_changed_probe("sys.modules['rich'] = None", "--help")
    assert completed.returncode == 2
    assert "rich" in completed.stderr
    assert "pip install --group measure" in completed.stderr
    assert "Traceback" not in completed.stderr
