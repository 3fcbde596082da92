"""The workflows: what they may do, and their steps, run here as far as they can be."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from asv.machine import Machine
from ruamel.yaml import YAML

from scripts.history import record
from scripts.measuring import asv_changes, machines

from .conftest import COMMITS, DEADLINE, ROOT, Measured, copy_repository, environment
from .index import Index
from .results import write_results
from .test_alert import fake_gh

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
FIRST, SECOND = "chain-a", "chain-b"
BENCH = r"track_ratio\('1000x8'\)"
NEWEST = list(COMMITS)[-1]
STEPS = {  # every step with a shell -> where it is run: here, or by .ci/run, or nowhere but there
    "Smoke test, which says by itself what is missing": "test_end_to_end",
    "Lint, types and tests, with libunwind and everything else that tests need": "this is it",
    "Tests; what is not there is skipped": "this is it",
    "Two releases from end to end": "test_end_to_end",
    "Install git and a compiler": "needs Alpine",
    "Install LLVM's libunwind, and valgrind": ".ci/run",
    "Measure": "here",
    "Gather what was measured, also when something failed": "here",
    "Join the results, draw the charts, commit and push": "here",
    "Make the site; fails when nothing was drawn": "here",
    "Open an issue when the newest release moved the gap": "here",
    "Open an issue when a scheduled run failed": "here",
    "Open an issue": "the same as the one before",
    "Pin new releases": "here",
    "Fetch the archive": "needs GitHub",
    "Count it against the newest pinned release": "test_upstream",
    "Open an issue when a count has moved upstream": "test_upstream",
    "Open an issue when the check failed": "test_upstream",
}


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def steps() -> dict[str, Any]:
    return {
        step["name"]: step
        for path in WORKFLOWS
        for job in load(path)["jobs"].values()
        for step in job.get("steps", ())
        if "run" in step
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_limits_and_pins(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow[True if True in workflow else "on"]
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert "uses" in job or job["timeout-minutes"] <= 350
        assert workflow["defaults"]["run"]["shell"].startswith("bash")
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", "")  # text from outside never becomes a program
    design = re.findall(r"uses: [\w/-]+@(\S+)(.*)", path.read_text())
    for commit, comment in design:
        assert re.fullmatch("[0-9a-f]{40}", commit)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_every_step_is_accounted_for() -> None:
    assert set(steps()) == set(STEPS)


def test_machines_of_the_workflow_can_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = load(FOLDER / "benchmark.yml")["jobs"]["measure"]["strategy"]["matrix"]["include"]
    names = [one["machine"] for one in include]
    assert len(set(names)) == len(names) >= 6
    assert sum("macos" in name for name in names) >= 2
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures")
    shutil.copy(ROOT / "asv.conf.json", tmp_path)
    (tmp_path / "results").mkdir()
    shutil.copy(ROOT / "results/benchmarks.json", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    for name in names:
        # what a job hands over is joined, and its name is one to measure under
        write_results(Path("got", name), {NEWEST: {"1000x8": 8.0}}, name)
        fields = Machine()
        vars(fields).update(machines.fields(name))
        described = {"macos": "macOS 15", "windows": "Windows 2025"}.get(name.split("-")[0])
        fields.os = described or fields.os  # as there
        asv_changes.save_machine(Machine.save, fields, "measured")
    joined = record.join(record.machine_folders(Path("got")), partial=True)
    assert set(joined.taken) == set(names)
    for one in include:  # a machine is named after the system that it runs on
        system = one["image"].removeprefix("python:3.11-").replace("alpine", "alpine-")
        label = system or one["os"].removesuffix("-arm").removesuffix("-intel")
        assert one["machine"].startswith(label)
        arm = "arm" in one["os"] or one["os"] == "macos-15"
        assert one["machine"].endswith("arm64" if arm else "x86_64")


class Runner:
    """A clone of the repository, an origin to push to, and the shell of the workflows."""

    def __init__(self, folder: Path, *, recorded: bool = False) -> None:
        self.clone = copy_repository(folder / "clone", recorded=recorded)
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        for arguments in (
            ["branch", "-qM", "main"],
            ["clone", "-q", "--bare", ".", str(folder / "origin.git")],
            ["remote", "add", "origin", str(folder / "origin.git")],
            ["fetch", "-q"],
            ["branch", "-q", "--set-upstream-to=origin/main"],
        ):
            self.git(*arguments)

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.clone, check=True, capture_output=True, text=True
        ).stdout

    def step(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps()[name]["run"]],
            cwd=self.clone, capture_output=True, text=True, check=False, timeout=DEADLINE,
            env={
                **environment(), "UV_NO_DEFAULT_GROUPS": "1", "RUNNER_TEMP": str(self.temporary),
                "GITHUB_OUTPUT": str(self.temporary / "output"), **variables,
            },
        )  # fmt: skip
        print(answer.stdout, answer.stderr)
        return answer


@pytest.mark.skipif(sys.platform != "linux", reason="its steps are those of Linux runners")
def test_results_are_pushed_on_top_of_another_push_and_without_a_chart(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    gaps = {"1000x8": 8.0}
    (runner.clone / "scripts/site/picture.py").write_text("raise SystemExit('no paper')")
    runner.git("-c", "user.name=t", "-c", "user.email=t", "commit", "-qam", "no picture")
    runner.git("push", "-q")
    write_results(runner.temporary / "measured" / FIRST, {"50.0.1": gaps}, FIRST)
    other = tmp_path / "other"
    runner.git("clone", "-q", str(tmp_path / "origin.git"), str(other))
    (other / "new").touch()
    for arguments in (["add", "new"], ["-c", "user.name=t", "-c", "user.email=t", "commit", "-qm",
                                       "another"], ["push", "-q"]):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=other, check=True)
    step = "Join the results, draw the charts, commit and push"
    answer = runner.step(step, BENCH=BENCH)
    assert answer.returncode == 1  # the chart, and the benchmarks that have failed
    assert "no paper" in answer.stderr
    subjects = runner.git("log", "--format=%s", "origin/main").splitlines()
    assert subjects[:2] == [f"Record results of {FIRST}", "another"]
    assert runner.step(step, BENCH=BENCH).returncode == 0  # the same again: nothing is new


@pytest.mark.skipif(sys.platform != "linux", reason="its steps are those of Linux runners")
@pytest.mark.usefixtures("libunwind")
def test_from_pins_to_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    runner = Runner(tmp_path)
    (runner.clone / ".asv").mkdir()
    (runner.clone / ".asv/env").symlink_to(measured.copy / ".asv/env")  # installed once
    settings = steps()["Measure"]["env"]
    answer = runner.step(
        "Measure", MACHINE=FIRST, RANGE="49.0.0 50.0.1", BENCH=BENCH,
        BENCHMARKS_STRICT=settings["BENCHMARKS_STRICT"],
    )  # fmt: skip
    assert answer.returncode == 0
    # what is kept, and what another job gets
    gather = "Gather what was measured, also when something failed"
    assert runner.step(gather, MACHINE=FIRST).returncode == 0
    arrived = runner.temporary / "measured"
    shutil.move(runner.clone / "measured", arrived / FIRST)
    hosts = (arrived / FIRST / FIRST / "hosts.jsonl").read_text()
    assert "libunwind.so.1" in hosts
    assert f"wasmtime-{NEWEST}-py3-none-manylinux" in hosts
    # another machine of the same speed
    shutil.copytree(arrived / FIRST / FIRST, arrived / SECOND / SECOND)
    for file in (arrived / SECOND / SECOND).iterdir():
        file.write_text(file.read_text().replace(FIRST, SECOND))
    runner.git("clean", "-qfd")

    # a part of the suite was asked for, and that is no failure
    recorded = runner.step("Join the results, draw the charts, commit and push", BENCH=BENCH)
    assert recorded.returncode == 0
    message = runner.git("log", "-1", "--format=%B", "origin/main")
    assert message.split("\n\n")[1].split() == [
        f"{FIRST}:", "49.0.0", "50.0.1", f"{SECOND}:", "49.0.0", "50.0.1",
    ]  # fmt: skip

    assert runner.step("Make the site; fails when nothing was drawn").returncode == 0
    index = json.loads((runner.clone / ".asv/html/index.json").read_text())
    assert set(index["machines"]) == {FIRST, SECOND}
    assert FIRST in (runner.clone / ".asv/html/gap.html").read_text()

    check = [sys.executable, "-m", "scripts.gap", "--check"]
    moved = subprocess.run(
        check, cwd=runner.clone, env=environment(), check=False, timeout=DEADLINE
    )
    assert moved.returncode == 1

    issues = fake_gh(tmp_path, monkeypatch)
    path = os.environ["PATH"]
    newest = "Open an issue when the newest release moved the gap"
    for _ in range(2):
        assert runner.step(newest, SITE="https://example.org/", PATH=path).returncode == 0
    failed = "Open an issue when a scheduled run failed"
    assert runner.step(failed, RUN="https://example.org/run", PATH=path).returncode == 0
    about_gap, about_run = json.loads(issues.read_text())[0]
    assert "50.0.1 changed the cost on" in about_gap["title"]
    assert all(f"{machine} (libunwind)" in about_gap["title"] for machine in (FIRST, SECOND))
    assert "https://example.org/gap.html" in about_gap["body"]
    assert "https://example.org/run" in about_run["body"]


@pytest.mark.skipif(sys.platform != "linux", reason="its steps are those of Linux runners")
def test_new_releases_are_pinned_and_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, index = Runner(tmp_path), Index()
    output = runner.temporary / "output"
    # a uv that asks this index, whatever the real one holds today
    uv = tmp_path / "bin/uv"
    uv.parent.mkdir()
    uv.write_text(
        f'#!/bin/sh\nexec {os.environ.get("UV") or shutil.which("uv")} "$@" --index "$INDEX"\n'
    )
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{uv.parent}{os.pathsep}{os.environ['PATH']}")
    with index.serve():
        assert runner.step("Pin new releases", INDEX=index.url).returncode == 0
        assert not output.exists()
        assert runner.git("log", "--oneline").count("\n") == 1
        index.add_release("99.0.0")
        assert runner.step("Pin new releases", INDEX=index.url).returncode == 0
    assert "added=true" in output.read_text()
    assert "added 99.0.0, 2 wheels" in runner.git("log", "-1", "--format=%B", "origin/main")
    pinned = json.loads(runner.git("show", "origin/main:fixtures/releases.json"))["releases"]
    assert [one["version"] for one in pinned] == [*COMMITS, "99.0.0"]
    assert runner.git("status", "--porcelain") == ""
