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
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config
from ruamel.yaml import YAML

from scripts.history import record
from scripts.measuring import machines, runners
from scripts.probe import cli as probe
from scripts.releases import sdks

from .conftest import (
    COMMITS,
    DEADLINE,
    MIDDLE,
    ROOT,
    Measured,
    RunningCommand,
    copy_repository,
    environment,
    skip_missing,
)
from .github import close_issue, fake_gh, issues, write_program
from .index import Index
from .results import write_results
from .test_probe_builds import library_of
from .test_sdks import add_zig, new_sdk

FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))
FIRST, SECOND = "chain-a", "chain-b"
NEWEST = list(COMMITS)[-1]
GAPS = dict.fromkeys(("1000x1", "1000x8", "100x100"), 8.0)  # of all shapes, so nothing is missing
FAILED = "Open an issue about the failed run, or comment on the open issue"
RECORD = "Merge the results, draw the charts, commit and push"
PIN = "Pin new releases"
ADD_SDKS = "Add new macOS SDKs"
COMPARE = "Compare the counts of the build"
TOOLS = "Install LLVM's libunwind and valgrind if they are missing"
STEPS = {  # every step that runs a shell, and where a test or `.ci/run` runs it
    "Smoke test that reports missing optional tools": "test_end_to_end",
    "Lint, check types and run all tests, with all optional tools": ".ci/run",
    "Run all tests, skipping those with a missing tool": ".ci/run",
    "Measure two releases": "test_end_to_end",
    "Install git and a compiler": "nowhere: needs Alpine",
    "Install LLVM's libunwind, and valgrind": ".ci/run",
    "Select the machines": "here",
    "Measure": "here",
    "Collect the results": "here",
    RECORD: "here",
    "Build the site": "here",
    "Open an issue when the newest release changed the cost": "here",
    FAILED: "here",
    PIN: "here",
    ADD_SDKS: "here",
    "Download the archive": "here, from a fake gh",
    "Unpack the library": "here",
    "Name the build": "here",
    "Count the library against the newest pinned release": "here",
    "Record the counts of the dev release": "here",
    "Open an issue when a count changed upstream": "here",
    TOOLS: "here",
    COMPARE: "here",
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
    """Return the steps of all workflows and actions that run a shell, by name."""
    jobs = [job for path in WORKFLOWS for job in load_workflow(path)["jobs"].values()]
    actions = [load_workflow(path)["runs"] for path in ACTIONS]
    return {
        step["name"]: step
        for steps in (*jobs, *actions)
        for step in steps.get("steps", ())
        if "run" in step
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_restricted(path: Path) -> None:
    workflow = load_workflow(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow[True if True in workflow else "on"]
    assert workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert "uses" in job or job["timeout-minutes"] <= 350
        assert workflow["defaults"]["run"]["shell"].startswith("bash")


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.parent.name)
def test_actions_are_pinned(path: Path) -> None:
    for commit, comment in re.findall(r"uses: [\w/-]+@(\S+)(.*)", path.read_text()):
        assert re.fullmatch("[0-9a-f]{40}", commit)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_no_text_from_outside_becomes_code() -> None:
    assert [name for name, step in shell_steps().items() if "${{" in step["run"]] == []


SCHEDULED = [
    path
    for path in WORKFLOWS
    if "schedule" in (load_workflow(path).get(True) or load_workflow(path)["on"])
]


@pytest.mark.parametrize("path", SCHEDULED, ids=lambda path: path.name)
def test_scheduled_workflow_alerts_on_failure_cancellation_and_timeout(path: Path) -> None:
    """GitHub cancels a job that times out, and runs only `always()` jobs after a cancellation."""
    jobs = load_workflow(path)["jobs"]
    failed = jobs.pop("failed")
    assert failed["needs"] == [*jobs]
    assert failed["if"] == (
        "${{ always() && github.event_name == 'schedule' && (contains(needs.*.result, 'failure') "
        "|| contains(needs.*.result, 'cancelled')) }}"
    )
    assert failed["uses"] == "./.github/workflows/failed.yml"


@linux
def test_failed_runs_share_an_open_issue_with_a_link_to_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step needs no checkout and no uv, since these may be what failed."""
    github, folder = fake_gh(tmp_path, monkeypatch), tmp_path / "empty"
    write_program(tmp_path / "bin/uv", "echo this runner has no uv >&2; exit 1")
    folder.mkdir()
    run_url = "https://github.com/o/r/actions/runs/{}/attempts/1".format

    def fail(run: int) -> None:
        variables = {"RUN": run_url(run), "PATH": os.environ["PATH"]}
        assert run_step(FAILED, folder, folder, **variables).returncode == 0

    for run in (1, 1, 12, 12, 1):  # benchmark.yml reports a run before releases.yml, its caller
        fail(run)
    (issue,) = issues(github)
    assert issue["label"] == "benchmarks-failed"
    assert issue["body"] == f"See {run_url(1)}"
    assert [comment["body"] for comment in issue["comments"]] == [
        f"A scheduled run failed: {run_url(12)}"
    ]
    # a closed issue does not hide the next failure
    close_issue(github)
    fail(1)
    assert [issue["state"] for issue in issues(github)] == ["CLOSED", "OPEN"]


def test_three_workflows_have_a_schedule() -> None:
    assert {path.stem for path in SCHEDULED} == {"benchmark", "releases", "upstream"}


def test_every_file_that_publish_reads_or_imports_publishes_the_site() -> None:
    workflow = load_workflow(FOLDER / "publish.yml")
    patterns = workflow[True if True in workflow else "on"]["push"]["paths"]
    config = Config.load("asv.conf.json")
    finder = ModuleFinder(path=[str(ROOT)])  # finds the imports within functions, too
    for plugin in config.plugins:
        finder.import_hook(plugin.removeprefix("."))
    files = (vars(module)["__file__"] for module in finder.modules.values())
    imported = {Path(file) for file in files if file}
    assert ROOT / "scripts/site/pages.py" in imported
    data = [ROOT / name for name in ("asv.conf.json", "pyproject.toml", ".python-version")]
    for folder in ("fixtures", "results", "scripts/site/templates"):
        data += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in (*imported, *data, FOLDER / "publish.yml"):
        name = path.relative_to(ROOT).as_posix()
        assert any(matches(name, pattern) for pattern in patterns), name


def matches(name: str, pattern: str) -> bool:
    """Return whether a file matches a path filter that is a name, or a folder with `/**`."""
    assert (ROOT / pattern.removesuffix("/**")).exists(), f"{pattern} matches no file"
    return name == pattern or (pattern.endswith("/**") and name.startswith(pattern[:-2]))


def test_artifact_of_the_site_has_another_name_in_a_rerun() -> None:
    """deploy-pages refuses two artifacts of one name in a run: actions/deploy-pages#338."""
    workflow = load_workflow(FOLDER / "publish.yml")
    steps = workflow["jobs"]["publish"]["steps"]
    inputs = [step["with"] for step in steps if "-pages" in step.get("uses", "") and "with" in step]
    assert [*inputs[0].values(), *inputs[1].values()] == [
        "${{ env.ARTIFACT }}", ".asv/html", "${{ env.ARTIFACT }}",
    ]  # fmt: skip
    assert [*inputs[0], *inputs[1]] == ["name", "path", "artifact_name"]
    assert "${{ github.run_attempt }}" in workflow["env"]["ARTIFACT"]


def test_every_shell_step_is_listed() -> None:
    assert set(shell_steps()) == set(STEPS)


def test_results_of_every_machine_in_the_matrix_can_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = runners.select_machines("")
    names = [entry.machine for entry in include]
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
        (label,) = entry.os
        system = entry.image.removeprefix("python:3.11-").replace("alpine", "alpine-")
        assert entry.machine.startswith(system or label.removesuffix("-arm").removesuffix("-intel"))
        is_arm = "arm" in label or label == "macos-15"
        assert entry.machine.endswith("arm64" if is_arm else "x86_64")


def test_only_selected_machines_are_in_the_matrix(tmp_path: Path) -> None:
    """A job for a self-hosted Mac that is switched off would wait for 24 hours."""
    jobs = load_workflow(FOLDER / "benchmark.yml")["jobs"]
    assert jobs["measure"]["strategy"]["matrix"] == {
        "include": "${{ fromJSON(needs.select.outputs.matrix) }}"
    }
    names = [runner.machine for runner in runners.select_machines("")]
    for text, expected in (
        (" ", names), (names[1], names[1:2]), (f"{names[2]}, {names[0]}", [names[0], names[2]]),
    ):  # fmt: skip
        selected = runners.select_machines(text)
        assert [runner.machine for runner in selected] == expected
    # the input was a JSON list once
    answer = run_step("Select the machines", ROOT, tmp_path, MACHINES=json.dumps(names[:1]))
    assert answer.returncode == 0
    matrix = (tmp_path / "output").read_text().removeprefix("matrix=")
    assert json.loads(matrix) == [{"machine": names[0], "os": ["macos-15"], "image": ""}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("macos-15-arm", "is not a machine of .github/machines.json. Did you mean macos-15-arm64"),
        ('["macos-15-arm64", "x"]', "x is not a machine of .github/machines.json. Choose one of"),
        ("{", "{ is not a machine of"),
        ("[]", "'[]' names no machine. Leave it empty to select all machines."),
    ],
)
def test_unknown_machine_stops_the_run_before_it_measures(
    text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runners.main(["--machines", text]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("::error::")
    assert problem in printed.err
    jobs = load_workflow(FOLDER / "benchmark.yml")["jobs"]
    for name in ("record", "publish", "alert"):
        assert "needs.select.result == 'success'" in jobs[name]["if"]


# to use the environment of the tests, and to make a new one
INSTALLED = {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_NO_SYNC": "1"}
REINSTALL = {"UV_PROJECT_ENVIRONMENT": ".venv", "UV_NO_SYNC": "0"}


class Runner:
    """Runs steps in a clone of the repository that has an origin to push to.

    If `reinstall` is set, uv installs the dependency groups that a step names, and no others.
    """

    def __init__(
        self, folder: Path, until: str = "", *, recorded: bool = False, reinstall: bool = False
    ) -> None:
        self.clone = copy_repository(folder / "clone", until, recorded=recorded)
        self.variables = REINSTALL if reinstall else {}
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
        return run_step(name, self.clone, self.temporary, **{**self.variables, **variables})


def step_command(name: str, temporary: Path) -> list[str]:
    """Write the script of a step as GitHub's runner does; return the command that runs it."""
    script = temporary / "step.sh"
    script.write_text(shell_steps()[name]["run"])
    return ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]


def run_step(
    name: str, folder: Path, temporary: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a step in a folder with the shell that the workflows use on GitHub."""
    answer = subprocess.run(
        step_command(name, temporary),
        cwd=folder, capture_output=True, text=True, check=False, timeout=DEADLINE,
        env={
            **environment(), **INSTALLED, "UV_NO_DEFAULT_GROUPS": "1",
            "RUNNER_TEMP": str(temporary), "GITHUB_OUTPUT": str(temporary / "output"),
            "GITHUB_RUN_ATTEMPT": "1", "BASH_FUNC_sleep%%": "() { :; }", **variables,
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
    step = RECORD
    answer = runner.step(step, BENCH=MIDDLE)
    assert answer.returncode == 1  # because of the chart
    assert "no paper" in answer.stderr
    subjects = runner.git("log", "--format=%s", "origin/main").splitlines()
    assert subjects[:2] == [f"Record results of {FIRST}", "another"]
    assert runner.step(step, BENCH=MIDDLE).returncode == 0  # there is nothing new


def commit(folder: Path, message: str, *push: str) -> None:
    """Commit all files in a clone, and push."""
    for arguments in (
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message],
        ["push", "-q", *push],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def path_to_index(folder: Path) -> str:
    """Return a PATH with a uv that passes the index `$INDEX` to updates of pins and SDKs."""
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    return path_with(
        folder / "bin/uv",
        f'case "$*" in *releases.update*) set -- "$@" --index "$INDEX";; esac\n'
        f'exec {shlex.quote(uv)} "$@"',
    )


# a hook that lets another push, which is on the branch `other`, arrive before the first one
RACE = """\
[ -e raced ] && exit
touch raced
unset GIT_QUARANTINE_PATH
git update-ref refs/heads/main refs/heads/other
"""


@linux
@pytest.mark.parametrize("name", [RECORD, PIN])
def test_push_that_loses_a_race_is_repeated(name: str, tmp_path: Path) -> None:
    """The other push changes the same files: charts, a result of this machine, and pins."""
    runner = Runner(tmp_path)
    drawn = "from pathlib import Path; Path('docs/gap-light.svg').write_text('our chart')"
    (runner.clone / "scripts/site/picture.py").write_text(drawn)
    commit(runner.clone, "draw")
    other = tmp_path / "other"
    runner.git("clone", "-q", str(tmp_path / "origin.git"), str(other))
    (other / "docs/gap-light.svg").write_text("another chart")
    write_results(other / "results", {"50.0.1": {"1000x8": 8.0}}, FIRST, started=0)
    index = Index()
    index.add_release("98.0.0")
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    update = ["run", "--no-default-groups", "--group", "measure", "--group", "maintain",
              "python", "-m", "scripts.releases.update", "--index"]  # fmt: skip
    with index.serve():
        subprocess.run([uv, *update, index.url], cwd=other, check=True, timeout=DEADLINE)
        commit(other, "another", "origin", "HEAD:other")
        index.add_release("99.0.0")
        write_program(tmp_path / "origin.git/hooks/pre-receive", RACE)
        for machine in (FIRST, SECOND):
            write_results(runner.temporary / "measured" / machine, {"50.0.1": GAPS}, machine)
        path = path_to_index(tmp_path)
        answer = runner.step(name, BENCH=MIDDLE, INDEX=index.url, PATH=path)
    assert answer.returncode == 0
    subjects = runner.git("log", "--format=%s", "origin/main").splitlines()
    assert subjects[1:3] == ["another", "draw"]
    if name == RECORD:
        assert runner.git("show", "origin/main:docs/gap-light.svg") == "our chart"
        assert subjects[0] == f"Record results of {FIRST}, {SECOND}"
    else:
        assert "added 99.0.0" in runner.git("log", "-1", "--format=%B", "origin/main")
        pinned = json.loads(runner.git("show", "origin/main:fixtures/releases.json"))["releases"]
        versions = [release["version"] for release in pinned]
        assert versions == [*COMMITS, "98.0.0", "99.0.0"]
    assert runner.git("status", "--porcelain") == ""


# a git whose first push arrives, but is reported as failed, as when the connection breaks
LOST = """\
{git} "$@"
code=$?
if [ "$1" = push ] && [ ! -e {lost} ]; then touch {lost}; exit 1; fi
exit $code
"""


@linux
@pytest.mark.parametrize("name", [RECORD, PIN])
def test_push_that_arrives_without_an_answer_is_a_success(name: str, tmp_path: Path) -> None:
    runner, index = Runner(tmp_path), Index()
    index.add_release("99.0.0")
    write_results(runner.temporary / "measured" / FIRST, {"50.0.1": GAPS}, FIRST)
    git, lost = shutil.which("git"), tmp_path / "lost"
    write_program(tmp_path / "bin/git", LOST.format(git=git, lost=shlex.quote(str(lost))))
    path = path_to_index(tmp_path)
    with index.serve():
        answer = runner.step(name, BENCH=MIDDLE, INDEX=index.url, PATH=path)
    assert lost.exists()
    assert answer.returncode == 0
    assert "::error::" not in answer.stdout
    subject, *others = runner.git("log", "--format=%s", "origin/main").splitlines()
    assert subject == ("Pin new releases" if name == PIN else f"Record results of {FIRST}")
    assert others == ["copy"]  # main's own commits are not rewritten
    if name == PIN:
        assert "measure=true" in (runner.temporary / "output").read_text()


@linux
@pytest.mark.parametrize("name", [RECORD, PIN, ADD_SDKS])
def test_push_that_is_always_rejected_is_an_error(name: str, tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    write_program(tmp_path / "origin.git/hooks/pre-receive", "echo push >> pushes; exit 1")
    change = "echo added 99.0.0; date +%N | tee -a results/new fixtures/*.json > /dev/null"
    answer = runner.step(name, BENCH=MIDDLE, PATH=path_with(tmp_path / "bin/uv", change))
    assert answer.returncode == 1
    assert re.search("^::error::The .* cannot be pushed", answer.stdout, re.MULTILINE)
    assert (tmp_path / "origin.git/pushes").read_text().count("push") == 3
    if name == PIN:  # there is nothing to measure
        assert (runner.temporary / "output").read_text().endswith("measure=false\n")


@linux
def test_rerun_measures_although_it_pins_nothing(tmp_path: Path) -> None:
    """The first attempt may have pinned a release and failed to measure it."""
    runner, path = Runner(tmp_path), path_with(tmp_path / "bin/uv", "echo nothing new")
    output = runner.temporary / "output"
    for attempt, expected in (("1", ""), ("2", "measure=true\n")):
        assert runner.step(PIN, PATH=path, GITHUB_RUN_ATTEMPT=attempt).returncode == 0
        assert (output.read_text() if output.exists() else "") == expected
    job = load_workflow(FOLDER / "releases.yml")["jobs"]["benchmark"]
    assert job["if"] == "${{ !cancelled() && needs.pin.outputs.measure == 'true' }}"


@linux
def test_stopped_measurement_does_not_go_on(tmp_path: Path) -> None:
    """A runner that stops a step signals the step's shell only, not the children of the shell."""
    stopped = tmp_path / "stopped"
    path = path_with(
        tmp_path / "bin/uv",
        f"trap 'touch {shlex.quote(str(stopped))}; exit' TERM; echo measuring; sleep 60 & wait",
    )
    variables = {"MACHINE": FIRST, "RANGE": "ALL", "BENCH": "", "PATH": path}
    with RunningCommand(
        step_command("Measure", tmp_path), tmp_path, {**environment(), **variables}
    ) as step:
        step.wait_for("measuring")
        step.process.terminate()
        step.end()
    assert stopped.exists()


@linux
@pytest.mark.slow
@pytest.mark.usefixtures("libunwind")
def test_results_flow_from_measuring_to_the_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: Measured
) -> None:
    runner = Runner(tmp_path, reinstall=True)
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
    recorded = runner.step(RECORD, BENCH=MIDDLE)
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
    runner, index = Runner(tmp_path, reinstall=True), Index()
    output = runner.temporary / "output"
    path = path_to_index(tmp_path)
    with index.serve():
        assert runner.step(PIN, INDEX=index.url, PATH=path).returncode == 0
        assert not output.exists()
        assert runner.git("log", "--oneline").count("\n") == 1
        index.add_release("99.0.0")
        assert runner.step(PIN, INDEX=index.url, PATH=path).returncode == 0
    assert output.read_text() == "measure=true\n"
    assert "added 99.0.0, 2 wheels" in runner.git("log", "-1", "--format=%B", "origin/main")
    pinned = json.loads(runner.git("show", "origin/main:fixtures/releases.json"))["releases"]
    assert [release["version"] for release in pinned] == [*COMMITS, "99.0.0"]
    assert runner.git("status", "--porcelain") == ""


@linux
def test_new_sdks_are_added_and_pushed(tmp_path: Path) -> None:
    runner, index = Runner(tmp_path), Index()
    path = path_to_index(tmp_path)
    before = sdks.load_wheels()
    with index.serve():
        assert runner.step(ADD_SDKS, INDEX=index.url, PATH=path).returncode == 0
        assert runner.git("log", "--oneline").count("\n") == 1
        add_zig(index, "99.0.0", new_sdk())
        assert runner.step(ADD_SDKS, INDEX=index.url, PATH=path).returncode == 0
    pushed = tmp_path / "pushed.json"
    pushed.write_text(runner.git("show", f"origin/main:{sdks.SDKS}"))
    *kept, added = sdks.load_wheels(pushed)
    assert kept == before
    assert [sdk.macos for sdk in added.sdks] == ["99.1"]
    assert runner.git("status", "--porcelain") == ""


COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADER = "wasmtime-dev-x86_64-linux-c-api/include/wasmtime.h"
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
    members = {
        LIB: b"library", LIB.replace("lib/", "min/lib/"): b"other", "../lib/x": b"other",
        HEADER: b'//\n#define WASMTIME_VERSION "51.0.0"\n#define WASMTIME_VERSION_MINOR 0\n',
    }  # fmt: skip
    archive = shlex.quote(str(write_archive(tmp_path / "archive", members)))
    # the step runs `gh api …`, and `gh release download dev --repo … --pattern … --output FILE`
    path = path_with(
        tmp_path / "bin/gh",
        f'''if [ "$1" = api ]; then echo {COMMIT}; exit; fi
[ "$1 $2 $3" = "release download dev" ]; cp {archive} "$9"''',
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
    files = {"step.sh", "archive.tar.xz", "libwasmtime.so", "commit"}  # nothing else was unpacked
    assert {file.name for file in temporary.iterdir()} == files
    assert run_step("Name the build", tmp_path, temporary).returncode == 0
    named = json.loads((temporary / "build.json").read_text())
    assert named == {"version": "51.0.0", "commit": COMMIT}


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
    (runner.temporary / "upstream/build.json").write_text(
        json.dumps({"version": "50.0.1", "commit": COMMIT})
    )
    for _ in range(2):  # the second time there is nothing new to push
        assert runner.step("Record the counts of the dev release").returncode == 0
    assert runner.git("log", "--format=%s", "-1", "origin/main") == (
        "Record the dev build of Wasmtime 50.0.1 at 01234567\n"
    )
    recorded = json.loads(runner.git("show", "origin/main:results/dev.json"))
    # the same as in results/ for the release, which is not pinned in this clone
    assert recorded["counts"]["libunwind"]["1000x8"]["deregister"] == pytest.approx(68_043, 0.001)
    assert re.search(
        r"\| `functions-8.wasm` \| instructions to deregister \| \d+ \| [\d,]+ \| [\d,]+ ",
        issue["body"],
    )


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


def test_readme_gives_the_action_inputs_that_it_has() -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    (step,) = YAML(typ="safe").load(example)
    owner, name, folder = step["uses"].partition("@")[0].split("/", 2)
    inputs = load_workflow(ROOT / folder / "action.yml")["inputs"]
    required = {key for key, value in inputs.items() if value.get("required")}
    assert required <= step["with"].keys() <= inputs.keys()
    assert (owner, name) == ("OWNER", "REPO")


@linux
@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_action_passes_paths_of_the_caller_and_the_exit_code(tmp_path: Path, code: int) -> None:
    work = tmp_path / "work"
    (work / "target").mkdir(parents=True)
    for name in ("target/libwasmtime.so", "my module.wasm", "other.wat"):
        (work / name).touch()
    path = path_with(tmp_path / "bin/uv", f'pwd; printf "%s\\n" "$@"; exit {code}')
    variables = {
        "GITHUB_ACTION_PATH": str(ACTIONS[0].parent), "GITHUB_STEP_SUMMARY": str(work / "summary"),
        "LIBRARY": "target/libwasmtime.so", "AGAINST": "newest", "FAIL_ABOVE": "1", "PATH": path,
    }  # fmt: skip
    for modules, expected in (
        ("my module.wasm\n\nother.wat\n", [work / "my module.wasm", work / "other.wat"]),
        ("", [ROOT / f"fixtures/functions-{size}.wasm" for size in (1, 8, 100)]),
    ):
        answer = run_step(COMPARE, work, tmp_path, MODULES=modules, **variables)
        assert answer.returncode == code
        folder, *arguments = answer.stdout.splitlines()
        assert folder == str(ROOT)
        options = probe.parse(arguments[arguments.index("scripts.probe") + 1 :])
        assert options.module == expected
        assert options.library == work / "target/libwasmtime.so"
        assert (options.against, options.unwinder, options.fail_above) == ("newest", "libunwind", 1)
        assert options.counts_only
        assert answer.stdout in (work / "summary").read_text()


@linux
@pytest.mark.parametrize("missing", ["LIBRARY", "MODULES"])
def test_action_names_a_missing_file(tmp_path: Path, missing: str) -> None:
    (tmp_path / "libwasmtime.so").touch()
    variables = {"LIBRARY": "libwasmtime.so", "MODULES": "", missing: "nowhere"}
    path = path_with(tmp_path / "bin/uv", "echo started")
    answer = run_step(
        COMPARE, tmp_path, tmp_path, GITHUB_ACTION_PATH=str(ACTIONS[0].parent), PATH=path,
        **variables,
    )  # fmt: skip
    assert answer.returncode != 0
    assert "started" not in answer.stdout
    assert "nowhere: No such file" in answer.stderr


@linux
@pytest.mark.usefixtures("libunwind")
def test_action_installs_only_what_is_missing(tmp_path: Path) -> None:
    write_program(tmp_path / "bin/sudo", 'echo "$@"')
    write_program(tmp_path / "tools/valgrind", "true")
    path = str(tmp_path / "bin")
    for name in ("bash", "ls"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    for folders, installed in ((path, True), (f"{path}{os.pathsep}{tmp_path / 'tools'}", False)):
        answer = run_step(TOOLS, tmp_path, tmp_path, RUNNER_OS="Linux", PATH=folders)
        assert answer.returncode == 0
        assert ("valgrind" in answer.stdout) is installed
    mac = run_step(TOOLS, tmp_path, tmp_path, RUNNER_OS="macOS", PATH=path)
    assert mac.returncode == 1
    assert "::error::Counts need valgrind and a Linux runner" in mac.stdout


@linux
@pytest.mark.slow
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_action_compares_a_build_where_git_is_missing(
    tmp_path: Path, install: Callable[[str], Path]
) -> None:
    """GitHub unpacks the repository of an action without its history."""
    copy = copy_repository(tmp_path / "action")
    shutil.rmtree(copy / ".git")
    summary = tmp_path / "summary"
    answer = run_step(
        COMPARE, copy, tmp_path, **REINSTALL, XDG_CACHE_HOME=str(tmp_path / "cache"),
        GITHUB_ACTION_PATH=str(copy / ".github/actions/compare"), GITHUB_STEP_SUMMARY=str(summary),
        LIBRARY=str(library_of(install(NEWEST))), MODULES="fixtures/functions-8.wasm",
        AGAINST="newest", FAIL_ABOVE="1",
    )  # fmt: skip
    assert answer.returncode == 0
    assert "functions-8.wasm" in summary.read_text()
    assert "PASS" in summary.read_text()
