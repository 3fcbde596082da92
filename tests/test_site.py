"""The files of the published site: their content, and errors that stop publishing."""

import contextlib
import csv
import html
import itertools
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from asv.config import Config
from asv.util import UserError

from benchmarks._axis import APPLE, LIBGCC, LLVM, Unwinder
from benchmarks._shapes import HEADLINE
from scripts.cost.advice import Load, advise, read_reports
from scripts.cost.platforms import Platform
from scripts.history.benchmarks import (
    BOTTOM_ON,
    DEREGISTER,
    FRAMES_ON,
    GAP,
    MAIN_SHAPE,
    TIME_OFF,
    TIME_ON,
)
from scripts.history.machine import Machine
from scripts.history.read import History, Measured, read_history
from scripts.history.rows import Row, SeriesKey, derive_gaps
from scripts.releases import pins
from scripts.report import words
from scripts.report.build import Report, build_report
from scripts.report.recent import describe_recent
from scripts.site import charts, grid, line_chart, links, pages, picture, settings
from scripts.site.line_chart import Curve, LineChart, draw_line_chart
from scripts.site.staircase import (
    BAND,
    NARROW,
    PICTURE,
    WIDE,
    Line,
    Plateau,
    Point,
    Staircase,
    draw_staircase,
)

from .conftest import COMMITS, asv, copy_repository

NAMES = ["macOS path: LLVM libunwind", "libgcc 14", "libgcc 12"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository with the recorded results."""
    return copy_repository(tmp_path_factory.mktemp("site"), recorded=True)


@pytest.fixture(scope="session")
def publishing(repository: Path) -> subprocess.CompletedProcess[str]:
    return asv(repository, "publish")


@pytest.fixture
def site(publishing: subprocess.CompletedProcess[str], repository: Path) -> Path:
    assert publishing.returncode == 0, publishing.stdout + publishing.stderr
    return repository / ".asv/html"


@pytest.fixture(scope="session")
def history(repository: Path) -> History:
    """Return the recorded history, without results of local machines."""
    with contextlib.chdir(repository):
        return read_history(Config.load("asv.conf.json"))


@pytest.fixture(scope="session")
def report(history: History) -> Report:
    """Return the report with the series names of the page."""
    return charts.name_series(build_report(history), history)


def add_rows(history: History, machine: Machine, rows: Iterable[Row]) -> History:
    """Return the history with rows of a machine added, and gaps derived from their times."""
    added = list(rows)
    added += derive_gaps(added)
    keys = dict.fromkeys((row.series, row.release) for row in added)
    measured = [Measured(*key, started=1.79e9) for key in keys]
    return replace(
        history,
        machines={**history.machines, machine.name: machine},
        measured=[*history.measured, *measured],
        rows=[*history.rows, *added],
        newest={**history.newest, machine.name: "50.0.1"},
    )


def make_times(
    machine: str, unwinder: Unwinder, releases: Iterable[str], shapes: Iterable[str] = (MAIN_SHAPE,)
) -> list[Row]:
    """Return times with and without unwind info: a gap of 8, and of 1.2 in 50.0.1."""
    rows = []
    for release, shape in itertools.product(releases, shapes):
        gap = 1.2 if release == "50.0.1" else 8
        for benchmark, value in ((TIME_ON, 0.01 * gap), (TIME_OFF, 0.01)):
            samples = tuple(value * (1 + i / 100) for i in range(8))
            ends = (samples[0], samples[-1])
            rows.append(
                Row(SeriesKey(machine, unwinder), release, benchmark, shape, value, *ends, samples)
            )
    return rows


def write_answer(folder: Path, history: History) -> str:
    """Write the front page and return its content."""
    report = charts.name_series(build_report(history), history)
    pages.write_answer(folder, "wasmtime-py", report, history)
    return (folder / "index.html").read_text()


def cut_matrix(text: str) -> str:
    """Return the rows of the tables of advice."""
    return text[text.index('<table class="matrix') : text.index("Downsides of turning")]


def strip_tags(markup: str, replacement: str = " ") -> str:
    """Return the text of a page, with tags replaced and whitespace collapsed."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", replacement, markup)).split())


def test_publish_prints_where_the_site_is(
    publishing: subprocess.CompletedProcess[str], site: Path
) -> None:
    last = publishing.stdout.strip().splitlines()[-1]
    assert last.endswith(
        "The site is in .asv/html. To see it: uv run asv preview --html-dir .asv/html"
    )


def test_front_page_starts_with_the_answer(site: Path, report: Report) -> None:
    text = (site / "index.html").read_text()
    for sentence in report.headline:
        assert sentence in strip_tags(text, replacement="")
    first_screen = text[: text.index('id="history-heading"')]
    assert first_screen.count("no Mac is recorded") == 1
    order = [
        "<h1>", 'id="choice"', 'class="verdict"', 'cards no-script"', 'id="code"',
        "wasmtime-py 50 is",
        'class="chart wide"', 'id="calculator"', 'id="when-heading"', 'id="gap"', 'class="matrix',
        'href="gap.json" download', 'id="reported-heading"',
    ]  # fmt: skip
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


def test_table_without_javascript_has_every_platform_and_the_newest_release(site: Path) -> None:
    text = (site / "index.html").read_text()
    table = text[text.index('<table class="data cards no-script">') :].split("</table>")[0]
    rows = [strip_tags(row) for row in table.split('<th scope="row">')[1:]]
    assert len(rows) == len(Platform)
    assert "Up to 49.0.0" in table
    assert "50.0.1 and later" in table
    assert rows[0].startswith("macOS on Apple silicon Turn unwind info off. With any load.")
    assert "keep it up to" in rows[0]
    static = rows[list(Platform).index(Platform.STATIC_LIBUNWIND)]
    assert "19.0.0 to 25.0.0: Turn unwind info off. With any load. 27.0.1 to 49.0.0: It" in static
    assert "cannot be turned off" in rows[-1]


def test_benefits_are_those_of_every_release(site: Path) -> None:
    releases = [release.version for release in pins.load_pins()]
    found = {where: text for text, places in pages.collect_benefits(releases) for where in places}
    for release in releases:
        for platform in Platform:
            span = next(
                text
                for where, text in found.items()
                if where == platform.value
                or (
                    where.startswith(f"{platform.value}, ")
                    and release in releases_between(releases, where.removeprefix(platform.value))
                )
            )
            assert span == advise(platform, release, Load(1, 1)).gives, (platform, release)


def releases_between(releases: list[str], span: str) -> list[str]:
    """Return the releases of a span such as `, 19.0.0 to 25.0.0`."""
    first, _, last = span.removeprefix(", ").partition(" to ")
    return releases[releases.index(first) : releases.index(last or first) + 1]


@pytest.mark.parametrize("setting", settings.SETTINGS, ids=lambda setting: setting.language)
def test_settings_of_a_language_cover_its_releases_once(setting: settings.Setting) -> None:
    same = [other for other in settings.SETTINGS if other.key == setting.key]
    spans = sorted((other.first, other.last or 10**9) for other in same)
    for (_, last), (first, _) in itertools.pairwise(spans):
        assert first == last + 1


def test_chart_has_a_line_for_each_unwinder_and_a_link_for_each_change(
    report: Report, history: History
) -> None:
    chart = charts.build_chart(report, history, DEREGISTER)
    assert chart is not None
    assert [line.name for line in chart.lines] == NAMES
    assert len({line.colour for line in chart.lines}) == len(NAMES)
    assert [(mark.release, list(mark.pulls)) for mark in chart.marks] == [
        ("22.0.0", ["#8629"]),
        ("50.0.1", ["#14304"]),
    ]
    for size in (WIDE, NARROW):
        drawing = ET.fromstring(draw_staircase(chart, size, "wide"))  # noqa: S314
        linked = [link.get("href") for link in drawing.iter(f"{SVG}a")]
        assert linked == [f"{links.WASMTIME}/pull/{pull}" for pull in (8629, 14304)]
        labels = " ".join(text.text or "" for text in drawing.iter(f"{SVG}text"))
        assert all(name in labels for name in NAMES)
        areas = [area for area in drawing.iter(f"{SVG}rect") if area.get("class") is None]
        assert len(areas) == len(chart.releases)
        for text in drawing.iter(f"{SVG}text"):
            assert 0 <= float(text.get("x", "")) <= size[0]
            assert 0 <= float(text.get("y", "")) <= size[1] + BAND


def test_band_below_the_chart_shows_what_unwind_info_gives(
    report: Report, history: History
) -> None:
    chart = charts.build_chart(report, history, DEREGISTER)
    assert chart is not None
    assert chart.band is not None
    assert [(each.first, each.last, each.labels[0]) for each in chart.band.segments] == [
        ("13.0.0", "14.0.0", "all frames"),
        ("15.0.0", "22.0.0", "nothing"),
        ("23.0.0", "27.0.2", "the wasm frames only"),
        ("28.0.0", "36.0.0", "nothing"),
        ("37.0.0", "50.0.1", "all frames"),
    ]
    assert "nothing in 15.0.0 to 22.0.0" in chart.title
    for size in (WIDE, NARROW, PICTURE):
        drawing = ET.fromstring(draw_staircase(chart, size, "wide"))  # noqa: S314
        segments = [area for area in drawing.iter(f"{SVG}rect") if area.get("class")]
        assert len(segments) == 5
        ends = [float(area.get("x", "")) + float(area.get("width", "")) for area in segments]
        assert ends == sorted(ends)
        assert ends[-1] <= size[0]
    without_backtraces = replace(
        history, rows=[row for row in history.rows if row.benchmark not in (FRAMES_ON, BOTTOM_ON)]
    )
    bare = charts.build_chart(report, without_backtraces, DEREGISTER)
    assert bare is not None
    assert bare.band is None


@pytest.mark.parametrize("is_count", [True, False])
@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1e-9, 0.5, 1.0, 1e18, 1e27, -1e18])
def test_chart_draws_every_value_that_a_result_file_may_hold(value: float, is_count: bool) -> None:
    points = {"48.0.0": Point(7.0), "49.0.0": Point(value), "50.0.1": Point(value, value, 9e9)}
    plateau = Plateau("49.0.0", "50.0.1", value, "free")
    for drawn in (points, {"49.0.0": Point(value)}):
        chart = Staircase("title", list(points), [Line("a", 0, drawn, [plateau])], [],
                          dict.fromkeys(points, "hint"), is_count)  # fmt: skip
        for size in (WIDE, NARROW, PICTURE):
            drawing = ET.fromstring(draw_staircase(chart, size, "wide"))  # noqa: S314
            labels = [text.text or "" for text in drawing.iter(f"{SVG}text")]
            assert any("free" in label for label in labels)
            numbers = re.findall(
                r"-?\d+(?:\.\d+)?",
                " ".join(path.get("d", "") for path in drawing.iter(f"{SVG}path")),
            )
            assert all(0 <= float(number) <= max(size) for number in numbers)


def test_count_of_zero_is_drawn_and_called_free(tmp_path: Path, history: History) -> None:
    rows = [
        row._replace(value=0.0) if (row.benchmark, row.release) == (DEREGISTER, "50.0.1") else row
        for row in history.rows
    ]
    text = write_answer(tmp_path, replace(history, rows=rows))
    assert "made deregistering a module free" in strip_tags(text)


def test_marks_of_changes_have_labels_on_the_chart_of_counts_only(
    report: Report, history: History
) -> None:
    counts, gaps = (charts.build_chart(report, history, name) for name in (DEREGISTER, GAP))
    assert counts is not None
    assert gaps is not None
    assert [mark.label for mark in counts.marks] == ["2.16× cheaper", "17× cheaper"]
    assert {mark.label for mark in gaps.marks} == {""}


def test_hints_have_counts_and_milliseconds(history: History) -> None:
    timed = add_rows(
        history,
        history.machines["linux-x86_64"],
        make_times("linux-x86_64", LLVM, ["49.0.0"]),
    )
    chart = charts.build_chart(charts.name_series(build_report(timed), timed), timed, DEREGISTER)
    assert chart is not None
    hint = chart.hints["49.0.0"]
    assert "macOS path: LLVM libunwind: 1,156,765 instructions per module, " in hint
    assert " ms added by unwind info per 1000 modules" in hint


def test_matrix_shows_times_of_the_stand_in_only_in_the_details_of_macs(
    tmp_path: Path, history: History
) -> None:
    text = write_answer(tmp_path, history)
    measured = r"0\.\d+ ms measured on linux-x86_64"
    matrix = cut_matrix(text)
    macs, linux = matrix.split('<th scope="row">')[1:3], matrix.split('<th scope="row">')[3]
    for row in macs:
        assert set(re.findall(r'class="basis">([^<]*)<', row)) == {"estimated"}
        assert re.search(f"<li>{measured}, the stand-in</li>", row)
    assert re.search(f'class="basis">estimated; {measured}', linux)


def test_table_of_changes_has_each_change_once(site: Path) -> None:
    text = (site / "index.html").read_text()
    table = text[text.index('<div class="changes">') :].split("</table>")[0]
    assert re.findall(r'scope="rowgroup"[^>]*>([^<]+)<', table) == ["50.0.1", "22.0.0"]
    assert table.count("pull/14304") == 1
    assert "1,156,765 → <br>68,043" in table
    assert table.count("macOS path: LLVM libunwind</td>") == 2
    assert table.count("libgcc 14</td>") == 1


def test_matrix_has_the_basis_of_every_cost(site: Path) -> None:
    text = (site / "index.html").read_text()
    matrix = cut_matrix(text)
    rows = [strip_tags(row) for row in matrix.split('<th scope="row">')[1:]]
    assert len(rows) == len(Platform)
    assert rows[0].count("turn it off") > rows[0].count("keep it") > 0
    assert "cannot be turned off" in rows[-1]
    for row in rows[:-1]:
        assert len(re.findall(r" ms , estimated| ms, estimated", row)) >= 3
    assert "measured" not in re.sub(r"measured on [\w-]+, the stand-in", "", rows[0])


def test_page_and_downloads_have_the_same_values(site: Path, report: Report) -> None:
    content = json.loads((site / "gap.json").read_text())
    with (site / "gap.csv").open() as file:
        lines = list(csv.reader(file))
    assert len(content["rows"]) == len(lines) - 1 == len(report.rows)
    text = (site / "index.html").read_text()
    for row in report.rows:
        if row.benchmark == DEREGISTER:
            assert f"<td>{row.value:,.0f}</td>" in text
    for reported in read_reports():
        assert reported["url"] in text
        assert html.escape(reported["numbers"]) in text


@pytest.mark.parametrize("name", ["index.html", "releases.html", "gap.html"])
def test_page_loads_no_other_files_and_its_links_work(name: str, site: Path) -> None:
    text = (site / name).read_text()
    assert not re.findall(r"<(?:script|img|iframe)[^>]* src=|url\(|@import", text)
    assert all(
        address.startswith("data:") for address in re.findall(r'<link[^>]* href="([^"]*)"', text)
    )
    addresses = re.findall(r'<a [^>]*href="([^"]*)"', text)
    assert addresses
    for address in addresses:
        if not address.startswith("https://"):
            file, _, fragment = address.partition("#")
            assert (site / (file or name)).is_file()
            assert file or f'id="{fragment}"' in text


def test_links_of_asv_pages_work(site: Path) -> None:
    text = (site / "grid.html").read_text()
    for address in ("index.html", "releases.html", "regressions.xml", "#/regressions"):
        assert f'href="{address}"' in text
    for address in re.findall(r'src="([^":]+)"', text):
        assert (site / address).is_file()
    assert "index.html#" not in (site / "regressions.xml").read_text()
    assert 'href="index.html"' in (site / "error.html").read_text()
    graphs = re.findall(r'href="grid.html#([\w.]+)\?', (site / "index.html").read_text())
    known = json.loads((site / "index.json").read_text())["benchmarks"]
    assert graphs
    assert set(graphs) <= set(known)


def test_build_ids_are_not_among_the_benchmarks_of_asv_pages(site: Path) -> None:
    known = json.loads((site / "index.json").read_text())["benchmarks"]
    assert known
    assert not [name for name in known if "library" in name]
    drawn = [path for path in (site / "graphs/summary").glob("*.json") if path.stem in known]
    assert drawn
    for path in drawn:
        thumbnail = json.loads(path.read_text())
        assert all(value >= 0 for _, value in thumbnail), path.stem
        assert thumbnail, path.stem


def test_feed_of_asv_links_to_the_renamed_page(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f"<nav>{grid.NAVIGATION}></nav>")
    (tmp_path / "error.html").write_text("<body></body>")
    (tmp_path / "regressions.xml").write_text('<a href="index.html#suite.track?x=1">')
    grid.move_grid(tmp_path)
    assert (tmp_path / "regressions.xml").read_text() == '<a href="grid.html#suite.track?x=1">'
    assert not (tmp_path / "index.html").exists()


def test_unknown_markup_of_the_asv_page_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<nav><li>Regressions</li></nav>")
    with pytest.raises(UserError, match=r"Adapt scripts\.site\.grid to this version of asv"):
        grid.move_grid(tmp_path)


def test_thumbnails_of_asv_step_only_where_their_series_changes(site: Path, report: Report) -> None:
    """asv's mean of all series stepped where another unwinder's releases begin."""
    path = site / f"graphs/summary/{pages.BENCHMARKS[DEREGISTER]}.json"
    thumbnail = json.loads(path.read_text())
    releases = [release.version for release in pins.load_pins()]
    steps = [
        releases[revision]
        for (_, before), (revision, now) in itertools.pairwise(thumbnail)
        if abs(now / before - 1) > 0.01
    ]
    assert steps == [change.release for change in report.series[0].changes]
    eras = report.series[0].eras_of(MAIN_SHAPE)
    assert releases[thumbnail[0][0]] == eras[0].first
    assert releases[thumbnail[-1][0]] == eras[-1].last


def test_site_is_small(site: Path) -> None:
    assert (site / "index.html").stat().st_size < 600_000
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 4_000_000


def test_page_stays_small_with_400_releases_of_4_machines(tmp_path: Path, history: History) -> None:
    releases = [f"{major}.0.{minor}" for major in range(13, 53) for minor in range(10)]
    shapes = dict.fromkeys(row.shape for row in history.rows if row.benchmark == DEREGISTER)
    pinned = [replace(history.releases[0], version=release) for release in releases]
    many = replace(history, releases=pinned, rows=[], measured=[])
    for number in range(4):
        machine = replace(history.machines["linux-x86_64"], name=f"machine-{number}")
        for unwinder in (LLVM, LIBGCC):
            counted = [
                Row(SeriesKey(machine.name, unwinder), release, DEREGISTER, shape, 1_156_765)
                for release in releases
                for shape in shapes
            ]
            timed = make_times(machine.name, unwinder, releases, HEADLINE)
            many = add_rows(many, machine, [*counted, *timed])
    write_answer(tmp_path, many)
    assert (tmp_path / "index.html").stat().st_size < 3_000_000


def test_releases_page_has_a_row_per_release_and_a_column_per_unwinder(site: Path) -> None:
    text = (site / "releases.html").read_text()
    head = text[text.index('<table class="data releases">') :].split("</thead>")[0]
    assert [strip_tags(cell) for cell in re.findall(r'number[^"]*">(.*?)</th>', head)][:-1] == [
        "macOS path: LLVM libunwind linux-x86_64",
        "libgcc 14 debian-13-x86_64",
        "libgcc 12 linux-x86_64",
    ]
    for version, commit in COMMITS.items():
        row = text[text.index(f'<tr id="{commit}"') :].split("</tr>")[0]
        assert f'<th scope="row">{version}' in row
        assert row.count("</td>") == 3 + 6
    newest = text[text.index(f'id="{COMMITS["50.0.1"]}"') :].split("</tr>")[0]
    for part in ("68,043", "changed the cost", pins.Registration.SECTIONS, "/releases/tag/50.0.1"):
        assert part in newest


def test_headline_is_about_a_mac_once_one_is_recorded(tmp_path: Path, history: History) -> None:
    mac = Machine("macos-15-arm64", "macOS 15", "arm64", "macOS")
    rows = make_times(mac.name, APPLE, ["21.0.0", "48.0.0", "49.0.0", "50.0.1"])
    text = write_answer(tmp_path, add_rows(history, mac, rows))
    assert "no Mac is recorded" not in text
    assert "Basis: macos-15-arm64." in strip_tags(text)
    assert "made unloading modules with unwind info 6.67 times cheaper" in strip_tags(text)
    assert "stands in for Apple's." in html.unescape(text[: text.index('id="own-heading"')])
    figure = text[text.index('id="gap"') :].split("</figure>")[0]
    assert "Apple libunwind" in figure
    apple_silicon = text[text.index('<table class="matrix') :].split("</tr>")[1]
    assert "measured on linux-x86_64" not in apple_silicon
    assert "counted on debian-12-arm64-emulated" in apple_silicon  # a Mac has no counts


def test_text_from_results_is_escaped(tmp_path: Path, history: History) -> None:
    evil = '<script>alert("x")</script>'
    machine = replace(history.machines["linux-x86_64"], name=evil)
    counted = [
        Row(SeriesKey(evil, LLVM), release, DEREGISTER, MAIN_SHAPE, 1000)
        for release in ("49.0.0", "50.0.1")
    ]
    hostile = add_rows(history, machine, [*counted, *make_times(evil, LLVM, ["49.0.0"])])
    hostile.left_out = [evil]
    report = build_report(hostile)
    text = write_answer(tmp_path, hostile)
    pages.write_releases(tmp_path, "p", report, hostile)
    hostile.left_out = []
    assert evil not in text
    assert evil not in (tmp_path / "releases.html").read_text()
    assert html.escape(evil) in text.replace("&#34;", "&quot;")


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/owner/name.git", "https://github.com/owner/name"),
        ("git@github.com:owner/name.git", "https://github.com/owner/name"),
        ("ssh://git@github.com/owner/name", "https://github.com/owner/name"),
        ("/srv/name.git", ""),
        ("https://user:secret@example.org/name", ""),
        ("", ""),
    ],
)
def test_repository_is_linked_if_its_remote_is_on_the_web(
    remote: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if remote:
        subprocess.run(["git", "remote", "add", "origin", remote], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    assert links.find_repository() == address


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://example.org", "//example.org"])
def test_address_without_https_is_rejected(address: str) -> None:
    with pytest.raises(ValueError, match="is not an https address"):
        links.require_https(address)


@pytest.mark.parametrize(
    ("sentence", "count"),
    [("#14304", 1), ("wasmtime#14303; #2808", 2), ("wasmCloud#5555", 0), ("a&#39;b <#123>", 1)],
)
def test_pull_requests_of_wasmtime_are_linked(sentence: str, count: int) -> None:
    linked = str(links.link_pulls(sentence))
    assert linked.count("<a href=") == count
    assert html.unescape(re.sub(r"</?a[^>]*>", "", linked)) == sentence


@pytest.mark.parametrize("size", [line_chart.WIDE, line_chart.NARROW])
def test_line_chart_has_every_point_and_its_threshold(size: tuple[int, int]) -> None:
    curves = [
        Curve("49.0.0, LLVM libunwind", [(2008, 0.045), (1_001_992, 28)]),
        Curve("libgcc 12", [(2008, 0.01), (1_001_992, 0.01)]),
    ]
    chart = LineChart("caption", "FDEs", "ms", curves, (0.1, "too much"))
    drawing = ET.fromstring(draw_line_chart(chart, size, "wide"))  # noqa: S314
    for part in ("28 at 1,001,992", "0.01 at 2,008", "too much: 0.1", "libgcc 12"):
        assert part in drawing.get("aria-label", "")
    circles = [
        (float(circle.get("cx", "")), float(circle.get("cy", "")))
        for circle in drawing.iter(f"{SVG}circle")
    ]
    assert len(circles) == 4
    (left, low), (right, high), *flat = circles
    assert 0 < left < right < size[0]
    assert 0 < high < low < flat[0][1] == flat[1][1] < size[1]
    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert {"ms", "FDEs", "too much", *(curve.name for curve in curves)} <= set(texts)


def test_feed_has_an_entry_for_the_newest_release(tmp_path: Path, history: History) -> None:
    feed = tmp_path / "regressions.xml"
    feed.write_text('<feed xmlns="http://www.w3.org/2005/Atom"><title>a</title></feed>')
    recent = describe_recent(build_report(history))
    assert recent
    grid.add_to_feed(tmp_path, "wasmtime-py", history.releases[-1], recent.text)
    root = ET.parse(feed).getroot()  # noqa: S314
    atom = "{http://www.w3.org/2005/Atom}"
    (entry,) = root.iter(f"{atom}entry")
    assert entry.findtext(f"{atom}title") == f"50.0.1: {recent.text}"
    assert entry.findtext(f"{atom}id") == "tag:wasmtime-py.asv,2026-10-22:/50.0.1"


def describe_line(history: History, **filters: str) -> str:
    """Return the line on the last releases."""
    recent = describe_recent(build_report(history, **filters))
    assert recent
    return recent.text


def test_line_of_recent_releases_is_about_those_that_were_compared(history: History) -> None:
    assert describe_line(history, since="48.0.0").startswith(
        "Last two releases: no deregister count grew"
    )
    emulated = describe_line(history, machine="debian-12-arm64-emulated")
    assert emulated.startswith(
        "50.0.1: no deregister count grew by 1 % or more; 50.0.1 17 times cheaper"
    )
    newer = replace(history.releases[-1], version="51.0.0")
    pinned = replace(history, releases=[*history.releases, newer])
    recent = describe_recent(build_report(pinned))
    assert recent
    assert recent.newest == "50.0.1"
    assert recent.text.startswith(
        "Five releases up to 50.0.1: no deregister count grew by 1 % or more; real"
    )
    alone = [row for row in history.rows if row.release == "50.0.1"]
    assert describe_recent(build_report(replace(history, rows=alone))) is None


def test_line_of_recent_releases_names_growth_and_falls(history: History) -> None:
    assert describe_line(history) == (
        "Last five releases: no deregister count grew by 1 % or more; real program +0.23 % in "
        "46.0.1; 50.0.1 17 times cheaper (#14304); 48.0.0 leaves more memory; "
        "49.0.0 leaves less memory."
    )
    key = SeriesKey("linux-x86_64", LLVM)
    rows = [
        row._replace(value=40_000)
        if (row.series, row.release, row.benchmark, row.shape)
        == (key, "50.0.1", DEREGISTER, "1000x1")
        else row
        for row in history.rows
    ]
    grown = describe_line(replace(history, rows=rows))
    assert "1000x1 +11 % in 50.0.1" in grown
    assert "no deregister count grew" not in grown


def test_pictures_are_svg_without_scripts(report: Report, history: History) -> None:
    for ground in picture.STYLES:
        drawn = picture.draw_picture(report, history, ground)
        root = ET.fromstring(drawn)  # noqa: S314
        assert root.tag == f"{SVG}svg"
        assert not list(root.iter(f"{SVG}script"))
        assert all(name in drawn for name in NAMES)
        assert ("#15181c" in drawn) == (ground == "dark")
        texts = [text.text for text in root.iter(f"{SVG}text")]
        assert texts[0] == "Instructions to deregister one of 1000 modules of 8 functions"


def test_damaged_file_is_an_error_after_the_others_are_published(
    repository: Path, publishing: subprocess.CompletedProcess[str]
) -> None:
    (path, *_) = sorted((repository / "results/linux-x86_64").glob("*-*.json"))
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    answer = asv(repository, "publish")
    path.write_bytes(before)
    assert answer.returncode == 1
    output = answer.stdout + answer.stderr
    assert path.name in output
    assert "Traceback" not in output
    site = repository / ".asv/html"
    assert json.loads((site / "index.json").read_text())["graph_param_list"]
    assert path.name in (site / "index.html").read_text()


@pytest.mark.parametrize("content", [None, '{"machine": "lin'])
def test_machine_without_a_valid_description_is_an_error(
    content: str | None, repository: Path, publishing: subprocess.CompletedProcess[str]
) -> None:
    path = repository / "results/linux-x86_64/machine.json"
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_text(content)
    answer = asv(repository, "publish")
    path.write_bytes(before)
    assert answer.returncode == 1
    output = answer.stdout + answer.stderr
    assert "linux-x86_64/machine.json" in output
    assert "Traceback" not in output


def test_publish_without_results_is_an_error(
    repository: Path, publishing: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    machines = [path for path in (repository / "results").iterdir() if path.is_dir()]
    for folder in machines:
        shutil.move(folder, tmp_path / folder.name)
    answer = asv(repository, "publish")
    for folder in machines:
        shutil.move(tmp_path / folder.name, folder)
    assert answer.returncode == 1
    assert "Nothing to publish: results/ holds no results. Run `uv run asv run`." in (
        answer.stdout + answer.stderr
    )


def test_front_page_without_values_has_the_reason(tmp_path: Path, history: History) -> None:
    empty = replace(history, rows=[])
    pages.write_empty(tmp_path, "wasmtime-py", empty)
    assert words.describe_empty(empty) in strip_tags((tmp_path / "index.html").read_text())
