"""Rename asv's own page and link the pages of this site from it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from asv.graph import Graph
from asv.util import UserError, geom_mean_na
from markupsafe import Markup

from scripts.base.files import write_atomically
from scripts.history.benchmarks import LIBRARY, TRACKED
from scripts.releases.pins import Release
from scripts.report.build import Series
from scripts.site.pages import FRONT, RELEASES

GRID = "grid.html"
NAVIGATION = '<li id="nav-li-"'  # the first item of the navigation of asv's page
FEED, REGRESSIONS = "regressions.xml", "regressions.json"
ERROR = "error.html"  # asv's page if its scripts cannot be loaded
LINKS = f'<li><a href="{FRONT}">The answer</a></li><li><a href="{RELEASES}">Releases</a></li>'
HINT = f'<p><a href="{FRONT}">The answer</a> needs no connection and no JavaScript.</p></body>'


def move_grid(site: Path) -> None:
    """Rename asv's page, add links to the pages of this site, and update the links of its feed.

    The scripts of asv's page only read the fragment of the address and load files relative to it,
    so the page works under any name.

    Raises:
        UserError: asv's page does not have the expected markup.
    """
    index = site / FRONT
    page = index.read_text(encoding="utf-8")
    if page.count(NAVIGATION) != 1:
        raise UserError(f"{index} has no '{NAVIGATION}'. Adapt {__name__} to this version of asv.")
    write_atomically(site / GRID, page.replace(NAVIGATION, LINKS + NAVIGATION))
    index.unlink()
    feed, error = site / FEED, site / ERROR
    if feed.exists():
        entries = feed.read_text(encoding="utf-8")
        write_atomically(feed, entries.replace(f"{FRONT}#", f"{GRID}#"))
    write_atomically(error, error.read_text(encoding="utf-8").replace("</body>", HINT))


def add_to_feed(site: Path, project: str, release: Release, line: str) -> None:
    """Add an entry to asv's feed of regressions, which is empty if there are none.

    Args:
        site: the published site.
        project: its name.
        release: the newest release, which gives the entry its id, so that a reader sees it once.
        line: what the last releases changed.
    """
    feed = site / FEED
    if not feed.exists():
        return
    entry = Markup(
        "<entry><id>tag:{project}.asv,{day}:/{release}</id><title>{release}: {line}</title>"
        "<updated>{time}</updated><link href='{page}'/><content>{line}</content></entry>"
    ).format(
        project=project, day=release.time[:10], time=release.time, release=release.version,
        line=line, page=RELEASES,
    )  # fmt: skip
    entries = feed.read_text(encoding="utf-8")
    write_atomically(feed, entries.replace("</feed>", f"{entry}</feed>"))


def hide_benchmarks(benchmarks: Any) -> None:
    """Leave benchmarks without a meaning in a graph out of asv's page.

    asv writes the page's list of benchmarks after all publishers, from the same dictionary.
    """
    for name, short in TRACKED.items():
        if short == LIBRARY:
            benchmarks.pop(name, None)


def count_regressions(site: Path) -> int:
    """Return how many regressions asv's own publisher found, which runs before this one."""
    found = json.loads((site / REGRESSIONS).read_text(encoding="utf-8"))
    return len(found["regressions"])


def write_thumbnails(site: Path, graphs: Any, benchmarks: Any, series: Series) -> None:
    """Draw the thumbnails of asv's grid from one series.

    asv averages all machines and unwinders. Since these start at different releases, its thumbnails
    show steps that no series has. These show the geometric mean of the combinations of parameters
    whose value is above 0 in every release; with unwind info off, most counts are 0. Where no
    combination is, they show the sum, since functions of the unwinder are different ones over time.
    """
    for benchmark in benchmarks:
        for graph in graphs.get_graph_group(benchmark):
            key = graph.params["machine"], graph.params.get("env-UNWINDER")
            if key == (series.key.machine, series.key.unwinder.option):
                draw_thumbnail(graph).save(site)


def draw_thumbnail(graph: Graph) -> Graph:
    """Return a graph of the mean of the values above 0 in every release, or else of the sum."""
    costs = {
        revision: np.atleast_1d(values).astype(float)  # n/a is None, and becomes nan
        for revision, values, _ in graph.get_data()
    }
    measured = {revision: row for revision, row in costs.items() if not np.isnan(row).all()}
    complete = np.all([row > 0 for row in measured.values()], axis=0)
    thumbnail = Graph(graph.benchmark_name, {"summary": ""})
    for revision, row in measured.items():
        mean = geom_mean_na(row[complete]) if complete.any() else np.nansum(row)
        thumbnail.add_data_point(revision, mean)
    return thumbnail
