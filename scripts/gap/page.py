"""asv plugin: `gap.html`, the report as a page of the published site, and its neighbours.

It needs nothing but its own files, under any path of a static host: Vega is written beside it. The
stock pages of asv keep their links to public hosts, each with a hash that the browser checks: the
libraries are not on the package index, and a copy of them here would be ours to keep up to date.
"""

import functools
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asv.commands.publish import Publish
from asv.console import log
from asv.publishing import OutputPublisher
from asv.util import UserError

from scripts import releases_page
from scripts.gap import text
from scripts.gap.history import PAIRED, RATIO, SIZES, TIME, History, read
from scripts.gap.report import (
    Report,
    number,
    report,
    say_advice,
    say_control,
    say_newest,
    times,
    verdict,
)
from scripts.gap.templates import template
from scripts.release_history import ReleaseHistory

NAVIGATION = '<li id="nav-li-regressions"><a href="#/regressions">Regressions</a></li>'
LINKS = (
    '<li><a href="gap.html">Gap</a></li>',
    '<li><a href="releases.html">Releases</a></li>',
)


def setup() -> None:
    """Let `asv publish` fail when it has to leave results out; asv calls this for a plugin."""
    Publish.run = tell_left_out(Publish.run)


def tell_left_out(run: Callable[..., Any]) -> Callable[..., Any]:
    """Fail, after everything sound is published, when there is nothing or something is unknown.

    asv prints a warning and draws nothing for a result of a commit it does not know.
    """

    @functools.wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = run(*args, **kwargs)
        history = read(args[0] if args else kwargs["conf"])
        if not history.measured:
            reasons = ["There is nothing to publish: run `uv run asv run`.", *history.left_out]
            raise UserError("\n".join(reasons))
        if history.unpinned:
            raise UserError("\n".join(["Published without these:", *history.unpinned]))
        return result

    return wrapped


class GapPage(OutputPublisher):
    """Writes the pages at every `asv publish`."""

    name = "gap"
    button_label = "Gap"
    description = "What unwind info costs at teardown"

    @classmethod
    def publish(
        cls, conf: Any, repo: ReleaseHistory, benchmarks: Any, graphs: Any, revisions: Any
    ) -> None:
        """Write the pages, and link them from asv's own.

        Raises:
            UserError: asv's page is not the one this was written for.
        """
        history, site = read(conf), Path(conf.html_dir)
        releases_page.write(site, conf.project, repo.releases, history)
        link_from_index(site / "index.html", gap=bool(history.gaps))
        if history.gaps:
            write(site, conf.project, history)
        else:
            log.warning(f"No {RATIO} is measured, so there is no gap.html.")


def link_from_index(index: Path, *, gap: bool) -> None:
    """Link the pages from the navigation of asv's page, whose script knows of no others.

    Raises:
        UserError: asv's page is not the one this was written for.
    """
    page = index.read_text(encoding="utf-8")
    if page.count(NAVIGATION) != 1:
        raise UserError(f"{index} has no '{NAVIGATION}' to stand beside: see scripts/gap/page.py.")
    links = LINKS if gap else LINKS[1:]
    page = page.replace(NAVIGATION, "".join([NAVIGATION, *links]))
    index.write_text(page, encoding="utf-8", newline="\n")


def write(site: Path, project: str, history: History) -> None:
    """Write `gap.html`, what it loads, and what it lets people take away."""
    import vl_convert  # has no wheel for every platform that measures

    from scripts.gap.charts import charts

    found = report(history)
    page = template("page.html.jinja").render(
        project=project,
        report=found,
        verdict=verdict(found),
        sizes=[size for size in SIZES if any(gap.size == size for gap in found.gaps)],
        tables=tables(found),
        charts=charts(found),
        rule=text.RULE,
        number=number,
        results=len(history.measured),
        machines=", ".join(dict.fromkeys(one.machine for one in history.measured)),
        measured=_day(max(one.started for one in history.measured)),
        published=f"{datetime.now(UTC):%Y-%m-%d}",
        times=times, say_newest=say_newest, say_advice=say_advice, say_control=say_control,
    )  # fmt: skip
    for name, content in {
        "gap.html": page,
        "gap.json": text.to_json(found),
        "gap.csv": text.to_csv(found),
        "vega.js": vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
    }.items():
        (site / name).write_text(content, encoding="utf-8", newline="\n")


def tables(found: Report) -> list[tuple[str, str, str, list[str], list[list[str]]]]:
    """Size, title, link to asv's graph, head and rows for each series, the newest release first."""
    made = []
    for size in SIZES:
        gaps = [gap for gap in found.gaps if gap.size == size]
        links = [link(*key) for key, _ in itertools.groupby(gaps, key=lambda gap: gap.series)]
        made += [
            (size, title, raw, head, rows[::-1])
            for raw, (title, head, rows) in zip(
                links, text.tables(gaps, found.measured), strict=True
            )
        ]
    return made


def link(machine: str, unwinder: str, size: str) -> str:
    """The graph that asv draws of the series."""
    name = RATIO if size in PAIRED else TIME
    return f"index.html#{name}?machine={quote(machine)}&env-UNWINDER={unwinder}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
