"""The published site of a real `asv run`, in a real Chromium."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright

from .conftest import DEADLINE, ROOT, WITH_VALUES, absent

STOCK = {  # what asv's page loads -> the same from the packages in tests/site
    "jquery-3.3.1.min.js": "jquery/dist/jquery.min.js",
    "jquery.flot.min.js": "flot/jquery.flot.js",
    "jquery.flot.time.min.js": "flot/jquery.flot.time.js",
    "jquery.flot.selection.min.js": "flot/jquery.flot.selection.js",
    "jquery.flot.categories.min.js": "flot/jquery.flot.categories.js",
    "jquery.flot.orderBars.js": "flot-orderbars/js/jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupid-table-plugin/stupidtable.min.js",
    "md5.min.js": "blueimp-md5/js/md5.min.js",
    "bootstrap.min.js": "bootstrap/dist/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/dist/css/bootstrap.min.css",
}
UNWINDERS = [name.split("UNWINDER")[1] for name in WITH_VALUES]
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / ".asv/screenshots"))
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no gap on Windows")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site under a path of a plain static host, its libraries beside it."""
    if shutil.which("npm") is None:
        absent("npm is not installed: asv's stock pages need libraries that come with it")
    root = tmp_path_factory.mktemp("host")
    site = shutil.copytree(published, root / "some/path")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests/site" / name, root)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--silent"], cwd=root, check=True, timeout=DEADLINE
    )
    index = site / "index.html"
    page, count = re.subn(
        r'(src|href)="https://[^"]*/([^/"]+)" integrity="[^"]*"',
        lambda tag: f'{tag[1]}="../../node_modules/{STOCK[tag[2]]}"',
        index.read_text(),
    )
    assert count == len(STOCK)
    index.write_text(page)
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/path/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if path is None:
        absent("Chromium is not installed (Debian: chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page on which nothing may go wrong and nothing may be asked of another host."""
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    host, wrong = address.split("/some")[0], list[str]()

    def check(response: Response) -> None:
        elsewhere = not response.url.startswith((host, "data:", "blob:"))
        # asv's grid asks for the graphs of benchmarks that were not measured, too
        missing = response.status >= 400 and "/graphs/" not in response.url
        if elsewhere or missing:
            wrong.append(response.url)

    def listen(said: ConsoleMessage) -> None:
        if said.type == "error" and "Failed to load resource" not in said.text:
            wrong.append(said.text)

    def fail(error: object) -> None:
        # asv's own grid draws its plots before they have a width, on a loaded machine
        if not str(error).startswith("Invalid dimensions for plot, width = 0"):
            wrong.append(str(error))

    opened.on("response", check)
    opened.on("requestfailed", lambda asked: wrong.append(asked.url))
    opened.on("console", listen)
    opened.on("pageerror", fail)
    yield opened
    opened.close()
    assert wrong == []


def open_gap(page: Page, address: str, fragment: str = "") -> None:
    page.goto(f"{address}gap.html{fragment}")
    page.wait_for_selector("body[data-drawn]")


def shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def test_the_charts_are_drawn(page: Page, address: str) -> None:
    open_gap(page, address)
    points = page.locator("#gap-chart .mark-symbol path[aria-label*='release']")
    assert points.count() == 2 * len(WITH_VALUES)  # two releases
    assert (
        page.locator("#gap-chart [role=graphics-document][aria-label*='gap by release']").count()
        == 1
    )
    assert page.locator("#gap-chart text", has_text="50.0.1").count() >= 1
    shoot(page, "gap-light")


def test_a_point_tells_its_numbers(page: Page, address: str) -> None:
    open_gap(page, address)
    page.locator("#gap-chart .mark-symbol path[aria-label*='49.0.0']").first.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    for part in ("49.0.0", "gap and range", "extra ms"):
        assert part in tooltip.inner_text()


def test_the_size_is_chosen_with_the_keyboard(page: Page, address: str) -> None:
    open_gap(page, address)
    before = page.locator("#gap-chart").inner_html()
    page.locator("#size").focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_selector("body[data-drawn='1']")
    assert page.locator("#gap-chart").inner_html() != before
    assert page.url.endswith("#1")


def test_the_size_follows_the_address(page: Page, address: str) -> None:
    open_gap(page, address, "#%")
    assert page.locator("#size").input_value() == "8"
    page.evaluate("location.hash = '#1'")
    page.wait_for_selector("body[data-drawn='1']")
    page.evaluate("location.hash = '#do-heading'")
    assert page.url.endswith("#do-heading")
    assert page.locator("#size").input_value() == "1"
    page.evaluate("location.hash = '#2000'")  # no such size
    assert page.locator("#size").input_value() == "1"


def test_without_scripts_the_numbers_are_there(browser: Browser, address: str) -> None:
    opened = browser.new_page(java_script_enabled=False)
    opened.goto(f"{address}gap.html")
    assert opened.get_by_role("table").count() >= 2 * len(WITH_VALUES)
    assert opened.get_by_role("rowheader", name="macOS", exact=True).is_visible()
    assert not opened.locator("#size").is_visible()
    opened.close()


def test_the_numbers_can_be_taken_away(page: Page, address: str, published: Path) -> None:
    open_gap(page, address)
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON").click()
    taken = json.loads(Path(download.value.path()).read_text())
    assert taken == json.loads((published / "gap.json").read_text())
    assert {point["release"] for point in taken["points"]} == {"49.0.0", "50.0.1"}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dark", {"color_scheme": "dark", "viewport": {"width": 1100, "height": 900}}),
        ("phone", {"viewport": {"width": 390, "height": 800}}),
    ],
)
def test_it_is_readable_in_the_dark_and_on_a_phone(
    name: str, settings: Any, browser: Browser, address: str
) -> None:
    opened = browser.new_page(**settings)
    open_gap(opened, address)
    shoot(opened, f"gap-{name}")
    ink, ground = (
        opened.evaluate(f"getComputedStyle(document.body).{of}")
        for of in ("color", "backgroundColor")
    )
    label = opened.locator("#gap-chart .role-axis-label text").first
    assert label.evaluate("text => getComputedStyle(text).fill") == ink != ground
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.close()


def test_asv_s_own_pages_open_and_link_to_ours(page: Page, address: str) -> None:
    page.goto(f"{address}index.html")
    page.get_by_text("Gap: what unwind info costs").first.wait_for()
    shoot(page, "asv-grid")
    page.locator("a[href='gap.html']").click()
    page.wait_for_selector("body[data-drawn]")
    raw = page.locator("section a[href*=track_ratio]")
    hrefs = raw.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    for unwinder in UNWINDERS:
        assert any(f"env-UNWINDER={unwinder}" in href for href in hrefs)
    raw.locator("visible=true").first.click()
    page.wait_for_selector("#main-graph canvas")
    shoot(page, "asv-graph")


def test_a_graph_of_asv_has_a_line_for_each_unwinder(page: Page, address: str) -> None:
    page.goto(f"{address}index.html#teardown_gap.TeardownGap.track_ratio?x-axis=commit")
    page.wait_for_selector("#main-graph canvas")
    for unwinder in ("libunwind", "system"):
        button = page.locator("#graphdisplay-navigation a", has_text=re.compile(f"^{unwinder}$"))
        if "active" not in (button.first.get_attribute("class") or ""):
            button.first.click()
    lines = "$.plot && $('#main-graph').data('plot').getData().map(line => line.label || '')"
    page.wait_for_function(f"({lines}).length >= 2")
    shoot(page, "asv-unwinders")


def test_the_commit_link_leads_to_the_release(page: Page, address: str) -> None:
    commit = next(
        one["commit"]
        for one in json.loads((ROOT / "fixtures/releases.json").read_text())["releases"]
        if one["version"] == "49.0.0"
    )
    page.goto(f"{address}releases.html#{commit}")
    row = page.locator("tr:target")
    assert "49.0.0" in row.inner_text()
    assert all(unwinder in row.inner_text() for unwinder in UNWINDERS)
    shoot(page, "releases")
