"""Issues about a changed gap, against a fake `gh`."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.markdown import Markdown

from scripts import alert

from .conftest import COMMITS
from .github import close_issue, comments, fake_gh, issues, write_program
from .results import repository, write_results
from .test_gap_report import FLAT, HALF, LIBGCC, NEW
from .test_upstream import REMOVE, compare

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


def open_issue() -> int:
    """Run `--upstream` on counts that changed; return the exit code."""
    Path("upstream.json").write_text(json.dumps(compare(counts={REMOVE: 1})))
    return alert.main(["--upstream", "upstream.json"])


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
    assert open_issue() == 1
    assert "gh issue list failed: no rights" in capsys.readouterr().err


@pytest.mark.usefixtures("github")
def test_missing_gh_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert open_issue() == 1
    assert "Cannot run gh: " in capsys.readouterr().err


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


MARKUP = (
    "![pixel](https://x.example/p.png) [a](javascript:b) <img src=x> <https://x.example> `code` "
    "**bold** __bold__ ~~gone~~ $x$ &commat; www.x.example https://x.example/y a\\*b* _c_ "
)
MENTIONS = "@everyone a/b@1234567 owner/name#1"


@pytest.mark.parametrize(
    "start", ["{}", "# {}", "- {}", "- # {}", "- - {}", "| {} |\n|--:|\n| {} |"]
)
def test_markup_from_files_is_shown_as_text(github: Path, start: str) -> None:
    body = alert.escape_inline_markup(start.format(MARKUP, MARKUP))
    parsed = list(flatten(Markdown(body).parsed))
    inline = {token.type for token in parsed if token.nesting == 0} - {"inline"}
    assert inline == {"text"}  # no image, link, HTML, code or emphasis
    text = " ".join(token.content for token in parsed if token.type == "text")
    assert MARKUP.strip() in text  # all of it is legible
    # GitHub knows more markup than CommonMark
    alert.open_or_update_issue(alert.Issue("label", "title", f"{body} {MENTIONS}"))
    (issue,) = issues(github)
    assert not re.search(r"\w://|www\.|(?<!\\)[$&]|@\w|\w#\w", issue["body"])


def flatten(tokens: Iterable[Any]) -> Iterator[Any]:
    """Yield the tokens of parsed Markdown, those of its lines too."""
    for token in tokens:
        yield token
        yield from flatten(token.children or ())


def test_package_name_of_a_host_is_shown_as_text(github: Path, history: Path) -> None:
    """Another library counted the newest release, so the issue names both packages."""
    for build, release in enumerate(("49.0.0", "50.0.1"), 0xA00000000000):
        counts = {release: dict.fromkeys(LIBGCC, 1000.0 + build % 2 * 100)}
        write_results(history, {release: HALF}, "ubuntu-24.04", counts=counts, build=build)
    library = {"file": "x", "package": "![x](https://x.example/p)", "build_id": "a00000000001"}
    host = {"since": "2026-10-01T00:00:00+00:00", "facts": {"unwinders": {"libunwind": library}}}
    (history / "ubuntu-24.04/hosts.jsonl").write_text(json.dumps(host))
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert r"!\[x\](https\://x.example/p) (a0000000)" in issue["body"]
    assert "![" not in issue["body"]


def test_links_are_markdown_and_do_not_update_an_issue(github: Path, history: Path) -> None:
    """A custom domain without HTTPS has an http:// link; a failed deployment has none."""
    write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    for site in ("http://bench.example.org/", "", "https://example.org:8443/site/"):
        assert alert.main(["--site", site]) == 0
    (issue,) = issues(github)
    assert issue["body"].startswith("[The site](http://bench.example.org/) · [releases](http://")
    assert comments(github) == []


@pytest.mark.parametrize("link", ["javascript:x", "https://x.org/ y", "x", "https://x.org/)![](y"])
def test_other_links_are_left_out_with_a_warning(
    link: str, github: Path, history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(history, {"49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main(["--site", link]) == 0
    assert f"::warning::The issue has no link to the site: {link!r}" in capsys.readouterr().out
    (issue,) = issues(github)
    assert "The site" not in issue["body"]


@pytest.mark.parametrize("answer", ["", "{}", "[[]]", "no JSON"])
def test_unreadable_output_of_gh_is_an_error(
    answer: str, github: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_program(github.parent / "bin/gh", f"echo '{answer}'")
    assert open_issue() == 1
    assert "gh issue list did not print a list of issues" in capsys.readouterr().err
