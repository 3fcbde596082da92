"""The issue that `scripts.alert --upstream` opens from the probe's JSON."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts import alert

from .github import comments, fake_gh, issues

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake gh is a shell script")


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start a fake GitHub and return the file with its issues."""
    return fake_gh(tmp_path, monkeypatch)


REMOVE, REGISTER = "instructions_to_remove", "instructions_to_register"
Counts = dict[str, Any]
NO_PAIRS = "it does not have two builds for each module, the first one a release"
NO_MATCH = "the builds of a module do not belong together"
INVALID: tuple[Any, ...] = (None, "5", True, -1, float("nan"), float("inf"), 10**400, [])


def build(
    name: str, module: str = "functions-8.wasm", loaded: int = 1000, counts: Counts | None = None
) -> Any:
    """Return the entry of the probe's JSON for a module under one build."""
    all_counts = {REMOVE: 68_043, REGISTER: 4062.142, **(counts or {})}
    return {
        "module": module, "build": name, "fdes": 17, "modules": loaded,
        "counts": {name: {str(loaded): count, "250": 1} for name, count in all_counts.items()},
    }  # fmt: skip


def compare(module: str = "functions-8.wasm", counts: Counts | None = None) -> list[Any]:
    """Return the entries of the probe's JSON for a module under 50.0.1 and under a library."""
    return [build("50.0.1", module), build("libwasmtime.so 3127ca42", module, counts=counts)]


@pytest.fixture
def upstream(github: Path, tmp_path: Path) -> Callable[[object], int]:
    """Return a function that runs `--upstream` on JSON, and returns its exit code."""
    path = tmp_path / "upstream.json"

    def run(content: object) -> int:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
        return alert.main(["--upstream", str(path)])

    assert issues(github) == []
    return run


def test_equal_counts_open_no_issue(
    github: Path, upstream: Callable[[object], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert upstream([*compare("functions-1.wasm"), *compare()]) == 0
    assert "No count of Wasmtime's dev release differs from 50.0.1" in capsys.readouterr().out
    assert issues(github) == []


@pytest.mark.parametrize(
    ("now", "change"), [(68_043, ""), (68_723, ""), (67_363, ""), (68_724, "+1.0 %"),
                        (67_362, "-1.0 %"), (0, "-100.0 %"), (136_086, "+100.0 %")],
)  # fmt: skip
def test_count_that_differs_by_one_percent_opens_an_issue(
    github: Path, upstream: Callable[[object], int], now: int, change: str
) -> None:
    assert upstream(compare(counts={REMOVE: now})) == 0
    titles = [issue["title"] for issue in issues(github)]
    count = f"instructions to deregister 68,043 → {now:,}"
    assert titles == [
        f"Wasmtime's dev release differs from 50.0.1: {count} ({change}), functions-8.wasm"
    ] * bool(change)


def test_count_that_was_zero_opens_an_issue(
    github: Path, upstream: Callable[[object], int]
) -> None:
    assert upstream([build("50.0.1", counts={REMOVE: 0}), build("so", counts={REMOVE: 5})]) == 0
    (issue,) = issues(github)
    assert "instructions to deregister 0 → 5 (new)" in issue["title"]


def test_one_issue_lists_all_changes(github: Path, upstream: Callable[[object], int]) -> None:
    small = compare("functions-1.wasm", {REGISTER: 5000})
    large = compare("functions-8.wasm", {REMOVE: 1_156_765})
    assert upstream(small) == 0
    assert upstream([*small, *large]) == upstream([*small, *large]) == 0
    (issue,) = issues(github)
    assert issue["label"] == "upstream-moved"
    assert "68,043 → 1,156,765 (+1,600.0 %), functions-8.wasm" in issue["title"]  # the largest
    *_, first, second = issue["body"].splitlines()
    assert first.startswith("| `functions-8.wasm` | instructions to deregister | 1000 | 68,043 | 1")
    assert second.startswith("| `functions-1.wasm` | instructions to register | 1000 | 4,062.142 |")
    assert comments(github) == [["1", "--body", f"Updated: `{issue['title']}`"]]


def test_issue_has_no_markup_or_mention_from_the_probe(
    github: Path, upstream: Callable[[object], int]
) -> None:
    module = "@everyone `x`|</td><img src=//x>\n::error::[y](https://x) #1 \N{BELL}é" + "x" * 70_000
    assert upstream(compare(module, {REMOVE: 1})) == 0
    (issue,) = issues(github)
    cleaned = "?everyone ?x????td??img src???x????error???y?(https???x) ?1 ??"
    assert f"), {cleaned}" in issue["title"]
    row = issue["body"].splitlines()[-1]
    assert row.startswith(f"| `{cleaned}")
    assert row.count("`") == 2
    assert row.count("|") == 7
    assert len(row) < 250


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is damaged (Expecting value"),
        ('[{"module": "m', "is damaged (Unterminated string"),
        ("[" * 200_000, "is damaged (nested too deeply)"),
        ("[" + "9" * 5000 + "]", "is damaged (Exceeds the limit"),
        (" " * 20_000_000, "is damaged (larger than 16,777,216 bytes)"),
        ({}, "is damaged (Expected `array`, got `object`)"),
        ([], "is damaged (Expected `array` of length >= 2)"),
        (compare()[:1], "is damaged (Expected `array` of length >= 2)"),
        (compare() * 51, "is damaged (Expected `array` of length <= 100)"),
        ([*compare(), compare()[0]], NO_PAIRS),
        ([1, 2], "got `int` - at `$[0]`"),
        ([{"build": 50}, {}], "got `int` - at `$[0].build`"),
        (compare()[::-1], NO_PAIRS),
        ([*compare(), *compare()[::-1]], NO_MATCH),
        ([compare()[0], {"module": "m.wasm", "error": "died"}], "missing required field `build`"),
        ([compare()[0], build("so", "m.wasm")], NO_MATCH),
        ([compare()[0], build("so", loaded=40)], NO_MATCH),
        ([compare()[0], compare()[1] | {"modules": True}], "got `bool` - at `$[1].modules`"),
        ([compare()[0], compare()[1] | {"counts": {}}], "no count with 1000 modules loaded"),
        ([build("50.0.1", loaded=0), build("so", loaded=0)], "Expected `int` >= 1"),
        *((compare(counts={REMOVE: count}), "is damaged (") for count in INVALID),
    ],
)
def test_invalid_file_is_an_error_of_one_line(
    github: Path, upstream: Callable[[object], int], capsys: pytest.CaptureFixture[str],
    content: object, problem: str,
) -> None:  # fmt: skip
    assert upstream(content) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert "upstream.json is " in message
    assert problem in message
    assert len(message) < 400
    assert message.endswith("See the log of the job that wrote it.")
    assert issues(github) == []


def test_missing_file_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert alert.main(["--upstream", "nowhere.json"]) == 2
    assert capsys.readouterr().err == (
        "nowhere.json is missing. See the log of the job that wrote it.\n"
    )
