"""Open an issue about a changed cost of teardown.

By default the issue is about the newest recorded release; with --upstream, about Wasmtime's dev
release. At most one issue of each kind is open: `gh` finds it by its label and updates it. Exits
with 1 on an error, and with 2 if the file of --upstream is invalid.
"""

import argparse
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from asv.config import Config
from asv.util import UserError
from msgspec import Struct
from packaging.version import Version

from scripts.base.schema import parse_json
from scripts.history.dev_build import REGISTER, REMOVE, ProbeOutputError, read_builds
from scripts.history.read import read_history
from scripts.report import tables, words
from scripts.report.build import Report, Series, build_report
from scripts.report.changes import COUNT_THRESHOLD

# labels
CHANGED = "gap-moved"
UPSTREAM_MOVED = "upstream-moved"
TITLE_LENGTH, BODY_LENGTH = 256, 65_536  # GitHub's limits, in characters
LINKS = "[The site]"  # the start of a line of links
WORD_JOINER = "\u2060"  # is invisible
# The start of a heading, list item or table row, and the characters that are markup in the rest of
# a line of GitHub's Markdown. An underscore within a word is text. Colon and dot are part of URLs.
BLOCK_MARKUP = r"\A(#+ |- |\|(?: ?-+:? ?\|)+$|\| |)"
INLINE_MARKUP = (
    r"[\\`*~<>\[\]&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?i:(?<=www))\.|\A[#+=-]"
)


class ListedIssue(Struct, frozen=True):
    """An issue in the output of `gh issue list`."""

    number: int
    title: str
    body: str
    state: str


class Issue(NamedTuple):
    """An issue to open or update.

    Attributes:
        label: its kind.
        title: its title, as text.
        body: its body, as Markdown.
        links: a line of Markdown before the body; an open issue is not updated because of it.
    """

    label: str
    title: str
    body: str
    links: str = ""


def build_gap_issue(site: str) -> Issue | None:
    """Return the issue about the newest release, or None if that did not change the cost."""
    report = build_report(read_history(Config.load("asv.conf.json")))
    for series in report.series:
        verdict = words.describe_verdict(series.verdict, report.newest)
        print(f"{series.key.machine}, {series.name}: {verdict}")
    changed = find_changed_series(report)
    if not changed:
        return None
    links = f"{LINKS}({site}) · [releases]({site}releases.html)" if site else ""
    body = escape_inline_markup(tables.to_markdown(replace(report, series=changed)))
    return Issue(CHANGED, build_gap_title(changed), body, links)


def find_changed_series(report: Report) -> list[Series]:
    """Return the series in which the newest release changed the cost, or may have changed it.

    A series without an earlier release is left out, because it has nothing to compare with.
    """
    newest = max((Version(verdict.release) for verdict in report.verdicts), default=None)
    return [
        series
        for series in report.series
        if Version(series.verdict.release) == newest
        and (series.verdict.changed or (series.verdict.unknown and series.verdict.previous))
    ]


def build_gap_title(changed: Sequence[Series]) -> str:
    """Return the title of the issue about the newest release, known changes first."""
    places: dict[str, list[str]] = {}
    for series in sorted(changed, key=lambda series: not series.verdict.changed):
        verb = "changed" if series.verdict.changed else "may have changed"
        places.setdefault(verb, []).append(f"{series.key.machine} ({series.key.unwinder.option})")
    clauses = (f"{verb} the cost on {', '.join(names)}" for verb, names in places.items())
    return f"{changed[0].verdict.release} {'; '.join(clauses)}"


COUNTS = {  # name in the probe's JSON: name in the issue
    REMOVE: "instructions to deregister",
    REGISTER: "instructions to register",
}


@dataclass(frozen=True)
class Difference:
    """One count per module, under a pinned release and under Wasmtime's dev release."""

    module: str
    count: str
    loaded: int
    before: float
    after: float

    @property
    def percent(self) -> float:
        """Change in percent; infinite if the count was zero before."""
        if self.before == self.after:
            return 0.0
        return 100 * (self.after - self.before) / self.before if self.before else math.inf

    @property
    def change(self) -> str:
        """The change as text."""
        return "new" if math.isinf(self.percent) else f"{self.percent:+,.1f} %"


def build_upstream_issue(path: Path) -> Issue | None:
    """Return the issue about Wasmtime's dev release, or None if no count changed by 1 %.

    Raises:
        ProbeOutputError: the file is not the probe's JSON.
    """
    release, differences = read_differences(path)
    smallest = 100 * COUNT_THRESHOLD
    changed = [difference for difference in differences if abs(difference.percent) >= smallest]
    changed.sort(key=lambda difference: abs(difference.percent), reverse=True)
    if not changed:
        print(f"No count of Wasmtime's dev release differs from {release} by 1 % or more.")
        return None
    largest = changed[0]
    title = (
        f"Wasmtime's dev release differs from {release}: {largest.count} {largest.before:,.10g} → "
        f"{largest.after:,.10g} ({largest.change}), {largest.module}"
    )
    return Issue(UPSTREAM_MOVED, title, build_upstream_body(release, changed))


def build_upstream_body(release: str, differences: Sequence[Difference]) -> str:
    """Return the body of an upstream issue, a table; text from the file is put in code spans."""
    rows = [
        f"| `{difference.module}` | {difference.count} | {difference.loaded} "
        f"| {difference.before:,.10g} | {difference.after:,.10g} | {difference.change} |"
        for difference in differences
    ]
    return "\n".join(
        [
            "Wasmtime's `dev` release against the newest pinned release, per module, counted with "
            "LLVM libunwind. The artifact `upstream` of the workflow run has all counts.",
            "",
            f"| module | count | modules loaded | {release} | dev | change |",
            "|---|---|--:|--:|--:|--:|",
            *rows,
        ]
    )


def read_differences(path: Path) -> tuple[str, list[Difference]]:
    """Return the pinned release, and every count under both builds.

    Raises:
        ProbeOutputError: the file does not list each module under a pinned release and a library.
    """
    pairs = read_builds(path)
    differences = [
        Difference(
            sanitize_text(after.module), title, after.modules, before.count(name), after.count(name)
        )
        for before, after in pairs
        for name, title in COUNTS.items()
    ]
    return pairs[0][0].build, differences


def sanitize_text(text: str) -> str:
    """Replace all characters except letters, digits, spaces and `.,()_-`; cut after 100.

    In a code span, the rest cannot be markup, a mention, a link or a workflow command.
    """
    return re.sub(r"[^A-Za-z0-9 .,()_-]", "?", text[:100])


def open_or_update_issue(issue: Issue) -> None:
    """Update the open issue with this label, or open one unless a closed issue has this title."""
    title = sanitize_title(issue.title)
    text = sanitize_markdown(issue.body)
    body = cut_text(f"{issue.links}\n\n{text}" if issue.links else text, BODY_LENGTH)
    query = ("--label", issue.label, "--state", "all", "--limit", "100")
    answer = _gh("issue", "list", *query, "--json", "number,title,body,state")
    try:
        issues = parse_json(answer.encode(), list[ListedIssue])
    except ValueError as error:
        raise UserError(f"gh issue list did not print a list of issues: {error}") from error
    if existing := next((listed for listed in issues if listed.state == "OPEN"), None):
        if (existing.title, without_links(existing.body)) != (title, without_links(body)):
            number = str(existing.number)
            _gh("issue", "edit", number, "--title", title, "--body", body)
            _gh("issue", "comment", number, "--body", f"Updated: `{title}`")
    elif title not in [listed.title for listed in issues]:
        _gh("label", "create", issue.label, "--force")
        _gh("issue", "create", "--label", issue.label, "--title", title, "--body", body)


def without_links(body: str) -> str:
    """Return the body of an issue without the line of links at its start."""
    first, _, rest = body.partition("\n")
    return (rest if first.startswith(LINKS) else body).strip()


def escape_inline_markup(markdown: str) -> str:
    """Escape all inline markup in Markdown of headings, lists, tables and paragraphs.

    The names of machines and packages in it are not trusted. Links, images, HTML, code, emphasis
    and mathematics are shown as text, and so is what would start another block in a line.
    """
    lines = []
    for line in markdown.split("\n"):
        _, start, text = re.split(BLOCK_MARKUP, line, maxsplit=1)
        lines.append(start + re.sub(INLINE_MARKUP, r"\\\g<0>", text))
    return "\n".join(lines)


def sanitize_title(text: str) -> str:
    """Return text as one line that can be a title, and be quoted in a code span."""
    return cut_text(" ".join(sanitize_markdown(text).replace("`", "'").split()), TITLE_LENGTH)


def sanitize_markdown(text: str) -> str:
    """Return Markdown without control characters, mentions, and references to other repositories.

    The name or the results of a machine must not notify people.
    """
    lines = ("".join(filter(str.isprintable, line)) for line in text.split("\n"))
    return re.sub(r"@(?=\w)|(?<=\w)#(?=\w)", rf"\g<0>{WORD_JOINER}", "\n".join(lines))


def cut_text(text: str, length: int) -> str:
    """Return text, cut to a length."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _gh(*arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["gh", *arguments],
            capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"Cannot run gh: {error}. Install the GitHub CLI.") from error
    if answer.returncode != 0:
        raise UserError(f"gh {' '.join(arguments[:2])} failed: {answer.stderr.strip()}")
    return answer.stdout


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(prog="python -m scripts.alert", description=__doc__)
    parser.add_argument("--site", default="", help="URL of the published site, ending in a slash")
    parser.add_argument(
        "--upstream", type=Path, metavar="FILE", help="the probe's JSON for Wasmtime's dev release"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the issue; do not open it")
    return parser.parse_args(arguments)


def check_site(link: str) -> str:
    """Return a link that is safe in Markdown, or an empty string, with a warning.

    A site without HTTPS has an http:// link. No link stops an alert.
    """
    if link and not re.fullmatch(r"https?://[\w./:%-]{1,200}", link, re.ASCII):
        print(f"::warning::The issue has no link to the site: {link!r} is not a URL.")
        return ""
    return link


def build_issue(options: argparse.Namespace) -> Issue | None:
    """Return the issue that the options ask for, or None if there is nothing to report.

    Raises:
        UserError: results or the probe's JSON cannot be read.
    """
    if options.upstream:
        return build_upstream_issue(options.upstream)
    return build_gap_issue(check_site(options.site))


def main(arguments: Sequence[str] | None = None) -> int:
    """Open or update an issue if there is something to report, and return the exit code."""
    options = parse_arguments(arguments)
    try:
        issue = build_issue(options)
        if issue and options.dry_run:
            print(*filter(None, (issue.label, issue.title, issue.links, issue.body)), sep="\n\n")
        elif issue:
            open_or_update_issue(issue)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, ProbeOutputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
