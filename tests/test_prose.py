"""What is written about the recorded history is what the command beside it prints.

Each page says as of which release it speaks. What was recorded since does not make it wrong.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asv.config import Config
from packaging.version import Version

from scripts.history.read import read_history
from scripts.releases import pins
from scripts.site import picture

from .conftest import DEADLINE, ROOT, asv, copy_repository, environment

PAGES = ("README.md", "docs/what-the-history-shows.md")
LIMIT = 1_000_000  # bytes of results per machine: CONTRIBUTING.md says what to do then
EXAMPLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```$|`[^`]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)
UNIT = r"(?:×| ms| µs| MB| %| FDEs| instructions)"
# a decimal that is no version, or a whole number with a unit, also of a list with one unit
FIGURE = re.compile(
    rf"(?<![\w.#,])(\d+\.\d+(?!\w|\.\d)|\d+(?:,\d{{3}})*(?=(?:(?:,| and| to| or) [\d.]+)*{UNIT}))"
)
NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")
AS_OF = re.compile(r"\b[Aa]s\s+of\s+(\d+\.\d+\.\d+)\b")


def sections() -> list[tuple[str, str]]:
    """The sections with an example, each with its page and heading."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for section in re.split(r"^(?=#+ )", text, flags=re.MULTILINE):
            if EXAMPLE.search(section):
                found.append((f"{page}: {section.splitlines()[0].strip('# ')}", section))
    return found


SECTIONS = sections()
COMMANDS = [
    (name.split(":")[0], one)
    for name, section in SECTIONS
    for block in EXAMPLE.findall(section)
    for one in re.split(r"^\$ uv run ", block, flags=re.MULTILINE)[1:]
]


def as_of(page: str) -> str:
    """The release that a page says it speaks of, as the newest."""
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    releases = AS_OF.findall(text)
    assert len(releases) == 1, f'{page} has to say once, as in "As of 50.0.1.", of when it speaks'
    return str(releases[0])


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A copy of the repository as a page knows it: without newer pins and their results."""
    copies: dict[str, Path] = {}

    def known_to(page: str) -> Path:
        release = as_of(page)
        if release not in copies:
            folder = tmp_path_factory.mktemp("history")
            copies[release] = copy_repository(folder, until=release, recorded=True)
        return copies[release]

    return known_to


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_as_of_which_release_it_speaks(
    history: Callable[[str], Path], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(history(page))
    assert pins.load_pins()[-1].version == as_of(page)
    known = read_history(Config.load("asv.conf.json"))
    assert max((each.release for each in known.measured), key=Version) == as_of(page)
    assert known.left_out == []


def words(line: str) -> str:
    """A line whatever the width of its columns."""
    return " ".join(line.split())


@pytest.mark.parametrize(("page", "example"), COMMANDS)
def test_the_output_is_what_the_command_prints(
    history: Callable[[str], Path], page: str, example: str
) -> None:
    command, *shown = example.splitlines()
    tool, *arguments = shlex.split(command)
    if tool == "asv":
        arguments = ["-m", "asv", *arguments]
    answer = subprocess.run(
        [sys.executable, *arguments],
        cwd=history(page), env={**environment(), "PYTHONUTF8": "1"},
        capture_output=True, encoding="utf-8", check=False, timeout=DEADLINE,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    printed = [words(line) for line in answer.stdout.splitlines() if line.strip()]
    at, skipped = 0, False
    for line in shown:
        if line == "…":
            skipped = True
            continue
        found = printed.index(words(line), at)
        assert skipped or found == at, f"{printed[at]} is left out before {line}"
        at, skipped = found + 1, False
    assert skipped or at == len(printed), f"{printed[at]} is left out at the end"


@pytest.mark.parametrize(("name", "section"), SECTIONS)
def test_every_figure_is_in_the_output_beside_it(name: str, section: str) -> None:
    printed = {number for example in EXAMPLE.findall(section) for number in NUMBER.findall(example)}
    figures = FIGURE.findall(" ".join(CODE.sub("", section).split()))
    assert figures, f"{name}: an example, and nothing said of it"
    assert [figure for figure in figures if figure not in printed] == []


def test_there_is_something_to_compare() -> None:
    assert {name.split(":")[0] for name, _ in SECTIONS} == set(PAGES)


def test_the_pictures_show_the_recorded_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = ROOT / picture.FOLDER
    monkeypatch.setattr(picture, "FOLDER", tmp_path)
    assert picture.main() == 0
    drawn = sorted(tmp_path.iterdir())
    assert len(drawn) == len(picture.STYLES)
    for path in drawn:
        assert path.read_text("utf-8") == (committed / path.name).read_text("utf-8")


def test_asv_s_regressions_are_those_that_counts_bear_out(history: Callable[[str], Path]) -> None:
    copy = history(PAGES[0])
    answer = asv(copy, "publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    listed = json.loads((copy / ".asv/html/regressions.json").read_text())["regressions"]
    names = {name.split("(")[0].split(".")[-1] for name, *_ in listed}
    assert names == set()


def test_no_machine_has_outgrown_the_repository() -> None:
    folders = [path.parent for path in (ROOT / "results").glob("*/machine.json")]
    recorded = [folder for folder in folders if not folder.name.startswith("local-")]
    assert recorded
    for folder in recorded:
        assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT, folder.name
