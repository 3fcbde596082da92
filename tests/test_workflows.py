"""The workflows: their permissions, and their steps, run with a fake `gh` and a local index."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scripts.history import record
from scripts.measuring import machines
from scripts.probe import cli as probe
from scripts.releases import sdks

from .conftest import (
    COMMITS,
    DEADLINE,
    MIDDLE,
    ROOT,
    Measured,
    copy_repository,
    environment,
    skip_missing,
)
from .github import fake_gh, issues, write_program
from .index import Index
from .results import write_results
from .test_probe_builds import library_of
from .test_sdks import add_zig, new_sdk

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
FIRST, SECOND = "chain-a", "chain-b"
NEWEST = list(COMMITS)[-1]
FAILED = "Open an issue when a scheduled run failed"
STEPS = {  # every step that runs a shell, and where a test or `.ci/run` runs it
    "Smoke test that reports missing optional tools": "test_end_to_end",
    "Lint, check types and run all tests, with all optional tools": ".ci/run",
    "Run all tests, skipping those with a missing tool": ".ci/run",
    "Measure two releases": "test_end_to_end",
    "Install git and a compiler": "nowhere: needs Alpine",
    "Install LLVM's libunwind, and valgrind": ".ci/run",
    "Measure": "here",
    "Collect the results": "here",
    "Merge the results, draw the charts, commit and push": "here",
    "Build the site": "here",
    "Open an issue when the newest release changed the cost": "here",
    FAILED: "here",
    "Pin new releases": "here",
    "Add new macOS SDKs": "here",
    "Download the archive": "here, from a fake gh",
    "Unpack the library": "here",
    "Count the library against the newest pinned release": "here",
    "Open an issue when a count changed upstream": "here",
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="runs the steps of Linux runners")


@pytest.fixture
def valgrind() -> None:
    if shutil.which("valgrind") is None:
        skip_missing("valgrind is not installed (Debian: valgrind)")


def load_workflow(path: Path) -> Any:
    """Parse a workflow file."""
    return YAML(typ="safe").load(path)


def shell_steps() -> dict[str, Any]:
    """Return the steps of all workflows that run a shell, by name."""
    return {
        step["name"]: step
        for path in WORKFLOWS
        for job in load_workflow(path)["jobs"].values()
        for step in job.get("steps", ())
        if "run" in step
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_restricted_and_pins_its_actions(path: Path) -> None:
    workflow = load_workflow(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow[True if True in workflow else "on"]
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert "uses" in job or job["timeout-minutes"] <= 350
        assert workflow["defaults"]["run"]["shell"].startswith("bash")
        for step in job.get("steps", ()):
            assert "${{" not in step.get("run", "")  # would let text from outside become code
    actions = re.findall(r"uses: [\w/-]+@(\S+)(.*)", path.read_text())
    for commit, comment in actions:
        assert re.fullmatch("[0-9a-f]{40}", commit)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


SCHEDULED = [
    path
    for path in WORKFLOWS
    if "schedule" in (load_workflow(path).get(True) or load_workflow(path)["on"])
]


@pytest.mark.parametrize("path", SCHEDULED, ids=lambda path: path.name)
def test_scheduled_workflow_alerts_on_failure_cancellation_and_timeout(path: Path) -> None:
    """GitHub cancels a job that times out, and runs only `always()` jobs after a cancellation."""
    jobs = load_workflow(path)["jobs"]
    alert = jobs.pop("alert")
    assert alert["needs"] in ([*jobs], *jobs)
    assert alert["if"] == "${{ always() }}"
    (step,) = (step for step in alert["steps"] if step.get("name") == FAILED)
    assert step["if"] == (
        "${{ always() && github.event_name == 'schedule' && (failure() || "
        "contains(needs.*.result, 'failure') || contains(needs.*.result, 'cancelled')) }}"
    )
    assert step is alert["steps"][-1]  # so that it also reports failures of earlier steps


def test_three_workflows_have_a_schedule() -> None:
    assert {path.stem for path in SCHEDULED} == {"benchmark", "releases", "upstream"}


def test_changed_results_fixtures_and_pages_publish_the_site() -> None:
    workflow = load_workflow(FOLDER / "publish.yml")
    paths = workflow[True if True in workflow else "on"]["push"]["paths"]
    assert {"results/**", "fixtures/**", "scripts/site/**"} <= set(paths)


def test_every_shell_step_is_listed() -> None:
    assert set(shell_steps()) == set(STEPS)


def test_results_of_every_machine_in_the_matrix_can_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = load_workflow(FOLDER / "benchmark.yml")["jobs"]["measure"]["strategy"]["matrix"][
        "include"
    ]
    names = [entry["machine"] for entry in include]
    assert len(set(names)) == len(names) >= 6
    assert sum("macos" in name for name in names) >= 2
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures")
    shutil.copy(ROOT / "asv.conf.json", tmp_path)
    (tmp_path / "results").mkdir()
    shutil.copy(ROOT / "results/benchmarks.json", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    for name in names:
        system = {"macos": "macOS 15", "windows": "Windows 2025"}.get(name.split("-")[0], "Linux")
        arch = "arm64" if name.endswith("arm64") else "x86_64"
        monkeypatch.setattr(machines, "name_operating_system", lambda system=system: system)
        monkeypatch.setattr(machines, "name_architecture", lambda arch=arch: arch)
        machines.check_machine(name, Path("results"))
        write_results(Path("got", name), {NEWEST: {"1000x8": 8.0}}, name)
    summary = record.merge_results(record.find_machine_folders(Path("got"))[0], partial=True)
    assert set(summary.updated) == set(names)
    for entry in include:  # a machine is named after its system and processor
        system = entry["image"].removeprefix("python:3.11-").replace("alpine", "alpine-")
        label = system or entry["os"].removesuffix("-arm").removesuffix("-intel")
        assert entry["machine"].startswith(label)
        is_arm = "arm" in entry["os"] or entry["os"] == "macos-15"
        assert entry["machine"].endswith("arm64" if is_arm else "x86_64")


class Runner:
    """Runs steps in a clone of the repository that has an origin to push to."""

    def __init__(self, folder: Path, until: str = "", *, recorded: bool = False) -> None:
        self.clone = copy_repository(folder / "clone", until, recorded=recorded)
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
        return run_step(name, self.clone, self.temporary, **variables)


def run_step(
    name: str, folder: Path, temporary: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a step in a folder with the shell that the workflows use on GitHub."""
    answer = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", shell_steps()[name]["run"]],
        cwd=folder, capture_output=True, text=True, check=False, timeout=DEADLINE,
        env={
            **environment(), "UV_NO_DEFAULT_GROUPS": "1", "RUNNER_TEMP": str(temporary),
            "GITHUB_OUTPUT": str(temporary / "output"), **variables,
        },
    )  # fmt: skip
    print(answer.stdout, answer.stderr)
    return answer


@linux
def test_results_are_pushed_despite_another_push_and_a_failed_chart(tmp_path: Path) -> None:
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
    step = "Merge the results, draw the charts, commit and push"
    answer = runner.step(step, BENCH=MIDDLE)
    assert answer.returncode == 1  # because of the chart
    assert "no paper" in answer.stderr
    subjects = runner.git("log", "--format=%s", "origin/main").splitlines()
    assert subjects[:2] == [f"Record results of {FIRST}", "another"]
    assert runner.step(step, BENCH=MIDDLE).returncode == 0  # there is nothing new


RACE = """\
[ -e raced ] && exit
touch raced
unset GIT_QUARANTINE_PATH
git update-ref refs/heads/main refs/heads/other
"""


@linux
@pytest.mark.parametrize("name", ["Merge the results, draw the charts, commit and push",
                                  "Pin new releases"])  # fmt: skip
def test_push_that_loses_a_race_is_repeated(name: str, tmp_path: Path) -> None:
    """Another push, which also changes the charts, arrives first."""
    runner = Runner(tmp_path)
    other = tmp_path / "other"
    runner.git("clone", "-q", str(tmp_path / "origin.git"), str(other))
    (other / "docs/gap-light.svg").write_text("another chart")
    for arguments in (["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qam", "another"],
                      ["push", "-q", "origin", "HEAD:other"]):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=other, check=True)
    write_program(tmp_path / "origin.git/hooks/pre-receive", RACE)
    drawn = "from pathlib import Path; Path('docs/gap-light.svg').write_text('our chart')"
    (runner.clone / "scripts/site/picture.py").write_text(drawn)
    runner.git("-c", "user.name=t", "-c", "user.email=t", "commit", "-qam", "draw")
    gaps = dict.fromkeys(("1000x1", "1000x8", "100x100"), 8.0)
    write_results(runner.temporary / "measured" / FIRST, {"50.0.1": gaps}, FIRST)
    index = Index()
    index.add_release("99.0.0")
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    path = path_with(
        tmp_path / "bin/uv",
        f'case "$*" in *releases.update*) set -- "$@" --index "$INDEX";; esac\n'
        f'exec {shlex.quote(uv)} "$@"',
    )
    with index.serve():
        answer = runner.step(name, BENCH=MIDDLE, INDEX=index.url, PATH=path)
    assert answer.returncode == 0
    subjects = runner.git("log", "--format=%s", "origin/main").splitlines()
    assert subjects[1:3] == ["draw", "another"]
    if name != "Pin new releases":
        assert runner.git("show", "origin/main:docs/gap-light.svg") == "our chart"
        assert subjects[0] == f"Record results of {FIRST}"
    assert runner.git("status", "--porcelain") == ""


@linux
@pytest.mark.slow
@pytest.mark.usefixtures("libunwind")
def test_results_flow_from_measuring_to_the_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    runner = Runner(tmp_path)
    (runner.clone / ".asv").mkdir()
    (runner.clone / ".asv/env").symlink_to(measured.copy / ".asv/env")  # saves installing again
    settings = shell_steps()["Measure"]["env"]
    answer = runner.step(
        "Measure", MACHINE=FIRST, RANGE="49.0.0 50.0.1", BENCH=MIDDLE,
        BENCHMARKS_STRICT=settings["BENCHMARKS_STRICT"],
    )  # fmt: skip
    assert answer.returncode == 0
    # the artifact arrives in another job
    assert runner.step("Collect the results", MACHINE=FIRST).returncode == 0
    arrived = runner.temporary / "measured"
    shutil.move(runner.clone / "measured", arrived / FIRST)
    hosts = (arrived / FIRST / FIRST / "hosts.jsonl").read_text()
    assert "libunwind.so.1" in hosts
    assert f"wasmtime-{NEWEST}-py3-none-manylinux" in hosts
    # a second machine with the same results
    shutil.copytree(arrived / FIRST / FIRST, arrived / SECOND / SECOND)
    for file in (arrived / SECOND / SECOND).iterdir():
        file.write_text(file.read_text().replace(FIRST, SECOND))
    runner.git("clean", "-qfd")

    # with BENCH, missing benchmarks are no failure
    recorded = runner.step("Merge the results, draw the charts, commit and push", BENCH=MIDDLE)
    assert recorded.returncode == 0
    message = runner.git("log", "-1", "--format=%B", "origin/main")
    assert message.split("\n\n")[1].split() == [
        f"{FIRST}:", "49.0.0", "50.0.1", f"{SECOND}:", "49.0.0", "50.0.1",
    ]  # fmt: skip

    assert runner.step("Build the site").returncode == 0
    index = json.loads((runner.clone / ".asv/html/index.json").read_text())
    assert set(index["machines"]) == {FIRST, SECOND}
    assert FIRST in (runner.clone / ".asv/html/index.html").read_text()

    check = [sys.executable, "-m", "scripts.gap", "--check"]
    changed = subprocess.run(
        check, cwd=runner.clone, env=environment(), check=False, timeout=DEADLINE
    )
    assert changed.returncode == 1

    github = fake_gh(tmp_path, monkeypatch)
    path = os.environ["PATH"]
    step = "Open an issue when the newest release changed the cost"
    for _ in range(2):
        assert runner.step(step, SITE="https://example.org/", PATH=path).returncode == 0
    assert runner.step(FAILED, RUN="https://example.org/run", PATH=path).returncode == 0
    about_gap, about_run = issues(github)
    assert "50.0.1 changed the cost on" in about_gap["title"]
    assert all(f"{machine} (libunwind)" in about_gap["title"] for machine in (FIRST, SECOND))
    assert "[The site](https://example.org/)" in about_gap["body"]
    assert "https://example.org/run" in about_run["body"]


@linux
def test_new_releases_are_pinned_and_pushed(tmp_path: Path) -> None:
    runner, index = Runner(tmp_path), Index()
    output = runner.temporary / "output"
    # a uv that adds --index to its arguments
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    path = path_with(tmp_path / "bin/uv", f'exec {shlex.quote(uv)} "$@" --index "$INDEX"')
    with index.serve():
        assert runner.step("Pin new releases", INDEX=index.url, PATH=path).returncode == 0
        assert not output.exists()
        assert runner.git("log", "--oneline").count("\n") == 1
        index.add_release("99.0.0")
        assert runner.step("Pin new releases", INDEX=index.url, PATH=path).returncode == 0
    assert "added=true" in output.read_text()
    assert "added 99.0.0, 2 wheels" in runner.git("log", "-1", "--format=%B", "origin/main")
    pinned = json.loads(runner.git("show", "origin/main:fixtures/releases.json"))["releases"]
    assert [release["version"] for release in pinned] == [*COMMITS, "99.0.0"]
    assert runner.git("status", "--porcelain") == ""


@linux
def test_new_sdks_are_added_and_pushed(tmp_path: Path) -> None:
    runner, index = Runner(tmp_path), Index()
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    path = path_with(tmp_path / "bin/uv", f'exec {shlex.quote(uv)} "$@" --index "$INDEX"')
    before = sdks.load_wheels()
    with index.serve():
        assert runner.step("Add new macOS SDKs", INDEX=index.url, PATH=path).returncode == 0
        assert runner.git("log", "--oneline").count("\n") == 1
        add_zig(index, "99.0.0", new_sdk())
        assert runner.step("Add new macOS SDKs", INDEX=index.url, PATH=path).returncode == 0
    pushed = tmp_path / "pushed.json"
    pushed.write_text(runner.git("show", f"origin/main:{sdks.SDKS}"))
    *kept, added = sdks.load_wheels(pushed)
    assert kept == before
    assert [sdk.macos for sdk in added.sdks] == ["99.1"]
    assert runner.git("status", "--porcelain") == ""


LIB = "wasmtime-dev-x86_64-linux-c-api/lib/libwasmtime.so"  # as in Wasmtime's archives


def write_archive(path: Path, members: Mapping[str, bytes | Path | None]) -> Path:
    """Write an archive with a license and these files; None adds a symbolic link."""
    with tarfile.open(path, "w:xz", preset=0) as archive:
        archive.add(ROOT / "LICENSE", "wasmtime-dev-x86_64-linux-c-api/LICENSE")
        for name, content in members.items():
            if isinstance(content, Path):
                archive.add(content, name)
                continue
            member = tarfile.TarInfo(name)
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content or b""))
    return path


def path_with(program: Path, command: str) -> str:
    """Write a shell script; return a PATH that starts with its folder."""
    write_program(program, command)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


@linux
def test_library_is_unpacked_from_the_downloaded_archive(tmp_path: Path) -> None:
    members = {LIB: b"library", LIB.replace("lib/", "min/lib/"): b"other", "../lib/x": b"other"}
    archive = shlex.quote(str(write_archive(tmp_path / "archive", members)))
    # the step runs `gh release download dev --repo … --pattern … --output FILE`
    path = path_with(
        tmp_path / "bin/gh", f'[ "$1 $2 $3" = "release download dev" ]; cp {archive} "$9"'
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    download = "Download the archive"
    assert (
        "|| 'wasmtime-dev-x86_64-linux-c-api.tar.xz'" in shell_steps()[download]["env"]["ARCHIVE"]
    )
    assert run_step(download, tmp_path, temporary, PATH=path, ARCHIVE="*.xz").returncode == 0
    assert run_step("Unpack the library", tmp_path, temporary).returncode == 0
    assert (temporary / "libwasmtime.so").read_bytes() == b"library"
    assert {file.name for file in temporary.iterdir()} == {"archive.tar.xz", "libwasmtime.so"}


@linux
@pytest.mark.parametrize(
    "fault", ["no file", "empty", "text", "cut short", "no library", "symbolic link"]
)
def test_archive_without_the_library_is_an_error(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "archive.tar.xz"
    members: dict[str, bytes | None] = {LIB: os.urandom(100_000)}
    content = write_archive(path, members).read_bytes()
    if fault == "no file":
        path.unlink()
    elif fault == "no library":
        write_archive(path, {LIB.replace("lib/", "min/lib/"): b"other"})
    elif fault == "symbolic link":
        write_archive(path, {LIB: None})
    else:
        path.write_bytes({"empty": b"", "text": b"hello"}.get(fault, content[:-20_000]))
    answer = run_step("Unpack the library", tmp_path, tmp_path)
    assert answer.returncode == 1
    assert answer.stdout.startswith("::error::Cannot unpack lib/libwasmtime.so from the archive")


@linux
@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 0), (2, 2), (130, 130)])
def test_increased_count_does_not_fail_the_step(tmp_path: Path, code: int, expected: int) -> None:
    write_program(
        tmp_path / "bin/uv",
        f"""\
[ "$6" = scripts.probe ] || {{ echo 50.0.1; exit; }}
shift 6; printf '%s\\n' "$@"; exit {code}""",
    )
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    step = "Count the library against the newest pinned release"
    assert run_step(step, tmp_path, tmp_path, PATH=path).returncode == expected
    # the probe accepts the arguments
    options = probe.parse((tmp_path / "upstream.json").read_text().splitlines())
    assert options.library == tmp_path / "libwasmtime.so"
    assert (options.against, options.unwinder, options.fail_above) == ("50.0.1", "libunwind", 1)
    assert options.format == "json"
    assert options.counts_only
    assert [module.exists() for module in options.module] == [True] * 3


@linux
@pytest.mark.slow
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_changed_count_in_an_archive_opens_an_upstream_issue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[[str], Path]
) -> None:
    """Use 50.0.1 as the dev release, and 49.0.0 as the newest pinned release."""
    runner, cache = Runner(tmp_path, until="49.0.0"), str(tmp_path / "cache")
    write_archive(runner.temporary / "archive.tar.xz", {LIB: library_of(install("50.0.1"))})
    assert runner.step("Unpack the library").returncode == 0
    count = "Count the library against the newest pinned release"
    assert runner.step(count, XDG_CACHE_HOME=cache).returncode == 0
    github = fake_gh(tmp_path, monkeypatch)
    (runner.temporary / "upstream").mkdir()
    shutil.move(runner.temporary / "upstream.json", runner.temporary / "upstream")
    for _ in range(2):
        step = "Open an issue when a count changed upstream"
        assert runner.step(step, PATH=os.environ["PATH"]).returncode == 0
    (issue,) = issues(github)
    assert issue["title"].startswith("Wasmtime's dev release differs from 49.0.0: instructions to ")
    assert re.search(
        r"\| `functions-8.wasm` \| instructions to deregister \| \d+ \| [\d,]+ \| [\d,]+ ",
        issue["body"],
    )
    assert runner.step(FAILED, RUN="https://run", PATH=os.environ["PATH"]).returncode == 0
    assert issues(github)[1]["body"] == "See https://run."


@linux
@pytest.mark.slow
def test_library_with_an_incompatible_c_api_fails_the_step(
    tmp_path: Path, install: Callable[[str], Path]
) -> None:
    shutil.copy(library_of(install("49.0.0")), tmp_path / "libwasmtime.so")
    step = "Count the library against the newest pinned release"
    answer = run_step(step, ROOT, tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert answer.returncode == 2
    assert "has no wasmtime_config_wasm_compact_imports_set" in answer.stderr
