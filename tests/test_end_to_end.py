"""The main job, as a new user does it: run two releases, compare, publish."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from scripts.measuring import alone, machines

from .conftest import (
    COMMITS,
    LIBUNWIND,
    MIDDLE,
    NAME,
    SYSTEM,
    WITH_VALUES,
    Measured,
    Started,
    environment,
)

SMALLEST = r"time_teardown\('on', '1000x1'\)"
# what has values here: unwind info cannot be turned off on Windows
PARAMETERS = tuple(
    f"'{on}', '1000x8'" for on in ("on", "off")[: 1 if sys.platform == "win32" else 2]
)


def test_two_releases_are_measured_without_a_question(measured: Measured) -> None:
    assert measured.run.returncode == 0, measured.run.stdout + measured.run.stderr
    assert "<49.0.0>" in measured.run.stdout
    assert "<50.0.1>" in measured.run.stdout
    assert "unwind_info" in measured.run.stdout
    for version in ("49.0.0", "50.0.1"):
        stored = measured.results(machines.local_name(), version)
        assert stored["commit_hash"] == COMMITS[version]
        columns = dict(zip(stored["result_columns"], stored["results"][NAME], strict=False))
        on_1, on_8, _, off_1, off_8, _ = columns["result"]
        assert on_8 > 0
        assert off_8 > 0 or sys.platform == "win32"
        assert on_1 != on_1  # nan: the other sizes were not selected
        assert off_1 != off_1
        assert columns["samples"][1]


def test_only_git_ignored_files_are_made(measured: Measured) -> None:
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=measured.copy, capture_output=True, text=True
    )
    assert status.stdout == ""  # so results/benchmarks.json is what asv discovers
    assert not list(measured.home.glob(".asv*"))


def test_compare_by_release_names(measured: Measured) -> None:
    answer = measured.asv("compare", "49.0.0", "50.0.1", "--machine", machines.local_name())
    assert answer.returncode == 0
    assert "<49.0.0>" in answer.stdout
    for parameters in PARAMETERS:
        rows = [line for line in answer.stdout.splitlines() if f"({parameters})" in line]
        for name in WITH_VALUES:
            (row,) = [row for row in rows if f"/{name}]" in row]
            assert float(row.split("|")[4].strip().lstrip("~")) > 0
    unknown = measured.asv("compare", "49.0.0", "50.0.99")
    assert unknown.returncode == 1
    assert "Did you mean 50.0.1" in unknown.stdout + unknown.stderr


def test_the_site_has_graphs_of_both_releases(published: Path) -> None:
    index = json.loads((published / "index.json").read_text())
    local = machines.fields(machines.local_name())
    for parameters in index["graph_param_list"]:
        assert {key: parameters[key] for key in local} == local
    assert {field: index["machines"][local["machine"]][field] for field in local} == local
    assert index["tags"].keys() == COMMITS.keys()
    assert set(index["revision_to_hash"].values()) == set(COMMITS.values())
    graphs = sorted(published.glob(f"graphs/**/machine-{local['machine']}/**/{NAME}.json"))
    assert len(graphs) == len(index["graph_param_list"])
    revisions = {commit: int(number) for number, commit in index["revision_to_hash"].items()}
    for graph in graphs:
        points = json.loads(graph.read_text())
        measured = [revisions[COMMITS[version]] for version in ("49.0.0", "50.0.1")]
        # without the library nothing of it is drawn
        drawn = LIBUNWIND in WITH_VALUES or "env-UNWINDER-libunwind" not in str(graph)
        assert [revision for revision, _ in points] == (measured if drawn else [])
    if sys.platform == "linux":
        assert index["params"]["env-UNWINDER"] == ["libunwind", "system"]
        assert [f"env-UNWINDER-{name}" in str(graph) for graph in graphs
                for name in ("libunwind", "system")] == [True, False, False, True]  # fmt: skip


@pytest.mark.usefixtures("libunwind")
def test_the_macos_gap_shows_on_linux_and_narrows_at_50(measured: Measured) -> None:
    before, after = (measured.gap(version, LIBUNWIND) for version in ("49.0.0", "50.0.1"))
    assert before > 3  # 8 where it was recorded
    assert after < before / 2
    assert measured.gap("49.0.0", SYSTEM) < before / 2


@pytest.mark.usefixtures("libunwind")
def test_without_libunwind_it_is_na_with_one_hint_and_recorded_values_survive(
    measured: Measured,
) -> None:
    assert measured.gap("50.0.1", LIBUNWIND) > 0  # there is something to lose
    before = measured.results(machines.local_name(), "50.0.1", LIBUNWIND)
    answer = measured.asv(
        "run", "--quick", "--bench", "track_fde_count|" + MIDDLE, "-E", LIBUNWIND, "50.0.1",
        LIBUNWIND="/nowhere.so",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.count("n/a: /nowhere.so is not there, or not LLVM's libunwind") == 1
    assert answer.stdout.count("apt install libunwind-19") == 1
    after = measured.results(machines.local_name(), "50.0.1", LIBUNWIND)
    assert after["results"][NAME] == before["results"][NAME]
    strict = measured.asv(
        "run", "--quick", "--dry-run", "--bench", "track_fde_count", "-E", LIBUNWIND, "50.0.1",
        LIBUNWIND="/nowhere.so", BENCHMARKS_STRICT="1",
    )  # fmt: skip
    assert strict.returncode == 2


def test_commit_links_lead_to_a_row_of_the_site(published: Path) -> None:
    index = json.loads((published / "index.json").read_text())
    page, anchor = (index["show_commit_url"] + COMMITS["50.0.1"]).split("#")
    text = (published / page).read_text()
    row = text[text.index(f'<tr id="{anchor}"') :].split("</tr>")[0]
    assert ">50.0.1<" in row
    assert "2026-10-22" in row
    assert "wasmtime-py/releases/tag/50.0.1" in row
    assert text.count("<tr id=") == len(COMMITS)


def test_show_by_release_name(measured: Measured) -> None:
    answer = measured.asv("show", "50.0.1", "--machine", machines.local_name())
    assert answer.returncode == 0
    assert NAME in answer.stdout
    unknown = measured.asv("show", "50.0.99")
    assert unknown.returncode == 1
    assert "Did you mean 50.0.1" in unknown.stdout + unknown.stderr


def start(measured: Measured, *arguments: str) -> Started:
    command = [sys.executable, "-u", "-m", "asv", *arguments]
    return Started(command, measured.copy, environment(measured.home))


def test_a_second_run_waits_for_the_first(measured: Measured) -> None:
    options = ("--quick", "--dry-run", "--bench", SMALLEST, "-E", SYSTEM)
    lock = FileLock(alone.lock_file())
    with lock, start(measured, "run", *options, "50.0.1") as second:
        second.wait_for("has finished measuring (Ctrl-C to stop)")
        assert second.process.poll() is None
        assert "Benchmarking" not in second.said
        lock.release()
        assert second.end() == 0, second.said
        assert "Benchmarking" in second.said


@pytest.mark.parametrize(
    "arguments",
    [
        ["continuous", "-E", SYSTEM, "49.0.0", "50.0.1"],
        ["find", "-E", SYSTEM, "48.0.0..50.0.1", SMALLEST],
        ["profile", "-E", SYSTEM, f"{NAME}('on', '1000x1')", "50.0.1"],
        ["setup", "-E", SYSTEM],
        ["check", "-E", SYSTEM],
    ],
)
def test_every_command_that_installs_waits_too(measured: Measured, arguments: list[str]) -> None:
    with (
        FileLock(alone.lock_file()),
        start(measured, *arguments) as second,
    ):
        second.wait_for("has finished measuring (Ctrl-C to stop)")


def test_a_recorded_machine_is_not_written_over_by_another(measured: Measured) -> None:
    folder = measured.copy / "results/recorded"
    folder.mkdir()
    described = {**machines.fields("recorded"), "os": "Plan 9", "version": 1}
    (folder / "machine.json").write_text(json.dumps(described))
    answer = measured.asv("run", "--machine", "recorded", "50.0.1")
    shutil.rmtree(folder)
    assert answer.returncode == 1
    assert "describes another kind of machine" in answer.stdout + answer.stderr
    assert (measured.copy / f"results/{machines.local_name()}/hosts.jsonl").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_finished_and_the_next_goes_on(
    measured: Measured, stop: signal.Signals
) -> None:
    folder = measured.copy / "results/interrupted"
    options = (
        "run", "--machine", "interrupted", "--bench", SMALLEST, "-E", SYSTEM, "47.0.1..50.0.1"
    )  # fmt: skip
    try:
        with start(measured, *options) as run:
            run.wait_for("<48.0.0>")  # the second group has begun
            run.process.send_signal(stop)
            assert run.end() == 1, run.said
        assert "Interrupted. What was finished is stored" in run.said
        assert "Traceback" not in run.said.split("Exception ignored in")[0]
        stored = [measured.results("interrupted", version) for version in ("49.0.0", "50.0.1")]
        again = measured.asv(*options[:-1], "--skip-existing-successful", options[-1])
        assert again.returncode == 0, again.stdout
        assert f"commit {COMMITS['48.0.0'][:8]} <48.0.0>" in again.stdout
        assert f"commit {COMMITS['49.0.0'][:8]} <49.0.0>" not in again.stdout
        assert stored == [
            measured.results("interrupted", version) for version in ("49.0.0", "50.0.1")
        ]
        assert measured.results("interrupted", "48.0.0")["results"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
