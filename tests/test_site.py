"""The published pages, as files: what they say, and what stops them."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest
from asv.util import UserError

from scripts.gap import platforms
from scripts.releases import pins
from scripts.site import publisher

from .conftest import COMMITS, asv, copy_repository
from .results import SHAPES, know_benchmarks
from .test_gap_report import STORY, tell


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with results of a known story, published once."""
    copy = copy_repository(tmp_path_factory.mktemp("page"))
    shutil.rmtree(copy / "results", ignore_errors=True)
    (copy / "results").mkdir()
    know_benchmarks(copy / "results")
    tell(copy / "results")
    answer = asv(copy, "publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return copy


@pytest.fixture
def site(repository: Path) -> Path:
    return repository / ".asv/html"


def test_the_page_says_what_the_report_says(site: Path) -> None:
    text = html.unescape((site / "gap.html").read_text())
    report = json.loads((site / "gap.json").read_text())
    assert len(report["points"]) == 2 * len(STORY) * (len(SHAPES) - 1)
    assert (site / "gap.csv").read_text().count("\n") == len(report["points"]) + 1
    assert f'<p class="verdict">{report["verdict"]}</p>' in text
    assert "68,043" not in report["verdict"]  # where there is a time, that is said
    for point in report["points"]:
        row = f'<th scope="row">{point["release"]}</th><td>{point["size"]}</td>'
        assert f"{row}<td>{point['instructions']:,.0f}</td>" in text
    for era in report["eras"]:
        assert f"<td>{era['instructions']:,.0f}</td>" in text
    for release in ("22.0.0", "50.0.1"):
        assert len(re.findall(rf"<li>linux-x86_64, \w+, {release}: instructions", text)) == 1
    assert len(re.findall(r"<li>linux-x86_64, \w+, [\d.]+: instructions", text)) == 2
    assert f"{2 * len(STORY)} results of linux-x86_64" in text


def test_the_page_answers_in_the_order_of_questions(site: Path) -> None:
    text = (site / "gap.html").read_text()
    wanted = (
        'class="verdict"', 'class="matrix"', "config.native_unwind_info(false);",
        'id="count-chart"', 'id="gap-chart"', 'id="growth-chart"', 'id="order-chart"',
        'id="busy-chart"', 'id="reported-heading"', 'href="gap.json" download',
    )  # fmt: skip
    places = [text.index(one) for one in wanted]
    assert places == sorted(places)
    for part in ("stand-in, libunwind on Linux", "measured here", "nothing recorded", "cannot"):
        assert part in text
    for one in platforms.reported():
        assert one["url"] in text
        assert html.escape(one["numbers"]) in text


def test_charts_share_their_releases_and_name_their_changes(site: Path) -> None:
    text = (site / "gap.html").read_text()
    charts = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.S)[1])  # type: ignore[index]
    assert len(charts) == 5
    for chart in charts.values():
        assert f'"domain": {json.dumps(list(STORY))}' in json.dumps(chart)
    for name in ("count-chart", "gap-chart"):
        labels = re.findall(r'"label": "([^"]*)"', json.dumps(charts[name]))
        assert labels == ["22.0.0 #8629", "50.0.1 #14304, in the Mac wheels too"]


def test_a_series_has_one_colour_in_all_charts(site: Path) -> None:
    page = (site / "gap.html").read_text()
    charts = re.findall(r'"scale": \{"domain": (\[[^]]*\]), "range": \["#', page)
    named = {tuple(json.loads(domain)) for domain in charts}
    assert len(charts) > 2
    assert named == {tuple(json.loads((site / "gap.json").read_text())["series"].values())}


def test_the_page_loads_nothing_from_elsewhere(site: Path) -> None:
    for name in ("gap.html", "releases.html"):
        text = (site / name).read_text()
        loaded = re.findall(r'(?:<script|<link|<img)[^>]*(?:src|href)="([^"]*)"', text)
        assert loaded
        assert all((site / address).is_file() for address in loaded)
    # under any path
    assert 'href="/' not in (site / "gap.html").read_text()


def test_asv_s_own_page_links_to_it(site: Path) -> None:
    assert '<a href="gap.html">Gap</a>' in (site / "index.html").read_text()
    assert 'href="releases.html"' in (site / "index.html").read_text()


def test_another_markup_of_asv_s_page_stops_publishing(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text("<nav><li>Regressions</li></nav>")
    with pytest.raises(UserError, match="to stand beside: see scripts"):
        publisher.link_from_index(index, gap=True)


def test_releases_have_fdes_and_gaps(site: Path) -> None:
    text = (site / "releases.html").read_text()
    row = text[text.index(f'id="{COMMITS["21.0.0"]}"') :].split("</tr>")[0]
    assert "<td>17</td>" in row
    assert "ms (" in row
    assert "linux-x86_64, libunwind" in row
    assert f"<td>{pins.FUNCTION}</td>" in row
    newest = text[text.index(f'id="{COMMITS["50.0.1"]}"') :].split("</tr>")[0]
    assert f"<td>{pins.SECTION}</td>" in newest


def test_unknown_commits_fail_after_the_rest_is_published(repository: Path, site: Path) -> None:
    (path, *_) = sorted((repository / "results/linux-x86_64").glob("*-*.json"))
    stray = path.with_name(f"00000000{path.name[8:]}")
    content = json.loads(path.read_text())
    content["commit_hash"] = "0" * 40
    stray.write_text(json.dumps(content))
    answer = asv(repository, "publish")
    stray.unlink()
    assert answer.returncode == 1
    assert "Published without these:" in answer.stdout + answer.stderr
    assert stray.name in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    assert json.loads((site / "index.json").read_text())["graph_param_list"]
    assert stray.name in (site / "gap.html").read_text()


def test_a_damaged_result_is_listed_on_the_page(repository: Path, site: Path) -> None:
    (path, *_) = sorted((repository / "results/linux-x86_64").glob("*-*.json"))
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    answer = asv(repository, "publish")
    path.write_bytes(before)
    assert answer.returncode == 0
    assert "Restore it from git" in answer.stdout
    assert path.name in (site / "gap.html").read_text()


@pytest.mark.parametrize(
    "command", [["publish"], ["show", "50.0.1"], ["compare", "49.0.0", "50.0.1"]]
)
@pytest.mark.parametrize("content", [None, '{"machine": "lin'])
def test_a_machine_without_description_is_an_error_with_a_remedy(
    command: list[str], content: str | None, repository: Path
) -> None:
    path = repository / "results/linux-x86_64/machine.json"
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_text(content)
    answer = asv(repository, *command)
    path.write_bytes(before)
    assert answer.returncode == 1
    said = answer.stdout + answer.stderr
    assert "results/linux-x86_64/machine.json" in said
    assert "restore it from git" in said.lower()
    assert "Traceback" not in said


def test_nothing_to_publish_fails(repository: Path, tmp_path: Path) -> None:
    results = repository / "results/linux-x86_64"
    shutil.move(results, tmp_path / "away")
    answer = asv(repository, "publish")
    shutil.move(tmp_path / "away", results)
    assert answer.returncode == 1
    assert "There is nothing to publish: run `uv run asv run`" in answer.stdout + answer.stderr
