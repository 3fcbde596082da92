"""Tests of the probe: its flow, child processes, output and command."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from filelock import FileLock

from scripts.cost.platforms import Platform
from scripts.probe import children, cli, flow, host_unwinders, output, scratch
from scripts.probe.builds import WasmtimeBuild
from scripts.probe.cases import Case
from scripts.probe.children import Progress, describe_exit, run_job
from scripts.probe.flow import ModuleResults, Request, Result, compare_builds, compute_growth
from scripts.probe.host_unwinders import HostUnwinder
from scripts.probe.inputs import Input
from scripts.probe.judging import judge
from scripts.probe.timing import Times

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
    make_counts,
    make_result,
    needs_valgrind,
    posix_only,
    run_probe,
    run_probe_json,
    without_valgrind,
)

# Flow

Answer = dict[str, Any]
FACTS: Answer = {
    "fdes": 17, "fdes_counted": 17, "on_bytes": 9000, "off_bytes": 8900, "portable_bytes": 9000,
    "loaded_bytes": 9000, "load_seconds": 1e-4, "drop_seconds": 1e-5,
}  # fmt: skip


def answer_job(job: dict[str, Any]) -> Answer:
    """Answer a job of a module of 17 FDEs under libgcc 12."""
    if job["job"] == "count":
        return {
            f"instructions_to_{step}": {str(number): instructions for number in job["modules"]}
            for step, instructions in (("remove", 51), ("register", 54))
        }
    return {"on": [2.0], "off": [1.0]} if job["job"] == "time" else FACTS


def measure(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[dict[str, Any], Case], Answer | None],
    *,
    builds: Sequence[str | WasmtimeBuild] = ("49.0.0", "50.0.1"),
    modules: Sequence[Input] = (Input(ONE, "one.wasm"), Input(EIGHT, "eight.wasm")),
    unwinders: Sequence[HostUnwinder] = (LIBGCC_12,),
    events: list[str] | None = None,
    **request: Any,
) -> list[ModuleResults]:
    """Measure modules with a fake child; where `answer` returns None, `answer_job` answers.

    An interruption adds a module without results. `events` gets "lock" for each wait for the lock.
    """
    events = [] if events is None else events

    def run(case: Case, job: dict[str, Any], *_: object) -> Answer:
        answered = answer(job, case)
        return answer_job(job) if answered is None else answered

    monkeypatch.setattr(Case, "run", run)
    monkeypatch.setattr(flow, "find_counting_problem", lambda: "")
    monkeypatch.setattr(flow, "hold_machine", lambda _: events.append("lock"))
    measured = []
    measured_builds = [
        build if isinstance(build, WasmtimeBuild) else WasmtimeBuild(build, "", build)
        for build in builds
    ]
    settings = Request(measured_builds, unwinders, **{"against": True} | request)
    try:
        for module in flow.measure_modules(modules, settings):
            measured.append(module)
    except KeyboardInterrupt:
        measured.append(ModuleResults(Input(Path(), "interrupted"), []))
    return measured


def test_a_failed_timing_keeps_the_other_results(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(job: dict[str, Any], case: Case) -> Answer | None:
        fails = (job["job"], case.build.name) == ("time", "49.0.0")
        return {"error": "no memory"} if fails else None

    (old, new), _ = (module.results for module in measure(monkeypatch, answer))
    assert old.error == "timing: no memory"
    assert old.counts
    assert new.times
    assert new.growth == {"deregister": 0, "register": 0}
    assert output.to_json(old)["counts"]["instructions_to_remove"]["1000"] == 51


def test_a_build_that_refuses_the_module_keeps_the_results_of_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(job: dict[str, Any], case: Case) -> Answer | None:
        refused = {"error": "failed to parse\n\nCaused by:\n    exceptions proposal not enabled"}
        return refused if (job["job"], case.build.name) == ("compile", "49.0.0") else None

    (old, new), _ = (module.results for module in measure(monkeypatch, answer))
    assert old.error.startswith(
        "exceptions proposal not enabled. exceptions is on by default since 47.0.1"
    )
    assert new.counts
    assert "49.0.0 not counted" in new.not_compared


def test_a_module_that_no_build_compiles_is_one_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = measure(
        monkeypatch, lambda *_: {"error": "unexpected end"}, unwinders=[LIBUNWIND, LIBGCC_12]
    )
    errors = [result.error for result in (*first.results, *second.results)]
    assert errors == ["unexpected end"] * 8
    assert conclude(first.results) == 2
    capsys.readouterr()
    output.Output("table").print_results(first)
    assert capsys.readouterr().out == "one.wasm, 49.0.0, 50.0.1: error: unexpected end\n"


def test_a_refused_file_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Input(Path("/bad.wasm"), "bad.wasm", "/bad.wasm is empty.")
    good, refused = measure(
        monkeypatch, lambda *_: None, modules=[Input(ONE, "one.wasm"), bad], against=False
    )
    assert cli.decide_exit_code([good, refused], None, output.Output("table")) == 2
    output.Output("table").print_results(refused)
    assert capsys.readouterr().out == "bad.wasm: error: /bad.wasm is empty.\n"
    assert output.build_entries(refused) == [
        {"module": "bad.wasm", "path": "/bad.wasm", "error": "/bad.wasm is empty."}
    ]


def test_an_interruption_keeps_the_finished_results(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[str]()

    def answer(job: dict[str, Any], _: Case) -> None:
        calls.append(job["job"])
        if calls.count("count") == 4:
            raise KeyboardInterrupt

    first, second, interrupted = measure(monkeypatch, answer)
    assert [result.error for result in first.results] == ["", ""]
    assert second.results[0].counts
    assert second.results[1].error == "interrupted"
    assert interrupted.results == []


def test_a_release_that_does_not_look_for_libunwind_is_left_out_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (measured,) = measure(
        monkeypatch, lambda *_: None, builds=["18.0.2"], unwinders=[LIBUNWIND, LIBGCC_12],
        modules=[Input(ONE, "one.wasm")], against=False,
    )  # fmt: skip
    stand_in, system = measured.results
    assert not stand_in.error
    reason = "18.0.2 was not measured: it does not look for libunwind (19.0.0 and later do)."
    assert output.list_notes([stand_in]) == [reason]
    assert system.verdict
    (measured,) = measure(
        monkeypatch, lambda *_: None, builds=["18.0.2"], unwinders=[LIBUNWIND],
        modules=[Input(ONE, "one.wasm")], against=False, only_unwinder=True,
    )  # fmt: skip
    assert measured.results[0].error.startswith("it does not look for libunwind")


def test_a_component_is_measured_where_the_release_can_compile_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "wasmtime/component"
    package.mkdir(parents=True)
    new = WasmtimeBuild("39.0.0", str(tmp_path), "39.0.0")
    (measured,) = measure(
        monkeypatch, lambda *_: None, builds=["38.0.0", new], against=False,
        modules=[Input(tmp_path / "c.wasm", "c.wasm", is_component=True)],
    )  # fmt: skip
    assert [bool(result.verdict) for result in measured.results] == [False, True]
    assert output.list_notes(measured.results)[0] == (
        "38.0.0 was not measured: its Python package cannot compile components "
        "(39.0.0 and later can)."
    )
    assert cli.decide_exit_code([measured], None, output.Output("table")) == 0
    measured.results.pop()  # only the release that cannot compile it was requested
    assert cli.decide_exit_code([measured], None, output.Output("table")) == 2


@pytest.mark.parametrize(
    ("fdes", "said"), [(17, "17 (agrees)"), (18, "17 (differs)")], ids=["agrees", "differs"]
)
def test_the_table_says_whether_the_bytes_predict_the_fdes_of_the_image(
    fdes: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = FACTS | {"fdes": fdes}
    (measured,) = measure(
        monkeypatch, lambda job, _: facts if job["job"] == "compile" else None,
        builds=["50.0.1"], unwinders=[LIBUNWIND], modules=[Input(EIGHT, "a.wasm")], against=False,
    )  # fmt: skip
    rows = {row[0].strip(): row[1:] for row in output.build_rows(measured.results)}
    assert rows["by the file's bytes"] == [said]


# Recorded with LLVM libunwind 19.1.7 on a busy host with two cores of an Intel Xeon: CPU
# milliseconds to drop 31 (49.0.0) and 125 (50.0.1) modules of web-tree-sitter, 497 FDEs each.
RECORDED = {
    "49.0.0": {
        "on": [74.846, 80.518, 110.105, 83.724, 71.608, 86.874, 76.836, 93.247],
        "off": [2.411, 3.569, 2.221, 2.159, 2.683, 2.126, 3.256, 2.765],
    },
    "50.0.1": {
        "on": [13.868, 12.633, 12.954, 11.758, 11.620, 11.678, 12.706, 11.747],
        "off": [13.162, 10.406, 9.002, 8.454, 8.778, 8.842, 9.676, 8.828],
    },
}


def test_the_answer_for_a_build_does_not_depend_on_the_other_builds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All builds once loaded what the slowest allows, and the others were too close to call."""
    facts = FACTS | {"fdes": 497, "load_seconds": 6.7e-4, "drop_seconds": 7.2e-5}

    def answer(job: dict[str, Any], case: Case) -> Answer | None:
        if job["job"] == "compile":
            return facts
        return RECORDED[case.build.name] if job["job"] == "time" else {"error": "no valgrind"}

    def run(*builds: str) -> list[Result]:
        (measured,) = measure(
            monkeypatch, answer, builds=builds, unwinders=[LIBUNWIND],
            modules=[Input(ONE, "one.wasm")], against=False,
        )  # fmt: skip
        return measured.results

    (alone,) = run("50.0.1")
    slow, together = run("49.0.0", "50.0.1")
    assert alone.verdict
    assert (together.verdict, together.times) == (alone.verdict, alone.times)
    assert slow.times
    assert alone.times
    assert slow.times.modules < alone.times.modules


@pytest.mark.parametrize(
    ("fdes", "steps"),
    [(17, ["compile", "lock", "count", "lock", "time"]), (10**6, ["compile"])],
)
def test_only_counting_and_timing_wait_for_the_lock(
    fdes: int, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of a million FDEs is only predicted."""
    events = list[str]()

    def answer(job: dict[str, Any], _: Case) -> Answer | None:
        events.append(job["job"])
        return FACTS | {"fdes": fdes, "fdes_counted": fdes} if job["job"] == "compile" else None

    (measured,) = measure(
        monkeypatch, answer, builds=["49.0.0"], unwinders=[LIBUNWIND], events=events,
        modules=[Input(ONE, "one.wasm")], against=False,
    )  # fmt: skip
    assert events == steps
    (result,) = measured.results
    assert result.verdict
    assert bool(result.not_counted) == bool(result.not_timed) == (len(steps) == 1)


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
def test_a_component_is_compiled_and_timed(tmp_path: Path) -> None:
    """Three core modules of 8 functions share their function type: 3 × 16 + 1 FDEs."""
    core = (ROOT / "fixtures/functions-8.wat").read_text(encoding="utf-8").replace("(", "(core ", 1)
    wasm = tmp_path / "three.wat"
    wasm.write_text(f"(component {3 * core})", encoding="utf-8")
    with (tmp_path / "on").open("w+b") as on, (tmp_path / "off").open("w+b") as off:
        files = {"on": on.fileno(), "off": off.fileno()}
        run = partial(
            run_job, INSTALLED, files=[*files.values()], variables={"UNWINDER": "system"},
            progress=Progress("test"),
        )  # fmt: skip
        facts = run({"job": "compile", "wasm": str(wasm), "images": files})
        assert facts["fdes"] == 49, facts
        times = run({"job": "time", "modules": 5, "samples": 2, **files})
    assert all(len(samples) == 2 and min(samples) > 0 for samples in times.values())


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
    assert "counting" in read_until("counting", process.stderr)
    started: list[psutil.Process] = []
    deadline = time.monotonic() + DEADLINE
    while len(started) < 2 and time.monotonic() < deadline:  # the child, and valgrind
        time.sleep(0.1)
        started = psutil.Process(process.pid).children(recursive=True)
    assert len(started) >= 2
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


def conclude(results: list[Result], fail_above: float | None = 1) -> int:
    compare_builds(results, 2, 1000)
    measured = [ModuleResults(results[0].case.module, results)]
    return cli.decide_exit_code(measured, fail_above, output.Output("table"))


def test_a_failed_check_prints_the_growth(capsys: pytest.CaptureFixture[str]) -> None:
    results = [make_result(2344.1), make_result(1_156_345)]
    assert conclude(results) == 1
    printed = capsys.readouterr().out
    assert "FAIL: instructions to deregister +49,230 % > 1 % (functions-8.wasm, 50.0.1, " in printed
    assert "register" not in printed.replace("deregister", "")


def test_builds_are_compared_with_the_requested_number_of_modules() -> None:
    """Ten instructions more are 20 % of a small count, but not of that with 1000 loaded."""
    results = [make_result(None), make_result(None)]
    for result, extra in zip(results, (0, 10), strict=True):
        assert result.prediction
        instructions = {n: result.prediction.instructions(n) + extra for n in (4, 1)}
        result.counts = make_counts(instructions, result.prediction)
    compare_builds(results, 2, 1000)
    assert results[1].growth["deregister"] == pytest.approx(10 / 68_043 * 100, abs=0.001)
    compare_builds(results, 2, 1)
    assert results[1].growth["deregister"] == pytest.approx(10 / 111 * 100, abs=0.001)


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert conclude([make_result(100), make_result(101)]) == 0
    assert "PASS: no count grew by more than 1 %" in capsys.readouterr().out
    assert conclude([make_result(100), make_result(102)]) == 1
    assert conclude([make_result(100), make_result(102)], None) == 0
    assert conclude([make_result(100), make_result(None, not_counted="too slow")]) == 3
    assert "UNKNOWN" in capsys.readouterr().out
    assert conclude([make_result(None, not_counted="slow"), make_result(9)], None) == 3
    assert conclude([make_result(100), make_result(100, error="no memory")]) == 2
    assert conclude([make_result(100), make_result(100, error="no memory")], None) == 2


def test_a_failure_wins_over_growth_but_growth_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert conclude([make_result(100), make_result(102, error="no memory")]) == 2
    assert "FAIL: instructions to deregister +2 % > 1 %" in capsys.readouterr().out


def test_all_installed_unwinders_are_measured_the_stand_in_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows requires unwind info")
    for missing, option, expected in (
        ("", None, ["libunwind", "system"]),
        ("", "system", ["system"]),
        ("", "libunwind", ["libunwind"]),
        ("not installed", None, ["system"]),
    ):
        monkeypatch.setattr(
            host_unwinders, "find_libunwind_problem", lambda missing=missing: missing
        )
        chosen = host_unwinders.choose_unwinders(option)
        assert [unwinder.option for unwinder in chosen] == expected


@posix_only
def test_a_missing_libunwind_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIBUNWIND", "/nowhere.so")
    assert cli.main([str(EIGHT), "--unwinder", "libunwind"]) == 2
    assert "libunwind" in capsys.readouterr().err


def test_windows_is_rejected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.main([str(EIGHT)]) == 2
    assert "Windows requires unwind info" in capsys.readouterr().err


# Report


def full_results() -> list[Result]:
    """Return results of two builds that use every part of a report."""
    times = Times.from_samples(90, [2.0, 3.0], [1.0, 1.5])
    results = [
        make_result(1_809_018_872, "49.0.0", times=times),
        make_result(43_334, "50.0.1", times=times),
    ]
    for result in results:
        assert result.compiled
        assert result.prediction
        result.compiled = replace(result.compiled, portable_fdes=20)
        result.verdict = judge(result.prediction, 500, result.counts, times)
    compare_builds(results, 2, 500)
    return results


def measured_by(results: list[Result]) -> ModuleResults:
    return ModuleResults(results[0].case.module, results)


def test_the_report_starts_with_verdicts_and_has_readable_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = full_results()
    output.Output("table").print_results(measured_by(results))
    title, first, *rest = capsys.readouterr().out.splitlines()
    assert title.startswith("functions-8.wasm, LLVM libunwind 19.1.7, which stands in for macOS (")
    assert first.startswith(
        "  For macOS, 49.0.0: turn it off with 500 modules loaded. Unwind info costs "
    )
    text = "\n".join(rest)
    assert re.search(r" \d{3},\d{3},\d{3} ", text)
    assert "extrapolated from 1,000 loaded" in text
    assert "e+" not in text
    assert "the counted code has 20 FDEs" in text
    assert "49.0.0 on Apple silicon: Nothing is lost" in text
    assert len(output.build_rows(results)) <= 15
    assert all(len(row) == 3 for row in output.build_rows(results))
    assert not any("_" in row[0] for row in output.build_rows(results))


def test_advice_is_for_20_1000_and_the_requested_number_of_modules() -> None:
    labels = [row[0] for row in output.build_rows(full_results())]
    assert [label for label in labels if label.startswith("advice")] == [
        f"advice with {number} loaded (ms per module)" for number in ("20", "500", "1,000")
    ]


def test_markdown_has_a_heading_a_list_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    output.Output("markdown").print_results(measured_by(full_results()))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("### functions-8.wasm, LLVM libunwind")
    assert lines[2].startswith("- For macOS, 49.0.0: turn it off")
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "|  | 49.0.0 | 50.0.1 |"
    assert {line.count("|") for line in table} == {4}


def test_json_is_valid_after_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(KeyboardInterrupt), output.open_output("json") as printed:
        printed.print_results(measured_by(full_results()))
        printed.print_results(measured_by([make_result(5, error="no memory")]))
        raise KeyboardInterrupt
    old, new, failed = json.loads(capsys.readouterr().out)
    assert (old["module"], old["build"], old["unwinder"]) == (
        "functions-8.wasm", "49.0.0", "libunwind"
    )  # fmt: skip
    removed = old["counts"]["instructions_to_remove"]
    assert removed.keys() == {"1000", "500"}
    assert (old["counted"], old["modules"], old["extrapolated"]) == (1000, 500, [500])
    assert removed["1000"] == 1_809_018_872
    assert new["growth_in_percent"]["instructions_to_remove"] == pytest.approx(-99.998, abs=1e-3)
    assert new["advice"]["500"].keys() == {"decision", "cost_ms", "basis"}
    assert new["extra_ms"] == pytest.approx(new["on_ms"] - new["off_ms"])
    assert failed["error"] == "no memory"
    with output.open_output("json"):
        pass
    assert json.loads(capsys.readouterr().out) == []


def test_every_json_key_is_documented() -> None:
    documented = (ROOT / "docs/using.md").read_text(encoding="utf-8")
    keys = set(output.to_json(full_results()[1])) | {
        "disagreement", "not_counted", "not_timed", "not_compared", "error"
    }  # fmt: skip
    assert [key for key in sorted(keys) if f"`{key}`" not in documented] == []


def test_a_note_names_counts_that_differ_from_the_model() -> None:
    notes = [" ".join(output.list_notes([make_result(n)])) for n in (68_043, 70_000)]
    assert ["differ from the model" in note for note in notes] == [False, True]


def test_an_extra_time_within_noise_is_no_number() -> None:
    noise = Times.from_samples(10, [1.0, 1.2], [1.1, 1.1])
    cost = Times.from_samples(10, [3.0, 3.2], [1.1, 1.1])
    cells = [output.format_times(make_result(1, times=times)) for times in (noise, cost)]
    assert [row[3] for row in cells] == ["within noise", "0.200"]
    on, _, off, extra = map(float, cells[1][:4])
    assert on - off == pytest.approx(extra)


def test_each_row_says_how_its_instructions_are_known() -> None:
    result = make_result(68_043)
    assert output.describe_source(result, 1000) == "counted"
    assert result.prediction
    result.counts = make_counts({40: 3000, 10: 900}, result.prediction)
    assert output.describe_source(result, 1000) == "extrapolated from 10 and 40 loaded"
    assert output.describe_source(make_result(None), 1000) == "predicted by the model"


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
        (["--python", "true"], "--python true is not a Python: it did not print where wasmtime"),
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
        code: Any = cli.main([str(EIGHT), *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--release", "--against"])
def test_a_mistyped_release_is_rejected_before_the_first_answer(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(EIGHT), option, "45.0.99"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("45.0.99 is not a pinned release. Did you mean 45.0.0")
    assert out == ""


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_three_modules_are_measured_under_two_builds(probe_cache: Path) -> None:
    """The whole call takes less than a minute, unless the machine is busy."""
    started = time.monotonic()
    results = run_probe_json(
        probe_cache, ONE, EIGHT, HUNDRED, "--release", "49.0.0", "--release", NEWEST,
        "--unwinder", "libunwind",
    )  # fmt: skip
    assert time.monotonic() - started < 60 or os.getloadavg()[0] > 2
    assert [(result["module"], result["build"]) for result in results] == [
        (module.name, build) for module in (ONE, EIGHT, HUNDRED) for build in ("49.0.0", NEWEST)
    ]
    for result in results:
        assert result["counts"]["instructions_to_remove"][str(result["counted"])] > 0
        if (result["module"], result["build"]) == (ONE.name, NEWEST):
            assert result["advice"]["1000"]["decision"] == "keep it"
        assert result["extra_ms_range"][0] <= result["extra_ms"] <= result["extra_ms_range"][1]


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_without_valgrind_counts_are_predicted(probe_cache: Path) -> None:
    arguments = (EIGHT, "--modules", "20", "--unwinder", "system")
    (result,) = run_probe_json(probe_cache, *arguments, valgrind=False)
    assert "valgrind, which counts instructions, is not installed" in result["not_counted"]
    assert result["predicted_from"] == "model"
    assert result["timed"] == 20
    completed = run_probe(probe_cache, *arguments, "--counts-only", valgrind=False)
    assert completed.returncode == 2
    assert "error: valgrind, which counts" in completed.stdout
    install_in_cache("49.0.0", probe_cache)
    completed = run_probe(probe_cache, *arguments, "--against", "49.0.0", valgrind=False)
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
    assert "cut.wasm is truncated: it has 200 bytes" in by_name["cut.wasm"]["error"]
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


@posix_only
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_during_the_imports_interrupts_the_probe(name: str) -> None:
    """The imports take most of the first second."""
    change = f"""
import importlib.abc, os, signal
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name == "rich":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup
"""
    completed = run_changed_probe(change, "fixtures/functions-1.wasm")
    assert completed.returncode == 130
    assert completed.stderr == "Interrupted.\n"


@posix_only
def test_the_probe_ends_when_uv_is_killed(tmp_path: Path) -> None:
    """A program named uv starts a process that watches it, as the probe does."""
    watch = (
        "import psutil, time\n"
        "from scripts.probe.interrupts import end_with_launcher\n"
        "end_with_launcher(psutil.Process().parent()); print(flush=True); time.sleep(99)"
    )
    launch = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {watch!r}])"
    for name, survives in (("uv", False), ("bash", True)):
        program = tmp_path / name
        program.symlink_to(Path(sys.executable).resolve())
        launcher = subprocess.Popen(
            [program, "-c", launch], cwd=ROOT, stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])},
        )  # fmt: skip
        assert launcher.stdout
        assert launcher.stdout.readline() == b"\n"
        (child,) = psutil.Process(launcher.pid).children()
        launcher.kill()
        launcher.wait()
        _, alive = psutil.wait_procs([child], timeout=3)
        assert bool(alive) == survives
        for process in alive:
            process.kill()


@posix_only
def test_folders_of_killed_calls_are_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, running, new, foreign = (
        tmp_path / name
        for name in ("wasmtime-probe-1", "wasmtime-probe-2", "wasmtime-probe-3", "x")
    )
    for folder in (killed, running, new, foreign):
        (folder / "deeper").mkdir(parents=True)
    (killed / "lock").touch()
    with FileLock(running / "lock"):
        for folder in (killed, running, foreign):
            os.utime(folder, (0, 0))
        with scratch.make_scratch_folder() as folder:
            assert sorted(tmp_path.iterdir()) == sorted([running, new, foreign, folder])
    assert sorted(tmp_path.iterdir()) == sorted([running, new, foreign])


def test_a_user_without_a_home_folder_gets_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    if sys.platform != "win32":
        assert cli.main([str(EIGHT)]) == 2
        assert "Set XDG_CACHE_HOME to a folder that is writable." in capsys.readouterr().err
