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
from ruamel.yaml import YAML

from scripts.measuring import machines

from .conftest import COMMITS, ROOT, copy_repository, environment
from .test_alert import fake_gh

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
FIRST, SECOND = "chain-a", "chain-b"
BENCH = r"track_ratio\('1000x8'\)"
NEWEST = list(COMMITS)[-1]
STEPS = {  # every step with a shell -> where it is run: here, or by .ci/run, or nowhere but there
    "Lint, types and tests, with libunwind and everything else that tests need": "this is it",
    "Tests; what is not there is skipped": "this is it",
    "Two releases from end to end": "test_end_to_end",
    "Install git and a compiler": "needs Alpine",
    "Install LLVM's libunwind": ".ci/run",
    "Measure": "here",
    "Gather what was measured, also when something failed": "here",
    "Join the results, draw the charts, commit and push": "here",
    "Make the site; fails when nothing was drawn": "here",
    "Open an issue when the newest release moved the gap": "here",
    "Open an issue when a scheduled run failed": "here",
    "Open an issue": "the same as the one before",
    "Pin new releases": "here",
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


def test_machines_of_the_workflow_can_be_recorded() -> None:
    include = load(FOLDER / "benchmark.yml")["jobs"]["measure"]["strategy"]["matrix"]["include"]
    names = [one["machine"] for one in include]
    assert len(set(names)) == len(names) >= 6
    assert all(re.fullmatch(r"\w[\w.-]*", name) for name in names)
    assert machines.local_name() not in names
    assert sum("macos" in name for name in names) >= 2


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
            cwd=self.clone, capture_output=True, text=True, check=False,
            env={
                **environment(), "UV_NO_DEFAULT_GROUPS": "1", "RUNNER_TEMP": str(self.temporary),
                "GITHUB_OUTPUT": str(self.temporary / "output"), **variables,
            },
        )  # fmt: skip
        print(answer.stdout, answer.stderr)
        return answer


@pytest.mark.skipif(sys.platform != "linux", reason="its steps are those of Linux runners")
@pytest.mark.usefixtures("libunwind")
def test_from_pins_to_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner(tmp_path)
    settings = steps()["Measure"]["env"]
    for machine in (FIRST, SECOND):
        measured = runner.step(
            "Measure", MACHINE=machine, RANGE="49.0.0 50.0.1", BENCH=BENCH,
            BENCHMARKS_STRICT=settings["BENCHMARKS_STRICT"],
        )  # fmt: skip
        assert measured.returncode == 0
        # what is kept, and what another job gets
        assert runner.step("Gather what was measured, also when something failed",
                           MACHINE=machine).returncode == 0  # fmt: skip
        shutil.move(runner.clone / "measured", runner.temporary / "measured" / machine)
        hosts = (runner.temporary / "measured" / machine / machine / "hosts.jsonl").read_text()
        assert "libunwind.so.1" in hosts
        assert f"wasmtime-{NEWEST}-py3-none-manylinux" in hosts
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
    assert subprocess.run(check, cwd=runner.clone, env=environment(), check=False).returncode == 1

    issues = fake_gh(tmp_path, monkeypatch)
    path = os.environ["PATH"]
    moved = "Open an issue when the newest release moved the gap"
    for _ in range(2):
        assert runner.step(moved, SITE="https://example.org/", PATH=path).returncode == 0
    failed = "Open an issue when a scheduled run failed"
    assert runner.step(failed, RUN="https://example.org/run", PATH=path).returncode == 0
    about_gap, about_run = json.loads(issues.read_text())[0]
    assert "50.0.1 moved the gap on" in about_gap["title"]
    assert all(f"{machine} (libunwind)" in about_gap["title"] for machine in (FIRST, SECOND))
    assert "https://example.org/gap.html" in about_gap["body"]
    assert "https://example.org/run" in about_run["body"]


@pytest.mark.skipif(sys.platform != "linux", reason="its steps are those of Linux runners")
def test_new_releases_are_pinned_and_pushed(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    assert runner.step("Pin new releases").returncode == 0
    pins = runner.clone / "fixtures/releases.json"
    before = json.loads(pins.read_text())
    output = runner.temporary / "output"
    if not output.exists():  # else there is a release newer than the pins, and it was just pinned
        assert runner.git("log", "--oneline").count("\n") == 1
    before["releases"] = before["releases"][:-1]
    pins.write_text(json.dumps(before, indent=1) + "\n")
    runner.git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qam", "one pin less")
    runner.git("push", "-q")
    assert runner.step("Pin new releases").returncode == 0
    assert "added=true" in output.read_text()
    assert "added " in runner.git("log", "-1", "--format=%B", "origin/main")
    assert runner.git("status", "--porcelain") == ""
