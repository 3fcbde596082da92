"""The tests still pass after the workflows have pinned and recorded new releases.

This pins invented releases in a copy of the repository, records invented results with the step of
the workflow, and runs the tests that read pins, results or prose in the copy.
"""

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from scripts.base.exits import CHANGED
from scripts.releases import pins
from scripts.releases.pins import Release

from .conftest import COMMITS, environment
from .results import HOUR, REMOVAL, TEARDOWN
from .test_workflows import Runner

pytestmark = pytest.mark.slow

RECORDED, MAC = "linux-x86_64", "macos-15-arm64"
DEADLINE = 300  # seconds; ten times what a command takes
READERS = (  # quick tests that read pins, results or prose
    "alert",
    "fixtures",
    "gap_report",
    "imports",
    "machines",
    "measure",
    "pins",
    "prose",
    "readme",
    "record",
    "release_repo",
    "releases_update",
)
VALUES = {"result", "samples", "stats_ci_99_a", "stats_ci_99_b", "stats_q_25", "stats_q_75"}


@dataclass(frozen=True)
class Scenario:
    """The results of the newest invented release, and what they lead to.

    Attributes:
        factor: its gap and counts, relative to the newest recorded release.
        check: the expected exit code of `python -m scripts.gap --check`.
        readers: the tests to run.
    """

    factor: float
    check: int
    readers: tuple[str, ...]


SCENARIOS = {
    "unchanged cost": Scenario(1.02, 0, READERS),
    "changed cost": Scenario(3.0, CHANGED, ("prose",)),
}


def invent_releases(releases: list[Release]) -> list[Release]:
    """Return the pins and two more: the next patch release and the next major release."""
    newest = Version(releases[-1].version)
    for version in (f"{newest.major}.{newest.minor}.{newest.micro + 1}", f"{newest.major + 1}.0.0"):
        last = releases[-1]
        wheels = (name.replace(last.version, version) for name in last.wheels)
        new = Release(
            version,
            (datetime.fromisoformat(last.time) + timedelta(days=28)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            {name: hashlib.sha256(name.encode()).hexdigest() for name in wheels},
            macs=last.macs,
        )
        releases = pins.append_release(releases, new)
    return releases


def scale(value: Any, factor: float) -> Any:
    """Multiply all numbers in nested lists."""
    if isinstance(value, list):
        return [scale(entry, factor) for entry in value]
    return None if value is None else value * factor


def invent_results(source: Path, target: Path, release: Release, factor: float) -> None:
    """Write results of a release, a day later than `source`, with its gap and counts scaled."""
    content = json.loads(source.read_text())
    columns = content["result_columns"]
    content |= {"commit_hash": release.commit, "date": 1000 * release.timestamp}
    machine = json.loads((source.parent / "machine.json").read_text())
    machine["machine"] = target.name
    if target.name == MAC:
        machine |= {"os": "macOS 15", "arch": "arm64"}
    content["params"] |= {name: text for name, text in machine.items() if name != "version"}
    for name, row in content["results"].items():
        row[columns.index("started_at")] += 24 * HOUR
        for column, value in enumerate(row):
            if columns[column] not in VALUES or value is None:
                continue
            if name == TEARDOWN:  # the first half of the values is with unwind info
                half = len(value) // 2
                row[column] = [*scale(value[:half], factor), *value[half:]]
            elif name == REMOVAL:
                # rounded, because an exact count does not change with the noise of the gap
                row[column] = scale(value, round(factor))
    target.mkdir(parents=True, exist_ok=True)
    (target / "machine.json").write_text(json.dumps(machine))
    (target / f"{release.commit[:8]}-{content['env_name']}.json").write_text(json.dumps(content))


def newest_results(folder: Path) -> list[Path]:
    """Return the result files of a machine's newest release, one for each unwinder of a run."""
    by_release = [
        [path for option in ("libunwind", "system")
         for path in folder.glob(f"{commit[:8]}-*UNWINDER{option}.json")]
        for commit in COMMITS.values()
    ]  # fmt: skip
    newest = [files for files in by_release if files][-1]
    assert len(newest) == 2
    return newest


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
        timeout=DEADLINE,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="runs a step of a Linux runner")
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_tests_pass_after_new_releases(tmp_path: Path, scenario: Scenario) -> None:
    runner = Runner(tmp_path, recorded=True)
    pinned = pins.load_pins()
    releases = invent_releases(pinned)
    patch, major = releases[len(pinned) :]
    pins.save_pins(releases, runner.clone / pins.PINS)
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    runner.git(*identity, "commit", "-qam", "Pin new releases")
    runner.git("push", "-q")

    arrived = runner.temporary / "measured"
    for source in newest_results(runner.clone / "results" / RECORDED):
        for release, factor in ((patch, 1.0), (major, scenario.factor)):
            invent_results(source, arrived / RECORDED / RECORDED, release, factor)
            if source.stem.endswith("system"):
                invent_results(source, arrived / MAC / MAC, release, factor)
    step = "Merge the results, draw the charts, commit and push"
    # with BENCH, missing benchmarks are no failure
    assert runner.step(step, BENCH="recorded so far").returncode == 0
    pushed = runner.git("show", "--name-only", "--format=", "origin/main").split()
    for chart in ("docs/gap-light.svg", "docs/gap-dark.svg"):
        assert chart in pushed
        assert major.version in (runner.clone / chart).read_text()
    assert sum(name.startswith(f"results/{RECORDED}/{major.commit[:8]}") for name in pushed) == 2
    assert runner.git("status", "--porcelain") == ""
    check = run(runner.clone, "scripts.gap", "--check", "--machine", RECORDED)
    assert check.returncode == scenario.check, check.stdout + check.stderr

    tests = run(
        runner.clone, "pytest", "-q", "-n0", "-p", "no:cacheprovider",
        *(f"tests/test_{name}.py" for name in scenario.readers),
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert re.search(r"\d\d passed", tests.stdout)
