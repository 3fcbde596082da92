"""A fake `gh` that stores issues in a file and enforces GitHub's limits."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

GH = """\
import argparse, json, sys
from pathlib import Path
state = Path(sys.argv.pop(1))
issues, calls = json.loads(state.read_text())
OPTIONS = {
    "issue list": ["--label", "--state", "--limit", "--json", "--jq"],
    "issue view": ["number", "--json"],
    "issue create": ["--label", "--title", "--body"],
    "issue edit": ["number", "--title", "--body"],
    "issue comment": ["number", "--body"],
    "label create": ["name", "--force"],
}
command = " ".join(sys.argv[1:3])
parser = argparse.ArgumentParser(allow_abbrev=False)
for option in OPTIONS[command]:
    flag = {"action": "store_true"} if option == "--force" else {}
    parser.add_argument(option, **flag)
parser.set_defaults(state="open", limit=30)  # the defaults of gh
asked = parser.parse_args(sys.argv[3:])
for option, limit in (("title", 256), ("body", 65536)):
    if len(getattr(asked, option, None) or "") > limit:
        sys.exit(f"the {option} is too long")
calls.append(sys.argv[1:])
labels = [call[2] for call in calls[:-1] if call[:2] == ["label", "create"]]
if command == "issue list":
    found = [issue for issue in issues[::-1] if issue["label"] == asked.label
             and asked.state in ("all", issue["state"].lower())]
    found = [{name: issue[name] for name in asked.json.split(",")}
             for issue in found[: int(asked.limit)]]
    if asked.jq:  # a filter such as .[].number
        print(*(issue[asked.jq.removeprefix(".[].")] for issue in found), sep="\\n")
    else:
        print(json.dumps(found))
elif command == "issue view":
    issue = issues[int(asked.number) - 1]
    print(json.dumps({name: issue[name] for name in asked.json.split(",")}))
elif command == "issue comment":
    issues[int(asked.number) - 1]["comments"].append({"body": asked.body})
elif command == "label create" and asked.name in labels and not asked.force:
    sys.exit("the label exists")
elif command == "issue create":
    if asked.label not in labels:
        sys.exit("could not add label: not found")
    issues.append({"number": len(issues) + 1, "state": "OPEN", "label": asked.label,
                   "title": asked.title, "body": asked.body, "comments": []})
elif command == "issue edit":
    issues[int(asked.number) - 1].update(title=asked.title, body=asked.body)
state.write_text(json.dumps([issues, calls]))
"""


def write_program(path: Path, command: str) -> None:
    """Write a shell script that runs a command, whose path may have spaces, unlike after `#!`."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o755)


def fake_gh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a fake `gh` on PATH; return the file with its issues and the calls."""
    state, script, program = folder / "issues.json", folder / "gh.py", folder / "bin/gh"
    state.write_text("[[], []]")
    script.write_text(GH)
    write_program(program, f'exec {shlex.join([sys.executable, str(script), str(state)])} "$@"')
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return state


def issues(state: Path) -> Any:
    """Return the issues of the fake `gh`."""
    return json.loads(state.read_text())[0]


def comments(state: Path) -> list[list[str]]:
    """Return the arguments of each `gh issue comment` call."""
    return [call[2:] for call in json.loads(state.read_text())[1] if call[1] == "comment"]


def close_issue(state: Path) -> None:
    """Close the newest issue."""
    issues, calls = json.loads(state.read_text())
    issues[-1]["state"] = "CLOSED"
    state.write_text(json.dumps([issues, calls]))
