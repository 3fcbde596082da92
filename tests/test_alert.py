"""Issues about a gap that moved, or a run that failed, through a `gh` that keeps them in a file."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import alert

from .conftest import COMMITS
from .results import repository, write_results
from .test_gap_report import FLAT, HALF, LIBGCC, NEW

GH = """#!{python}
import argparse, json, sys
from pathlib import Path
state = Path({state!r})
issues, calls = json.loads(state.read_text())
OPTIONS = {{
    "issue list": ["--label", "--state", "--limit", "--json"],
    "issue create": ["--label", "--title", "--body"],
    "issue edit": ["number", "--title", "--body"],
    "issue comment": ["number", "--body"],
    "label create": ["name", "--force"],
}}
command = " ".join(sys.argv[1:3])
parser = argparse.ArgumentParser(allow_abbrev=False)
for option in OPTIONS[command]:
    flag = {{"action": "store_true"}} if option == "--force" else {{}}
    parser.add_argument(option, **flag)
parser.set_defaults(state="open", limit=30)  # gh's own
asked = parser.parse_args(sys.argv[3:])
calls.append(sys.argv[1:])
labels = [call[2] for call in calls[:-1] if call[:2] == ["label", "create"]]
if command == "issue list":
    found = [issue for issue in issues[::-1] if issue["label"] == asked.label
             and asked.state in ("all", issue["state"].lower())]
    print(json.dumps([{{name: issue[name] for name in asked.json.split(",")}}
                      for issue in found[: int(asked.limit)]]))
elif command == "label create" and asked.name in labels and not asked.force:
    sys.exit("the label exists")
elif command == "issue create":
    if asked.label not in labels:
        sys.exit("could not add label: not found")
    issues.append({{"number": len(issues) + 1, "state": "OPEN", "label": asked.label,
                   "title": asked.title, "body": asked.body}})
elif command == "issue edit":
    issues[int(asked.number) - 1].update(title=asked.title, body=asked.body)
state.write_text(json.dumps([issues, calls]))
"""


def fake_gh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `gh` on the path, and give the file that holds its issues and the calls made."""
    state = folder / "issues.json"
    state.write_text("[[], []]")
    program = folder / "bin/gh"
    program.parent.mkdir()
    program.write_text(GH.format(python=sys.executable, state=str(state)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return state


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The issues of a repository, which is the working folder."""
    state = fake_gh(tmp_path, monkeypatch)
    repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    return state


def issues(github: Path) -> Any:
    return json.loads(github.read_text())[0]


def comments(github: Path) -> list[list[str]]:
    return [call[2:] for call in json.loads(github.read_text())[1] if call[1] == "comment"]


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the gh of the test is a script")


def test_a_moved_gap_is_one_issue_that_is_kept_up_to_date(github: Path) -> None:
    write_results(
        Path("results"), {"48.0.0": HALF, "49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64"
    )
    write_results(Path("results"), {"49.0.0": NEW, "50.0.1": NEW}, "ubuntu", unwinder="system")
    assert alert.main(["--site", "https://example.org/site/"]) == 0
    (issue,) = issues(github)
    assert issue["title"] == "50.0.1 changed the cost on macos-15-arm64 (libunwind)"
    assert "[The gap](https://example.org/site/gap.html)" in issue["body"]
    assert "→ 1.6× at 8 functions" in issue["body"]
    assert "#14304" in issue["body"]
    assert "ubuntu" not in issue["body"]
    # nothing new: the issue is left alone
    before = github.read_text()
    assert alert.main(["--site", "https://example.org/site/"]) == 0
    assert issues(github) == json.loads(before)[0]
    assert comments(github) == []
    # another machine has the same: the open issue tells of both
    write_results(Path("results"), {"49.0.0": HALF, "50.0.1": NEW}, "ubuntu-24.04")
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert "ubuntu-24.04 (libunwind)" in issue["title"]
    assert comments(github) == [["1", "--body", f"Brought up to date: {issue['title']}"]]


def test_an_issue_that_was_closed_has_been_read(github: Path) -> None:
    write_results(Path("results"), {"49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main([]) == 0
    (issue,), calls = json.loads(github.read_text())
    github.write_text(json.dumps([[issue | {"state": "CLOSED"}], calls]))
    assert alert.main([]) == 0
    assert len(issues(github)) == 1
    # what another machine has since is news
    write_results(Path("results"), {"49.0.0": HALF, "50.0.1": NEW}, "ubuntu-24.04")
    assert alert.main([]) == 0
    assert [one["state"] for one in issues(github)] == ["CLOSED", "OPEN"]


def test_a_machine_that_is_no_longer_measured_has_no_news(github: Path) -> None:
    write_results(Path("results"), {"48.0.0": HALF, "49.0.0": NEW}, "macos-14-arm64")
    write_results(Path("results"), {"49.0.0": NEW, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main([]) == 0
    assert issues(github) == []


def test_a_gap_that_did_not_move_is_no_issue(
    github: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(Path("results"), {"49.0.0": NEW, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main([]) == 0
    assert "did not change" in capsys.readouterr().out
    assert issues(github) == []


def test_a_newest_release_that_is_not_known_is_an_issue(github: Path) -> None:
    for machine in ("macos-15-arm64", "ubuntu-24.04"):
        write_results(Path("results"), {"49.0.0": HALF, "50.0.1": NEW}, machine)
    (path,) = Path("results/ubuntu-24.04").glob(f"{COMMITS['50.0.1'][:8]}-*.json")
    path.write_text("{")
    write_results(Path("results"), {"50.0.1": NEW}, "new")  # has nothing to compare yet
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert issue["title"] == (
        "50.0.1 changed the cost on macos-15-arm64 (libunwind); is not known on ubuntu-24.04 "
        "(libunwind)"
    )
    assert (
        "50.0.1 changed the cost is not known, compared with 49.0.0: it is not measured, or"
        in issue["body"]
    )


def test_a_count_of_libgcc_that_moved_is_an_issue(github: Path) -> None:
    counts = {"49.0.0": LIBGCC, "50.0.1": LIBGCC | {"1000x8": 53}}
    write_results(Path("results"), dict.fromkeys(counts, FLAT), unwinder="system", counts=counts)
    assert alert.main([]) == 0
    (issue,) = issues(github)
    assert "instructions a module 51 → 53 at 8 functions" in issue["body"]


def test_a_failed_run_has_an_issue_of_its_own(github: Path) -> None:
    run = "https://example.org/runs/{}".format
    assert alert.main(["--failed", run(1)]) == 0
    assert alert.main(["--failed", run(2)]) == 0
    (issue,) = issues(github)
    assert issue["label"] == alert.FAILED
    assert run(2) in issue["body"]
    # one that was closed is no reason to keep quiet of the next failure
    (_, calls) = json.loads(github.read_text())
    github.write_text(json.dumps([[issue | {"state": "CLOSED"}], calls]))
    assert alert.main(["--failed", run(3)]) == 0
    assert [one["state"] for one in issues(github)] == ["CLOSED", "OPEN"]


def test_a_dry_run_prints_the_issue(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(Path("results"), {"49.0.0": HALF, "50.0.1": NEW}, "macos-15-arm64")
    assert alert.main(["--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "50.0.1 changed the cost on macos-15-arm64 (libunwind)\n\n" in said
    assert "#14304" in said
    assert issues(github) == []


def test_what_gh_refuses_is_an_error(github: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = github.parent / "bin/gh"
    program.write_text("#!/bin/sh\necho '[]'; echo no rights >&2; exit 4\n")
    assert alert.main(["--failed", "https://example.org/runs/1"]) == 1
    assert "gh issue list failed: no rights" in capsys.readouterr().err


@pytest.mark.usefixtures("github")
def test_without_gh_it_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert alert.main(["--failed", "https://example.org/runs/1"]) == 1
    assert "gh cannot be started" in capsys.readouterr().err
