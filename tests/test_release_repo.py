"""The pins as a git history that asv works on."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from asv.util import UserError

from scripts.releases import pins

from .conftest import ROOT, asv

RELEASES = pins.load(ROOT / pins.PINS)
COMMITS = {release.version: release.commit for release in RELEASES}


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReleaseHistory:
    monkeypatch.setattr(release_history, "HISTORY", tmp_path / "releases.git")
    return ReleaseHistory(str(pins.PINS), "unused")


def refs(path: Path) -> dict[str, str]:
    lines = subprocess.run(
        ["git", "--git-dir", path, "for-each-ref", "--format=%(refname:short) %(objectname)"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    return dict(line.split() for line in lines)


def is_whole(path: Path) -> bool:
    sound = subprocess.run(["git", "--git-dir", path, "fsck", "--strict"], capture_output=True)
    return sound.returncode == 0 and refs(path) == {**COMMITS, "releases": RELEASES[-1].commit}


def test_each_release_is_a_tagged_commit_with_its_requirements(
    history: ReleaseHistory, tmp_path: Path
) -> None:
    assert is_whole(tmp_path / "releases.git")
    history.checkout(str(tmp_path / "project"), COMMITS["27.0.2"])
    assert (tmp_path / "project/requirements.txt").read_text() == next(
        release.requirements for release in RELEASES if release.version == "27.0.2"
    )
    assert history.get_date(COMMITS["50.0.1"]) == RELEASES[-1].timestamp * 1000
    assert history.get_name_from_hash(COMMITS["50.0.1"]) == "50.0.1"
    assert history.get_branch_commits("releases") == [r.commit for r in reversed(RELEASES)]


@pytest.mark.parametrize(
    ("spec", "versions"),
    [
        ("50.0.1", ["50.0.1"]),
        ("13.0.0", ["13.0.0"]),
        ("48.0.0 50.0.1", ["48.0.0", "50.0.1"]),
        ("48.0.0..50.0.1", ["50.0.1", "49.0.0"]),
        ("48.0.0^!", ["48.0.0"]),
        ("13.0.1", ["13.0.1"]),
        (COMMITS["49.0.0"], ["49.0.0"]),
        ("--max-count=1 releases", [RELEASES[-1].version]),
        ("releases", [release.version for release in reversed(RELEASES)]),
    ],
)
def test_ranges(history: ReleaseHistory, spec: str, versions: list[str]) -> None:
    assert history.get_hashes_from_range(spec) == [COMMITS[version] for version in versions]


@pytest.mark.parametrize(
    "spec",
    ["50.0.99", "48.0.0..50.0.99", "50.0.99..", "v50.0.1", "main", "all"],
)
def test_an_unknown_release_is_named_with_its_neighbours(
    history: ReleaseHistory, spec: str
) -> None:
    with pytest.raises(UserError, match=rf"no release '.*13\.0\.0 to {RELEASES[-1].version}"):
        history.get_hashes_from_range(spec)
    with pytest.raises(UserError, match=r"Did you mean 50\.0\.1"):
        history.get_hash_from_name("50.0.99")


def test_what_git_cannot_make_of_a_range_is_said(history: ReleaseHistory) -> None:
    with pytest.raises(UserError, match="'--foo' is no range"):
        history.get_hashes_from_range("--foo")


def test_only_releases_are_checked_out(history: ReleaseHistory, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no commit of a release"):
        history.checkout(str(tmp_path / "project"), "50.0.1")


def test_pins_that_were_appended_extend_the_history(tmp_path: Path) -> None:
    path = tmp_path / "releases.git"
    release_history.build(RELEASES[:40], path)
    kept = refs(path)
    release_history.build(RELEASES, path)
    assert is_whole(path)
    assert kept.items() - refs(path).items() == {("releases", RELEASES[39].commit)}


@pytest.mark.parametrize(
    "damage", ["empty", "no objects", "foreign tag", "annotated tag", "moved tag"]
)
def test_a_damaged_history_is_made_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "releases.git"
    release_history.build(RELEASES, path)
    git = ["git", "--git-dir", str(path)]
    if damage == "empty":
        shutil.rmtree(path)
        path.mkdir()
    elif damage == "no objects":
        for pack in path.glob("objects/pack/*"):
            pack.unlink()
    elif damage == "foreign tag":
        subprocess.run([*git, "tag", "0.0.1", COMMITS["13.0.0"]], check=True)
    elif damage == "annotated tag":
        named = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run([*git, *named, "tag", "-m", "t", "0.0.1", COMMITS["13.0.0"]], check=True)
    else:
        subprocess.run([*git, "tag", "-f", "50.0.1", COMMITS["13.0.0"]], check=True)
    assert not is_whole(path)
    release_history.build(RELEASES, path)
    assert is_whole(path)


def test_a_builder_killed_at_any_moment_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "releases.git"
    program = (
        "import sys; from pathlib import Path; from scripts.releases import pins, repo; "
        "print(flush=True); release_history.build(pins.load(), Path(sys.argv[1]))"
    )
    killed = 0
    for delay in (0.0, 0.002, 0.004, 0.008, 0.015, 0.03):
        builder = subprocess.Popen(
            [sys.executable, "-c", program, path], stdout=subprocess.PIPE, process_group=0
        )
        assert builder.stdout is not None
        builder.stdout.readline()
        time.sleep(delay)
        if builder.poll() is None:
            os.killpg(builder.pid, signal.SIGKILL)
            killed += 1
        builder.wait()
        builder.stdout.close()
    assert killed
    release_history.build(RELEASES, path)
    assert is_whole(path)
    shutil.rmtree(path)
    release_history.build(RELEASES[:-1], path)
    (path / f"refs/tags/{RELEASES[-1].version}.lock").touch()
    release_history.build(RELEASES, path)
    assert is_whole(path)


def test_two_builders_at_once(tmp_path: Path) -> None:
    path = tmp_path / "releases.git"
    context = multiprocessing.get_context("spawn")
    builders = [
        context.Process(target=release_history.build, args=(RELEASES, path)) for _ in range(4)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert [builder.exitcode for builder in builders] == [0] * 4
    assert is_whole(path)


def test_a_careful_git_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text("[safe]\n\tbareRepository = explicit\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(release_history, "HISTORY", tmp_path / "releases.git")
    history = ReleaseHistory(str(pins.PINS), "unused")
    assert history.get_hashes_from_range("49.0.0") == [COMMITS["49.0.0"]]


def test_a_git_hook_s_variables_do_not_redirect_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    monkeypatch.setattr(release_history, "HISTORY", tmp_path / "releases.git")
    history = ReleaseHistory(str(pins.PINS), "unused")
    assert history.get_hash_from_name("50.0.1") == COMMITS["50.0.1"]


@pytest.mark.parametrize("arguments", [("run", "50.0.99"), ("run", "TAGS"), ("publish", "50.0.99")])
def test_asv_ends_with_a_sentence_and_no_traceback(copy: Path, arguments: tuple[str, ...]) -> None:
    answer = asv(copy, *arguments)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stdout + answer.stderr
    assert "release" in answer.stdout + answer.stderr
    assert not (copy / ".asv/env").exists()


def test_asv_refuses_a_damaged_pin_file(copy: Path) -> None:
    path = copy / pins.PINS
    path.write_text(path.read_text()[:-300])
    answer = asv(copy, "run")
    assert answer.returncode == 1
    assert "git checkout fixtures/releases.json" in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
