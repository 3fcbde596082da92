"""`gap.html`, the report as a page, and `releases.html`, where asv's commit links lead.

They load nothing but their own files, under any path: Vega is written beside them. asv's own pages
keep their links to public hosts, each with a hash that the browser checks: the libraries are not on
the package index, and copies would be ours to keep up to date.
"""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.base import numbers
from scripts.gap import tables, words
from scripts.gap.words import Report
from scripts.history.benchmarks import HEADLINE, PAIRED, RATIO, SIZES, TIME
from scripts.history.read import Gap, History
from scripts.releases.pins import Release
from scripts.site.charts import charts


def write_gap(site: Path, project: str, history: History) -> None:
    """Write `gap.html`, what it loads, and what it lets people take away."""
    report = words.report(history)
    measured = datetime.fromtimestamp(max(file.started for file in history.files), UTC)
    page = render(
        "page.html.jinja",
        project=project,
        report=report,
        sizes=[size for size in SIZES if any(gap.size == size for gap in report.gaps)],
        tables=tables_by_size(report),
        charts=charts(report),
        rule=tables.RULE,
        results=len(history.files),
        machines=", ".join(dict.fromkeys(file.machine for file in history.files)),
        measured=f"{measured:%Y-%m-%d}",
        published=f"{datetime.now(UTC):%Y-%m-%d}",
    )
    for name, content in {
        "gap.html": page,
        "gap.json": tables.to_json(report),
        "gap.csv": tables.to_csv(report),
        "vega.js": vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
    }.items():
        (site / name).write_text(content, encoding="utf-8", newline="\n")


def write_releases(site: Path, project: str, releases: Sequence[Release], history: History) -> None:
    """Write `releases.html`: one row a release, newest first.

    The commits exist nowhere but here, so `show_commit_url` is this page; asv appends the 40-digit
    id, which names the release's row.
    """
    gaps: dict[str, list[Gap]] = {}
    for gap in history.gaps:
        if gap.size == HEADLINE:
            gaps.setdefault(gap.release, []).append(gap)
    page = render(
        "releases.html.jinja",
        project=project,
        gap=bool(history.gaps),
        releases=[(release, gaps.get(release.version, [])) for release in reversed(releases)],
    )
    (site / "releases.html").write_text(page, encoding="utf-8", newline="\n")


def render(name: str, **values: Any) -> str:
    """Fill a template beside this file; values are escaped, and have to be complete."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(name).render(numbers=numbers, words=words, **values)


def tables_by_size(report: Report) -> list[tuple[str, str, str, list[str], list[list[str]]]]:
    """Size, title, link to asv's graph, head and rows for each series, the newest release first."""
    made = []
    for size in SIZES:
        gaps = [gap for gap in report.gaps if gap.size == size]
        links = [link(*series) for series, _ in itertools.groupby(gaps, key=lambda gap: gap.series)]
        made += [
            (size, title, url, head, rows[::-1])
            for url, (title, head, rows) in zip(
                links, tables.tables(gaps, report.measured), strict=True
            )
        ]
    return made


def link(machine: str, unwinder: str, size: str) -> str:
    """The graph that asv draws of the series."""
    name = RATIO if size in PAIRED else TIME
    return f"index.html#{name}?machine={quote(machine)}&env-UNWINDER={unwinder}"
