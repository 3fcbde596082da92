"""The published pages, as files: what they say, and what stops them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from asv.util import UserError

from scripts.site import publisher

from .conftest import COMMITS, asv, copy_repository
from .results import write_results
from .test_gap_report import FLAT, SIZES, STORY


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with results of a known story, published once."""
    copy = copy_repository(tmp_path_factory.mktemp("page"))
    shutil.rmtree(copy / "results", ignore_errors=True)
    (copy / "results").mkdir()
    source = Path(__file__).parent.parent / "results/benchmarks.json"
    shutil.copy(source, copy / "results")
    write_results(copy / "results", STORY)
    write_results(copy / "results", dict.fromkeys(STORY, FLAT), unwinder="system")
    answer = asv(copy, "publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return copy


@pytest.fixture
def site(repository: Path) -> Path:
    return repository / ".asv/html"


def test_the_page_says_what_the_report_says(site: Path) -> None:
    text = (site / "gap.html").read_text()
    report = json.loads((site / "gap.json").read_text())
    assert len(report["gaps"]) == 2 * len(STORY) * len(SIZES)
    assert (site / "gap.csv").read_text().count("\n") == len(report["gaps"]) + 1
    verdict = re.search(r'<p class="verdict">(.*?)</p>', text, re.S)
    assert verdict is not None
    assert (
        "takes 1.6× as long in 50.0.1 (linux-x86_64, libunwind); it was 7.99× up to" in verdict[1]
    )
    for gap in report["gaps"]:
        said = f"{gap['ratio']:.0f}×" if gap["ratio"] >= 100 else f"{gap['ratio']:.3g}×"
        assert re.search(rf"<th scope=\"row\">{gap['release']}</th><td>≈?{said}</td>", text)
    assert "https://github.com/bytecodealliance/wasmtime/pull/14304" in text
    assert f"{2 * len(STORY)} results of linux-x86_64" in text


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
    assert "16× linux-x86_64, libunwind" in row


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
    assert "restore it from git" in said
    assert "Traceback" not in said


def test_nothing_to_publish_fails(repository: Path, tmp_path: Path) -> None:
    results = repository / "results/linux-x86_64"
    shutil.move(results, tmp_path / "away")
    answer = asv(repository, "publish")
    shutil.move(tmp_path / "away", results)
    assert answer.returncode == 1
    assert "There is nothing to publish: run `uv run asv run`" in answer.stdout + answer.stderr
