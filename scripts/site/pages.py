"""`gap.html`, the report as a page, and `releases.html`, where asv's commit links lead.

They load nothing but their own files, under any path: Vega is written beside them.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.base.files import write
from scripts.gap import platforms, tables, words
from scripts.history.benchmarks import HEADLINE, RATIO, REMOVAL, SIZES
from scripts.history.read import History
from scripts.releases.pins import Release
from scripts.site.charts import charts


def write_gap(site: Path, project: str, history: History) -> None:
    """Write `gap.html`, what it loads, and what it lets people take away."""
    report = words.report(history)
    whole = replace(report, sizes=tuple(dict.fromkeys(point.size for point in report.points)))
    heads, rows = platforms.matrix(report, history)
    fill(
        site / "gap.html",
        project=project,
        report=report,
        heads=heads,
        rows=rows,
        reported=platforms.reported(),
        sections=tables.sections(report),
        eras=tables.tables(whole),
        graphs={"instructions": REMOVAL, "gap": RATIO},
        releases=tables.tables(whole, releases=True),
        charts=charts(report),
        sizes=[size for size in SIZES if size in whole.sizes],
        files=history.files,
        measured=datetime.fromtimestamp(max(file.started for file in history.files), UTC).date(),
        published=datetime.now(UTC).date(),
    )
    write(site / "gap.json", tables.to_json(report))
    write(site / "gap.csv", tables.to_csv(report))
    write(site / "vega.js", vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def write_releases(site: Path, project: str, releases: list[Release], history: History) -> None:
    """Write `releases.html`: one row a release, named by the commit id that asv's links end on."""
    fill(
        site / "releases.html",
        project=project,
        gap=bool(history.points),
        releases=releases[::-1],
        points=[point for point in history.points if point.size == HEADLINE],
    )


def fill(path: Path, **values: Any) -> None:
    """Write a page from its template beside this file; values are escaped, and all are needed."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    write(path, environment.get_template(f"{path.name}.jinja").render(words=words, **values))
