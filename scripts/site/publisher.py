"""Adds pages of our own to every `asv publish`, the first one in front of asv's."""

from pathlib import Path
from typing import Any, ClassVar

from asv.publishing import OutputPublisher

from scripts.gap import words
from scripts.gap.report import build_report
from scripts.history.read import read_history
from scripts.releases.repo import ReleaseRepo
from scripts.site import pages
from scripts.site.charts import name_series
from scripts.site.grid import move_grid


class GapPage(OutputPublisher):
    """Writes the answer as `index.html`, and `releases.html`; asv's own page becomes `grid.html`.

    Attributes:
        problems: what could not be published, each with its remedy.
    """

    problems: ClassVar[list[str]] = []

    @classmethod
    def publish(
        cls, conf: Any, repo: ReleaseRepo, benchmarks: Any, graphs: Any, revisions: Any
    ) -> None:
        """Write the pages, and note what is wrong with the results."""
        history, site = read_history(conf), Path(conf.html_dir)
        report = build_report(history)
        shown = name_series(report, history)
        move_grid(site)
        if report.series:
            pages.write_answer(site, conf.project, shown, history)
            pages.write_data(site, report)
        else:
            pages.write_empty(site, conf.project, history)
        pages.write_releases(site, conf.project, shown, history, repo.releases)
        pages.write_redirect(site)
        nothing = (
            [] if history.measured else [f"Nothing to publish: {words.describe_empty(history)}"]
        )
        cls.problems = [*nothing, *report.problems]
