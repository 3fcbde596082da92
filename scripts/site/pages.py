"""`gap.html`, the report as a page, and `releases.html`, where asv's commit links lead.

They load nothing but their own files, under any path: Vega is written beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.gap import platforms, tables, words
from scripts.history.benchmarks import HEADLINE, RATIO, REMOVAL, SIZES
from scripts.history.read import History, Point
from scripts.releases.pins import Release
from scripts.site.charts import charts


def write_gap(site: Path, project: str, history: History) -> None:
    """Write `gap.html`, what it loads, and what it lets people take away."""
    report = words.report(history)
    sizes = tuple(dict.fromkeys(point.size for point in report.points))
    whole = replace(report, sizes=sizes)
    measured = datetime.fromtimestamp(max(file.started for file in history.files), UTC)
    heads, rows = platforms.matrix(report, history)
    page = render(
        "page.html.jinja",
        project=project,
        report=report,
        heads=heads,
        rows=rows,
        reported=platforms.reported(),
        sections=dict(tables.sections(report)),
        eras=[(link(series), series, *table) for series, *table in tables.tables(whole)],
        releases=list(tables.tables(whole, releases=True)),
        charts=charts(report),
        sizes=[size for size in SIZES if size in sizes],
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
    """Write `releases.html`: one row a release, named by the commit id that asv's links end on."""
    points: dict[str, list[Point]] = {}
    for point in history.points:
        if point.size == HEADLINE:
            points.setdefault(point.release, []).append(point)
    page = render(
        "releases.html.jinja",
        project=project,
        gap=bool(history.points),
        releases=[(release, points.get(release.version, [])) for release in reversed(releases)],
    )
    (site / "releases.html").write_text(page, encoding="utf-8", newline="\n")


def render(name: str, **values: Any) -> str:
    """Fill a template beside this file; values are escaped, and have to be complete."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(name).render(words=words, **values)


def link(series: str) -> dict[str, str]:
    """The graphs that asv draws of a machine and unwinder."""
    machine, unwinder = series.split(" (")[0].split(", ")
    where = f"?machine={quote(machine)}&env-UNWINDER={unwinder}"
    names = {"instructions": REMOVAL, "gap": RATIO}
    return {what: f"index.html#{name}{where}" for what, name in names.items()}
