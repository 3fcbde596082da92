"""Adds pages of our own to every `asv publish`, and links them from asv's."""

from pathlib import Path
from typing import Any, ClassVar

from asv.console import log
from asv.publishing import OutputPublisher
from asv.util import UserError

from scripts.base.files import write
from scripts.history.read import read
from scripts.releases.repo import ReleaseRepo

NAVIGATION = '<li id="nav-li-regressions"><a href="#/regressions">Regressions</a></li>'


class GapPage(OutputPublisher):
    """Writes `gap.html` and `releases.html`.

    Attributes:
        problems: what could not be published, each with its remedy.
    """

    problems: ClassVar[list[str]] = []

    @classmethod
    def publish(
        cls, conf: Any, repo: ReleaseRepo, benchmarks: Any, graphs: Any, revisions: Any
    ) -> None:
        """Write the pages, and link them from asv's own."""
        from scripts.site import pages  # what it imports has no wheel for every platform

        history, site = read(conf), Path(conf.html_dir)
        pages.write_releases(site, conf.project, repo.releases, history)
        link_from_index(site / "index.html", gap=bool(history.points))
        if history.points:
            pages.write_gap(site, conf.project, history)
        else:
            log.warning(f"No {RATIO} is measured, so there is no gap.html.")


def link_from_index(index: Path, *, gap: bool) -> None:
    """Link the pages from the navigation of asv's page, whose script knows of no others.

    Raises:
        UserError: asv's page is not the one this was written for.
    """
    page = index.read_text(encoding="utf-8")
    if page.count(NAVIGATION) != 1:
        raise UserError(f"{index} has no '{NAVIGATION}' to stand beside: see {__name__}.")
    names = ["Gap", "Releases"] if gap else ["Releases"]
    links = (f'<li><a href="{name.lower()}.html">{name}</a></li>' for name in names)
    write(index, page.replace(NAVIGATION, "".join([NAVIGATION, *links])))
