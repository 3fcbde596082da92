"""asv's own commands, by release name, in a copy in which 49.0.0 and 50.0.1 were measured."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.measuring import machines
from scripts.releases import pins

from .conftest import COMMITS, SYSTEM, Measured

pytestmark = pytest.mark.slow

SMALLEST = r"time_teardown\('on', '1000x1'\)"
QUICK = ("--quick", "--dry-run", "--bench", SMALLEST, "-E", SYSTEM)


def releases_run(said: str) -> list[str]:
    return re.findall(r"For wasmtime-py commit \w{8} <([\d.]+)>", said)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["50.0.1 49.0.0"], ["50.0.1", "49.0.0"]),
        (["EXISTING", "--steps", "1"], ["50.0.1", "49.0.0"]),
        (["47.0.1..50.0.1", "--steps", "2"], ["50.0.1", "49.0.0"]),
        ([], [list(COMMITS)[-1]]),
    ],
)
def test_run(measured: Measured, arguments: list[str], expected: list[str]) -> None:
    answer = measured.asv("run", *QUICK, *arguments)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    run = releases_run(answer.stdout)
    if "EXISTING" in arguments:
        assert len(run) == 1
        assert run[0] in expected
    else:
        assert run == expected


def test_run_the_releases_of_a_file(measured: Measured, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("49.0.0\n\n50.0.1\n")
    answer = measured.asv("run", *QUICK, f"HASHFILE:{names}")
    assert releases_run(answer.stdout) == ["49.0.0", "50.0.1"]
    names.write_text("50.0.1\n49.0.9\n")
    answer = measured.asv("run", *QUICK, f"HASHFILE:{names}")
    assert answer.returncode == 1
    assert "Did you mean 49.0.0" in answer.stdout + answer.stderr


def test_new_is_what_is_newer_than_all_results(measured: Measured) -> None:
    pinned, kept = measured.copy / pins.PINS, measured.copy / "kept"
    before = pinned.read_bytes()
    pins.save(pins.load(pinned)[: list(COMMITS).index("50.0.1") + 1], pinned)
    try:
        answer = measured.asv("run", *QUICK, "NEW")
        assert answer.returncode == 1
        assert "No commit hashes selected" in answer.stdout
    finally:
        pinned.write_bytes(before)
    (measured.copy / "results" / machines.local_name()).rename(kept)
    try:
        answer = measured.asv("run", *QUICK, "NEW", "--steps", "1")
        assert len(releases_run(answer.stdout)) == 1
    finally:
        shutil.rmtree(measured.copy / "results" / machines.local_name(), ignore_errors=True)
        kept.rename(measured.copy / "results" / machines.local_name())


def test_continuous_find_and_check(measured: Measured) -> None:
    options = ("--quick", "--bench", SMALLEST, "-E", SYSTEM, "--machine", "continuous")
    answer = measured.asv("continuous", *options, "49.0.0", "50.0.1")
    shutil.rmtree(measured.copy / "results/continuous")
    assert answer.returncode in (0, 1), answer.stdout + answer.stderr  # 1: it got slower
    assert "BENCHMARKS" in answer.stdout
    assert {"49.0.0", "50.0.1"} == set(releases_run(answer.stdout))
    answer = measured.asv("find", "-E", SYSTEM, "48.0.0..50.0.1", SMALLEST)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.search(r"found: \w{8} <(49\.0\.0|50\.0\.1)>|No regressions", answer.stdout)
    answer = measured.asv("check", "-E", SYSTEM)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "No problems found" in answer.stdout


def test_profile(measured: Measured) -> None:
    name = rf"module_teardown.ModuleTeardown.{SMALLEST}"
    answer = measured.asv("profile", name, "50.0.1", "-E", SYSTEM)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "drop_all" in answer.stdout


def test_results_are_removed_by_release(measured: Measured) -> None:
    source = measured.copy / "results" / machines.local_name()
    copied = shutil.copytree(source, measured.copy / "results/removed")
    (copied / "machine.json").write_text(
        (source / "machine.json").read_text().replace(machines.local_name(), "removed")
    )
    for path in copied.glob("*-*.json"):
        path.write_text(path.read_text().replace(machines.local_name(), "removed"))
    try:
        answer = measured.asv("rm", "-y", "machine=removed", "commit_hash=50.0.1")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        left = {path.name[:8] for path in copied.glob("*-*.json")}
        assert left == {COMMITS["49.0.0"][:8]}
        assert list(source.glob(f"{COMMITS['50.0.1'][:8]}-*.json"))
        answer = measured.asv("rm", "-y", "machine=removed", "benchmark=unwind_tables.*")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        for path in copied.glob("*-*.json"):
            assert "time_teardown" in path.read_text()
            assert "track_fde_count" not in path.read_text()
        assert "track_fde_count" in next(source.glob("*-*.json")).read_text()
        answer = measured.asv("rm", "-y", "commit_hash=50.0.2")
        assert answer.returncode == 1
        assert "Did you mean 50.0.1" in answer.stdout + answer.stderr
    finally:
        shutil.rmtree(copied)


def test_gh_pages(measured: Measured) -> None:
    identity = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME",
                "EMAIL")}  # fmt: skip
    nobody = measured.asv("gh-pages", "--no-push", GIT_CONFIG_NOSYSTEM="1", EMAIL="",
                          GIT_AUTHOR_NAME="", GIT_COMMITTER_NAME="")  # fmt: skip
    assert nobody.returncode == 1
    assert "git commit -m Generated from sources … failed" in nobody.stdout + nobody.stderr
    assert "Traceback" not in nobody.stdout + nobody.stderr
    answer = measured.asv("gh-pages", "--no-push", **identity)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    listing = subprocess.run(
        ["git", "ls-tree", "--name-only", "gh-pages"],
        cwd=measured.copy, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert {".nojekyll", "index.html", "gap.html", "releases.html"} <= set(listing)
    subprocess.run(["git", "branch", "-qD", "gh-pages"], cwd=measured.copy, check=True)
