"""Issues about a changed gap or a failed run, against a fake `gh`."""

import sys
from pathlib import Path

import pytest

from scripts import alert

from .conftest import COMMITS
from .github import close_issue, comments, fake_gh, issues, write_program
from .results import repository, write_results
from .test_gap_report import FLAT, HALF, LIBGCC, NEW

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake gh is a shell script")


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the state file of a fake `gh`; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    return fake_gh(tmp_path, monkeypatch)


@pytest.fixture
def history(github: Path) -> Path:
    """Return the results folder of a repository in the working directory, with a fake `gh`."""
    return repository(github.parent)


def test_changed_gap_opens_one_issue_and_later_updates_it(github: Path, history: Path) -> None:
    write_results(history, {"48.0.0": HALF, "49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    write_results(history, {"49.0.0": NEW, "50.0.1": NEW}, "ubuntu", unwinder="system")
    assert alert.main(["--site", "https://example.org/site/"]) == 0
    (issue,) = issues(github)
    assert issue["title"] == "50.0.1 changed the cost on macos-15-arm64 (system)"
    assert "[The site](https://example.org/site/)" in issue["body"]
    assert "→ 1.3× at 1000x8" in issue["body"]
    assert "#14304" in issue["body"]
    assert "ubuntu" not in issue["body"]
    # nothing new: the issue stays as it is
    before = issues(github)
    assert alert.main(["--site", "https://example.org/site/"]) == 0
    assert issues(github) == before
    assert comments(github) == []
    # a second machine with the same change joins the open issue
    write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, "ubuntu-24.04")
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert "ubuntu-24.04 (libunwind)" in issue["title"]
    assert comments(github) == [["1", "--body", f"Updated: `{issue['title']}`"]]


def test_closed_issue_is_not_opened_again(github: Path, history: Path) -> None:
    write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main([]) == 0
    close_issue(github)
    assert alert.main([]) == 0
    assert len(issues(github)) == 1
    # the same change on another machine opens a new issue
    write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, "ubuntu-24.04")
    assert alert.main([]) == 0
    assert [issue["state"] for issue in issues(github)] == ["CLOSED", "OPEN"]


def test_change_before_the_newest_release_opens_no_issue(github: Path, history: Path) -> None:
    write_results(history, {"48.0.0": HALF, "49.0.0": NEW}, "macos-14-arm64")
    write_results(history, {"49.0.0": NEW, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main([]) == 0
    assert issues(github) == []


def test_unchanged_gap_opens_no_issue(
    github: Path, history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(history, {"49.0.0": NEW, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main([]) == 0
    assert "did not change" in capsys.readouterr().out
    assert issues(github) == []


def test_damaged_result_of_the_newest_release_is_reported(github: Path, history: Path) -> None:
    for machine in ("macos-15-arm64", "ubuntu-24.04"):
        write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, machine)
    (path,) = (history / "ubuntu-24.04").glob(f"{COMMITS['50.0.1'][:8]}-*.json")
    path.write_text("{")
    write_results(history, {"50.0.1": NEW}, "new")  # has no earlier release to compare with
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert issue["title"] == (
        "50.0.1 changed the cost on macos-15-arm64 (system); may have changed the cost on "
        "ubuntu-24.04 (libunwind)"
    )
    assert (
        "50.0.1 changed the cost compared with 49.0.0 is unknown: it was not measured, or"
        in issue["body"]
    )


def test_changed_libgcc_count_opens_an_issue(github: Path, history: Path) -> None:
    counts = {"49.0.0": LIBGCC, "50.0.1": LIBGCC | {"1000x8": 53}}
    write_results(history, dict.fromkeys(counts, FLAT), unwinder="system", counts=counts)
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert "instructions per module 51 → 53 at 1000x8" in issue["body"]


def test_failed_runs_share_one_open_issue(github: Path) -> None:
    run_url = "https://example.org/runs/{}".format
    assert alert.main(["--failed", run_url(1)]) == 0
    assert alert.main(["--failed", run_url(2)]) == 0
    (issue,) = issues(github)
    assert issue["label"] == alert.FAILED
    assert run_url(2) in issue["body"]
    # a closed issue does not hide the next failure
    close_issue(github)
    assert alert.main(["--failed", run_url(3)]) == 0
    assert [issue["state"] for issue in issues(github)] == ["CLOSED", "OPEN"]


def test_dry_run_prints_the_issue(
    github: Path, history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main(["--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "50.0.1 changed the cost on macos-15-arm64 (system)\n\n" in output
    assert "#14304" in output
    assert issues(github) == []


def test_failing_gh_is_an_error(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_program(github.parent / "bin/gh", "echo '[]'; echo no rights >&2; exit 4")
    assert alert.main(["--failed", "https://example.org/runs/1"]) == 1
    assert "gh issue list failed: no rights" in capsys.readouterr().err


@pytest.mark.usefixtures("github")
def test_missing_gh_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert alert.main(["--failed", "https://example.org/runs/1"]) == 1
    assert "Cannot run gh: " in capsys.readouterr().err


def test_failed_and_upstream_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        alert.main(["--failed", "https://example.org/runs/1", "--upstream", "upstream.json"])
    assert "not allowed with" in capsys.readouterr().err


def test_titles_and_bodies_are_cut_to_the_limits_of_github(github: Path) -> None:
    for title in ("x" * 256, "x" * 257):
        alert.open_or_update_issue(alert.Issue("label", title, "x" * 65_537))
    first, second = issues(github)[0], issues(github)[-1]
    assert first["title"] == second["title"][:-1] + "…"
    assert second["body"] == "x" * 65_535 + "…"


def test_mentions_and_control_characters_are_removed(github: Path) -> None:
    alert.open_or_update_issue(alert.Issue("label", "@everyone \x1b[31m\n", "a\r\n@team/x \x00b"))
    (issue,) = issues(github)
    assert issue["title"] == "@\u2060everyone [31m"
    assert issue["body"] == "a\n@\u2060team/x b"


@pytest.mark.parametrize("link", ["http://x.org", "javascript:x", "https://x.org/ y", "x"])
def test_only_https_links_are_accepted(link: str, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--site", "--failed"):
        with pytest.raises(SystemExit, match="2"):
            alert.main([option, link])
        assert f"{link!r} is not an https:// link" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["", "{}", "[[]]", "no JSON"])
def test_unreadable_output_of_gh_is_an_error(
    answer: str, github: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_program(github.parent / "bin/gh", f"echo '{answer}'")
    assert alert.main(["--failed", "https://example.org/runs/1"]) == 1
    assert "gh issue list did not print a list of issues" in capsys.readouterr().err
