"""The report in the terminal: one list in every form, exit codes and bad input."""

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config
from asv.util import UserError
from rich.console import Console

from scripts.base import files
from scripts.gap import platforms, tables, words
from scripts.gap.__main__ import main
from scripts.gap.words import report
from scripts.history.benchmarks import FDES, RATIO, REMOVAL, SIZES
from scripts.history.read import read
from scripts.releases import pins

from .conftest import COMMITS, DEADLINE, ROOT
from .results import HOUR, SESSION, SHAPES, TIMED, edit, repository, write_results

OLD = dict(zip(TIMED, (1.4, 16.0, 66.0), strict=True))
HALF = dict(zip(TIMED, (1.2, 10.0, 65.0), strict=True))
NEW = dict(zip(TIMED, (1.1, 1.6, 2.0), strict=True))
FLAT = dict(zip(TIMED, (1.0, 1.0, 1.0), strict=True))
STORY = {
    "19.0.0": OLD, "20.0.0": OLD, "21.0.0": OLD, "22.0.0": HALF, "40.0.0": HALF, "48.0.0": HALF,
    "49.0.0": HALF, "50.0.1": NEW,
}  # fmt: skip
PER_MODULE = {  # DESIGN of the suite: seen with libunwind 19
    id(OLD): (54_000, 625_000, 2_501_139, 5_300_000, 1_015_000, 820_000, 192e6, 1.9e8, 9e7, 0),
    id(HALF): (36_135, 289_765, 1_156_765, 4_670_460, 470_000, 380_000, 88e6, 177e6, 42e6, 0),
    id(NEW): (12_029, 17_043, 68_043, 43_334, 27_600, 22_300, 45_000, 90_386, 50_000, 0),
}
COUNTS = {
    release: dict(zip(SHAPES, PER_MODULE[id(gaps)], strict=True)) for release, gaps in STORY.items()
}
LIBGCC = dict(zip(SHAPES, (51, 51, 51, 51, 1047, 541, 51, 51, 51, 0), strict=True))


def tell(results: Path, counted: bool = True) -> None:
    """The story of libunwind, and a flat one of libgcc."""
    flat = dict.fromkeys(STORY, FLAT)
    write_results(results, STORY, counts=COUNTS if counted else None)
    libgcc = dict.fromkeys(STORY, LIBGCC) if counted else None
    write_results(results, flat, unwinder="system", counts=libgcc)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose results tell that story."""
    folder = repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    tell(folder)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def found(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(run(capsys, "--format", "json", *arguments)[1])


def moves(report: Any) -> list[tuple[str, str]]:
    return [(change["unwinder"], change["release"]) for change in report["changes"]]


EXPECTED = [("libunwind", "22.0.0"), ("libunwind", "50.0.1")]


def test_every_form_has_the_same_numbers_and_changes(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results
    full = found(capsys)
    rows = list(csv.DictReader(io.StringIO(run(capsys, "--format", "csv")[1])))
    assert len(full["points"]) == len(rows) == 2 * len(STORY) * (len(SHAPES) - 1)
    for point, row in zip(full["points"], rows, strict=True):
        assert float(row["instructions"]) == point["instructions"]
        assert (row["gap"] == "") == (point["gap"] is None)
        if point["gap"]:
            assert float(row["gap"]) == point["gap"]["value"]
            assert float(row["extra_high"]) == point["extra"]["high"]
    assert moves(full) == EXPECTED
    for form in ((), ("--format", "markdown")):
        said = run(capsys, *form)[1]
        for sentence in (
            "22.0.0: instructions a module 54,000 → 36,135 at 1 function, 2,501,139 → 1,156,765",
            "(#14304: libunwind registers",
            "by function of the unwinder: __unw_remove_dynamic_fde 2,501,139 → 1,156,765",
            "__unw_remove_dynamic_fde 1,156,765 → 0, __unw_remove_dynamic_eh_frame_section 0 → 68",
            "50.0.1 changed the cost, compared with 49.0.0",
            "system: 50.0.1 did not change the cost",
            "libunwind on Linux stands in",
        ):
            assert sentence in said
        assert len(re.findall(r"^\W*linux-x86_64, \w+, [\d.]+: instr", said, re.MULTILINE)) == 2
        assert re.search(r"22.0.0 to 49.0.0 \(4\)[ |]+8[ |]+1,156,765[ |]+(9.9|10)", said)
        assert "\x1b[" not in said  # no colour in a pipe
        every = run(capsys, "--releases", *form)[1]
        assert re.search(r"40.0.0[ |]+8[ |]+1,156,765[ |]+(9.9\d|10).*[ |]+12\d ", every)


def test_the_answer_comes_first(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert results
    verdict, _, heading, *advice = run(capsys)[1].splitlines()
    assert re.fullmatch(
        r"In 50.0.1 \(linux-x86_64, libunwind\), unwind info costs "
        r"8.[34]\d ms \([\d.–]*\) per 1000 "
        r"modules when modules of 8 functions are dropped. From 22.0.0 to 49.0.0 it cost 12\d ms "
        r"\(.*\) per 1000 modules. What to do: keep it.",
        verdict,
    )
    assert heading == "What to do"
    assert advice[0].startswith("  linux-x86_64, libunwind, 50.0.1: keep it. 1 function:")


def test_what_is_said_is_what_the_rule_says_at_every_size(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"50.0.1": NEW | {"250x100": 12.0}}, counts=COUNTS)
    advice = found(capsys)["advice"]
    assert advice == found(capsys, "--size", "1", "--since", "50.0.1")["advice"]
    for era in advice:
        assert era["says"] == ("turn it off" if era["extra"]["value"] > 100 else "keep it")
    assert (
        "turn it off at 100 functions, keep it at 1 and 8 functions. 1 function: " in run(capsys)[1]
    )


def test_an_invented_count_is_exactly_one_change(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def two_percent(content: Any) -> None:
        values = content["results"][REMOVAL][content["result_columns"].index("result")]
        values[SHAPES.index("1x2000")] *= 1.02

    edit(results, "50.0.1", two_percent, "system")
    full = found(capsys)
    assert moves(full) == [*EXPECTED, ("system", "50.0.1")]
    assert full["changes"][-1]["moved"] == {"1x2000": [51, pytest.approx(52.02)]}
    assert run(capsys, "--check", "--machine", "linux-x86_64")[0] == 1


def test_without_counts_times_tell_the_same(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(results / "linux-x86_64")
    tell(results, counted=False)
    assert moves(found(capsys)) == EXPECTED[1:]  # 16 to 10 is less than a factor of two
    assert run(capsys, "--check")[0] == 1


def test_check_tells_by_its_exit_code(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--check")[0] == 1
    shutil.rmtree(results / "linux-x86_64")
    write_results(results, {"49.0.0": NEW, "50.0.1": NEW})
    assert run(capsys, "--check")[0] == 0
    write_results(results, {"50.0.1": OLD}, started=SESSION + 7 * HOUR)
    code, said, _ = run(capsys, "--check")
    assert code == 3
    assert "not measured in one session, but 7 hours apart" in said
    # what is certain on another machine comes first
    write_results(results, {"49.0.0": OLD, "50.0.1": NEW}, machine="macos-15-arm64")
    assert run(capsys, "--check")[0] == 1
    assert run(capsys, "--check", "--machine", "linux-x86_64")[0] == 3
    assert "stands in" not in run(capsys)[1]  # a Mac is what its machine.json says


@pytest.mark.parametrize("harm", ["absent", "damaged", "set aside"])
def test_a_newest_release_that_is_missing_is_not_known(
    harm: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for unwinder in ("libunwind", "system") if harm != "absent" else ("libunwind",):
        (path,) = results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*{unwinder}.json")
        if harm == "damaged":
            path.write_text("{")
        else:
            path.rename(path.with_suffix(".json.damaged" if harm == "set aside" else ".gone"))
    code, said, _ = run(capsys, "--check")
    assert code == 3
    assert (
        "libunwind: whether 50.0.1 changed the cost is not known, compared with 49.0.0: it is not"
        in said
    )
    assert "What 50.0.1 changed is not known" in said.splitlines()[0]


def test_a_newest_release_that_lacks_a_count_is_not_known(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"50.0.1": NEW}, counts={"50.0.1": {"1000x1": 12_029}})
    code, said, _ = run(capsys, "--check")
    assert code == 3
    assert "is not known, compared with 49.0.0: it is not measured at 8, 100, 250x8" in said


def test_a_change_of_the_counted_library_is_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = [
        {"since": "2026-09-01T00:00:00+00:00", "facts": {"libgcc": "12.2.0"}},  # as it was
        *(
            {"since": since, "facts": {"unwinders": {"libgcc": {
                "file": "f", "package": f"libgcc-s1 {build}", "build_id": build * 10}}}}
            for since, build in (("2026-09-02T00:00:00Z", "12"), ("2026-10-01T00:00:00Z", "14"))
        ),
    ]  # fmt: skip
    path = results / "linux-x86_64/hosts.jsonl"
    path.write_text("\n".join(map(json.dumps, hosts)))
    moved = {"50.0.1": LIBGCC | {"1000x8": 2914}}
    later = SESSION + 24 * 30 * HOUR
    write_results(results, {"50.0.1": FLAT}, unwinder="system", counts=moved, started=later)
    code, said, _ = run(capsys, "--machine", "linux-x86_64")
    assert code == 0
    change = "the counted library changed, libgcc-s1 12 (12121212) → libgcc-s1 14 (14141414)"
    assert f"instructions a module 51 → 2,914 at 8 functions ({change})" in said
    assert "50.0.1 changed the cost is not known, compared with 49.0.0: the counted library" in said
    path.write_text("{}")
    assert run(capsys)[1].count("hosts.jsonl is damaged") == 1


def test_zero_is_a_count_and_no_time(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for release in ("49.0.0", "50.0.1"):
        edit(results, release, set_value(REMOVAL, "result", [0] * len(SHAPES)))
    full = found(capsys)
    assert full["left_out"] == []
    assert moves(full) == [("libunwind", "22.0.0"), ("libunwind", "49.0.0")]
    assert full["advice"][-1]["instructions"] == 51
    assert run(capsys, "--check")[0] == 0


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--machine", "linux-x86-64"),
            "linux-x86-64 is no machine with results. Did you mean linux-x86_64?",
        ),
        (("--size", "9"), "9 is no size."),
        (("--since", "50.0.99"), "50.0.99 is no measured release. Did you mean 50.0.1"),
        (("compare", "linux-x86_64/libunwind/49.0.0", "linux-x86_64/libunwind/51"), "Did you mean"),
        (("--check", "compare", "a", "b"), "compare takes two"),
    ],
)
def test_what_is_asked_wrong_is_an_error(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert said in error


def test_what_is_shown_leaves_nothing_out_of_what_is_concluded(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert results
    full, part = found(capsys), found(capsys, "--since", "49.0.0", "--size", "1x2000")
    for same in ("changes", "newest", "advice", "verdict"):
        assert part[same] == full[same]
    assert {point["release"] for point in part["points"]} == {"49.0.0", "50.0.1"}
    assert {point["size"] for point in part["points"]} == {"1x2000"}


def test_any_two_can_be_compared(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(results, {"49.0.0": OLD}, machine="macos-15-arm64", unwinder="system")
    names = ("linux-x86_64/libunwind/49.0.0", "macos-15-arm64/system/49.0.0")
    code, said, _ = run(capsys, "compare", *names)
    assert code == 0
    (line,) = [line for line in said.splitlines() if line.strip().startswith("8 functions")]
    assert float(line.split()[-1]) == pytest.approx(1.6, rel=0.02)


def set_value(name: str, column: str, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        content["results"][name][content["result_columns"].index(column)] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_value(RATIO, "result", [0, 1.6, 2.0]),
        set_value(RATIO, "result", [1.1, -1.6, 2.0]),
        set_value(RATIO, "result", [1.1, math.inf, 2.0]),
        set_value(RATIO, "result", [1.1, "1.6", 2.0]),
        set_value(RATIO, "result", 1.6),
        set_value(RATIO, "result", [1.1, 1.7, 2.0]),  # its samples give another
        set_value(RATIO, "stats_ci_99_a", [1.0, 1.7, 1.9]),  # outside its own range
        set_value(RATIO, "samples", [[1.1] * 8, [math.inf] * 8, [2.0] * 8]),
        set_value(REMOVAL, "result", [51] * 9 + [-1]),
        set_value(FDES, "result", [0, 0, 0]),
        lambda content: content.update(env_vars=None),
        lambda content: content.update(commit_hash=None),
    ],
)
def test_values_that_cannot_be_are_damage(
    change: Callable[[Any], None], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edit(results, "50.0.1", change)
    full = found(capsys)
    assert len(full["points"]) == (2 * len(STORY) - 1) * (len(SHAPES) - 1)
    (problem,) = full["left_out"]
    assert path.name in problem
    assert "Restore it from git, or remove it" in problem
    assert run(capsys, "--check")[0] == 3


@pytest.mark.parametrize("content", ["", '{"version": 2, "resu', "[]", "7", '{"a": 1}'])
def test_a_damaged_file_is_named_and_the_rest_is_reported(
    content: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(results.glob(f"linux-x86_64/{COMMITS['40.0.0'][:8]}-*libunwind.json"))
    path.write_text(content)
    (problem,) = found(capsys)["left_out"]
    assert path.name in problem


def test_what_belongs_to_nothing_is_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edit(results, "40.0.0", lambda content: content.update(commit_hash="0" * 40))
    assert "00000000 is no pinned release" in run(capsys)[1]
    path.unlink()
    second = next(results.glob(f"linux-x86_64/{COMMITS['50.0.1'][:8]}-*libunwind.json"))
    shutil.copy(second, second.with_name(second.name.replace("3.11", "3.12")))
    assert "linux-x86_64 libunwind 50.0.1 has another file" in run(capsys)[1]


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"machine": "other", "version": 1}'])
def test_a_machine_without_a_sound_description_stops_everything(
    content: str | None, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results / "linux-x86_64/machine.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    code, _, error = run(capsys)
    assert code == 2
    assert "linux-x86_64/machine.json" in error
    assert "restore it from git" in error.lower()


def test_nothing_measured_is_an_error_and_na_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"49.0.0": {}, "50.0.1": {}}, "windows-2025-x86_64", "system")
    assert "n/a: windows-2025-x86_64, system, 49.0.0 to 50.0.1 (2)" in run(capsys)[1]
    for arguments in (("--check",), ()):
        code, _, said = run(capsys, "--machine", "windows-2025-x86_64", *arguments)
        assert (code, said) == (2, "Nothing is measured on windows-2025-x86_64.\n")
    shutil.rmtree(results / "linux-x86_64")
    assert "n/a on Windows, where unwind info cannot be turned off" in run(capsys)[2]
    shutil.rmtree(results / "windows-2025-x86_64")
    assert "results/ holds no results. Run `uv run asv run`" in run(capsys)[2]


def test_a_local_mac_does_not_speak_for_the_recorded_history(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(results, {"22.0.0": OLD, "30.0.0": OLD}, "local-macos-arm64", "system")
    path = results / "local-macos-arm64/machine.json"
    path.write_text(path.read_text().replace("Debian 12, libgcc 12", "macOS 15"))
    said = run(capsys)[1]
    assert "No Mac is recorded here" in said
    assert said.startswith("In 50.0.1 (linux-x86_64, libunwind)")


def matrix(machine: str | None = None) -> Any:
    history = read(Config.load("asv.conf.json"))
    return platforms.matrix(report(history, machine), history)


def test_the_matrix_says_who_says_so(results: Path) -> None:
    heads, rows = matrix()
    assert heads == ["19.0.0 to 21.0.0", "22.0.0 to 49.0.0", "50.0.1"]
    said = {name: [(cell.says, cell.source) for cell in cells] for name, cells in rows.items()}
    mac, libunwind, tree, libgcc, windows = said.values()
    both = "turn it off at 8 and 100 functions, keep it at 1 function"
    assert [says for says, _ in mac] == [both, both, "keep it"]
    by_function, by_section = (
        f"; the Mac library registers {way}" for way in (pins.FUNCTION, pins.SECTION)
    )
    evidence = (by_function, by_function, by_section)
    stand_in = "stand-in, libunwind on Linux: linux-x86_64"
    assert [source for _, source in mac] == [stand_in + said for said in evidence]
    assert [source for _, source in libunwind] == ["measured here: linux-x86_64"] * 3
    assert tree == [("not known", "nothing recorded")] * 3
    assert {says for says, _ in libgcc} == {"keep it"}
    assert {says for says, _ in windows} == {"cannot"}
    assert [len(cell.reports) for cell in rows["macOS"]] == [0, 1, 0]  # #10287 is of 30.0.1
    write_results(results, STORY, "macos-15-arm64", "system")
    read.cache_clear()
    _, rows = matrix()
    measured = "measured here: macos-15-arm64"
    assert [cell.source for cell in rows["macOS"]] == [measured + said for said in evidence]
    _, rows = matrix("macos-15-arm64")
    assert {cell.says for cell in list(rows.values())[1]} == {"not known"}


def test_what_the_mac_libraries_say_is_told_as_evidence(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        "By their own bytes, the macOS wheels register unwind info function by function in 13.0.0 "
        "to 49.0.0, a section at a time in 50.0.1"
    )
    history = read(Config.load("asv.conf.json"))
    assert said in words.say_macs(history.on_macs)
    found = report(history)
    assert found.macs in tables.sections(found)["Changes"]
    marks = {change.mark for change in found.changes if change.unwinder == "libunwind"}
    assert marks == {"22.0.0 #8629", "50.0.1 #14304, in the Mac wheels too"}
    unread = [replace(release, macs={}) for release in pins.load()]
    monkeypatch.setattr(pins, "load", lambda: unread)
    read.cache_clear()
    assert words.say_macs(read(Config.load("asv.conf.json")).on_macs) == ""
    assert "Mac library" not in str(matrix())


def test_reports_of_others_are_only_what_their_pages_give() -> None:
    for one in platforms.reported():
        assert one["platform"] in platforms.PLATFORMS
        assert re.fullmatch(r"https://github.com/\w+/\w+/(issues|pull)/\d+", one["url"])
        assert one["name"].split("#") == [one["url"].split("/")[4], one["url"].split("/")[-1]]


def test_a_narrow_terminal_shows_no_half_numbers(results: Path) -> None:
    assert results
    for releases in (False, True):
        out = io.StringIO()
        full = report(read(Config.load("asv.conf.json")))
        tables.terminal(full, Console(file=out, width=80), releases=releases)
        assert "…" not in out.getvalue()
        assert "A wider terminal shows the ranges." in out.getvalue()
        for size in SIZES:
            assert re.search(rf" {size} +\d[\d,]* ", out.getvalue())


@pytest.mark.usefixtures("results")
def test_a_pipe_with_another_encoding_is_written_to() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.gap", "--check", "--format", "markdown"],
        capture_output=True, check=False, timeout=DEADLINE,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "→" in answer.stdout.decode()


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"])
def test_damaged_facts_are_an_error_and_no_change(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"facts\.json is missing or damaged.*git checkout"):
        files.entries(path, "changes")
