"""The probe, on modules of all kinds, with real releases in a cache of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from scripts.base import files
from scripts.gap.changes import KEEP, TURN_OFF
from scripts.gap.words import RULE
from scripts.probe import __main__ as probe
from scripts.probe import builds
from scripts.releases import pins

from .conftest import COMMITS, DEADLINE, ROOT, Started, absent, environment

EIGHT = ROOT / "fixtures/functions-8.wasm"
NEWEST = list(COMMITS)[-1]

needs_counts = pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux")


@pytest.fixture(scope="session")
def valgrind() -> None:
    if shutil.which("valgrind") is None:
        absent("valgrind is not installed (Debian: valgrind)")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def uncounted() -> dict[str, str]:
    """For what is no test of counts: without valgrind, which takes seconds to start."""
    return {"PATH": "", "UV": os.environ.get("UV") or shutil.which("uv") or ""}


def run(cache: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.probe", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE,
        env={**environment(), "XDG_CACHE_HOME": str(cache), **variables},
    )  # fmt: skip


def no_constants(name: str) -> None:
    """JSON has neither NaN nor Infinity."""
    raise AssertionError(name)


def probed(
    cache: Path, *arguments: str | Path, code: int = 0, counted: bool = True
) -> list[dict[str, Any]]:
    if sys.platform == "win32":
        pytest.skip("Windows requires unwind info: there is nothing to compare")
    answer = run(cache, *arguments, "--json", **({} if counted else uncounted()))
    assert answer.returncode == code, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout, parse_constant=no_constants)
    return found


def in_the_half(program: str) -> Any:
    """What a program finds with the half of the probe that runs beside a release."""
    preamble = "import json; from pathlib import Path; from benchmarks import _one_module as one; "
    answer = subprocess.run(
        [sys.executable, "-c", preamble + program], cwd=ROOT, capture_output=True, text=True,
        check=True, timeout=DEADLINE, env=environment(),
    )  # fmt: skip
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.usefixtures("libunwind", "valgrind")
def test_it_agrees_with_the_suite(cache: Path, install: Callable[[str], Path]) -> None:
    (one,) = probed(cache, EIGHT, "--release", "49.0.0", "--unwinder", "libunwind")
    program = (
        "import json; from pathlib import Path; from benchmarks import teardown_gap as gap; "
        "wasm = Path('fixtures/functions-8.wasm'); "
        "print(json.dumps([gap.ratio(gap.block_of_pairs(1000, wasm)) for _ in range(8)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**environment(), "UNWINDER": "libunwind",
             "PYTHONPATH": f"{install('49.0.0')}{os.pathsep}{ROOT}"},
        timeout=DEADLINE,
    )  # fmt: skip
    ratio = median(json.loads(answer.stdout))
    # two processes may differ by a factor of two; another benchmark, or libgcc, by more than three
    assert ratio / 3 < one["gap"] < ratio * 3
    assert one["gap"] > 2.5 < ratio
    assert one["gap_least"] <= one["gap"] <= one["gap_most"]
    assert one["fdes"] == 17
    assert one["eh_frame_bytes"] > 500
    assert one["extra_ms_per_1000"] == pytest.approx(
        one["off_ms"] * (one["gap"] - 1) * 1000 / one["timed"], rel=1e-3
    )
    assert one["peak_memory_mb"] > 32
    assert one["counted"] == 1000
    removal = one["counts"]["instructions_to_remove"]
    assert removal["1000"] == pytest.approx(1_156_765, rel=1e-3)
    assert removal["250"] == pytest.approx(289_765, rel=1e-3)
    assert one["counts"]["calls_to_remove"] == {"1000": 17, "250": 17}
    assert one["instructions_to_remove_predicted"]["10000"] == pytest.approx(
        10 * removal["1000"], rel=1e-2
    )


@needs_counts
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_a_prediction_is_what_is_counted_there(cache: Path) -> None:
    few, many = (
        probed(cache, EIGHT, "--unwinder", "libunwind", "--counts-only", "--modules", modules)[0]
        for modules in ("40", "400")
    )
    predicted = few["instructions_to_remove_predicted"]["400"]
    assert predicted == many["counts"]["instructions_to_remove"]["400"]
    assert (
        many["instructions_to_remove_predicted"]["40"]
        == (few["counts"]["instructions_to_remove"]["40"])
    )
    assert "timed" not in few


@needs_counts
def test_without_valgrind_it_times_and_says_what_is_missing(cache: Path) -> None:
    arguments = (EIGHT, "--modules", "20")
    (one,) = probed(cache, *arguments, counted=False)
    assert "valgrind, which is not installed" in one["not_counted"]
    assert one["timed"] == 20
    assert one["gap"] > 0
    answer = run(cache, *arguments, "--counts-only", **uncounted())
    assert answer.returncode == 1
    assert "valgrind, which is not" in " ".join(answer.stdout.split())
    against = ("--against", "49.0.0", "--fail-above", "1")
    answer = run(cache, *arguments, *against, **uncounted())
    assert answer.returncode == 2  # whether it grew is not known


@pytest.mark.skipif(sys.platform == "win32", reason="Windows requires unwind info")
def test_a_folder_is_measured_as_far_as_it_can_be(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(ROOT / "fixtures/functions-1.wat", folder)
    shutil.copy(EIGHT, folder / "deeper/OK.WASM")
    shutil.copy(EIGHT, folder / "é [x].wasm")
    (folder / "bad.wasm").write_bytes(b"hello")
    answer = run(cache, folder, "--modules", "50", **uncounted())
    assert answer.returncode == 1
    for name in ("functions-1.wat", "OK.WASM", "é [x].wasm", "bad.wasm"):
        assert f"What unwind info costs: {name} " in answer.stdout
    assert len(re.findall(rf"advice +{KEEP} ", answer.stdout)) == 3
    assert answer.stdout.endswith(f"\n{RULE}\n")
    assert answer.stdout.count("is no WebAssembly") == 1
    assert f"OK.WASM, {NEWEST}:\ncompiling with unwind info and without\n" in answer.stderr


def test_what_is_named_is_measured_as_far_as_it_can_be(cache: Path, tmp_path: Path) -> None:
    """Two of one name are two, and what is no module does not keep the others from it."""
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(EIGHT, tmp_path / folder / "same.wasm")
    bad = tmp_path / "bad.wasm"
    bad.write_bytes(b"hello")
    modules = (tmp_path / "one", tmp_path / "other/same.wasm", bad, tmp_path / "none.wasm")
    answer = run(cache, *modules, "--modules", "20", **uncounted())
    assert answer.returncode == 1
    assert answer.stdout.count("What unwind info costs: same.wasm ") == 2
    assert f"{bad} is no WebAssembly" in " ".join(answer.stdout.split())
    assert "No such file" in " ".join(answer.stdout.split())


@needs_counts
@pytest.mark.usefixtures("valgrind")
def test_as_many_as_are_asked_for_are_counted_and_tenths_of_them_are_timed(cache: Path) -> None:
    (one,) = probed(cache, EIGHT, "--modules", "59")
    assert (one["counted"], one["timed"]) == (59, 50)
    assert (one["counted_reduced"], one["timed_reduced"]) == ("", "a multiple of 10 is timed")


def test_the_time_to_load_is_without_that_to_drop() -> None:
    load = in_the_half(
        "import time\n"
        "class Slow:\n"
        "    def __del__(self): time.sleep(0.5)\n"
        "one.fit, one.load_image = lambda *_: (20, ''), lambda *_: [Slow()]\n"
        "one.block_of_pairs = lambda *_: [{'on': [1.0], 'off': [1.0]}]\n"
        "print(json.dumps(one.times(Path(), 20)['load_ms']))"
    )
    assert load < 100


def test_a_module_without_functions_costs_nothing(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.wasm"
    path.write_bytes(b"\0asm\x01\0\0\0")
    (one,) = probed(cache, path, "--modules", "20")
    assert one["fdes"] == one["eh_frame_bytes"] == 0
    assert {count for by in one["counts"].values() for count in by.values()} == {0}
    assert one["timed"] == 20


@needs_counts
@pytest.mark.usefixtures("valgrind")
def test_the_unwinder_really_executes_nothing_for_it(tmp_path: Path) -> None:
    path = tmp_path / "empty.wasm"
    path.write_bytes(b"\0asm\x01\0\0\0")
    said = in_the_half(
        "from benchmarks._counted import Shape\n"
        f"try: one.count({{'empty': Shape(20, file=Path({str(path)!r}))}})\n"
        "except AssertionError as error: print(json.dumps(str(error)))"
    )
    assert "unwind info is on" in said
    for what in ("load', 'instructions", "load', 'calls", "drop', 'instructions", "drop', 'calls"):
        assert f"'{what}'): 0" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "is no WebAssembly"),
        (b"\0asm\x0d\0\x01\0", "no core module but a component"),
        (b"\0asm", "no core module but a component, or cut short"),
    ],
)
def test_what_is_no_module_is_refused(
    content: bytes, said: str, cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "my.wasm"
    path.write_bytes(content)
    answer = run(cache, path)
    assert answer.returncode == 2
    assert f"{path} " in answer.stderr
    assert said in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere.wasm"], "Cannot read /nowhere.wasm: No such file"),
        ([ROOT / "tests/site"], "site holds no .wasm or .wat file"),
        ([EIGHT, "--release", "45.0.99"], "45.0.99 is no pinned release. Did you mean 45.0.0"),
        ([EIGHT, "--against", "45.0.99"], "45.0.99 is no pinned release. Did you mean 45.0.0"),
        ([EIGHT, "--python", ""], "--python  cannot be started"),
        ([EIGHT, "--python", "/nowhere"], "--python /nowhere cannot be started"),
        ([EIGHT, "--modules", "0"], "--modules 0: at least 20 can be measured"),
        ([EIGHT, "--modules", "-1"], "--modules -1: at least 20"),
        ([EIGHT, "--modules", "1"], "--modules 1: at least 20"),
        ([EIGHT, "--modules", "3"], "--modules 3: at least 20"),
        ([EIGHT, "--bindings", "49.0.0"], "--bindings is for --library"),
        ([EIGHT, "--fail-above", "1"], "--fail-above needs --against"),
        ([EIGHT, "--against", "49.0.0", "--fail-above", "nan"], "a percentage of 0 or more"),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    arguments: list[str | Path], said: str, cache: Path
) -> None:
    answer = run(cache, *arguments)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert answer.stdout == ""


def test_a_build_is_not_held_against_itself(cache: Path) -> None:
    answer = run(cache, EIGHT, "--against", NEWEST, "--fail-above", "1")
    assert answer.returncode == 2
    assert f"Nothing is held against {NEWEST}: name another" in answer.stderr


def test_two_probes_may_install_the_same_release_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def install(command: list[str | Path], **_: str) -> subprocess.CompletedProcess[str]:
        own = Path(command[-1])
        for folder in (own, own.with_name(own.name.removesuffix(f".{os.getpid()}.tmp"))):
            (folder / "wasmtime").mkdir(parents=True)  # the other one is faster
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(builds, "_run", install)
    name, path = builds.released(pins.load()[-1])
    assert name == NEWEST
    assert [entry.name for entry in Path(path).parent.iterdir()] == [Path(path).name]


def test_a_module_that_cannot_be_compiled_is_the_release_s_own_error(
    cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.wasm"
    path.write_bytes(EIGHT.read_bytes()[:200])
    cut, eight = probed(cache, path, EIGHT, "--modules", "20", code=1, counted=False)
    assert cut["error"].startswith("failed to parse WebAssembly module")
    assert "advice" not in cut
    assert eight["timed"] == 20  # the other was measured


def test_what_does_not_fit_is_reduced_and_said(tmp_path: Path) -> None:
    limit = tmp_path / "max_map_count"
    limit.write_text("250\n")
    few, slow, all_of_them, mapped = in_the_half(
        "wasm = Path('fixtures/functions-8.wasm'); "
        "one.MEMORY = 57 * 2 * len(one.image(wasm, 'on')); few = one.fit(1000, wasm); "
        "one.MEMORY, one.SECONDS = 2**31, 0; slow = one.fit(1000, wasm); "
        "one.SECONDS = 600; every = one.fit(100, wasm); "
        f"one.LIMIT = Path({str(limit)!r}); "
        "print(json.dumps([few, slow, every, one.fit(1000, wasm)]))"
    )
    assert few[0] == 50
    assert "are full" in few[1]
    assert slow[0] == 10
    assert slow[1].startswith("20 might take ")
    assert all_of_them == [100, ""]
    assert mapped[0] == 50
    assert "250 mappings that the system allows" in mapped[1]


@pytest.mark.skipif(sys.platform != "linux", reason="mappings are limited on Linux")
def test_the_mappings_of_as_many_modules_fit_and_those_of_twice_as_many_do_not() -> None:
    program = (
        "wasm = Path('fixtures/functions-1.wasm'); limit = int(one.LIMIT.read_text()); "
        "one.MEMORY = 2**40; one.load_image(1, wasm, 'on'); "
        "maps = lambda: len(Path('/proc/self/maps').read_bytes().splitlines()); before = maps(); "
        "kept = [one.load_image(100, wasm, info) for info in ('on', 'off')]; "
        "print(json.dumps([maps() - before, before, limit]))"
    )
    of_200, before, limit = in_the_half(program)
    most = limit // 5 // 10 * 10
    assert of_200 / 100 * most + before < limit < of_200 / 100 * 2 * most + before


@pytest.mark.parametrize(
    ("fdes", "wanted", "counted"),
    [(17, 1000, 1000), (108, 1000, 160), (10**6, 20, 4), (1, 9999, 4000)],
)
def test_as_many_are_counted_on_every_machine(fdes: int, wanted: int, counted: int) -> None:
    found = in_the_half(
        "one.count = lambda shapes: ('', {(name, step, what): 1 for name in shapes "
        "for step in ('load', 'drop') for what in ('instructions', 'calls')}); "
        f"found = one.counts(Path('fixtures/functions-1.wasm'), {wanted}, {fdes}); "
        "print(json.dumps(found))"
    )
    assert found["counted"] == counted
    assert list(found["counts"]["calls_to_remove"]) == [str(counted), str(counted // 4)]
    assert (found["counted_reduced"] == "") == (counted == wanted)


def counts(removal: float, loaded: int = 100) -> dict[str, Any]:
    return {
        "counted": loaded,
        "counts": {"instructions_to_remove": {str(loaded): removal, "25": 1}},
    }


@pytest.mark.parametrize(
    ("now", "was", "growth"), [(102, 100, 2), (0, 0, 0), (5, 0, None), (50, 100, -50)]
)
def test_growth_is_in_percent(now: int, was: int, growth: float | None) -> None:
    (value,) = probe.grow(counts(now), counts(was))["growth_in_percent"].values()
    assert value == growth


def test_what_cannot_be_compared_says_why() -> None:
    assert "--modules 88" in probe.grow(counts(1, 100), counts(1, 88))["not_compared"]
    assert "missing" in probe.grow({"error": "no"}, counts(1))["not_compared"]
    assert "missing" in probe.grow(counts(1), {"not_counted": "no valgrind"})["not_compared"]


@pytest.mark.parametrize(("extra", "advice"), [(99.9, KEEP), (100.1, TURN_OFF)])
def test_the_advice_goes_by_the_rule_of_the_report(
    extra: float, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = subprocess.CompletedProcess("", 0, json.dumps({"extra_ms_per_1000": extra}))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert probe.probe(EIGHT, "", probe.parse([str(EIGHT)]))["advice"] == advice


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = run(tmp_path / "file", EIGHT)
    assert answer.returncode == 2
    assert "cannot be written" in answer.stderr
    assert "Set XDG_CACHE_HOME" in answer.stderr


def test_without_an_index_it_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    dead = "http://127.0.0.1:9"
    answer = run(
        tmp_path, EIGHT, "--json", UV_DEFAULT_INDEX=dead, UV_INDEX="", UV_FIND_LINKS="",
        UV_EXTRA_INDEX_URL="", UV_HTTP_RETRIES="0", UV_NO_CACHE="1",
    )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert f"{NEWEST} cannot be installed" in answer.stderr
    assert "Is the package index there?" in answer.stderr
    assert not list((tmp_path / "wasmtime-teardown").iterdir())


def test_a_folder_that_is_not_full_takes_no_place(tmp_path: Path) -> None:
    def fill(*, full: bool) -> None:
        with files.replacing(tmp_path / "folder") as new:
            (new / "deeper").mkdir(parents=True)
            assert full

    with pytest.raises(AssertionError):
        fill(full=False)
    assert not list(tmp_path.iterdir())
    fill(full=True)
    assert [*tmp_path.rglob("*")] == [tmp_path / "folder", tmp_path / "folder/deeper"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("step", ["counting", "dropping"])
def test_ctrl_c_leaves_nothing_but_the_cache(step: str, cache: Path, tmp_path: Path) -> None:
    if step == "counting" and shutil.which("valgrind") is None:
        absent("valgrind is not installed (Debian: valgrind)")
    run(cache, EIGHT, "--modules", "20", **uncounted())  # so that there is a release
    before = sorted((cache / "wasmtime-teardown").iterdir())
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command: list[str | Path] = [sys.executable, "-u", "-m", "scripts.probe", EIGHT]
    variables = {**environment(), "XDG_CACHE_HOME": str(cache), "TMPDIR": str(temporary)}
    variables |= uncounted() if step == "dropping" else {}
    with Started([*command, "--modules", "100"], ROOT, variables) as started:
        started.wait_for(step)
        started.process.send_signal(signal.SIGINT)
        assert started.end() == 130
    assert "Interrupted." in started.said
    assert "Traceback" not in started.said
    assert sorted((cache / "wasmtime-teardown").iterdir()) == before
    assert not list(temporary.iterdir())


def test_windows_is_told_that_it_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the suite's own code refuses, as it does in every benchmark."""
    from benchmarks import _one_module

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NotImplementedError, match="Windows"):
        _one_module.measure(EIGHT, 20, False)
