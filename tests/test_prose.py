"""Pages about the recorded history agree with the output of the commands that they quote.

Each page names the newest release it is about. Releases recorded later do not make it wrong.
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
# a decimal that is not a version, or a whole number with a unit, which may follow a list of numbers
FIGURE = re.compile(
    rf"(?<![\w.#,])(\d+\.\d+(?!\w|\.\d)|\d+(?:,\d{{3}})*(?=(?:(?:,| and| to| or) [\d.]+)*{UNIT}))"
)
NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?")
AS_OF = re.compile(r"\b[Aa]s\s+of\s+(\d+\.\d+\.\d+)\b")


def find_sections() -> list[tuple[str, str]]:
    """Return the sections that quote output, each with its page and heading."""
    sections = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for section in re.split(r"^(?=#+ )", text, flags=re.MULTILINE):
            if EXAMPLE.search(section):
                sections.append((f"{page}: {section.splitlines()[0].strip('# ')}", section))
    return sections


SECTIONS = find_sections()
COMMANDS = [
    (name.split(":")[0], example)
    for name, section in SECTIONS
    for block in EXAMPLE.findall(section)
    for example in re.split(r"^\$ uv run ", block, flags=re.MULTILINE)[1:]
]


def find_newest(page: str) -> str:
    """Return the newest release that a page says it is about."""
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    releases = AS_OF.findall(text)
    assert len(releases) == 1, f'{page} must name its newest release once, as in "As of 50.0.1."'
    return str(releases[0])


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that copies the repository without pins and results newer than a page."""
    copies: dict[str, Path] = {}

    def copy_for(page: str) -> Path:
        release = find_newest(page)
        if release not in copies:
            folder = tmp_path_factory.mktemp("history")
            copies[release] = copy_repository(folder, until=release, recorded=True)
        return copies[release]

    return copy_for


@pytest.mark.parametrize("page", PAGES)
def test_page_names_the_newest_release_of_its_history(
    history: Callable[[str], Path], page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(history(page))
    assert pins.load_pins()[-1].version == find_newest(page)
    recorded = read_history(Config.load("asv.conf.json"))
    releases = [measured.release for measured in recorded.measured]
    assert max(releases, key=Version) == find_newest(page)
    assert recorded.left_out == []


def collapse_spaces(line: str) -> str:
    """Return a line without the padding of its columns."""
    return " ".join(line.split())


@pytest.mark.parametrize(("page", "example"), COMMANDS)
def test_quoted_output_is_what_the_command_prints(
    history: Callable[[str], Path], page: str, example: str
) -> None:
    command, *quoted = example.splitlines()
    tool, *arguments = shlex.split(command)
    if tool == "asv":
        arguments = ["-m", "asv", *arguments]
    answer = subprocess.run(
        [sys.executable, *arguments],
        cwd=history(page), env={**environment(), "PYTHONUTF8": "1"},
        capture_output=True, encoding="utf-8", check=False, timeout=DEADLINE,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    printed = [collapse_spaces(line) for line in answer.stdout.splitlines() if line.strip()]
    position, skipped = 0, False
    for line in quoted:
        if line == "…":
            skipped = True
            continue
        match = printed.index(collapse_spaces(line), position)
        assert skipped or match == position, f"{printed[position]} is missing before {line}"
        position, skipped = match + 1, False
    assert skipped or position == len(printed), f"{printed[position]} is missing at the end"


@pytest.mark.parametrize(("name", "section"), SECTIONS)
def test_figures_of_a_section_are_in_its_output(name: str, section: str) -> None:
    printed = {number for example in EXAMPLE.findall(section) for number in NUMBER.findall(example)}
    figures = FIGURE.findall(" ".join(CODE.sub("", section).split()))
    assert figures, f"{name} quotes output but mentions none of its figures"
    assert [figure for figure in figures if figure not in printed] == []


def test_every_page_quotes_output() -> None:
    assert {name.split(":")[0] for name, _ in SECTIONS} == set(PAGES)


def test_pictures_show_the_recorded_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = ROOT / picture.FOLDER
    monkeypatch.setattr(picture, "FOLDER", tmp_path)
    assert picture.main([]) == 0
    drawn = sorted(tmp_path.iterdir())
    assert len(drawn) == len(picture.STYLES)
    for path in drawn:
        assert path.read_text("utf-8") == (committed / path.name).read_text("utf-8")


def test_asv_lists_no_regressions(history: Callable[[str], Path]) -> None:
    copy = history(PAGES[0])
    answer = asv(copy, "publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    listed = json.loads((copy / ".asv/html/regressions.json").read_text())["regressions"]
    names = {name.split("(")[0].split(".")[-1] for name, *_ in listed}
    assert names == set()


def test_folder_of_each_machine_is_below_the_limit() -> None:
    folders = [path.parent for path in (ROOT / "results").glob("*/machine.json")]
    recorded = [folder for folder in folders if not folder.name.startswith("local-")]
    assert recorded
    for folder in recorded:
        assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT, folder.name
