"""Open an issue when the newest release changed the cost or is not known, or when a run failed.

There is one open issue of each kind at most: `gh` finds it by its label and brings it up to date.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from asv.config import Config
from asv.util import UserError
from packaging.version import Version

from scripts.gap import tables
from scripts.gap.words import Report, report, say_newest
from scripts.history.read import read

MOVED = "gap-moved"
FAILED = "benchmarks-failed"


def concerns(found: Report) -> Report:
    """Where the newest release of all changed the cost, or none can tell with what was before."""
    newest = max((Version(verdict.release) for verdict in found.newest), default=None)
    news = {
        (verdict.machine, verdict.unwinder)
        for verdict in found.newest
        if Version(verdict.release) == newest
        and (verdict.moved or (verdict.reason and verdict.previous))
    }
    parts: Any = {
        name: [entry for entry in getattr(found, name) if (entry.machine, entry.unwinder) in news]
        for name in ("newest", "advice", "changes", "eras", "points")
    }
    return replace(found, **parts)


def news_issue(found: Report, site: str) -> tuple[str, str]:
    """Title and body of the issue about the newest release."""
    said: dict[str, list[str]] = {}
    for verdict in sorted(found.newest, key=lambda verdict: not verdict.moved):
        what = "changed the cost on" if verdict.moved else "is not known on"
        said.setdefault(what, []).append(f"{verdict.machine} ({verdict.unwinder})")
    title = "; ".join(f"{what} {', '.join(where)}" for what, where in said.items())
    link = f"[The gap]({site}gap.html) · [releases]({site}releases.html)\n\n" if site else ""
    return f"{found.newest[0].release} {title}", link + tables.markdown(found)


def raise_issue(label: str, title: str, body: str) -> None:
    """Bring the open issue of that label up to date, or open one nobody has closed yet."""
    query = ("--label", label, "--state", "all", "--limit", "100")
    issues = json.loads(_gh("issue", "list", *query, "--json", "number,title,body,state"))
    if issue := next((issue for issue in issues if issue["state"] == "OPEN"), None):
        if (issue["title"], issue["body"].strip()) != (title, body.strip()):
            number = str(issue["number"])
            _gh("issue", "edit", number, "--title", title, "--body", body)
            _gh("issue", "comment", number, "--body", f"Brought up to date: {title}")
    elif label == FAILED or title not in [issue["title"] for issue in issues]:
        _gh("label", "create", label, "--force")
        _gh("issue", "create", "--label", label, "--title", title, "--body", body)


def _gh(*arguments: str) -> str:
    try:
        answer = subprocess.run(["gh", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"gh cannot be started: {error}") from error
    if answer.returncode != 0:
        raise UserError(f"gh {' '.join(arguments[:2])} failed: {answer.stderr.strip()}")
    return answer.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Raise the issues that there is reason for; 1 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.alert", description=__doc__)
    parser.add_argument("--site", default="", help="address of the published site, with a slash")
    parser.add_argument("--failed", metavar="RUN", help="the address of a run that failed")
    parser.add_argument("--dry-run", action="store_true", help="print the issue instead")
    options = parser.parse_args(arguments)
    issue = (FAILED, "A scheduled run failed", f"See {options.failed}.")
    try:
        if not options.failed:
            everything = report(read(Config.load("asv.conf.json")))
            print(*map(say_newest, everything.newest), sep="\n")
            if not (found := concerns(everything)).newest:
                return 0
            issue = (MOVED, *news_issue(found, options.site))
        raise_issue(*issue) if not options.dry_run else print(*issue, sep="\n\n")
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
