"""`releases.html`, where the commit links of the published site lead.

The commits exist nowhere but here, so `show_commit_url` is a page of the site itself; asv
appends the 40-digit id, which names the release's row.
"""

from collections.abc import Iterable
from pathlib import Path

from packaging.version import Version

from scripts.gap.history import History
from scripts.gap.report import times
from scripts.gap.templates import template
from scripts.pins import Release

SIZE = "1000x8"


def write(site: Path, project: str, releases: Iterable[Release], history: History) -> None:
    """Write one row a release, newest first."""
    gaps: dict[str, list[str]] = {}
    fdes: dict[str, set[int]] = {}
    for gap in history.gaps:
        if gap.size == SIZE:
            where = f"{times(gap.ratio)} {gap.machine}, {gap.unwinder}"
            gaps.setdefault(gap.release, []).append(where)
            fdes.setdefault(gap.release, set()).update({gap.fdes} if gap.fdes else ())
    page = template("releases.html.jinja").render(
        project=project,
        gap=bool(history.gaps),
        releases=[
            {
                "commit": release.commit,
                "version": release.version,
                "major": f"{Version(release.version).major}.0.0",
                "date": release.time[:10],
                "fdes": ", ".join(map(str, sorted(fdes.get(release.version, ())))),
                "gaps": gaps.get(release.version, []),
            }
            for release in reversed(list(releases))
        ],
    )
    (site / "releases.html").write_text(page, encoding="utf-8", newline="\n")
