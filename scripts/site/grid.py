"""asv's own page under another name, with links to ours, so that ours is the front door."""

from pathlib import Path

from asv.util import UserError

from scripts.base.files import write_atomically
from scripts.site.pages import FRONT, RELEASES

GRID = "grid.html"
NAVIGATION = '<li id="nav-li-"'  # the first item of the navigation of asv's page
FEED = "regressions.xml"
ERROR = "error.html"  # where asv's page goes if it cannot load its scripts
LINKS = f'<li><a href="{FRONT}">The answer</a></li><li><a href="{RELEASES}">Releases</a></li>'
HINT = f'<p><a href="{FRONT}">The answer</a> needs neither a connection nor scripts.</p></body>'


def move_grid(site: Path) -> None:
    """Rename asv's page, link ours from it, and lead its feed there.

    The scripts of asv's page read the fragment of the address only, and load their files beside it,
    so the page works under any name.

    Raises:
        UserError: asv's page is not the one this was written for.
    """
    index = site / FRONT
    page = index.read_text(encoding="utf-8")
    if page.count(NAVIGATION) != 1:
        raise UserError(f"{index} has no '{NAVIGATION}' to stand beside: see {__name__}.")
    write_atomically(site / GRID, page.replace(NAVIGATION, LINKS + NAVIGATION))
    index.unlink()
    feed, error = site / FEED, site / ERROR
    if feed.exists():
        entries = feed.read_text(encoding="utf-8")
        write_atomically(feed, entries.replace(f"{FRONT}#", f"{GRID}#"))
    write_atomically(error, error.read_text(encoding="utf-8").replace("</body>", HINT))
