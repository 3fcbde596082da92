"""Open an issue about a change of the cost of teardown, or about a run that failed.

By default it is about the newest recorded release, with --upstream about Wasmtime's dev release. At
most one issue of each kind is open: `gh` finds it by its label and updates it. Exits with 1 on an
error, and with 2 if the file of --upstream is invalid.
"""

import argparse
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

from asv.config import Config
from asv.util import UserError
from msgspec import Meta, Struct
from packaging.version import Version

from scripts.base.schema import parse_json, read_json
from scripts.gap import tables, words
from scripts.gap.report import Report, Series, build_report
from scripts.history.read import read_history

CHANGED = "gap-moved"
FAILED = "benchmarks-failed"
UPSTREAM_MOVED = "upstream-moved"
TITLE_LENGTH, BODY_LENGTH = 256, 65_536  # characters that GitHub accepts


class Listed(Struct, frozen=True):
    """An issue that `gh` lists."""

    number: int
    title: str
    body: str
    state: str


class Issue(NamedTuple):
    """An issue on GitHub; the label says of which kind it is."""

    label: str
    title: str
    body: str


def gap_issue(site: str) -> Issue | None:
    """Return the issue about the newest release, if it changed the cost or that is unknown."""
    report = build_report(read_history(Config.load("asv.conf.json")))
    for series in report.series:
        print(f"{series.machine}, {series.name}: {words.describe_verdict(series.verdict)}")
    news = find_news(report)
    if not news:
        return None
    link = f"[The site]({site}) · [releases]({site}releases.html)\n\n" if site else ""
    body = link + tables.to_markdown(replace(report, series=news))
    return Issue(CHANGED, news_title(news), body)


def find_news(report: Report) -> list[Series]:
    """Return the series in which the newest release changed the cost, or may have done so.

    A series without an earlier release has nothing to compare with, and is no news.
    """
    newest = max((Version(verdict.release) for verdict in report.verdicts), default=None)
    return [
        series
        for series in report.series
        if Version(series.verdict.release) == newest
        and (series.verdict.changed or (series.verdict.unknown and series.verdict.previous))
    ]


def news_title(news: Sequence[Series]) -> str:
    """Return the title of the issue about the newest release, changes first."""
    where: dict[str, list[str]] = {}
    for series in sorted(news, key=lambda series: not series.verdict.changed):
        what = "changed the cost on" if series.verdict.changed else "may have changed the cost on"
        where.setdefault(what, []).append(f"{series.machine} ({series.unwinder})")
    said = "; ".join(f"{what} {', '.join(names)}" for what, names in where.items())
    return f"{news[0].verdict.release} {said}"


UPSTREAM_PERCENT = 1.0  # counts are exact, so a difference of 1 % is a change
COUNTS = {  # names in the probe's JSON, and in the issue
    "instructions_to_remove": "instructions to deregister",
    "instructions_to_register": "instructions to register",
}


Count = Annotated[float, Meta(ge=0, lt=1e15)]


class Build(Struct, frozen=True):
    """What the probe's JSON says of a module under one build.

    The library that was counted ran in the process that wrote this, so nothing in it is trusted.
    """

    build: str
    module: str
    counted: Annotated[int, Meta(gt=0, lt=10**6)]  # modules loaded
    counts: dict[str, dict[str, Count]]

    def __post_init__(self) -> None:
        """Raise ValueError if a count is missing."""
        if not all(str(self.counted) in self.counts.get(name, ()) for name in COUNTS):
            raise ValueError(f"no count with {self.counted} modules loaded")


Builds = Annotated[list[Build], Meta(min_length=2, max_length=100)]


class InvalidError(UserError):
    """A file is not the probe's JSON."""


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
        """Change in percent; infinite if there was nothing before."""
        if self.before == self.after:
            return 0.0
        return 100 * (self.after - self.before) / self.before if self.before else math.inf

    @property
    def change(self) -> str:
        """The change as text."""
        return "new" if math.isinf(self.percent) else f"{self.percent:+,.1f} %"


def upstream_issue(path: Path) -> Issue | None:
    """Return the issue about Wasmtime's dev release, if a count changed by 1 % or more.

    Raises:
        InvalidError: the file is not the probe's JSON.
    """
    release, differences = read_differences(path)
    moved = [one for one in differences if abs(one.percent) >= UPSTREAM_PERCENT]
    moved.sort(key=lambda one: abs(one.percent), reverse=True)
    if not moved:
        print(f"No count of Wasmtime's dev release differs from {release} by 1 % or more.")
        return None
    first = moved[0]
    return Issue(
        UPSTREAM_MOVED,
        f"Wasmtime's dev release differs from {release}: {first.count} {first.before:,.10g} → "
        f"{first.after:,.10g} ({first.change}), {first.module}",
        upstream_body(release, moved),
    )


def upstream_body(release: str, moved: Sequence[Difference]) -> str:
    """Return the table of an upstream issue; text from the file stands in code spans."""
    rows = [
        f"| `{one.module}` | {one.count} | {one.loaded} | {one.before:,.10g} | {one.after:,.10g} "
        f"| {one.change} |"
        for one in moved
    ]
    return "\n".join(
        [
            "Wasmtime's `dev` release against the newest pinned release, per module, counted with "
            "LLVM libunwind. The artifact `upstream` of the run has all counts.",
            "",
            f"| module | count | modules loaded | {release} | dev | change |",
            "|---|---|--:|--:|--:|--:|",
            *rows,
        ]
    )


def read_differences(path: Path) -> tuple[str, list[Difference]]:
    """Return the pinned release, and every count under both builds.

    Raises:
        InvalidError: the file is not a list of modules, each under a pinned release and a library.
    """
    remedy = "See the log of the job that wrote it."
    try:
        builds = read_json(path, Builds, remedy)
        return builds[0].build, list(compare_builds(builds))
    except UserError as error:
        raise InvalidError(str(error)) from error
    except ValueError as error:
        raise InvalidError(f"{path} is not the probe's JSON: {error}. {remedy}") from error


def compare_builds(builds: Sequence[Build]) -> Iterator[Difference]:
    """Yield the counts of each module under both builds.

    Raises:
        ValueError: the builds do not belong together.
    """
    release = builds[0].build
    if len(builds) % 2 or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){2}", release):
        raise ValueError("it does not have two builds for each module, the first one a release")
    for before, after in zip(builds[::2], builds[1::2], strict=True):
        key = before.build, before.module, before.counted
        if key != (release, after.module, after.counted):
            raise ValueError("the builds of a module do not belong together")
        for name, count in COUNTS.items():
            was, now = (build.counts[name][str(build.counted)] for build in (before, after))
            yield Difference(clean_text(after.module), count, after.counted, was, now)


def clean_text(text: str) -> str:
    """Replace all but letters, digits, spaces and `.,()_-`, and cut long text.

    No markup, mention, link or workflow command is left when it stands in a code span.
    """
    return re.sub(r"[^A-Za-z0-9 .,()_-]", "?", text[:100])


def open_or_update_issue(issue: Issue) -> None:
    """Update the open issue of that label, or open one unless a closed issue has that title.

    A failed run is reported again: its issue has the same title every time.
    """
    label = issue.label
    title, body = clean_markdown(issue.title, TITLE_LENGTH), clean_markdown(issue.body, BODY_LENGTH)
    title = " ".join(title.split())
    query = ("--label", label, "--state", "all", "--limit", "100")
    answer = _gh("issue", "list", *query, "--json", "number,title,body,state")
    try:
        issues = parse_json(answer.encode(), list[Listed])
    except ValueError as error:
        raise UserError(f"gh issue list printed no list of issues: {error}") from error
    if found := next((found for found in issues if found.state == "OPEN"), None):
        if (found.title, found.body.strip()) != (title, body.strip()):
            number = str(found.number)
            _gh("issue", "edit", number, "--title", title, "--body", body)
            _gh("issue", "comment", number, "--body", f"Updated: `{title}`")
    elif label == FAILED or title not in [found.title for found in issues]:
        _gh("label", "create", label, "--force")
        _gh("issue", "create", "--label", label, "--title", title, "--body", body)


def clean_markdown(text: str, length: int) -> str:
    """Return Markdown without control characters and mentions, cut to a length.

    A machine, or what was measured on it, must not call people to an issue.
    """
    lines = ("".join(filter(str.isprintable, line)) for line in text.split("\n"))
    text = re.sub(r"@(?=\w)", "@\u2060", "\n".join(lines))  # an invisible joiner
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _gh(*arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["gh", *arguments],
            capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"gh cannot be started: {error}. Install the GitHub CLI.") from error
    if answer.returncode != 0:
        raise UserError(f"gh {' '.join(arguments[:2])} failed: {answer.stderr.strip()}")
    return answer.stdout


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(prog="python -m scripts.alert", description=__doc__)
    parser.add_argument(
        "--site", default="", type=https, help="address of the published site, with a slash"
    )
    reason = parser.add_mutually_exclusive_group()
    reason.add_argument(
        "--failed", metavar="RUN", type=https, help="the address of a run that failed"
    )
    reason.add_argument(
        "--upstream", type=Path, metavar="FILE", help="the probe's JSON on Wasmtime's dev release"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the issue instead")
    return parser.parse_args(arguments)


def https(link: str) -> str:
    """Return a link, or nothing; raise ValueError for anything else."""
    if link and not re.fullmatch(r"https://[\w./%-]{1,200}", link):
        raise ValueError(link)
    return link


def build_issue(options: argparse.Namespace) -> Issue | None:
    """Return the issue that the options ask for, or None if there is no reason for one.

    Raises:
        UserError: results or the probe's JSON cannot be read.
    """
    if options.failed:
        return Issue(FAILED, "A scheduled run failed", f"See {options.failed}.")
    if options.upstream:
        return upstream_issue(options.upstream)
    return gap_issue(options.site)


def main(arguments: Sequence[str] | None = None) -> int:
    """Open or update an issue if there is reason for one; the docstring has the exit codes."""
    options = parse(arguments)
    try:
        if issue := build_issue(options):
            open_or_update_issue(issue) if not options.dry_run else print(*issue, sep="\n\n")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InvalidError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
