"""The pins as a repository for asv."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from asv.util import UserError

from scripts.releases import pins
from scripts.releases import repo as repo_module
from scripts.releases.repo import ReleaseRepo

from .conftest import COMMITS, ROOT, asv, copy_repository

RELEASES = pins.load_pins(ROOT / pins.PINS)
VERSIONS = [release.version for release in RELEASES]


@pytest.fixture
def repo() -> ReleaseRepo:
    return ReleaseRepo(str(pins.PINS))


def test_commit_ids_never_change() -> None:
    """The names of recorded result files start with them."""
    assert COMMITS["13.0.0"].startswith("ca597d5b")
    assert COMMITS["27.0.2"].startswith("ac1433a4")
    assert COMMITS["50.0.1"].startswith("afb778f0")


def test_repo_implements_the_interface_of_asv(repo: ReleaseRepo, tmp_path: Path) -> None:
    repo.pull()
    repo.checkout(str(tmp_path / "project"), COMMITS["27.0.2"])
    assert (tmp_path / "project/requirements.txt").read_text() == next(
        release.requirements for release in RELEASES if release.version == "27.0.2"
    )
    assert repo.get_date(COMMITS["50.0.1"]) == 1792637996000
    assert repo.get_date_from_name("50.0.1") == repo.get_date(COMMITS["50.0.1"])
    assert repo.get_name_from_hash(COMMITS["50.0.1"]) == "50.0.1"
    assert repo.get_name_from_hash("0" * 40) is None
    assert repo.get_decorated_hash(COMMITS["50.0.1"], 8) == f"{COMMITS['50.0.1'][:8]} <50.0.1>"
    assert repo.get_tags() == COMMITS
    newest_first = [release.commit for release in reversed(RELEASES)]
    assert repo.get_branch_commits("releases") == newest_first
    assert repo.get_new_branch_commits(["releases"], {newest_first[2]}) == newest_first[:2]
    assert repo.get_revisions(set(newest_first[:2])) == {
        newest_first[1]: len(RELEASES) - 2, newest_first[0]: len(RELEASES) - 1,
    }  # fmt: skip
    assert repo.get_hash_from_parent("50.0.1") == COMMITS["49.0.0"]
    spec = repo.get_range_spec(COMMITS["48.0.0"], COMMITS["49.0.0"])
    assert repo.get_hashes_from_range(spec) == [COMMITS["49.0.0"]]
    assert COMMITS["50.0.1"] in repo.get_hashes_from_range(repo.get_new_range_spec("49.0.0"))


@pytest.mark.parametrize(
    ("spec", "versions"),
    [
        ("50.0.1", ["50.0.1"]),
        ("13.0.0", ["13.0.0"]),
        ("48.0.0 50.0.1 48.0.0", ["48.0.0", "50.0.1"]),
        ("48.0.0..50.0.1", ["50.0.1", "49.0.0"]),
        ("47.0.1 48.0.0..50.0.1", ["47.0.1", "50.0.1", "49.0.0"]),
        ("48.0.0..", VERSIONS[: VERSIONS.index("48.0.0") : -1]),
        ("48.0.0..48.0.0", []),
        (COMMITS["49.0.0"], ["49.0.0"]),
        (COMMITS["49.0.0"][:8], ["49.0.0"]),
        ("ALL", VERSIONS[::-1]),
        ("releases", VERSIONS[::-1]),
        ("HEAD", VERSIONS[-1:]),
    ],
)
def test_range_selects_releases(repo: ReleaseRepo, spec: str, versions: list[str]) -> None:
    assert repo.get_hashes_from_range(spec) == [COMMITS[version] for version in versions]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("45.0.99", "45.0.0 or 46.0.1 or 44.0.0"),
        ("48", "48.0.0 or"),
        ("27.0.0", "27.0.1 or 27.0.2 or 28.0.0"),
        ("v50.0.1", "50.0.1 or"),
        ("27.O.2", "27.0.2"),
    ],
)
def test_unknown_release_is_rejected_with_a_suggestion(
    repo: ReleaseRepo, name: str, suggestion: str
) -> None:
    message = rf"'{re.escape(name)}' is not a pinned release\..*mean {suggestion}"
    for spec in (name, f"13.0.0..{name}", f"{name}.."):
        with pytest.raises(UserError, match=message):
            repo.get_hashes_from_range(spec)


@pytest.mark.parametrize("name", ["main", "all", COMMITS["50.0.1"][:6], "zzzzzzzz"])
def test_unknown_name_is_rejected_with_the_range_of_pinned_releases(
    repo: ReleaseRepo, name: str
) -> None:
    with pytest.raises(
        UserError, match=rf"The pinned releases are 13\.0\.0 to {RELEASES[-1].version}"
    ):
        repo.get_hash_from_name(name)


@pytest.mark.parametrize(
    "spec", ["--max-count=1 releases", "-n1", "^49.0.0", "50.0.1^", "50.0.1~2", "48.0.0^!",
             "48.0.0...50.0.1", "..49.0.0", ""],
)  # fmt: skip
def test_git_revision_syntax_is_rejected_with_examples(repo: ReleaseRepo, spec: str) -> None:
    with pytest.raises(UserError, match=r'Write a release \("50.0.1"\), several .* or ALL'):
        repo.get_hashes_from_range(spec)


def test_backward_range_is_rejected_with_the_forward_range(repo: ReleaseRepo) -> None:
    with pytest.raises(UserError, match=r"runs backwards\. Write 48\.0\.0\.\.50\.0\.1"):
        repo.get_hashes_from_range("50.0.1..48.0.0")


def test_tag_is_not_checked_out(repo: ReleaseRepo, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TAGS is not supported"):
        repo.checkout(str(tmp_path / "project"), "50.0.1")


def test_first_release_has_no_parent(repo: ReleaseRepo) -> None:
    with pytest.raises(UserError, match=r"13\.0\.0 is the first pinned release"):
        repo.get_hash_from_parent("13.0.0")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy for commands that fail before they write anything."""
    return copy_repository(tmp_path_factory.mktemp("untouched"))


@pytest.mark.parametrize(
    "arguments", [("run", "50.0.99"), ("run", "--max-count=1 ALL"), ("publish", "50.0.99")]
)
def test_asv_rejects_an_unknown_release_without_a_traceback(
    untouched: Path, arguments: tuple[str, ...]
) -> None:
    result = asv(untouched, *arguments)
    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert "release" in result.stdout + result.stderr
    assert not (untouched / ".asv/env").exists()


def test_asv_rejects_a_damaged_pin_file(copy: Path) -> None:
    path = copy / pins.PINS
    path.write_text(path.read_text()[:-300])
    result = asv(copy, "run")
    assert result.returncode == 1
    assert "git checkout fixtures/releases.json" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("platforms", "newest"),
    [(["macosx_11_0_arm64"], VERSIONS[-1]), (["win_arm64"], VERSIONS[-2]),
     (["linux_riscv64"], VERSIONS[-1])],
)  # fmt: skip
def test_default_is_the_newest_release_with_a_wheel_for_the_platform(
    platforms: list[str], newest: str, repo: ReleaseRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = repo.releases[-1]
    wheels = {name: sha256 for name, sha256 in last.wheels.items() if "win_arm64" not in name}
    repo.releases[-1] = replace(last, wheels=wheels)
    monkeypatch.setattr(repo_module, "platform_tags", lambda: platforms)
    for name in (None, "HEAD", "releases"):
        assert repo.get_hash_from_name(name) == COMMITS[newest]
    assert repo.get_hashes_from_range(f"{VERSIONS[-2]}..") == [COMMITS[VERSIONS[-1]]]
