"""Damaged and invalid files: each gives a one-line error with the path and a remedy."""

import copy
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config
from asv.util import UserError

from scripts import asv_plugin
from scripts.cost.advice import REPORTED, read_reports
from scripts.gap import main
from scripts.history.machine import read_description, read_hosts
from scripts.history.read import read_history
from scripts.history.results import read_benchmarks, read_results
from scripts.releases import pins
from scripts.report.changes import UPSTREAM, upstream_changes

from .conftest import COMMITS, ROOT
from .conftest import asv as run_asv
from .results import (
    LIBRARY,
    REMOVAL,
    SESSION,
    SHAPES,
    TEARDOWN,
    copy_benchmarks,
    edit,
    repository,
    write_results,
)

MACHINE = "linux-x86_64"
GAPS = {"1000x1": 1.2, "1000x8": 8.0, "100x100": 50.0}
REMOVED = {"49.0.0": dict.fromkeys(SHAPES, 9.0), "50.0.1": dict.fromkeys(SHAPES, 5.0)}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "not text": lambda _: b"\xff\xfe\x00{",
    "list": lambda _: b"[]",
    "number": lambda _: b"7",
    "null": lambda _: b"null",
    "text": lambda _: b'"text"',
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "one invalid byte": lambda content: content.replace(b"-", b"\xff", 1),
    "no fields": lambda _: b'{"a": 1}',
    "deep list": lambda _: b"[" * 100_000,
    "deep object": lambda _: b'{"a":' * 100_000,
    "large number": lambda _: b'{"version": 1' + b"0" * 400 + b"}",
    "many digits": lambda _: b'{"version": ' + b"9" * 5000 + b"}",
    "merge conflict": lambda content: b"<<<<<<< HEAD\n" + content,
    "large file": lambda content: content + b" " * (17 << 20),
}
WRONG_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, math.nan, math.inf, "", "x\n", "\ud800", "<b>",
    [], [[]], {}, {"a": {}},
)  # fmt: skip


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a repository with two releases of one machine; return its results folder."""
    folder = repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_results(folder, dict.fromkeys(REMOVED, GAPS), counts=REMOVED)
    host = {"since": "2026-09-01T00:00:00+00:00", "facts": {"unwinders": {}}}
    (folder / MACHINE / "hosts.jsonl").write_text(json.dumps(host) + "\n")
    return folder


def find_result(results: Path) -> Path:
    (path,) = results.glob(f"*/{COMMITS['50.0.1'][:8]}-*.json")
    return path


# how to find and how to load a file of each kind
KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "result": (find_result, read_results),
    "machine": (
        lambda results: results / MACHINE / "machine.json",
        lambda path: read_description(path.parent),
    ),
    "benchmarks": (
        lambda results: results / "benchmarks.json", lambda path: read_benchmarks(path.parent)
    ),
    "pins": (lambda _: pins.PINS, pins.load_pins),
    "reported": (lambda _: REPORTED, lambda _: read_reports()),
    "upstream": (
        lambda _: UPSTREAM, lambda _: upstream_changes("13.0.0", "50.0.1", libunwind=True)
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_file_gives_a_one_line_error(
    kind: str, damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find, load = KINDS[kind]
    path = find(results)
    load(path)  # valid before the damage
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "is damaged (" in message
    assert any(remedy in message for remedy in ("estore it", "elete it"))
    assert "\n" not in message
    assert len(message) < 500
    assert main(["--check"]) in (2, 3)  # not 1, which means that the cost changed
    printed = capsys.readouterr()
    assert path.name in printed.out + printed.err


@pytest.mark.parametrize("kind", KINDS)
def test_missing_file_gives_a_one_line_error(kind: str, results: Path) -> None:
    find, load = KINDS[kind]
    path = find(results)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        load(path)
    path.mkdir()
    with pytest.raises(UserError, match="is missing"):
        load(path)


def iter_places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of keys to each value; of a list, only the first and last entry."""
    yield path
    keys: list[Any] = []
    if isinstance(node, dict):
        keys = list(node)
    elif isinstance(node, list):
        keys = sorted({0, len(node) - 1} - {-1})
    for key in keys:
        yield from iter_places(node[key], (*path, key))


def replace_value(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of the node with another value at a path of keys."""
    if not path:
        return value
    changed = copy.copy(node)
    changed[path[0]] = replace_value(node[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_value_anywhere_is_accepted_or_gives_a_user_error(kind: str, results: Path) -> None:
    find, load = KINDS[kind]
    path = find(results)
    content = json.loads(path.read_text())
    # shorten the long, repetitive files
    if kind == "pins":
        content = {"releases": content["releases"][:2]}
    elif kind == "benchmarks":
        content = {name: content[name] for name in (TEARDOWN, REMOVAL, "version")}
    rejected = 0
    for place in iter_places(content):
        for value in WRONG_VALUES:
            path.write_text(json.dumps(replace_value(content, place, value)))
            try:
                load(path)
                if kind in ("result", "machine", "benchmarks"):
                    read_history(Config.load("asv.conf.json"))
            except UserError as error:
                str(error).encode()  # the message can be printed
                rejected += 1
    assert rejected > 100


def set_column(name: str, index: int | slice, value: Any) -> Callable[[Any], None]:
    """Return a function that changes a column of a benchmark in the content of a result file."""

    def apply(content: Any) -> None:
        content["results"][name][index] = value

    return apply


FUTURE = 3_760_000_000_000  # 2089


@pytest.mark.parametrize(
    ("apply", "reason"),
    [
        (set_column(TEARDOWN, slice(None), [[0.0], [["1"]], "1", None, 1.0]), "a time is 0.0"),
        (set_column(TEARDOWN, slice(None), [[-1.0], [["1"]], "1", None, 1.0]), "a time is -1.0"),
        (set_column(TEARDOWN, slice(None), [[5e-324], [["1"]], "1", None, 1.0]), "time is 5e-324"),
        (set_column(TEARDOWN, slice(None), [[1e300], [["1"]], "1", None, 1.0]), "Expected `float`"),
        (set_column(TEARDOWN, 11, [[0.1] * 2000] * 6), "Expected `array` of length <= 1000"),
        (set_column(TEARDOWN, 0, [0.1] * 5), "5 entries for 6 combinations"),
        (set_column(TEARDOWN, 0, [0.1] * 6), "is not the median of its samples"),
        (set_column(TEARDOWN, 3, FUTURE), "measured in the future"),
        (set_column(TEARDOWN, 3, 1), "Expected `int` >= 1577836800000"),
        (set_column(TEARDOWN, 5, [9.0] * 6), "is outside its confidence interval"),
        (set_column(TEARDOWN, 7, [9.0] * 6), "is outside its confidence interval or quartiles"),
        (set_column(TEARDOWN, 1, [["1"] * 10_000] * 2), "100,000,000 combinations of parameters"),
        *(
            (set_column(TEARDOWN, column, value), reason)
            for column in range(5, 11)  # the statistics
            for value, reason in (
                ([1.0], "1 entries for 6 combinations"),
                ([None] * 6, "an entry lacks some of its statistics"),
                (None, "an entry lacks some of its statistics"),
                ([1.0] * 5 + [None], "an entry lacks some of its statistics"),
                (["1"] * 6, "Expected `float"),
                ([[]] * 6, "Expected `float"),
                ({}, "Expected `array"),
            )
        ),
        (set_column(TEARDOWN, 9, [0] * 6), "Expected `float` >= 1"),
        (set_column(REMOVAL, 0, [-1.0] + [1.0] * 9), "track_removal cannot be -1.0"),
        (lambda content: content.update(date=content["date"] + 1000), "different date than 50.0.1"),
        (lambda content: content.update(commit_hash="x"), "commit_hash"),
        (lambda content: content.update(commit_hash=COMMITS["49.0.0"]), "has the content of"),
        (lambda content: content["params"].update(machine="other"), "has the content of"),
        (lambda content: content.update(env_vars={"UNWINDER": "apple"}), "does not match its var"),
        (lambda content: content.update(env_vars={"UNWINDER": "system"}), "does not match its var"),
        (lambda content: content.update(result_columns=[]), "columns are not those of asv"),
        (lambda content: content.update(more=1), "unknown field"),
        (lambda content: content.update(version=1), "version"),
        (lambda content: content["params"].clear(), "has no machine name"),
    ],
)  # fmt: skip
def test_invalid_result_file_is_left_out_with_a_reason(
    apply: Callable[[Any], None], reason: str, results: Path
) -> None:
    path = edit(results, "50.0.1", apply)
    history = read_history(Config.load("asv.conf.json"))
    (problem,) = history.left_out
    assert reason in problem
    assert path.name in problem
    assert {measured.release for measured in history.measured} == {"49.0.0"}
    # so the report calls 50.0.1 unknown, not unchanged
    assert history.newest == {MACHINE: "50.0.1"}


@pytest.mark.parametrize("value", [0.109375, 0.328125, 123456.789])
def test_statistics_that_asv_has_rounded_are_accepted(value: float, results: Path) -> None:
    """The CPU clock of Windows has steps of 15.625 ms, so that all samples may be equal."""
    rounded = [float(f"{value:.4e}")] * 6
    assert rounded[0] != value

    def apply(content: Any) -> None:
        content["results"][TEARDOWN][0] = [value] * 6
        content["results"][TEARDOWN][5:9] = [rounded] * 4
        content["results"][TEARDOWN][11] = [[value] * 8] * 6

    edit(results, "50.0.1", apply)
    history = read_history(Config.load("asv.conf.json"))
    assert history.left_out == []


def test_benchmark_with_too_many_combinations_of_parameters_is_rejected(results: Path) -> None:
    path = results / "benchmarks.json"
    benchmarks = json.loads(path.read_text())
    benchmarks[TEARDOWN]["params"] = [list(map(str, range(10_000)))] * 2
    path.write_text(json.dumps(benchmarks))
    with pytest.raises(UserError, match="100,000,000 combinations of parameters"):
        read_benchmarks(results)


def test_count_may_be_zero_but_not_negative(results: Path) -> None:
    benchmarks = json.loads((results / "benchmarks.json").read_text())
    benchmarks["new.New.track_new"] = benchmarks[REMOVAL] | {"name": "new.New.track_new"}
    (results / "benchmarks.json").write_text(json.dumps(benchmarks))
    zeros: list[Any] = [[0.0] * len(SHAPES), [list(map(repr, SHAPES))], "1", SESSION, 1.0]
    edit(results, "50.0.1", lambda content: content["results"].update({"new.New.track_new": zeros}))
    left_out = read_history(Config.load("asv.conf.json")).left_out
    assert [problem for problem in left_out if not problem.startswith("results/local-")] == []
    edit(results, "50.0.1", set_column("new.New.track_new", 0, [-1] + [0] * 9))
    (problem,) = read_history(Config.load("asv.conf.json")).left_out
    assert "new.New.track_new cannot be -1" in problem


def test_unknown_benchmarks_and_parameters_are_ignored(results: Path) -> None:
    def rename(content: Any) -> None:
        content["results"][TEARDOWN][1][1][0] = "'9x9'"
        content["results"]["gone.Gone.track_gone"] = [[-5.0], [["1"]], "1", SESSION, 1.0]

    edit(results, "50.0.1", rename)
    history = read_history(Config.load("asv.conf.json"))
    assert history.left_out == []
    assert "9x9" not in {row.shape for row in history.rows}


def test_counts_of_another_unwinder_are_left_out(results: Path) -> None:
    """Results store the counted library's build id; hosts.jsonl tells which unwinder that is."""
    library = {"file": "/lib/x.so", "package": "x 1", "build_id": "80aaa6b01f4c" + "0" * 28}
    host = {"since": "2026-09-01T00:00:00+00:00", "facts": {"unwinders": {"libgcc": library}}}
    (results / MACHINE / "hosts.jsonl").write_text(json.dumps(host))
    history = read_history(Config.load("asv.conf.json"))
    assert len(history.left_out) == 2
    assert "its unwinder is LLVM libunwind, but libgcc was counted" in history.left_out[0]
    assert history.rows == []


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"\xff", b"[" * 5000, b"x" * 20_000, b'{"since": "2026-09-01", "facts": {}}',
        b'{"since": "2089-01-01T00:00:00+00:00", "facts": {}}',
        b'{"since": "2026-09-01T00:00:00+00:00"}',
        b'{"since": "2026-09-01T00:00:00+00:00", "facts": {"unwinders": {"libgcc": {}}}}',
        b'{"since": "2026-09-01T00:00:00+00:00", "facts": {"unwinders": [1]}}',
    ],
)  # fmt: skip
@pytest.mark.usefixtures("results")
def test_damaged_line_in_hosts_hides_no_result(line: bytes) -> None:
    path = Path("results", MACHINE, "hosts.jsonl")
    valid = path.read_bytes()
    path.write_bytes(valid + line + b"\n\n" + valid.replace(b"09-01", b"09-02"))
    hosts, problems = read_hosts(path)
    assert len(hosts) == 2
    assert problems[0].startswith(f"{path}: line 2 is damaged (")
    history = read_history(Config.load("asv.conf.json"))
    assert len(history.measured) == 2
    assert history.left_out == problems
    first, _, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, *rest]))  # the remedy
    assert read_hosts(path)[1] == []


@pytest.mark.skipif(sys.platform == "win32", reason="creates a named pipe")
@pytest.mark.parametrize("name", ["hosts.jsonl", "machine.json", f"{COMMITS['40.0.0'][:8]}-x.json"])
def test_named_pipe_does_not_block_and_is_left_out(name: str, results: Path) -> None:
    path = results / MACHINE / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    (problem,) = read_history(Config.load("asv.conf.json")).left_out
    assert name in problem


def test_oversized_list_of_hosts_hides_no_result(results: Path) -> None:
    (results / MACHINE / "hosts.jsonl").write_bytes(b"\n" * (17 << 20))
    history = read_history(Config.load("asv.conf.json"))
    assert "hosts.jsonl cannot be read (larger than" in history.left_out[0]
    assert len(history.measured) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("os", "Debian 12"), ("arch", "x86_64"), ("os", "<b>"), ("ram", None), ("machine", "x")],
)
def test_description_that_contradicts_the_machine_name_is_left_out(
    field: str, value: object, results: Path
) -> None:
    write_results(results, {"50.0.1": GAPS}, "macos-15-arm64", "system")
    path = results / "macos-15-arm64/machine.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    history = read_history(Config.load("asv.conf.json"))
    assert set(history.machines) == {MACHINE}
    (problem,) = history.left_out
    assert "macos-15-arm64/machine.json" in problem
    assert problem.endswith("Restore it from git.")


# asv's own commands


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a copy of the repository with committed results of three releases."""
    clone = tmp_path / "clone"
    shutil.copytree(
        ROOT, clone, ignore=shutil.ignore_patterns(".git", ".asv", "results", ".venv", ".*_cache")
    )
    (clone / "results").mkdir()
    copy_benchmarks(clone / "results")
    write_results(clone / "results", dict.fromkeys(("48.0.0", *REMOVED), GAPS), counts=REMOVED)
    for arguments in (
        ["init", "-q"], ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=clone, check=True)
    return clone


COMMANDS = (("compare", "49.0.0", "50.0.1"), ("show", "50.0.1"))


@pytest.mark.parametrize("damage", ["not text", "deep list", "list", "swapped", "wrong type"])
def test_asv_skips_a_damaged_result_file_with_a_message(damage: str, recorded: Path) -> None:
    (older,) = recorded.glob(f"results/*/{COMMITS['49.0.0'][:8]}-*.json")
    path = find_result(recorded / "results")
    valid = path.read_bytes()
    if damage == "swapped":
        path.write_bytes(older.read_bytes())
    elif damage == "wrong type":
        path.write_text(path.read_text().replace(f'"{COMMITS["50.0.1"]}"', "[]"))
    else:
        path.write_bytes(DAMAGE[damage](valid))
    for command in COMMANDS:
        result = run_asv(recorded, *command)
        output = result.stdout + result.stderr
        assert "Traceback" not in output
        assert path.name in output
        assert "Restore it from git, or delete it and measure the release again." in output
        assert "Drop modules" not in result.stdout
    status = ["git", "status", "--porcelain", "results"]
    changed = subprocess.run(status, cwd=recorded, capture_output=True, text=True, check=True)
    assert changed.stdout.strip() == f"M {path.relative_to(recorded)}"  # asv renamed no file
    subprocess.run(["git", "checkout", path], cwd=recorded, check=True)  # the remedy
    result = run_asv(recorded, *COMMANDS[0])
    assert result.returncode == 0, result.stderr
    assert "damaged" not in result.stdout + result.stderr


@pytest.mark.parametrize("damage", ["not text", "deep list", "list"])
def test_asv_skips_a_damaged_machine_with_a_message(damage: str, recorded: Path) -> None:
    write_results(recorded / "results", dict.fromkeys(REMOVED, GAPS), "macos-15-arm64", "system")
    path = recorded / "results" / MACHINE / "machine.json"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    for command in COMMANDS:
        result = run_asv(recorded, *command, "--machine", "macos-15-arm64")
        output = result.stdout + result.stderr
        assert result.returncode == 0, output
        assert "machine.json is damaged (" in output
        assert "Restore it from git." in output


def test_load_checked_json_does_not_check_other_files(tmp_path: Path) -> None:
    path = tmp_path / "asv-env-info.json"
    path.write_text('{"python": "3.11"}')
    assert asv_plugin.load_checked_json(str(path)) == {"python": "3.11"}


def test_git_checkout_restores_committed_files(recorded: Path) -> None:
    for name in ("fixtures/releases.json", "results/benchmarks.json", "fixtures/reported.json"):
        (recorded / name).write_text("{")
        subprocess.run(["git", "checkout", name], cwd=recorded, capture_output=True, check=True)
        assert json.loads((recorded / name).read_text())


def test_committed_results_are_valid() -> None:
    assert read_benchmarks(ROOT / "results")
    assert {LIBRARY, REMOVAL, TEARDOWN} <= set(read_benchmarks(ROOT / "results"))
    left_out = read_history(Config.load("asv.conf.json")).left_out
    assert [problem for problem in left_out if not problem.startswith("results/local-")] == []
