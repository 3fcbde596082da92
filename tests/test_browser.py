"""The published site of the recorded results, in Chromium."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

from scripts.base.numbers import format_milliseconds_range
from scripts.cost.advice import Load, advise
from scripts.cost.platforms import Platform
from scripts.site.verdicts import DECISIONS, build_verdict

from .conftest import COMMITS, DEADLINE, ROOT, asv, copy_repository, skip_missing

STOCK = {  # files that asv's page loads, and the same files in the packages of tests/site
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
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / ".asv/screenshots"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
PAGES = ("index.html", "releases.html")
GRAPH = "unwinder_instructions.UnwinderInstructions.track_removal"
pytestmark = pytest.mark.slow


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the site below a path, with the libraries of asv's page next to it."""
    if shutil.which("npm") is None:
        skip_missing("npm is not installed: asv's stock pages need libraries that come with it")
    copy = copy_repository(tmp_path_factory.mktemp("browser"), recorded=True)
    answer = asv(copy, "publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    root = tmp_path_factory.mktemp("host")
    folder: Path = shutil.copytree(copy / ".asv/html", root / "some/path")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests/site" / name, root)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--silent"], cwd=root, check=True, timeout=DEADLINE
    )
    grid = folder / "grid.html"
    page, count = re.subn(
        r'(src|href)="https://[^"]*/([^/"]+)" integrity="[^"]*"',
        lambda tag: f'{tag[1]}="../../node_modules/{STOCK[tag[2]]}"',
        grid.read_text(),
    )
    assert count == len(STOCK)
    grid.write_text(page)
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site from a static host and yield its address."""
    handler = functools.partial(_QuietHandler, directory=str(site.parent.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/path/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if path is None:
        skip_missing("Chromium is not installed (Debian: chromium)")
    with sync_playwright() as playwright:
        # Chromium puts a socket into TMPDIR, and the path of a socket has at most 107 characters
        chromium = playwright.chromium.launch(
            executable_path=path,
            args=FLAGS,
            env={**os.environ, "TMPDIR": "/tmp"},  # noqa: S108
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Yield a page, then check that it had no errors and no requests to other hosts."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    host, problems = address.split("/some")[0], list[str]()

    def check_response(response: Response) -> None:
        is_external = not response.url.startswith((host, "data:", "blob:"))
        # asv's grid also requests the graphs of benchmarks that were not measured
        is_missing = response.status >= 400 and "/graphs/" not in response.url
        if is_external or is_missing:
            problems.append(response.url)

    def check_console(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(message.text)

    def check_error(error: object) -> None:
        # on a busy machine, asv's grid draws its plots before they have a width
        if not str(error).startswith("Invalid dimensions for plot, width = 0"):
            problems.append(str(error))

    def check_failed_request(request: Request) -> None:
        # a page that redirects is left before it is loaded
        if not request.is_navigation_request():
            problems.append(request.url)

    opened.on("response", check_response)
    opened.on("requestfailed", check_failed_request)
    opened.on("console", check_console)
    opened.on("pageerror", check_error)
    yield opened
    opened.close()
    assert problems == []


def save_screenshots(page: Page, name: str) -> None:
    """Save a screenshot of the first screen and one of the whole page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-first.png")
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def is_on_screen(page: Page, selector: str) -> bool:
    """Return whether an element is completely on the first screen."""
    box = page.locator(selector).first.bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    return box["y"] + box["height"] <= size["height"] and box["x"] + box["width"] <= size["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1200", "390"])
def test_first_screen_has_the_answer_offline(
    size: Any, scheme: Any, browser: Browser, site: Path
) -> None:
    opened = browser.new_page(viewport=size, color_scheme=scheme, offline=True)
    opened.goto((site / "index.html").as_uri())
    kind = "wide" if size is DESKTOP else "narrow"
    labels = opened.locator(f".chart.{kind}").first.locator("a")
    assert labels.all_text_contents() == ["#8629", "#14304"]
    for part in ("h1", "#choice", ".verdict", "#examples", "[data-show=gives]", "#code code"):
        assert is_on_screen(opened, part), part
    assert opened.locator("[name=platform]").input_value() == "apple-silicon"
    assert opened.locator("#code code").locator("visible=true").inner_text() == (
        '#[cfg(target_os = "macos")]\nconfig.native_unwind_info(false);'
    )
    for name in PAGES:
        opened.goto((site / name).as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ink, ground = (
            opened.evaluate(f"getComputedStyle(document.body).{of}")
            for of in ("color", "backgroundColor")
        )
        assert (sum(map(int, re.findall(r"\d+", ground))) > 380) == (scheme == "light")
        assert ink != ground
        save_screenshots(opened, f"{name.split('.')[0]}-{size['width']}-{scheme}")
    opened.close()


def test_no_element_of_the_page_scrolls(page: Page, address: str) -> None:
    for name in PAGES:
        page.goto(address + name)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        scrolling = page.evaluate(
            "[...document.querySelectorAll('main *')].filter(each => each.closest('svg') === null"
            " && !each.classList.contains('hidden') && each.scrollWidth > each.clientWidth + 1"
            " && getComputedStyle(each).display !== 'inline').map(each => each.outerHTML)"
        )
        assert scrolling == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1200", "390"])
def test_page_has_the_answer_without_javascript(size: Any, browser: Browser, site: Path) -> None:
    opened = browser.new_page(viewport=size, java_script_enabled=False, offline=True)
    opened.goto((site / "index.html").as_uri())
    assert is_on_screen(opened, "h1")
    answers = opened.locator("table.no-script").inner_text()
    assert answers.count("Turn unwind info off. With any load.") == 2
    assert answers.count("Unwind info cannot be turned off") == 2
    assert opened.locator("#code code:visible").count() == 10
    assert opened.locator("svg.chart:visible").count() >= 1
    opened.get_by_text("Reports without a time per table entry").click()
    assert opened.get_by_text("4.5 s; 114 µs with unwind info off").is_visible()
    for control in ("#choice", "#calculator", ".chooser", ".copy-code"):
        assert not opened.locator(control).first.is_visible()
    save_screenshots(opened, f"index-{size['width']}-no-scripts")
    opened.goto((site / "releases.html").as_uri())
    assert not opened.locator("#compare").is_visible()
    assert "asv compare" in opened.locator("noscript").inner_text()
    opened.close()


def test_chart_shows_the_numbers_of_the_chosen_release(page: Page, address: str) -> None:
    page.goto(f"{address}index.html")
    output = page.locator("#by-release output")
    assert output.inner_text().startswith("50.0.1")
    slider = page.locator("#by-release input")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert output.inner_text().startswith("49.0.0")
    assert "1,156,765 instructions per module" in (slider.get_attribute("aria-valuetext") or "")
    page.locator("#by-release .wide .hints rect").nth(0).hover()
    assert output.inner_text().startswith("13.0.0")


def name_answer(platform: Platform, release: str, load: Load) -> str:
    """Return the answer that the calculator shows for a load."""
    advice = advise(platform, release, load)
    assert advice.cost is not None
    return f"{DECISIONS[advice.decision]} {format_milliseconds_range(*advice.cost)}"


def test_calculator_reads_its_fields_and_its_address(page: Page, address: str) -> None:
    page.goto(f"{address}index.html")
    answer = page.locator("#calculator .answer")
    assert name_answer(Platform.APPLE_SILICON, "50.0.1", Load(1000, 497)) in answer.inner_text()
    page.locator("[name=modules]").fill("2")
    assert "Keep unwind info" in answer.inner_text()
    page.locator("[name=platform]").select_option("macOS on Intel")
    page.locator("[name=release]").select_option("47")
    page.locator("[name=fdes]").fill("17")
    page.locator("[name=modules]").fill("1,000")
    assert name_answer(Platform.INTEL_MAC, "47.0.1", Load(1000, 17)) in answer.inner_text()
    assert "17 FDEs per module; 17,000 are loaded in all." in answer.inner_text()
    page.locator("[name=unload]").select_option("one")
    one = Load(1, 17, residents=999 * 17)
    assert name_answer(Platform.INTEL_MAC, "47.0.1", one) in answer.inner_text()
    before = answer.inner_text()
    assert "platform=intel-mac&release=47&" in page.url
    page.goto(page.url)
    assert answer.inner_text() == before
    page.goto(f"{address}index.html?modules=x&platform=99&fdes=-1&nonsense=1")
    assert "99" in page.locator("#link-problem").inner_text()
    assert "“x” is not a whole number" in page.locator("#modules-problem").inner_text()
    assert "“-1” is not a whole number" in page.locator("#fdes-problem").inner_text()
    assert "No answer" in answer.inner_text()
    assert answer.get_attribute("data-kind") == "unknown"


def test_verdict_and_code_follow_the_choice(page: Page, address: str) -> None:
    page.goto(f"{address}index.html?release=44.0.0&platform=apple-silicon&language=python")
    verdict, code = page.locator(".verdict"), page.locator("#code code").locator("visible=true")
    assert "Turn unwind info off" in verdict.inner_text()
    assert "Nothing is lost" in verdict.inner_text()
    assert "With any load" in verdict.inner_text()
    assert "config.ptr()" in code.inner_text()
    page.locator("[name=release]").select_option("13")
    assert "config._ptr" in code.inner_text()
    page.locator("[name=language]").select_option("cli")
    assert code.count() == 0
    assert page.locator(".no-setting").is_visible()
    page.locator("[name=release]").select_option("50")
    current = verdict.inner_text()
    page.locator("[name=macos]").select_option("11 or 12")
    assert verdict.inner_text() != current
    assert build_verdict(Platform.APPLE_SILICON, "50.0.1", macos="12").sentences[0] in (
        verdict.inner_text()
    )
    page.locator("[name=language]").select_option("python")
    page.locator("[name=release]").select_option("30")
    page.locator("[name=platform]").select_option("Linux with LLVM libunwind")
    assert "With any load: nothing is lost in this release." in verdict.inner_text()
    page.locator("[name=platform]").select_option("Windows")
    assert "cannot be turned off" in verdict.inner_text()
    assert not page.locator("#code").is_visible()
    assert not page.locator("[name=macos]").is_visible()


def test_copied_link_leads_to_the_same_answer(browser: Browser, address: str, site: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    opened = context.new_page()
    opened.goto(f"{address}index.html")
    opened.locator("[name=modules]").fill("300")
    opened.locator(".copy-link").click()
    opened.get_by_text("Copied").wait_for()
    link = opened.evaluate("navigator.clipboard.readText()")
    assert link == f"{address}index.html?platform=apple-silicon&release=50&modules=300"
    opened.locator(".copy-code").locator("visible=true").click()
    assert "config.native_unwind_info(false);" in opened.evaluate("navigator.clipboard.readText()")
    context.close()


def test_dropped_file_is_answered_offline_without_a_request(browser: Browser, site: Path) -> None:
    opened = browser.new_page(offline=True)
    opened.goto((site / "index.html").as_uri())
    requests = list[str]()
    opened.on("request", lambda request: requests.append(request.url))
    module = (ROOT / "fixtures/functions-8.wasm").read_bytes()
    transfer = opened.evaluate_handle(
        "(bytes) => { const transfer = new DataTransfer();"
        " transfer.items.add(new File([new Uint8Array(bytes)], 'eight.wasm')); return transfer; }",
        list(module),
    )
    opened.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
    opened.get_by_text("eight.wasm").wait_for()
    assert opened.locator("[name=fdes]").input_value() == "17"
    parts = opened.locator("[data-show=parts]")
    expected = "= 8 functions + 8 exported or in tables + 1 function type + 0 helpers"
    assert parts.inner_text() == expected
    assert "17 FDEs per module" in opened.locator("#calculator .answer").inner_text()
    opened.locator("[name=release]").select_option("21")
    assert opened.locator("[name=fdes]").input_value() == "25"
    opened.locator("[href='#choice']").focus()
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.type") == "file"
    opened.locator(".drop input").set_input_files(
        {"name": "page.wasm", "mimeType": "", "buffer": b"<!doctype html>"}
    )
    opened.get_by_text("page.wasm is a web page").wait_for()
    assert requests == []
    opened.close()


@pytest.mark.parametrize("fragment", ["#/", "#/regressions", f"#{GRAPH}?x-axis=commit"])
def test_old_links_redirect_to_asv_page(fragment: str, page: Page, address: str) -> None:
    page.goto(f"{address}index.html{fragment}")
    page.wait_for_url(f"{address}grid.html{fragment}*")
    page.get_by_text("Benchmark grid").first.wait_for()


def test_old_page_redirects_to_the_answer(page: Page, address: str) -> None:
    page.goto(f"{address}gap.html")
    page.wait_for_url(f"{address}index.html")
    page.evaluate("location.hash = '#when-heading'")
    assert page.url == f"{address}index.html#when-heading"


def test_asv_pages_open_and_link_to_the_answer(page: Page, address: str) -> None:
    page.goto(f"{address}index.html")
    page.get_by_role("link", name="All graphs").first.click()
    page.wait_for_url(f"{address}grid.html#/")
    page.locator("#summarygrid-display a").first.wait_for()
    save_screenshots(page, "asv-grid")
    page.get_by_role("link", name="The answer").click()
    page.wait_for_url(f"{address}index.html")
    page.locator("#numbers summary").first.click()  # the tables of all series
    page.locator("#numbers details.series > summary").first.click()
    page.locator("section a[href*=track_removal]").locator("visible=true").first.click()
    page.wait_for_selector("#main-graph canvas")
    save_screenshots(page, "asv-graph")


def test_asv_graph_has_a_line_for_each_unwinder(page: Page, address: str) -> None:
    page.goto(f"{address}grid.html#{GRAPH}?x-axis=commit&machine=linux-x86_64")
    page.wait_for_selector("#main-graph canvas")
    for unwinder in ("libunwind", "system"):
        button = page.locator("#graphdisplay-navigation a", has_text=re.compile(f"^{unwinder}$"))
        if "active" not in (button.first.get_attribute("class") or ""):
            button.first.click()
    lines = "$.plot && $('#main-graph').data('plot').getData().map(line => line.label || '')"
    page.wait_for_function(f"({lines}).length >= 2")


def test_commit_link_opens_the_row_of_the_release(page: Page, address: str) -> None:
    page.goto(f"{address}releases.html#{COMMITS['49.0.0']}")
    row = page.locator("tr:target")
    assert "49.0.0" in row.inner_text()
    assert "1,156,765" in row.inner_text()
    heads, box = (page.locator(name).bounding_box() for name in (".releases thead", "tr:target"))
    assert heads is not None
    assert box is not None
    assert 0 <= heads["y"] + heads["height"] <= box["y"] + 1


def test_link_compares_two_releases(page: Page, address: str) -> None:
    page.goto(f"{address}releases.html?from=22.0.0&to=21.0.0&unwinder=libgcc+14#all-heading")
    rows = page.locator("#differing tbody")
    assert rows.first.inner_text().startswith("1000x8")
    assert "libgcc 14" in rows.first.inner_text()
    assert "macOS" not in page.locator("#differing").inner_text()
    page.locator("[name=unwinder]").select_option("all unwinders")
    assert "macOS path: LLVM libunwind" in rows.first.inner_text()
    assert "2.16 times cheaper" in rows.first.inner_text()
    assert page.locator("#steps").inner_text().startswith("22.0.0: #8629")
    page.locator("[name=to]").select_option("50.0.1")
    assert page.url.endswith("?from=21.0.0&to=50.0.1#all-heading")
    assert "50.0.1" in page.locator("#differing thead").inner_text()
    page.locator("[name=from]").select_option("45.0.0")
    assert "no values of 45.0.0" in page.locator("#missing").inner_text()
    page.goto(f"{address}releases.html?from=45.0.0&to=49.0.0")
    assert "4x real program" in page.locator("#differing").inner_text()
    assert "+0.23 %" in page.locator("#differing").inner_text()
    page.goto(f"{address}releases.html?from=1.0.0")
    assert "1.0.0, which is not a measured release" in page.locator("#compare-problem").inner_text()


@pytest.mark.parametrize("width", [320, 390, 600, 768, 820, 1024, 1200])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_not_wider_than_the_screen(
    name: str, width: int, browser: Browser, site: Path
) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 900}, offline=True)
    opened.goto((site / name).as_uri())
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert opened.evaluate(
        "[...document.querySelectorAll('main *')].filter((each) =>"
        " !each.closest('.hidden, .scroll, svg') &&"
        " each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
        ".map((each) => each.outerHTML.slice(0, 200))"
    ) == []  # fmt: skip
    overlaps = opened.evaluate(
        "[...document.querySelectorAll('td')].filter((each) => each.scrollWidth >"
        " each.clientWidth + 1 && !each.closest('.hidden, .scroll')).map((each) => each.innerText)"
    )
    assert overlaps == []
    opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1200", "390"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation(
    name: str, size: Any, scheme: Any, browser: Browser, address: str, site: Path
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(address + name)
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    opened.add_script_tag(path=site.parent.parent / "node_modules/axe-core/axe.min.js")
    violations = opened.evaluate("axe.run().then(result => result.violations)")
    context.close()
    summaries = [(violation["id"], violation["nodes"][0]["html"][:200]) for violation in violations]
    assert summaries == []


def test_page_can_be_printed(page: Page, address: str) -> None:
    page.goto(f"{address}index.html")
    page.emulate_media(media="print")
    for part in ("h1", ".verdict", "#code"):
        assert page.locator(part).is_visible()
    for control in ("nav", "#choice", "#calculator", "#own-heading", ".chooser", ".copy-code"):
        assert not page.locator(control).first.is_visible()
