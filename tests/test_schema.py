"""Files from outside: every wrong one ends in one sentence with file and remedy."""

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
from scripts.gap.__main__ import main
from scripts.gap.advice import REPORTED, read_reports
from scripts.gap.changes import UPSTREAM, upstream_changes
from scripts.history.machine import read_description, read_hosts
from scripts.history.read import read_history
from scripts.history.results import read_known, read_results
from scripts.releases import pins

from .conftest import COMMITS, ROOT
from .conftest import asv as run_asv
from .results import (
    LIBRARY,
    REMOVAL,
    SESSION,
    SHAPES,
    TEARDOWN,
    edit,
    know_benchmarks,
    repository,
    write_results,
)

MACHINE = "linux-x86_64"
GAPS = {"1000x1": 1.2, "1000x8": 8.0, "100x100": 50.0}
REMOVED = {"49.0.0": dict.fromkeys(SHAPES, 9.0), "50.0.1": dict.fromkeys(SHAPES, 5.0)}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "no text": lambda _: b"\xff\xfe\x00{",
    "list": lambda _: b"[]",
    "number": lambda _: b"7",
    "null": lambda _: b"null",
    "text": lambda _: b'"text"',
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "one byte that is no text": lambda content: content.replace(b"-", b"\xff", 1),
    "no fields": lambda _: b'{"a": 1}',
    "deep list": lambda _: b"[" * 100_000,
    "deep object": lambda _: b'{"a":' * 100_000,
    "large number": lambda _: b'{"version": 1' + b"0" * 400 + b"}",
    "many digits": lambda _: b'{"version": ' + b"9" * 5000 + b"}",
    "merge conflict": lambda content: b"<<<<<<< HEAD\n" + content,
    "large file": lambda content: content + b" " * (17 << 20),
}
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, math.nan, math.inf, "", "x\n", "\ud800", "<b>",
    [], [[]], {}, {"a": {}},
)  # fmt: skip


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with two releases of one machine."""
    folder = repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_results(folder, dict.fromkeys(REMOVED, GAPS), counts=REMOVED)
    host = {"since": "2026-09-01T00:00:00+00:00", "facts": {"unwinders": {}}}
    (folder / MACHINE / "hosts.jsonl").write_text(json.dumps(host) + "\n")
    read_history.cache_clear()
    yield folder
    read_history.cache_clear()


def first_result(results: Path) -> Path:
    (path,) = results.glob(f"*/{COMMITS['50.0.1'][:8]}-*.json")
    return path


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "result": (first_result, read_results),
    "machine": (
        lambda results: results / MACHINE / "machine.json",
        lambda path: read_description(path.parent),
    ),
    "benchmarks": (
        lambda results: results / "benchmarks.json", lambda path: read_known(path.parent)
    ),
    "pins": (lambda _: pins.PINS, pins.load_pins),
    "reported": (lambda _: REPORTED, lambda _: read_reports()),
    "upstream": (
        lambda _: UPSTREAM, lambda _: upstream_changes("13.0.0", "50.0.1", libunwind=True)
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_one_sentence(
    kind: str, damage: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find, load = KINDS[kind]
    path = find(results)
    load(path)  # is sound
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(UserError) as caught:
        load(path)
    said = str(caught.value)
    assert str(path) in said
    assert "is damaged (" in said
    assert any(remedy in said for remedy in ("estore it", "elete it"))
    assert "\n" not in said
    assert len(said) < 500
    assert main(["--check"]) in (2, 3)  # never 1: nothing is known to have changed
    printed = capsys.readouterr()
    assert path.name in printed.out + printed.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_one_sentence(kind: str, results: Path) -> None:
    find, load = KINDS[kind]
    path = find(results)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        load(path)
    path.mkdir()
    with pytest.raises(UserError, match="is missing"):
        load(path)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value, of lists to the first and last entry."""
    yield path
    keys: list[Any] = []
    if isinstance(node, dict):
        keys = list(node)
    elif isinstance(node, list):
        keys = sorted({0, len(node) - 1} - {-1})
    for key in keys:
        yield from places(node[key], (*path, key))


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy with another value at a path."""
    if not path:
        return value
    made = copy.copy(node)
    made[path[0]] = replaced(node[path[0]], path[1:], value)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_value_anywhere_never_ends_in_a_traceback(kind: str, results: Path) -> None:
    """A value is taken, or refused by a UserError; every other exception fails the test."""
    find, load = KINDS[kind]
    path = find(results)
    whole = json.loads(path.read_text())
    if kind in ("pins", "benchmarks"):  # which are long and regular
        whole = (
            {"releases": whole["releases"][:2]} if kind == "pins"
            else {name: whole[name] for name in (TEARDOWN, REMOVAL, "version")}
        )  # fmt: skip
    refused = 0
    for place in places(whole):
        for value in WRONG:
            path.write_text(json.dumps(replaced(whole, place, value)))
            try:
                load(path)
                if kind in ("result", "machine", "benchmarks"):
                    read_history.cache_clear()
                    read_history(Config.load("asv.conf.json"))
            except UserError as error:
                str(error).encode()  # can be printed
                refused += 1
    assert refused > 100


def change(name: str, index: int | slice, value: Any) -> Callable[[Any], None]:
    """Return a change of one column of a benchmark."""

    def apply(content: Any) -> None:
        content["results"][name][index] = value

    return apply


FUTURE = 3_760_000_000_000  # 2089


@pytest.mark.parametrize(
    ("apply", "said"),
    [
        (change(TEARDOWN, slice(None), [[0.0], [["1"]], "1", None, 1.0]), "a time is 0.0"),
        (change(TEARDOWN, slice(None), [[-1.0], [["1"]], "1", None, 1.0]), "a time is -1.0"),
        (change(TEARDOWN, slice(None), [[5e-324], [["1"]], "1", None, 1.0]), "a time is 5e-324"),
        (change(TEARDOWN, slice(None), [[1e300], [["1"]], "1", None, 1.0]), "Expected `float` <="),
        (change(TEARDOWN, 11, [[0.1] * 2000] * 6), "Expected `array` of length <= 1000"),
        (change(TEARDOWN, 0, [0.1] * 5), "5 entries for 6 combinations"),
        (change(TEARDOWN, 0, [0.1] * 6), "is not the median of its samples"),
        (change(TEARDOWN, 3, FUTURE), "measured in the future"),
        (change(TEARDOWN, 3, 1), "Expected `int` >= 1577836800000"),
        (change(TEARDOWN, 5, [9.0] * 6), "is outside its own range"),
        (change(REMOVAL, 0, [-1.0] + [1.0] * 9), "track_removal cannot be -1.0"),
        (lambda content: content.update(date=content["date"] + 1000), "another date than 50.0.1"),
        (lambda content: content.update(commit_hash="x"), "commit_hash"),
        (lambda content: content.update(commit_hash=COMMITS["49.0.0"]), "holds what belongs into"),
        (lambda content: content["params"].update(machine="other"), "holds what belongs into"),
        (lambda content: content.update(env_vars={"UNWINDER": "apple"}), "neither system nor libu"),
        (lambda content: content.update(env_vars={"UNWINDER": "system"}), "not that of its varia"),
        (lambda content: content.update(result_columns=[]), "columns are not those of asv"),
        (lambda content: content.update(more=1), "unknown field"),
        (lambda content: content.update(version=1), "version"),
        (lambda content: content["params"].clear(), "names no machine"),
    ],
)  # fmt: skip
def test_impossible_content_is_left_out_with_its_reason(
    apply: Callable[[Any], None], said: str, results: Path
) -> None:
    path = edit(results, "50.0.1", apply)
    history = read_history(Config.load("asv.conf.json"))
    (problem,) = history.left_out
    assert said in problem
    assert path.name in problem
    assert {each.release for each in history.measured} == {"49.0.0"}
    assert history.newest == {MACHINE: "50.0.1"}  # so it is unknown, and not unchanged


def test_zero_is_a_count_of_every_benchmark(results: Path) -> None:
    known = json.loads((results / "benchmarks.json").read_text())
    known["new.New.track_new"] = known[REMOVAL] | {"name": "new.New.track_new"}
    (results / "benchmarks.json").write_text(json.dumps(known))
    zeros: list[Any] = [[0.0] * len(SHAPES), [list(map(repr, SHAPES))], "1", SESSION, 1.0]
    edit(results, "50.0.1", lambda content: content["results"].update({"new.New.track_new": zeros}))
    left_out = read_history(Config.load("asv.conf.json")).left_out
    assert [problem for problem in left_out if not problem.startswith("results/local-")] == []
    edit(results, "50.0.1", change("new.New.track_new", 0, [-1] + [0] * 9))
    read_history.cache_clear()
    assert (
        "new.New.track_new cannot be -1" in read_history(Config.load("asv.conf.json")).left_out[0]
    )


def test_what_the_suite_does_not_have_is_not_read(results: Path) -> None:
    def rename(content: Any) -> None:
        content["results"][TEARDOWN][1][1][0] = "'9x9'"
        content["results"]["gone.Gone.track_gone"] = [[-5.0], [["1"]], "1", SESSION, 1.0]

    edit(results, "50.0.1", rename)
    history = read_history(Config.load("asv.conf.json"))
    assert history.left_out == []
    assert "9x9" not in {row.shape for row in history.rows}


def test_counts_of_another_unwinder_are_left_out(results: Path) -> None:
    """The library that was counted is stored, and hosts.jsonl says which unwinder it is."""
    library = {"file": "/lib/x.so", "package": "x 1", "build_id": "80aaa6b01f4c" + "0" * 28}
    host = {"since": "2026-09-01T00:00:00+00:00", "facts": {"unwinders": {"libgcc": library}}}
    (results / MACHINE / "hosts.jsonl").write_text(json.dumps(host))
    history = read_history(Config.load("asv.conf.json"))
    assert len(history.left_out) == 2
    assert "UNWINDER is libunwind, but libgcc was counted" in history.left_out[0]
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
def test_a_damaged_line_about_a_host_hides_no_result(line: bytes) -> None:
    path = Path("results", MACHINE, "hosts.jsonl")
    sound = path.read_bytes()
    path.write_bytes(sound + line + b"\n\n" + sound.replace(b"09-01", b"09-02"))
    hosts, problems = read_hosts(path)
    assert len(hosts) == 2
    assert problems[0].startswith(f"{path}: line 2 is damaged (")
    history = read_history(Config.load("asv.conf.json"))
    assert len(history.measured) == 2
    assert history.left_out == problems
    first, _, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, *rest]))  # the remedy
    assert read_hosts(path)[1] == []


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
@pytest.mark.parametrize("name", ["hosts.jsonl", "machine.json", f"{COMMITS['40.0.0'][:8]}-x.json"])
def test_a_pipe_is_no_file_and_is_not_waited_for(name: str, results: Path) -> None:
    path = results / MACHINE / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    (problem,) = read_history(Config.load("asv.conf.json")).left_out
    assert name in problem


def test_a_large_list_of_hosts_hides_no_result(results: Path) -> None:
    (results / MACHINE / "hosts.jsonl").write_bytes(b"\n" * (17 << 20))
    history = read_history(Config.load("asv.conf.json"))
    assert "hosts.jsonl cannot be read (larger than" in history.left_out[0]
    assert len(history.measured) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("os", "Debian 12"), ("arch", "x86_64"), ("os", "<b>"), ("ram", None), ("machine", "x")],
)
def test_a_description_that_contradicts_its_name(field: str, value: object, results: Path) -> None:
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
    """A copy of the repository with three releases, which git knows."""
    copied = tmp_path / "copied"
    shutil.copytree(
        ROOT, copied, ignore=shutil.ignore_patterns(".git", ".asv", "results", ".venv", ".*_cache")
    )
    (copied / "results").mkdir()
    know_benchmarks(copied / "results")
    write_results(copied / "results", dict.fromkeys(("48.0.0", *REMOVED), GAPS), counts=REMOVED)
    for arguments in (
        ["init", "-q"], ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):  # fmt: skip
        subprocess.run(["git", *arguments], cwd=copied, check=True)
    return copied


COMMANDS = (("compare", "49.0.0", "50.0.1"), ("show", "50.0.1"))


@pytest.mark.parametrize("damage", ["no text", "deep list", "list", "swapped", "wrong type"])
def test_asv_leaves_out_a_damaged_file_with_a_sentence(damage: str, recorded: Path) -> None:
    (older,) = recorded.glob(f"results/*/{COMMITS['49.0.0'][:8]}-*.json")
    path = first_result(recorded / "results")
    whole = path.read_bytes()
    if damage == "swapped":
        path.write_bytes(older.read_bytes())
    elif damage == "wrong type":
        path.write_text(path.read_text().replace(f'"{COMMITS["50.0.1"]}"', "[]"))
    else:
        path.write_bytes(DAMAGE[damage](whole))
    for command in COMMANDS:
        answer = run_asv(recorded, *command)
        said = answer.stdout + answer.stderr
        assert "Traceback" not in said
        assert path.name in said
        assert "Restore it from git, or delete it and measure the release again." in said
        assert "Drop modules" not in answer.stdout
    status = ["git", "status", "--porcelain", "results"]
    changed = subprocess.run(status, cwd=recorded, capture_output=True, text=True, check=True)
    assert changed.stdout.strip() == f"M {path.relative_to(recorded)}"  # nothing is renamed
    subprocess.run(["git", "checkout", path], cwd=recorded, check=True)  # the remedy
    answer = run_asv(recorded, *COMMANDS[0])
    assert answer.returncode == 0, answer.stderr
    assert "damaged" not in answer.stdout + answer.stderr


@pytest.mark.parametrize("damage", ["no text", "deep list", "list"])
def test_asv_leaves_out_a_damaged_machine_with_a_sentence(damage: str, recorded: Path) -> None:
    write_results(recorded / "results", dict.fromkeys(REMOVED, GAPS), "macos-15-arm64", "system")
    path = recorded / "results" / MACHINE / "machine.json"
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    for command in COMMANDS:
        answer = run_asv(recorded, *command, "--machine", "macos-15-arm64")
        said = answer.stdout + answer.stderr
        assert answer.returncode == 0, said
        assert "machine.json is damaged (" in said
        assert "Restore it from git." in said


def test_asv_reads_other_json_as_before(tmp_path: Path) -> None:
    path = tmp_path / "asv-env-info.json"
    path.write_text('{"python": "3.11"}')
    assert asv_plugin.load_checked_json(str(path)) == {"python": "3.11"}


def test_the_remedies_for_committed_files_work(recorded: Path) -> None:
    for name in ("fixtures/releases.json", "results/benchmarks.json", "fixtures/reported.json"):
        (recorded / name).write_text("{")
        answer = subprocess.run(
            ["git", "checkout", name], cwd=recorded, capture_output=True, check=False
        )
        assert answer.returncode == 0
        assert json.loads((recorded / name).read_text())


def test_committed_facts_are_sound() -> None:
    assert read_known(ROOT / "results")
    assert {LIBRARY, REMOVAL, TEARDOWN} <= set(read_known(ROOT / "results"))
    left_out = read_history(Config.load("asv.conf.json")).left_out
    assert [problem for problem in left_out if not problem.startswith("results/local-")] == []
