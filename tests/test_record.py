"""Joining results into the recorded history: nothing is lost, nothing unsound gets in."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asv.config import Config

from scripts.history import record, results
from scripts.history.read import read_history

from .conftest import COMMITS, ROOT
from .results import BUILD, HOUR, LIBRARY, REMOVAL, SESSION, TEARDOWN, write_results

BOTH = {"1000x1": 1.2, "1000x8": 8.0, "100x100": 60.0}
MAC, LINUX = "macos-15-arm64", "ubuntu-24.04-x86_64"


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without results."""
    clone = tmp_path / "main"
    (clone / "results").mkdir(parents=True)
    shutil.copy(ROOT / "asv.conf.json", clone)
    shutil.copytree(ROOT / "fixtures", clone / "fixtures")
    shutil.copy(ROOT / "results/benchmarks.json", clone / "results")
    monkeypatch.chdir(clone)
    return clone


def sources(folder: Path) -> list[Path]:
    return sorted({path.parent for path in folder.rglob("*-*.json")})


def stored(path: Path) -> Any:
    return json.loads(path.read_text())


def result(folder: Path, version: str) -> Path:
    (path,) = folder.glob(f"{COMMITS[version][:8]}-*.json")
    return path


def test_machines_are_joined(main: Path, tmp_path: Path) -> None:
    for machine in (MAC, LINUX):
        write_results(tmp_path / "got" / machine, {"49.0.0": BOTH, "50.0.1": BOTH}, machine)
    joined = record.join_results(sources(tmp_path / "got"))
    assert joined.message.splitlines() == [
        f"Record results of {MAC}, {LINUX}", "", f"{MAC}: 49.0.0 50.0.1", f"{LINUX}: 49.0.0 50.0.1",
    ]  # fmt: skip
    assert (main / f"results/{MAC}/machine.json").exists()
    # only part of the suite was measured, and that is said; a second time there is nothing to do
    assert any("track_removal is missing" in problem for problem in joined.problems)
    assert record.join_results(sources(tmp_path / "got")).taken == {}


def ratios(path: Path) -> list[float | None]:
    """Return time with unwind info / without, by shape."""
    content = stored(path)
    values = content["results"][TEARDOWN][content["result_columns"].index("result")]
    pairs = zip(values[:3], values[3:], strict=True)
    return [on / off if on and off else None for on, off in pairs]


def test_the_later_run_counts_and_no_value_is_lost(main: Path, tmp_path: Path) -> None:
    target = main / "results" / MAC
    write_results(tmp_path / "first", {"50.0.1": BOTH}, MAC)
    record.join_results(sources(tmp_path / "first"))  # asv writes the file, in its own format

    def offer(gap: float, started: int, sizes: int = 3) -> record.Joined:
        some = dict(list(dict.fromkeys(BOTH, gap).items())[:sizes])
        shutil.rmtree(tmp_path / "got", ignore_errors=True)
        write_results(tmp_path / "got", {"50.0.1": some}, MAC, started=started)
        return record.join_results(sources(tmp_path / "got"))

    before = result(target, "50.0.1").read_bytes()
    for earlier in (SESSION - HOUR, SESSION):
        assert offer(3.0, earlier).taken == {}
    assert result(target, "50.0.1").read_bytes() == before
    assert offer(3.0, SESSION + HOUR, sizes=2).taken == {MAC: {"50.0.1"}}
    assert ratios(result(target, "50.0.1")) == pytest.approx([3, 3, 60], rel=0.02)
    assert offer(4.0, SESSION + 2 * HOUR).taken == {MAC: {"50.0.1"}}
    assert ratios(result(target, "50.0.1")) == pytest.approx([4, 4, 4], rel=0.02)
    # a damaged file is no better than anything
    result(target, "50.0.1").write_text("{")
    assert offer(2.0, SESSION - HOUR).taken == {MAC: {"50.0.1"}}
    assert not list(main.rglob("*.tmp"))


def test_an_earlier_run_adds_what_the_later_one_lacks(main: Path, tmp_path: Path) -> None:
    write_results(main / "results", {"50.0.1": {"1000x8": 3.0}}, MAC, started=SESSION + HOUR)
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    assert record.join_results(sources(tmp_path / "got")).taken == {MAC: {"50.0.1"}}
    values = ratios(result(main / "results" / MAC, "50.0.1"))
    assert values == pytest.approx([1.2, 3.0, 60], rel=0.02)


@pytest.mark.usefixtures("main")
def test_what_is_unsound_is_named_and_the_rest_is_joined(tmp_path: Path) -> None:
    got = tmp_path / "got"
    write_results(got, {"48.0.0": BOTH, "49.0.0": BOTH, "50.0.1": BOTH}, MAC)
    result(got / MAC, "48.0.0").write_text('{"version": 2, "resu')
    stray = stored(result(got / MAC, "49.0.0")) | {"commit_hash": "0" * 40}
    result(got / MAC, "49.0.0").write_text(json.dumps(stray))
    named = result(got / MAC, "49.0.0").name.replace(COMMITS["49.0.0"][:8], "0" * 8)
    (got / MAC / named).write_text(json.dumps(stray))
    write_results(got, {"50.0.1": BOTH}, "local-linux-x86_64")
    write_results(got, {"50.0.1": BOTH}, "named-wrongly")
    (got / "named-wrongly").rename(got / "renamed")
    write_results(got, {"50.0.1": BOTH}, "undescribed")
    (got / "undescribed/machine.json").unlink()
    (got / MAC / "notes.txt").write_text("not a result")
    joined = record.join_results(sources(got))
    assert joined.taken == {MAC: {"50.0.1"}}
    said = "\n".join(joined.problems)
    for problem in (
        "is damaged (",
        "holds what belongs into macos-15-arm64/00000000-",
        "00000000 is no pinned release",
        "results of local machines are not recorded",
        "renamed/machine.json describes another machine than renamed",
        "undescribed/machine.json is missing",
    ):
        assert problem in said
    assert sorted(path.name for path in Path("results").iterdir()) == ["benchmarks.json", MAC]
    assert not Path("results", MAC, "notes.txt").exists()


def test_another_kind_of_machine_is_a_conflict(main: Path, tmp_path: Path) -> None:
    write_results(main / "results", {"49.0.0": BOTH}, MAC)
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    described = tmp_path / "got" / MAC / "machine.json"
    described.write_text(described.read_text().replace("24 GB", "8 GB"))
    joined = record.join_results(sources(tmp_path / "got"))
    assert joined.taken == {}
    assert "is another kind of machine" in joined.problems[0]


def test_a_failed_benchmark_is_recorded_and_said(main: Path, tmp_path: Path) -> None:
    write_results(tmp_path / "got", {"50.0.1": {"1000x8": 8.0}}, MAC)  # the other sizes failed
    joined = record.join_results(sources(tmp_path / "got"))
    assert any(f"{TEARDOWN} failed" in problem for problem in joined.problems)
    assert result(main / "results" / MAC, "50.0.1").exists()


def test_hosts_are_joined_by_time(main: Path, tmp_path: Path) -> None:
    times = [f"2026-10-0{day}T00:00:00+00:00" for day in range(1, 9)]
    lines = [f"{json.dumps({'since': since, 'facts': {}})}\n" for since in times]
    write_results(main / "results", {"49.0.0": BOTH}, MAC)
    recorded = main / "results" / MAC / "hosts.jsonl"
    recorded.write_text("".join(lines[::3]))
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    (tmp_path / "got" / MAC / "hosts.jsonl").write_text("".join(lines[1:]))
    record.join_results(sources(tmp_path / "got"))
    assert recorded.read_text() == "".join(lines)  # each once
    # where no result is taken, its host is nobody's
    (tmp_path / "got" / MAC / "hosts.jsonl").write_text(lines[0].replace("10-01", "10-11"))
    assert record.join_results(sources(tmp_path / "got")).taken == {}
    assert recorded.read_text() == "".join(lines)


@pytest.mark.usefixtures("main")
def test_the_command_fails_when_something_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    assert record.main([str(tmp_path / "got")]) == 1
    said = capsys.readouterr()
    assert f"{MAC}: 50.0.1" in said.out
    assert "error: " in said.err
    assert record.main([str(tmp_path / "got")]) == 0  # the same again
    assert "Nothing to record." in capsys.readouterr().out
    assert record.main([str(tmp_path / "nothing")]) == 1
    assert "Nothing has arrived" in capsys.readouterr().err


@pytest.mark.usefixtures("main")
def test_a_part_that_was_asked_for_is_not_incomplete(tmp_path: Path) -> None:
    write_results(tmp_path / "got", {"50.0.1": BOTH}, MAC)
    assert record.main(["--partial", str(tmp_path / "got")]) == 0


@pytest.mark.usefixtures("main")
def test_a_failure_is_one_also_in_a_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "got", {"50.0.1": {"1000x8": 8.0}}, MAC)  # the other sizes failed
    assert record.main(["--partial", str(tmp_path / "got")]) == 1
    said = capsys.readouterr().err
    assert f"{TEARDOWN} failed" in said
    assert "is missing" not in said


def test_values_of_an_older_benchmark_version_are_left_behind(main: Path, tmp_path: Path) -> None:
    write_results(main / "results", {"50.0.1": BOTH}, MAC)
    recorded = result(main / "results" / MAC, "50.0.1")
    content = stored(recorded)
    content["results"][TEARDOWN][content["result_columns"].index("version")] = "0"
    recorded.write_text(json.dumps(content))
    write_results(tmp_path / "got", {"50.0.1": {"1000x8": 3.0}}, MAC, started=SESSION + HOUR)
    assert record.join_results(sources(tmp_path / "got")).taken == {MAC: {"50.0.1"}}
    assert ratios(recorded)[1] == pytest.approx(3, rel=0.02)
    assert ratios(recorded)[0] is None  # not 1.2, which was another thing


@pytest.mark.usefixtures("main")
def test_no_machine_delivers_for_another_nor_under_another_name(tmp_path: Path) -> None:
    got = tmp_path / "got"
    write_results(got / MAC, {"50.0.1": BOTH}, MAC)  # as several artefacts are unpacked
    write_results(got / LINUX, {"49.0.0": BOTH}, MAC)  # smuggled
    write_results(got, {"50.0.1": BOTH}, LINUX)  # as one alone is
    own, problems = record.machine_folders(got)
    assert own == [got / MAC / MAC, got / LINUX]
    assert problems == [f"{got / LINUX / MAC} is not the machine of its artefact"]
    path = result(got / LINUX, "50.0.1")
    path.rename(path.with_name(f"deadbeef{path.name[8:]}"))
    joined = record.join_results(own)
    assert joined.taken == {MAC: {"50.0.1"}}
    assert "holds what belongs into" in joined.problems[-1]


# Artefacts that are hostile


def rewrite(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(stored(path) | fields))


def rename(folder: Path, name: str) -> None:
    """Give a machine another name, consistently."""
    for path in folder.iterdir():
        path.write_text(path.read_text().replace(f'"{MAC}"', json.dumps(name)))
    parent = folder.parent.rename(folder.parent.with_name(name))
    (parent / MAC).rename(parent / name)


def rename_to_bytes(folder: Path) -> None:
    parent = os.fsencode(folder.parent.parent)
    os.rename(folder.parent, parent + b"/\xff")  # noqa: PTH104
    os.rename(parent + b"/\xff/" + os.fsencode(MAC), parent + b"/\xff/\xff")  # noqa: PTH104


def make_folder(folder: Path) -> None:
    result(folder, "50.0.1").unlink()
    (folder / "afb778f0-x.json").mkdir()


def link_to_a_file_of_the_host(folder: Path) -> None:
    path = result(folder, "50.0.1")
    path.unlink()
    path.symlink_to("/etc/passwd")


def link_to_a_sound_file(folder: Path) -> None:
    path = result(folder, "50.0.1")
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def add_benchmark(folder: Path, name: str, row: list[Any]) -> None:
    content = stored(result(folder, "50.0.1"))
    rewrite(result(folder, "50.0.1"), results={**content["results"], name: row})


def copy_system_numbers(folder: Path) -> None:
    """Offer what was counted of libgcc as counts of libunwind."""
    library = {"file": "/lib/libgcc_s.so.1", "package": "x", "build_id": f"{BUILD:012x}" + "0" * 28}
    host = {"since": "2026-09-01T00:00:00Z", "facts": {"unwinders": {"libgcc": library}}}
    (folder / "hosts.jsonl").write_text(json.dumps(host))
    add_benchmark(folder, LIBRARY, [[BUILD], [], "1", SESSION, 1.0])


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no UTF-8": (lambda f: result(f, "50.0.1").write_bytes(b"\xff"), "is damaged ('utf-8' codec"),
    "nesting": (lambda f: result(f, "50.0.1").write_text("[" * 100_000), "nested too deeply"),
    "large": (lambda f: result(f, "50.0.1").write_bytes(b" " * (17 << 20)), "larger than"),
    "a folder": (make_folder, "is missing"),
    "description of no UTF-8": (lambda f: (f / "machine.json").write_bytes(b"\xff"), "is damaged"),
    "another system": (lambda f: rewrite(f / "machine.json", os="Debian 12"),
                       "implies macOS, but this host runs Linux"),
    "another architecture": (lambda f: rewrite(f / "machine.json", arch="x86_64"), "implies arm64"),
    "markup": (lambda f: rewrite(f / "machine.json", os="macOS <script>"), "is damaged"),
    "more fields": (lambda f: rewrite(f / "machine.json", more="x"), "unknown field `more`"),
    "an option as name": (lambda f: rename(f, "-x"), "a name has letters"),
    "a space in the name": (lambda f: rename(f, "a b"), "a name has letters"),
    "a command as name": (lambda f: rename(f, "$(x)"), "a name has letters"),
    "a line as name": (lambda f: rename(f, "a\n::error::b"), "text of another form"),
    "no text as name": (rename_to_bytes, "another machine than"),
    "another's artefact": (lambda f: f.rename(f.with_name(LINUX)), "not the machine of its artef"),
    "a link to a file of the host": (link_to_a_file_of_the_host, "symbolic links"),
    "a link to a sound file": (link_to_a_sound_file, "symbolic links"),
    "swapped": (lambda f: shutil.copy(result(f, "49.0.0"), result(f, "50.0.1")), "holds what belo"),
    "system numbers": (copy_system_numbers, "UNWINDER is libunwind, but libgcc was counted"),
    "another date": (lambda f: rewrite(result(f, "50.0.1"), date=1), "another date than 50.0.1"),
    "measured elsewhere": (lambda f: rewrite(result(f, "50.0.1"), params={"machine": MAC}),
                           "measured on another machine than its folder"),
    "own environment": (lambda f: own_environment(result(f, "50.0.1")), "asv.conf.json does not"),
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
    "hosts are a link": (lambda f: (f / "hosts.jsonl").symlink_to("/etc/passwd"), "symbolic links"),
    "hosts are a folder": (lambda f: (f / "hosts.jsonl").mkdir(), "cannot be read"),
}  # fmt: skip


def own_environment(path: Path) -> None:
    content = stored(path)
    name = content["env_name"].replace("UNWINDER", "EVIL1-UNWINDER")
    env_vars = {**content["env_vars"], "EVIL": "1"}
    rewrite(path, env_name=name, env_vars=env_vars)
    path.rename(path.with_name(path.name.replace("UNWINDER", "EVIL1-UNWINDER")))


@pytest.mark.skipif(sys.platform == "win32", reason="makes links, and names that Windows has not")
@pytest.mark.parametrize("kind", HOSTILE)
def test_one_bad_artefact_blocks_nobody_and_poisons_nothing(
    kind: str, main: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change, said = HOSTILE[kind]
    got = tmp_path / "got"
    for machine in (MAC, LINUX):
        write_results(got / machine, {"49.0.0": BOTH, "50.0.1": BOTH}, machine)
    change(got / MAC / MAC)
    assert record.main(["--partial", str(got)]) == 1
    printed = capfd.readouterr()
    assert f"{LINUX}: 49.0.0 50.0.1" in printed.out
    assert printed.out.startswith("Record results of ")
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert all(line.startswith("error: ") for line in printed.err.splitlines())
    names = {path.name for path in (main / "results").iterdir()} - {"benchmarks.json"}
    assert LINUX in names
    assert names <= {LINUX, MAC}
    read_history.cache_clear()
    history = read_history(Config.load("asv.conf.json"))
    assert history.left_out == []
    assert len([each for each in history.measured if each.machine == LINUX]) == 2
    assert not any(path.is_symlink() for path in main.rglob("*"))
    assert "9x9" not in {row.shape for row in history.rows}
    shown = "".join(path.read_text() for path in main.glob("results/*/*"))
    assert "x.X.track_x" not in shown
    assert "script" not in shown


def test_an_error_of_our_own_blocks_nobody(
    main: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = results.read_results

    def fail(path: Path) -> object:
        if path.parent.name == MAC:
            raise LookupError("not thought of")
        return load(path)

    monkeypatch.setattr(record, "read_results", fail)
    for machine in (MAC, LINUX):
        write_results(tmp_path / "got" / machine, {"50.0.1": BOTH}, machine)
    assert record.main(["--partial", str(tmp_path / "got")]) == 1
    printed = capsys.readouterr()
    assert f"{LINUX}: 50.0.1" in printed.out
    assert "cannot be read (LookupError('not thought of'))" in printed.err
    assert not (main / "results" / MAC).exists()


def test_what_another_suite_has_measured_stays_recorded(main: Path, tmp_path: Path) -> None:
    """Machines send what the checkout already had, old benchmarks included."""
    target = main / "results" / MAC
    write_results(main / "results", {"50.0.1": BOTH}, MAC)
    add_benchmark(target, "gone.Gone.track_gone", [[-5.0], [], "1", SESSION, 1])
    shutil.copytree(target, tmp_path / "got" / MAC)
    write_results(tmp_path / "got", {"49.0.0": BOTH}, MAC)
    joined = record.join_results(sources(tmp_path / "got"), partial=True)
    assert joined.problems == []
    assert stored(result(target, "50.0.1"))["results"]["gone.Gone.track_gone"][0] == [-5.0]
