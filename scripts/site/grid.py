"""Rename asv's own page and link the pages of this site from it."""

from pathlib import Path

from asv.util import UserError

from scripts.base.files import write_atomically
from scripts.site.pages import FRONT, RELEASES

GRID = "grid.html"
NAVIGATION = '<li id="nav-li-"'  # the first item of the navigation of asv's page
FEED = "regressions.xml"
ERROR = "error.html"  # asv's page if its scripts cannot be loaded
LINKS = f'<li><a href="{FRONT}">The answer</a></li><li><a href="{RELEASES}">Releases</a></li>'
HINT = f'<p><a href="{FRONT}">The answer</a> works offline and without JavaScript.</p></body>'


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
