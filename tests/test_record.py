"""Merging results into the recorded history: no value is lost, and no invalid result is merged."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config

from scripts.base import files
from scripts.history import record, results
from scripts.history.read import read_history

from .conftest import COMMITS, ROOT
from .results import BUILD, HOUR, LIBRARY, REMOVAL, SESSION, TEARDOWN, write_results

BOTH = {"1000x1": 1.2, "1000x8": 8.0, "100x100": 60.0}
MAC, LINUX = "macos-15-arm64", "ubuntu-24.04-x86_64"


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a repository without results; return its folder."""
    clone = tmp_path / "main"
    (clone / "results").mkdir(parents=True)
    shutil.copy(ROOT / "asv.conf.json", clone)
    shutil.copytree(ROOT / "fixtures", clone / "fixtures")
    shutil.copy(ROOT / "results/benchmarks.json", clone / "results")
    monkeypatch.chdir(clone)
    return clone


def machine_folders(folder: Path) -> list[Path]:
    return sorted({path.parent for path in folder.rglob("*-*.json")})


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def result_path(folder: Path, version: str) -> Path:
    (path,) = folder.glob(f"{COMMITS[version][:8]}-*.json")
    return path


def test_results_of_two_machines_are_merged(main: Path, tmp_path: Path) -> None:
    for machine in (MAC, LINUX):
        write_results(tmp_path / "got" / machine, {"49.0.0": BOTH, "50.0.1": BOTH}, machine)
    summary = record.merge_results(machine_folders(tmp_path / "got"))
    assert summary.message.splitlines() == [
        f"Record results of {MAC}, {LINUX}", "", f"{MAC}: 49.0.0 50.0.1", f"{LINUX}: 49.0.0 50.0.1",
    ]  # fmt: skip
    assert (main / f"results/{MAC}/machine.json").exists()
    # only a part of the suite was measured
    assert any("track_removal is missing" in problem for problem in summary.problems)
    # merging again changes nothing
    assert record.merge_results(machine_folders(tmp_path / "got")).updated == {}


def ratios(path: Path) -> list[float | None]:
    """Return time with unwind info / without, by shape."""
    content = load(path)
    values = content["results"][TEARDOWN][content["result_columns"].index("result")]
    pairs = zip(values[:3], values[3:], strict=True)
    return [on / off if on and off else None for on, off in pairs]


def test_later_run_wins_and_no_value_is_lost(main: Path, tmp_path: Path) -> None:
    target = main / "results" / MAC
    write_results(tmp_path / "first", {"50.0.1": BOTH}, MAC)
    # now the recorded file has asv's own format
    record.merge_results(machine_folders(tmp_path / "first"))

    def merge(gap: float, started: int, shapes: int = 3) -> record.MergeSummary:
        gaps = dict(list(dict.fromkeys(BOTH, gap).items())[:shapes])
        shutil.rmtree(tmp_path / "got", ignore_errors=True)
        write_results(tmp_path / "got", {"50.0.1": gaps}, MAC, started=started)
        return record.merge_results(machine_folders(tmp_path / "got"))

    before = result_path(target, "50.0.1").read_bytes()
    for earlier in (SESSION - HOUR, SESSION):
        assert merge(3.0, earlier).updated == {}
    assert result_path(target, "50.0.1").read_bytes() == before
    assert merge(3.0, SESSION + HOUR, shapes=2).updated == {MAC: {"50.0.1"}}
    assert ratios(result_path(target, "50.0.1")) == pytest.approx([3, 3, 60], rel=0.02)
    assert merge(4.0, SESSION + 2 * HOUR).updated == {MAC: {"50.0.1"}}
    assert ratios(result_path(target, "50.0.1")) == pytest.approx([4, 4, 4], rel=0.02)
    # even an earlier run replaces a damaged file
    result_path(target, "50.0.1").write_text("{")
    assert merge(2.0, SESSION - HOUR).updated == {MAC: {"50.0.1"}}
    assert not list(main.rglob("*.tmp"))


def test_earlier_run_adds_values_that_the_later_run_lacks(main: Path, tmp_path: Path) -> None:
    write_results(main / "results", {"50.0.1": {"1000x8": 3.0}}, MAC, started=SESSION + HOUR)
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    assert record.merge_results(machine_folders(tmp_path / "got")).updated == {MAC: {"50.0.1"}}
    values = ratios(result_path(main / "results" / MAC, "50.0.1"))
    assert values == pytest.approx([1.2, 3.0, 60], rel=0.02)


@pytest.mark.usefixtures("main")
def test_invalid_files_are_reported_and_valid_files_are_merged(tmp_path: Path) -> None:
    got = tmp_path / "got"
    write_results(got, {"48.0.0": BOTH, "49.0.0": BOTH, "50.0.1": BOTH}, MAC)
    result_path(got / MAC, "48.0.0").write_text('{"version": 2, "resu')
    stray = load(result_path(got / MAC, "49.0.0")) | {"commit_hash": "0" * 40}
    result_path(got / MAC, "49.0.0").write_text(json.dumps(stray))
    named = result_path(got / MAC, "49.0.0").name.replace(COMMITS["49.0.0"][:8], "0" * 8)
    (got / MAC / named).write_text(json.dumps(stray))
    write_results(got, {"50.0.1": BOTH}, "local-linux-x86_64")
    write_results(got, {"50.0.1": BOTH}, "named-wrongly")
    (got / "named-wrongly").rename(got / "renamed")
    write_results(got, {"50.0.1": BOTH}, "undescribed")
    (got / "undescribed/machine.json").unlink()
    (got / MAC / "notes.txt").write_text("not a result")
    summary = record.merge_results(machine_folders(got))
    assert summary.updated == {MAC: {"50.0.1"}}
    messages = "\n".join(summary.problems)
    for problem in (
        "is damaged (",
        "has the content of macos-15-arm64/00000000-",
        "00000000 is not a pinned release",
        "results of local machines are not recorded",
        "renamed/machine.json describes named-wrongly, not renamed",
        "undescribed/machine.json is missing",
    ):
        assert problem in messages
    assert sorted(path.name for path in Path("results").iterdir()) == ["benchmarks.json", MAC]
    assert not Path("results", MAC, "notes.txt").exists()


def test_machine_that_differs_from_the_recorded_one_is_rejected(main: Path, tmp_path: Path) -> None:
    write_results(main / "results", {"49.0.0": BOTH}, MAC)
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    described = tmp_path / "got" / MAC / "machine.json"
    described.write_text(described.read_text().replace("24 GB", "8 GB"))
    summary = record.merge_results(machine_folders(tmp_path / "got"))
    assert summary.updated == {}
    assert "is another kind of machine" in summary.problems[0]


def test_failed_benchmark_is_recorded_and_reported(main: Path, tmp_path: Path) -> None:
    write_results(tmp_path / "got", {"50.0.1": {"1000x8": 8.0}}, MAC)  # the other shapes failed
    summary = record.merge_results(machine_folders(tmp_path / "got"))
    assert any(f"{TEARDOWN} failed" in problem for problem in summary.problems)
    assert result_path(main / "results" / MAC, "50.0.1").exists()


def test_hosts_are_merged_by_time(main: Path, tmp_path: Path) -> None:
    times = [f"2026-10-0{day}T00:00:00+00:00" for day in range(1, 9)]
    lines = [f"{json.dumps({'since': since, 'facts': {}})}\n" for since in times]
    write_results(main / "results", {"49.0.0": BOTH}, MAC)
    recorded = main / "results" / MAC / "hosts.jsonl"
    recorded.write_text("".join(lines[::3]))
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    (tmp_path / "got" / MAC / "hosts.jsonl").write_text("".join(lines[1:]))
    record.merge_results(machine_folders(tmp_path / "got"))
    assert recorded.read_text() == "".join(lines)  # no line twice
    # a host is not added if none of its results are added
    (tmp_path / "got" / MAC / "hosts.jsonl").write_text(lines[0].replace("10-01", "10-11"))
    assert record.merge_results(machine_folders(tmp_path / "got")).updated == {}
    assert recorded.read_text() == "".join(lines)


@pytest.mark.usefixtures("main")
def test_command_fails_if_there_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    assert record.main([str(tmp_path / "got")]) == 1
    captured = capsys.readouterr()
    assert f"{MAC}: 50.0.1" in captured.out
    assert "error: " in captured.err
    assert record.main([str(tmp_path / "got")]) == 0  # the same results again
    assert "Nothing to record." in capsys.readouterr().out
    assert record.main([str(tmp_path / "nothing")]) == 1
    assert "There are no results in " in capsys.readouterr().err


@pytest.mark.usefixtures("main")
def test_missing_benchmarks_are_no_problem_with_partial(tmp_path: Path) -> None:
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    assert record.main(["--partial", str(tmp_path / "got")]) == 0


@pytest.mark.usefixtures("main")
def test_failed_benchmark_is_a_problem_even_with_partial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "got", {"50.0.1": {"1000x8": 8.0}}, MAC)  # the other shapes failed
    assert record.main(["--partial", str(tmp_path / "got")]) == 1
    output = capsys.readouterr().err
    assert f"{TEARDOWN} failed" in output
    assert "is missing" not in output


def test_values_of_an_older_benchmark_version_are_not_kept(main: Path, tmp_path: Path) -> None:
    write_results(main / "results", {"50.0.1": BOTH}, MAC)
    recorded = result_path(main / "results" / MAC, "50.0.1")
    content = load(recorded)
    content["results"][TEARDOWN][content["result_columns"].index("version")] = "0"
    recorded.write_text(json.dumps(content))
    write_results(tmp_path / "got", {"50.0.1": {"1000x8": 3.0}}, MAC, started=SESSION + HOUR)
    assert record.merge_results(machine_folders(tmp_path / "got")).updated == {MAC: {"50.0.1"}}
    assert ratios(recorded)[1] == pytest.approx(3, rel=0.02)
    assert ratios(recorded)[0] is None  # not 1.2, which the older version measured


@pytest.mark.usefixtures("main")
def test_artifact_with_results_of_another_machine_is_rejected(tmp_path: Path) -> None:
    got = tmp_path / "got"
    write_results(got / MAC, {"50.0.1": BOTH}, MAC)  # the layout of several artifacts
    write_results(got / LINUX, {"49.0.0": BOTH}, MAC)  # another machine's results
    write_results(got, {"50.0.1": BOTH}, LINUX)  # the layout of a single artifact
    own, problems = record.find_machine_folders(got)
    assert own == [got / MAC / MAC, got / LINUX]
    assert problems == [f"{got / LINUX / MAC} is in the artifact of another machine"]
    path = result_path(got / LINUX, "50.0.1")
    path.rename(path.with_name(f"deadbeef{path.name[8:]}"))
    summary = record.merge_results(own)
    assert summary.updated == {MAC: {"50.0.1"}}
    assert "has the content of " in summary.problems[-1]


# Kills and repetitions


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


def merge_killed_after(writes: int, got: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Merge artifacts, but stop after some writes; return whether the merge was stopped."""
    left = iter(range(writes))

    def write(path: Path, text: str) -> None:
        if next(left, None) is None:
            path.with_name(f"{path.name}.{DEAD}.tmp").write_text(text[:9])  # half a file
            raise Killed
        files.write_atomically(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(record, "write_atomically", write)
        try:
            record.main(["--partial", str(got)])
        except Killed:
            return True
    return False


def read_tree(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


DEAD = 999_999_999  # no process has this id


@pytest.mark.parametrize("history", ["no results", "older results", "later results", "undescribed"])
def test_repeated_merge_completes_a_killed_one_and_changes_nothing(
    history: str, main: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, results = tmp_path / "got", main / "results"
    host = {"since": "2026-09-02T00:00:00Z", "facts": {}}
    for machine in (MAC, LINUX):
        write_results(got / machine, {"49.0.0": BOTH, "50.0.1": {"1000x8": 8.0}}, machine)
        (got / machine / machine / "hosts.jsonl").write_text(json.dumps(host) + "\n")
    if history != "no results":
        started = SESSION + (HOUR if history == "later results" else -HOUR)
        write_results(results, {"48.0.0": BOTH, "50.0.1": BOTH}, MAC, started=started)
    if history == "undescribed":  # an earlier version of the command was killed
        shutil.copy(result_path(got / MAC / MAC, "49.0.0"), results / MAC)
        (results / MAC / "machine.json").unlink()
    shutil.copytree(results, tmp_path / "before")
    record.main(["--partial", str(got)])
    complete = read_tree(results)
    assert {f"{machine}/{name}" for machine in (MAC, LINUX) for name in (
        "machine.json", "hosts.jsonl", result_path(results / machine, "49.0.0").name
    )} <= complete.keys()  # fmt: skip
    writes, was_killed = 0, True
    while was_killed:
        shutil.rmtree(results)
        shutil.copytree(tmp_path / "before", results)
        was_killed = merge_killed_after(writes, got, monkeypatch)
        for _ in range(2):
            record.main(["--partial", str(got)])
            assert read_tree(results) == complete, f"killed after {writes} writes"
        writes += 1
    assert writes > 6


@pytest.mark.usefixtures("main")
def test_links_are_skipped_and_the_other_results_of_the_machine_are_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "got" / MAC
    write_results(tmp_path / "got", {"49.0.0": BOTH, "50.0.1": BOTH}, MAC)
    link_to_valid_file(folder)
    (folder / "other").symlink_to("/etc/passwd")
    assert record.main(["--partial", str(tmp_path / "got")]) == 1
    printed = capsys.readouterr()
    assert f"{MAC}: 49.0.0\n" in printed.out
    assert "is a symbolic link, which is not followed" in printed.err


# Hostile artifacts


def update_fields(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(load(path) | fields))


def rename(folder: Path, name: str) -> None:
    """Rename a machine consistently, in its files and folders."""
    for path in folder.iterdir():
        path.write_text(path.read_text().replace(f'"{MAC}"', json.dumps(name)))
    parent = folder.parent.rename(folder.parent.with_name(name))
    (parent / MAC).rename(parent / name)


def rename_to_bytes(folder: Path) -> None:
    parent = os.fsencode(folder.parent.parent)
    os.rename(folder.parent, parent + b"/\xff")  # noqa: PTH104
    os.rename(parent + b"/\xff/" + os.fsencode(MAC), parent + b"/\xff/\xff")  # noqa: PTH104


def replace_result_with_folder(folder: Path) -> None:
    result_path(folder, "50.0.1").unlink()
    (folder / "afb778f0-x.json").mkdir()


def link_to_host_file(folder: Path) -> None:
    path = result_path(folder, "50.0.1")
    path.unlink()
    path.symlink_to("/etc/passwd")


def link_to_valid_file(folder: Path) -> None:
    path = result_path(folder, "50.0.1")
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def add_benchmark(folder: Path, name: str, row: list[Any]) -> None:
    content = load(result_path(folder, "50.0.1"))
    update_fields(result_path(folder, "50.0.1"), results={**content["results"], name: row})


def disguise_libgcc_counts(folder: Path) -> None:
    """Present counts of libgcc as counts of libunwind."""
    library = {"file": "/lib/libgcc_s.so.1", "package": "x", "build_id": f"{BUILD:012x}" + "0" * 28}
    host = {"since": "2026-09-01T00:00:00Z", "facts": {"unwinders": {"libgcc": library}}}
    (folder / "hosts.jsonl").write_text(json.dumps(host))
    add_benchmark(folder, LIBRARY, [[BUILD], [], "1", SESSION, 1.0])


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no UTF-8": (lambda f: result_path(f, "50.0.1").write_bytes(b"\xff"),
                 "is damaged ('utf-8' codec"),
    "nesting": (lambda f: result_path(f, "50.0.1").write_text("[" * 100_000), "nested too deeply"),
    "large": (lambda f: result_path(f, "50.0.1").write_bytes(b" " * (17 << 20)), "larger than"),
    "a folder": (replace_result_with_folder, "is missing"),
    "description of no UTF-8": (lambda f: (f / "machine.json").write_bytes(b"\xff"), "is damaged"),
    "another system": (lambda f: update_fields(f / "machine.json", os="Debian 12"),
                       "implies macOS, but this host runs Linux"),
    "another architecture": (lambda f: update_fields(f / "machine.json", arch="x86_64"),
                             "implies arm64"),
    "markup": (lambda f: update_fields(f / "machine.json", os="macOS <script>"), "is damaged"),
    "unknown field": (lambda f: update_fields(f / "machine.json", more="x"),
                      "unknown field `more`"),
    "an option as name": (lambda f: rename(f, "-x"), "a name has letters"),
    "a space in the name": (lambda f: rename(f, "a b"), "a name has letters"),
    "a command as name": (lambda f: rename(f, "$(x)"), "a name has letters"),
    "a line break in the name": (lambda f: rename(f, "a\n::error::b"), "text of another form"),
    "bytes as name": (rename_to_bytes, f"describes {MAC}, not"),
    "artifact of another machine": (lambda f: f.rename(f.with_name(LINUX)),
                                    "in the artifact of another machine"),
    "a link to a file of the host": (link_to_host_file, "is a symbolic link"),
    "a link to a valid file": (link_to_valid_file, "is a symbolic link"),
    "swapped": (lambda f: shutil.copy(result_path(f, "49.0.0"), result_path(f, "50.0.1")),
                "has the content of"),
    "libgcc counts": (disguise_libgcc_counts,
                      "its unwinder is Apple libunwind, but libgcc was counted"),
    "another date": (lambda f: update_fields(result_path(f, "50.0.1"), date=1),
                     "different date than 50.0.1"),
    "measured elsewhere": (
        lambda f: update_fields(result_path(f, "50.0.1"), params={"machine": MAC}),
        "not measured on the machine that its folder"),
    "own environment": (lambda f: add_environment_variable(result_path(f, "50.0.1")),
                        "asv.conf.json does not"),
    "own package": (lambda f: add_requirement(result_path(f, "50.0.1")), "asv.conf.json does not"),
    "own benchmark": (lambda f: add_benchmark(f, "x.X.track_x", [[1], [], "1", SESSION, 1]),
                      "x.X.track_x is unknown"),
    "own parameters": (lambda f: add_benchmark(f, REMOVAL, [[1], [["'9x9'"]], "1", SESSION, 1]),
                       "track_removal is unknown, or has unknown parameters"),
    "the future": (lambda f: add_benchmark(f, LIBRARY, [[1], [], "1", 3_760_000_000_000, 1]),
                   "in the future"),
    "hosts of no UTF-8": (lambda f: (f / "hosts.jsonl").write_bytes(b"\xff"), "line 1 is damaged"),
    "hosts cut short": (lambda f: (f / "hosts.jsonl").write_text('{"since": "2026-0'), "line 1"),
    "hosts nested": (lambda f: (f / "hosts.jsonl").write_text("[" * 9_000), "nested too deeply"),
    "hosts of the future": (lambda f: (f / "hosts.jsonl").write_text(
        '{"since": "2089-01-01T00:00:00Z", "facts": {}}'), "in the future"),
    "hosts are a link": (lambda f: (f / "hosts.jsonl").symlink_to("/etc/passwd"),
                        "hosts.jsonl is a symbolic link"),
    "hosts are a folder": (lambda f: (f / "hosts.jsonl").mkdir(), "cannot be read"),
}  # fmt: skip


def add_environment_variable(path: Path) -> None:
    """Add a variable to the environment of a result file, consistently."""
    content = load(path)
    name = content["env_name"].replace("UNWINDER", "EVIL1-UNWINDER")
    env_vars = {**content["env_vars"], "EVIL": "1"}
    update_fields(path, env_name=name, env_vars=env_vars)
    path.rename(path.with_name(path.name.replace("UNWINDER", "EVIL1-UNWINDER")))


def test_results_of_another_processor_are_refused(main: Path, tmp_path: Path) -> None:
    assert main
    for processor, release in (("A", "49.0.0"), ("B", "50.0.1")):
        got = tmp_path / f"got {processor}"
        got.mkdir()
        write_results(got, {release: BOTH}, LINUX)
        host = {"since": "2026-09-01T00:00:00Z", "facts": {"processor": processor}}
        (got / LINUX / "hosts.jsonl").write_text(json.dumps(host))
        summary = record.merge_results(machine_folders(got))
        assert bool(summary.updated) == (processor == "A"), summary
    assert "Times of two kinds of processor cannot be compared" in " ".join(summary.problems)


def add_requirement(path: Path) -> None:
    """Add a package to the environment of a result file, consistently."""
    content = load(path)
    name = content["env_name"].replace("-UNWINDER", "-numpy2-UNWINDER")
    update_fields(path, env_name=name, requirements={"numpy": "2"})
    path.rename(path.with_name(path.name.replace("-UNWINDER", "-numpy2-UNWINDER")))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not allow these links and names")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_artifact_is_reported_and_the_others_are_merged(
    kind: str, main: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change, message = HOSTILE[kind]
    got = tmp_path / "got"
    for machine in (MAC, LINUX):
        write_results(got / machine, {"49.0.0": BOTH, "50.0.1": BOTH}, machine)
    change(got / MAC / MAC)
    assert record.main(["--partial", str(got)]) == 1
    printed = capfd.readouterr()
    assert f"{LINUX}: 49.0.0 50.0.1" in printed.out
    assert printed.out.startswith("Record results of ")
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert all(line.startswith("error: ") for line in printed.err.splitlines())
    names = {path.name for path in (main / "results").iterdir()} - {"benchmarks.json"}
    assert LINUX in names
    assert names <= {LINUX, MAC}
    history = read_history(Config.load("asv.conf.json"))
    assert history.left_out == []
    assert [measured.series.machine for measured in history.measured].count(LINUX) == 2
    assert not any(path.is_symlink() for path in main.rglob("*"))
    assert "9x9" not in {row.shape for row in history.rows}
    merged = "".join(path.read_text() for path in main.glob("results/*/*"))
    assert "x.X.track_x" not in merged
    assert "script" not in merged


def test_unexpected_error_with_one_machine_does_not_stop_the_merge(
    main: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_results = results.read_results

    def fail(path: Path) -> object:
        if path.parent.name == MAC:
            raise LookupError("a bug")
        return read_results(path)

    monkeypatch.setattr(record, "read_results", fail)
    for machine in (MAC, LINUX):
        write_results(tmp_path / "got" / machine, {"50.0.1": BOTH}, machine)
    assert record.main(["--partial", str(tmp_path / "got")]) == 1
    printed = capsys.readouterr()
    assert f"{LINUX}: 50.0.1" in printed.out
    assert "cannot be read (LookupError('a bug'))" in printed.err
    assert not (main / "results" / MAC).exists()


def test_recorded_results_of_removed_benchmarks_are_kept(main: Path, tmp_path: Path) -> None:
    """Machines also send the results of their checkout, which may include removed benchmarks."""
    target = main / "results" / MAC
    write_results(main / "results", {"50.0.1": BOTH}, MAC)
    add_benchmark(target, "gone.Gone.track_gone", [[-5.0], [], "1", SESSION, 1])
    shutil.copytree(target, tmp_path / "got" / MAC)
    write_results(tmp_path / "got", {"49.0.0": BOTH}, MAC)
    summary = record.merge_results(machine_folders(tmp_path / "got"), partial=True)
    assert summary.problems == []
    assert load(result_path(target, "50.0.1"))["results"]["gone.Gone.track_gone"][0] == [-5.0]
