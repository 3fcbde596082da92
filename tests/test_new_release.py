"""New releases, which the workflows pin and record by themselves, leave every test green.

Invented releases are pinned in a copy, the step of the workflow records invented results there,
and the tests that read pins, results or prose run there.
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
DEADLINE = 300  # seconds; a command takes a tenth of that
READERS = (  # of pins, results or prose, and quick
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
class Story:
    """The newest of the invented releases.

    Attributes:
        factor: of its gap and counts, against the newest release that is recorded.
        check: the exit code of `python -m scripts.gap --check`.
        readers: the tests to run; the second story only adds other results.
    """

    factor: float
    check: int
    readers: tuple[str, ...]


STORIES = {
    "the same story": Story(1.02, 0, READERS),
    "the gap moved again": Story(3.0, CHANGED, ("prose",)),
}


def invent_releases(releases: list[Release]) -> list[Release]:
    """Return the pins and two more: the patch release and the major release that may come next."""
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
    if isinstance(value, list):
        return [scale(one, factor) for one in value]
    return None if value is None else value * factor


def invent_results(source: Path, target: Path, release: Release, factor: float) -> None:
    """Write the results of another release, a day later, with another gap and other counts."""
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
            if name == TEARDOWN:  # first all values with unwind info, then those without
                half = len(value) // 2
                row[column] = [*scale(value[:half], factor), *value[half:]]
            elif name == REMOVAL:
                # a count is exact: it moves when the gap does, and not with its noise
                row[column] = scale(value, round(factor))
    target.mkdir(parents=True, exist_ok=True)
    (target / "machine.json").write_text(json.dumps(machine))
    (target / f"{release.commit[:8]}-{content['env_name']}.json").write_text(json.dumps(content))


def newest_results(folder: Path) -> list[Path]:
    """Return the files of the newest release that a machine measured, with both unwinders."""
    by_release = [sorted(folder.glob(f"{commit[:8]}-*.json")) for commit in COMMITS.values()]
    newest = [files for files in by_release if files][-1]
    assert len(newest) == 2
    return newest


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
        timeout=DEADLINE,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="its step is that of a Linux runner")
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_new_releases_leave_every_test_green(tmp_path: Path, story: Story) -> None:
    runner = Runner(tmp_path, recorded=True)
    before = pins.load_pins()
    releases = invent_releases(before)
    patch, major = releases[len(before) :]
    pins.save_pins(releases, runner.clone / pins.PINS)
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    runner.git(*identity, "commit", "-qam", "Pin new releases")
    runner.git("push", "-q")

    arrived = runner.temporary / "measured"
    for source in newest_results(runner.clone / "results" / RECORDED):
        for release, factor in ((patch, 1.0), (major, story.factor)):
            invent_results(source, arrived / RECORDED / RECORDED, release, factor)
            if source.stem.endswith("system"):
                invent_results(source, arrived / MAC / MAC, release, factor)
    step = "Join the results, draw the charts, commit and push"
    assert runner.step(step, BENCH="recorded so far").returncode == 0  # counts are not yet
    pushed = runner.git("show", "--name-only", "--format=", "origin/main").split()
    for chart in ("docs/gap-light.svg", "docs/gap-dark.svg"):
        assert chart in pushed
        assert major.version in (runner.clone / chart).read_text()
    assert sum(name.startswith(f"results/{RECORDED}/{major.commit[:8]}") for name in pushed) == 2
    assert runner.git("status", "--porcelain") == ""
    check = run(runner.clone, "scripts.gap", "--check", "--machine", RECORDED)
    assert check.returncode == story.check, check.stdout + check.stderr

    tests = run(
        runner.clone, "pytest", "-q", "-n0", "-p", "no:cacheprovider",
        *(f"tests/test_{name}.py" for name in story.readers),
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert re.search(r"\d\d passed", tests.stdout)
