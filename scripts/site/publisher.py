"""Add the pages of this site to every `asv publish`."""

from pathlib import Path
from typing import Any, ClassVar

from asv.publishing import OutputPublisher

from scripts.history.read import read_history
from scripts.releases.repo import ReleaseRepo
from scripts.report import words
from scripts.report.build import build_report
from scripts.report.recent import describe_recent
from scripts.site import pages
from scripts.site.busy_chart import build_busy_chart
from scripts.site.charts import name_series
from scripts.site.grid import (
    add_to_feed,
    count_regressions,
    hide_benchmarks,
    move_grid,
    write_thumbnails,
)


class GapPage(OutputPublisher):
    """The publisher of `index.html` and `releases.html`; asv's own page becomes `grid.html`.

    Attributes:
        problems: files that were left out, each with its remedy, and counts that contradict the
            model.
    """

    problems: ClassVar[list[str]] = []

    @classmethod
    def publish(
        cls, conf: Any, repo: ReleaseRepo, benchmarks: Any, graphs: Any, revisions: Any
    ) -> None:
        """Write the pages and collect problems of the results."""
        history, site = read_history(conf), Path(conf.html_dir)
        report = build_report(history)
        shown = name_series(report, history)
        move_grid(site)
        hide_benchmarks(benchmarks)
        if report.series:
            pages.write_answer(site, conf.project, shown, history, build_busy_chart(report))
            pages.write_data(site, report)
            write_thumbnails(site, graphs, benchmarks, report.series[0])
        else:
            pages.write_empty(site, conf.project, history)
        recent = describe_recent(report)
        if recent and recent.newest == report.newest:  # otherwise a pin waits to be measured
            add_to_feed(site, conf.project, history.releases[-1], recent.text)
        pages.write_releases(site, conf.project, shown, history, count_regressions(site))
        pages.write_redirect(site)
        cls.problems = list(report.problems)
        if not history.measured:
            cls.problems.insert(0, f"Nothing to publish: {words.describe_empty(history)}")
