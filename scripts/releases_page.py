"""`releases.html`, where the commit links of the published site lead.

The commits exist nowhere but here, so `show_commit_url` is a page of the site itself; asv
appends the 40-digit id, which names the release's row.
"""

from collections.abc import Sequence
from pathlib import Path

from scripts.gap.history import Gap, History
from scripts.gap.report import times
from scripts.gap.templates import template
from scripts.pins import Release

SIZE = "1000x8"


def write(site: Path, project: str, releases: Sequence[Release], history: History) -> None:
    """Write one row a release, newest first."""
    gaps: dict[str, list[Gap]] = {}
    for gap in history.gaps:
        if gap.size == SIZE:
            gaps.setdefault(gap.release, []).append(gap)
    page = template("releases.html.jinja").render(
        project=project,
        gap=bool(history.gaps),
        releases=[(one, gaps.get(one.version, [])) for one in reversed(releases)],
        times=times,
    )
    (site / "releases.html").write_text(page, encoding="utf-8", newline="\n")
