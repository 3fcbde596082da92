"""The asv plugin and its environments, without measurements."""

import base64
import contextlib
import hashlib
import json
import logging
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asv import util
from asv.config import Config
from asv.environment import get_environments, iter_matrix
from asv.plugins.virtualenv import Virtualenv
from asv.runner import BenchmarkResult
from asv.util import ProcessError, UserError

from scripts import asv_plugin
from scripts.history.machine import read_description
from scripts.measuring import machines, stored
from scripts.measuring.stored import MeasuredResults
from scripts.releases import environment
from scripts.releases.environment import ReleaseEnvironment

from .conftest import COMMITS, DEADLINE, LIBUNWIND, NAME, ROOT, SYSTEM
from .conftest import asv as run_asv
from .github import write_program
from .results import repository, write_results

BENCHMARK: dict[str, Any] = {"name": NAME, "version": "1", "params": [["'on'", "'off'"]]}


def test_set_commit_hash_is_rejected(copy: Path) -> None:
    answer = run_asv(copy, "run", "-E", "existing", "--set-commit-hash", "49.0.0")
    assert answer.returncode == 1
    assert "--set-commit-hash is not supported" in answer.stdout + answer.stderr


@pytest.mark.parametrize("name", ["", "-x", "a b"])
def test_machine_name_that_cannot_be_a_folder_is_rejected(name: str, copy: Path) -> None:
    answer = run_asv(copy, "run", "--dry-run", f"--machine={name}", "50.0.1")
    assert answer.returncode == 1
    assert f"--machine {name!r}: a name has letters" in answer.stdout + answer.stderr
    assert [path.name for path in (copy / "results").iterdir()] == ["benchmarks.json"]


@pytest.mark.parametrize("parallel", [2, -1, 0])
def test_parallel_run_is_rejected(parallel: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--parallel \(-j\) is not supported"):
        asv_plugin.run_and_explain(SimpleNamespace(results_dir=tmp_path), parallel=parallel)


@pytest.mark.parametrize("name", [":same", "existing:same", "existing"])
def test_run_in_an_existing_environment_says_that_nothing_is_stored(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("asv"), "propagate", True)
    monkeypatch.setattr(asv_plugin, "asv_run", lambda *_, **__: None)
    caplog.set_level("INFO")
    asv_plugin.run_and_explain(Config.load("asv.conf.json"), env_spec=[name])
    assert f"Nothing was stored for {name}: " in caplog.text
    assert "scripts.gap" not in caplog.text


def test_run_that_stores_nothing_leaves_no_machine(copy: Path) -> None:
    answer = run_asv(
        copy, "run", "--python=same", "--quick", "--bench", "track_fde_count", "--machine", "mine"
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert not (copy / "results/mine").exists()


def test_description_of_the_machine_is_stored_with_its_first_result(tmp_path: Path) -> None:
    store(tmp_path, [1.0], [1.0])
    assert read_description(tmp_path / "here").machine == "here"


@pytest.mark.parametrize("options", [[], ["--yes"], ["--machine", "x"]])
def test_asv_machine_asks_nothing(options: list[str], tmp_path: Path) -> None:
    answer = run_asv(ROOT, "machine", *options, home=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert f"machine: {machines.local_name()}" in answer.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["precious", "precious/file"])
def test_folder_that_is_no_site_is_not_deleted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[Any] = []
    monkeypatch.setattr(asv_plugin, "asv_publish", published.append)
    file = tmp_path / "precious/file"
    file.parent.mkdir()
    conf = SimpleNamespace(html_dir=str(tmp_path / name))
    if name == "precious":
        asv_plugin.publish_and_check(conf)  # it is empty
    file.write_text("text")
    with pytest.raises(UserError, match=r"is not a site .* Name another folder with --html-dir"):
        asv_plugin.publish_and_check(conf)
    assert len(published) == (name == "precious")
    (file.parent / "asv.js").touch()
    if name == "precious":
        asv_plugin.publish_and_check(conf)
        assert len(published) == 2


def test_unknown_release_deletes_no_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = Config.load("asv.conf.json")
    conf.html_dir = str(tmp_path)
    (tmp_path / "asv.js").touch()
    with pytest.raises(UserError, match=r"'50\.0\.2' is not a pinned release"):
        asv_plugin.publish_and_check(conf, range_spec="50.0.2")
    assert (tmp_path / "asv.js").exists()


def test_preview_is_advised_for_the_folder_of_the_site(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("asv"), "propagate", True)
    monkeypatch.setattr(asv_plugin, "asv_publish", lambda *_, **__: None)
    caplog.set_level("INFO")
    asv_plugin.publish_and_check(SimpleNamespace(html_dir="my site"))
    assert "uv run asv preview --html-dir 'my site'" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="creates shell scripts")
@pytest.mark.parametrize(
    ("python", "message"),
    [
        (None, "there is no such Python"),
        ("exit 0", "it is not a Python interpreter"),
        (f'exec {sys.executable} -I -S "$@"', "No module named 'asv_runner'"),
    ],
)
def test_existing_environment_that_cannot_run_the_suite_is_rejected(
    python: str | None, message: str, tmp_path: Path
) -> None:
    program = tmp_path / "bin/python"
    if python is not None:
        write_program(program, python)
    with pytest.raises(UserError) as caught:
        asv_plugin.run_and_explain(
            Config.load("asv.conf.json"), env_spec=[f"existing:{program}"], dry_run=True
        )
    assert message in str(caught.value)
    remedy = f"uv pip install --python {program} --no-deps -r fixtures/helper-requirements.txt"
    assert (remedy in str(caught.value)) == (python is not None)


# Removing results


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a repository with results of two releases of two machines; return its folder."""
    results = repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    for machine in ("linux-x86_64", "macos-15-arm64"):
        write_results(results, {"49.0.0": {}, "50.0.1": {}}, machine)
    return tmp_path


def list_results(folder: Path) -> set[str]:
    versions = {commit[:8]: version for version, commit in COMMITS.items()}
    paths = folder.glob("results/*/*-*.json")
    return {f"{path.parent.name} {versions[path.name[:8]]}" for path in paths}


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["commit_hash=50.0.1"], {"linux-x86_64 49.0.0", "macos-15-arm64 49.0.0"}),
        (["commit_hash=49.0.0", "machine=linux*"],
         {"linux-x86_64 50.0.1", "macos-15-arm64 49.0.0", "macos-15-arm64 50.0.1"}),
        ([f"commit_hash={COMMITS['50.0.1'][:10]}", "os=macOS 15"],
         {"linux-x86_64 49.0.0", "linux-x86_64 50.0.1", "macos-15-arm64 49.0.0"}),
    ],
)  # fmt: skip
def test_results_are_removed_by_release(
    patterns: list[str], left: set[str], recorded: Path
) -> None:
    asv_plugin.resolve_and_remove(Config.load("asv.conf.json"), patterns)
    assert list_results(recorded) == left


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("commit_hash=", "'' is not a pinned release"),
        ("commit_hash=5", "'5' is not a pinned release"),
        ("commit_hash=50.0.2", "Did you mean 50.0.1"),
        ("python=3.11", "cannot select results by 'python'. Choose one of: commit_hash, benchmark"),
        ("50.0.1", "cannot select results by '50.0.1'"),
    ],
)
def test_pattern_that_asv_would_misread_removes_nothing(
    pattern: str, message: str, recorded: Path
) -> None:
    before = list_results(recorded)
    assert len(before) == 4
    with pytest.raises(UserError) as caught:
        asv_plugin.resolve_and_remove(Config.load("asv.conf.json"), [pattern])
    assert message in str(caught.value)
    assert list_results(recorded) == before


# Atomic writes


def test_failed_write_keeps_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    asv_plugin.write_json_atomically(str(path), {"value": 1}, 2, compact=True)
    assert util.load_json(str(path), 2) == {"value": 1}
    before = path.read_bytes()
    with pytest.raises(TypeError):
        asv_plugin.write_json_atomically(str(path), {"first": 1, "then": object()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_error_on_a_full_disk_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(path: str, data: Any) -> None:
        Path(path).write_text(json.dumps(data)[:5])
        raise OSError(28, "No space left on device")

    path = tmp_path / "result.json"
    monkeypatch.setattr(sys, "argv", ["asv", "run"])
    monkeypatch.setattr(asv_plugin, "asv_write_json", fill_disk)
    with pytest.raises(OSError, match="No space") as caught:
        asv_plugin.write_json_atomically(str(path), {"value": 1})
    assert asv_plugin.explain_error(caught.value) == (
        f"asv stopped: [Errno 28] No space left on device: '{path}'. "
        "Results of finished releases are stored."
    )
    assert list(tmp_path.iterdir()) == []


def test_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_write(path: str, data: Any) -> None:
        Path(path).write_text(json.dumps(data)[:5])
        raise KeyboardInterrupt

    path = tmp_path / "result.json"
    path.write_text("old")
    monkeypatch.setattr(asv_plugin, "asv_write_json", interrupt_write)
    with pytest.raises(KeyboardInterrupt):
        asv_plugin.write_json_atomically(str(path), {"value": 1})
    assert path.read_text() == "old"


def test_next_write_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    path, other = tmp_path / "result.json", tmp_path / "other.json"
    running = tmp_path / f"result.json.{os.getppid()}.tmp"
    running.write_text("being written")
    for name in ("result.json.999999999.tmp", "other.json.999999999.tmp"):
        (tmp_path / name).write_text('{"val')
    (tmp_path / "result.json.999999998.tmp").mkdir()
    asv_plugin.write_json_atomically(str(path), {"value": 1})
    assert {*tmp_path.iterdir()} == {path, running, tmp_path / "other.json.999999999.tmp"}
    asv_plugin.write_json_atomically(str(other), {"value": 1})
    assert {*tmp_path.iterdir()} == {path, running, other}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content["results"][NAME].__setitem__(11, [[0.1] * 2000] * 6), "length <="),
        (lambda content: content["results"][NAME].__setitem__(3, 1_262_304_000_000), "`int` >= 15"),
        (lambda content: content["results"][NAME].__setitem__(3, 3_760_000_000_000), "future"),
        (lambda content: content["params"].update(os="<b>"), "text of another form"),
    ],
    ids=["too many samples", "clock of 2010", "clock of 2089", "markup"],
)
def test_result_that_readers_refuse_is_not_stored(
    change: Callable[[Any], None], reason: str, tmp_path: Path
) -> None:
    write_results(tmp_path, {"50.0.1": {"1000x8": 2.0}})
    (path,) = tmp_path.glob("*/*-*.json")
    content = util.load_json(str(path), 2)
    valid = path.read_bytes()
    change(content)
    with pytest.raises(UserError, match=rf"cannot be stored \(.*{reason}.*Older results are kept"):
        asv_plugin.write_json_atomically(str(path), content, 2, compact=True)
    assert path.read_bytes() == valid
    assert sorted(path.parent.iterdir()) == [path, path.parent / "machine.json"]


# Values, samples and reasons for n/a


@pytest.fixture(autouse=True)
def _reset_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without stored reasons, and do not record this host."""
    monkeypatch.setattr(MeasuredResults, "reasons", {})
    monkeypatch.setattr(ReleaseEnvironment, "missing", {})
    monkeypatch.setattr(machines, "record_host", lambda _: None)


def make_result(*values: list[float] | float | None, stderr: str = "") -> BenchmarkResult:
    """Return the result of a benchmark process: samples, NaN for n/a, or None for a failure."""
    samples = [value if isinstance(value, list) else None for value in values]
    return BenchmarkResult(
        result=[True if isinstance(value, list) else value for value in values],
        samples=samples,
        number=[None if sample is None else 1 for sample in samples],
        errcode=0, stderr=stderr, profile=None,
    )  # fmt: skip


def store(folder: Path, *values: list[float] | float | None, **options: Any) -> dict[str, Any]:
    """Store values as `asv run` does; return the columns of the result file."""
    benchmark = {**BENCHMARK, "version": options.pop("version", "1")}
    run = MeasuredResults({"machine": "here"}, {}, "0" * 40, 0, "3.11", "env", {})
    run.load_data(str(folder))
    run.add_result(benchmark, make_result(*values), **{"record_samples": True, **options})
    run.save(str(folder))
    return read_columns(folder)


def read_columns(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob("*-env.json")
    content = json.loads(path.read_text())
    return dict(zip(content["result_columns"], content["results"][NAME], strict=False))


@pytest.mark.parametrize("worse", [math.nan, None])
def test_na_and_failures_never_replace_a_value(tmp_path: Path, worse: float | None) -> None:
    first = store(tmp_path, [1.0, 1.2, 1.1], [0.1, 0.2], duration=9)
    second = store(tmp_path, worse, [0.5], duration=1)
    assert second["result"] == [1.1, 0.5]
    assert second["samples"] == [[1.0, 1.2, 1.1], [0.5]]
    assert second["stats_repeat"] == [3, 1]
    assert second["duration"] == 1
    assert first["result"] == pytest.approx([1.1, 0.15])
    third = store(tmp_path, worse, worse, duration=2)
    assert third["result"] == [1.1, 0.5]
    assert third["duration"] == 1  # the duration of the run whose values are kept
    assert third["started_at"] == second["started_at"]


def test_value_without_samples_never_replaces_one_with_samples(tmp_path: Path) -> None:
    store(tmp_path, [1.0, 1.2, 1.1], [0.1, 0.2])
    after = store(tmp_path, math.nan, [0.5], selected_idx={1}, record_samples=False)
    assert after["samples"] == [[1.0, 1.2, 1.1], [0.1, 0.2]]
    assert after["result"][1] == pytest.approx(0.15)


def test_na_is_stored_if_there_is_no_value(tmp_path: Path) -> None:
    store(tmp_path, [0.3], [0.4], version="old")
    na = store(tmp_path, math.nan, math.nan, version="new")["result"]
    assert all(map(math.isnan, na))  # values of another version of the benchmark do not count
    assert store(tmp_path, [0.5], math.nan, version="new")["result"][0] == 0.5


def test_release_without_any_value_is_not_stored(tmp_path: Path) -> None:
    run = MeasuredResults({"machine": "here"}, {}, "0" * 40, 0, "3.11", "env", {})
    run.add_result(BENCHMARK, make_result(None, None))
    run.save(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_reasons_for_na_are_printed_once_per_environment_and_again_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = (
        "For parameters: 'on', 8\nasv: skipped: NotImplementedError('no library') \n\n\n"
        "For parameters: 'off', 8\nasv: skipped: NotImplementedError(\"it's Windows\") "
    )
    printed: list[str] = []
    reasons = ["n/a: no library", "n/a: it's Windows"]

    def run(_: Any, **__: Any) -> int:
        for _ in range(2):  # two releases
            stored = MeasuredResults({"machine": "here"}, {}, "0" * 40, 0, "3.11", "env", {})
            stored.add_result(BENCHMARK, make_result([1.0], math.nan, stderr=output))
            stored.save(str(tmp_path))
        assert printed == reasons
        return 2

    log = SimpleNamespace(info=lambda line, **_: printed.append(line))
    monkeypatch.setattr(stored, "log", log)
    monkeypatch.setattr(asv_plugin, "asv_run", run)
    monkeypatch.setitem(ReleaseEnvironment.missing, LIBUNWIND, "no libunwind")
    conf = SimpleNamespace(results_dir=str(tmp_path))
    assert asv_plugin.run_and_explain(conf) == 2
    assert printed[2:] == ["n/a: no libunwind", *reasons]


# Environments


def hide_libunwind(monkeypatch: pytest.MonkeyPatch, strict: str) -> None:
    monkeypatch.setenv("LIBUNWIND", "/nowhere.so")
    monkeypatch.setenv("BENCHMARKS_STRICT", strict)


def create_environments(*names: str) -> list[Any]:
    return list(get_environments(Config.load("asv.conf.json"), list(names)))


@pytest.mark.skipif(sys.platform != "linux", reason="libunwind is an environment of Linux")
@pytest.mark.parametrize("names", [(), (SYSTEM, LIBUNWIND), ("release",)])
def test_missing_libunwind_leaves_out_its_environment_with_a_remedy(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hide_libunwind(monkeypatch, strict="0")
    monkeypatch.setattr(logging.getLogger("asv"), "propagate", True)
    assert [created.name for created in create_environments(*names)] == [SYSTEM]
    assert f"{LIBUNWIND} is left out: /nowhere.so is missing" in caplog.text
    assert "apt install libunwind-19" in caplog.text
    assert "apt install libunwind-19" in ReleaseEnvironment.missing[LIBUNWIND]


@pytest.mark.skipif(sys.platform != "linux", reason="libunwind is an environment of Linux")
def test_missing_libunwind_is_an_error_of_its_environment_if_strict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide_libunwind(monkeypatch, strict="1")
    monkeypatch.setattr(environment, "hold_machine", lambda _: None)
    monkeypatch.setattr(Virtualenv, "create", lambda _: None)
    (system,) = create_environments(SYSTEM)
    system.create()
    (libunwind,) = create_environments(LIBUNWIND)
    with pytest.raises(UserError, match=r"/nowhere\.so is missing.*apt install libunwind-19"):
        libunwind.create()


@pytest.mark.parametrize("strict", ["0", "1"])
def test_libunwind_is_left_out_on_musl(strict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHMARKS_STRICT", strict)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert [created.name for created in create_environments()] == [SYSTEM]


@pytest.mark.parametrize(
    ("system", "unwinders"),
    [("linux", ["system", "libunwind"]), ("darwin", ["system"]), ("win32", ["system"])],
)
def test_libunwind_environment_exists_only_on_linux(
    monkeypatch: pytest.MonkeyPatch, system: str, unwinders: list[str]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    conf = Config.load("asv.conf.json")
    entries = iter_matrix(conf.environment_type, conf.pythons, conf)
    assert [entry["env_nobuild", "UNWINDER"] for entry in entries] == unwinders


def test_changed_helper_requirements_change_the_install_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpers = tmp_path / "helpers.txt"
    monkeypatch.setattr(environment, "HELPERS", helpers)
    helpers.write_text("pyelftools==0.32")
    (system,) = create_environments(SYSTEM)
    before = system._get_install_checksum()
    assert before == system._get_install_checksum()
    helpers.write_text("pyelftools==0.33")
    assert before != system._get_install_checksum()


def make_package(folder: Path, name: str, content: bytes = b"library") -> Path:
    """Install a package with one file into an environment; return its site-packages folder."""
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{name}/_lib.so,sha256={digest},{len(content)}\n{name}/x.pyc,,\n")
    (site / name).mkdir()
    (site / name / "_lib.so").write_bytes(content)
    return site


@pytest.mark.parametrize(
    ("damage", "damaged"),
    [
        (lambda _: None, ""),
        (lambda site: (site / "wasmtime/_lib.so").write_bytes(b"another"), "wasmtime/_lib.so"),
        (lambda site: (site / "wasmtime/_lib.so").unlink(), "wasmtime/_lib.so"),
        (lambda site: shutil.rmtree(site / "wasmtime"), "wasmtime/_lib.so"),
        (lambda site: shutil.rmtree(site / "wasmtime-1.0.dist-info"), "RECORD of wasmtime"),
        (lambda site: (site / "wasmtime-1.0.dist-info/RECORD").unlink(), "RECORD of wasmtime"),
        (shutil.rmtree, "RECORD of pip"),
        (lambda site: (site / "pip-1.0.dist-info/RECORD").write_text("a,sha256,1\n"), "a"),
        *(
            (
                lambda site, record=record: (site / "pip-1.0.dist-info/RECORD").write_bytes(record),
                "RECORD of pip",
            )
            for record in (b"", b"one column\n", b"\xff,x=y,1\n", b"a\0,,\n")
        ),
    ],
)
def test_missing_or_changed_file_is_found(
    damage: Callable[[Path], object], damaged: str, tmp_path: Path
) -> None:
    for name in ("pip", "wasmtime"):
        site = make_package(tmp_path, name)
    damage(site)
    found = environment.find_damaged_file(tmp_path, ["pip", "wasmtime"])
    assert Path(found) == Path(damaged)


def test_damaged_environment_is_recreated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("asv"), "propagate", True)
    monkeypatch.setattr(Virtualenv, "check_presence", lambda _: True)
    monkeypatch.setattr(environment, "read_helpers", lambda: "helper==1.0 \\\n  --hash=sha256:0")
    (system,) = create_environments(SYSTEM)
    monkeypatch.setattr(system, "_path", str(tmp_path))
    for name in ("pip", "asv_runner"):
        make_package(tmp_path, name)
    assert system.check_presence()  # no release is installed yet
    monkeypatch.setattr(Virtualenv, "_get_installed_commit_hash", lambda _: "0" * 40)
    assert not system.check_presence()
    assert "RECORD of wasmtime is missing or was changed. Recreating" in caplog.text
    make_package(tmp_path, "wasmtime")
    assert not system.check_presence()
    site = make_package(tmp_path, "helper")
    assert system.check_presence()
    (site / "wasmtime/_lib.so").write_bytes(b"library of another release")
    assert not system.check_presence()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"version": "1"}'])
def test_damaged_install_status_means_that_no_release_is_installed(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (system,) = create_environments(SYSTEM)
    monkeypatch.setattr(system, "_path", str(tmp_path))
    (tmp_path / "asv-install-status.json").write_bytes(content)
    assert system.installed_commit_hash is None


def test_programs_run_without_variables_that_change_a_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PYTHONTRACEMALLOC", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_DRY_RUN", "PIP_TARGET", "PIP_ROOT", "PIP_USER", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, "1")
    for name in ("PIP_INDEX_URL", "PIP_PROXY", "PIP_CERT", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "http://127.0.0.1")
    started: list[dict[str, str]] = []
    run = lambda *_, env, **__: started.append(env)  # noqa: E731
    monkeypatch.setattr(Virtualenv, "run_executable", run)
    (system,) = create_environments(SYSTEM)
    system.run_executable("python", [])
    system.run_executable("python", [], env={"PYTHONPATH": "/x", "UNWINDER": "system"})
    first = {name for name in started[0] if name.startswith(("PYTHON", "LD_", "DYLD_", "PIP_"))}
    assert first >= {"PIP_INDEX_URL", "PIP_PROXY", "PIP_CERT", "PIP_FIND_LINKS"}
    assert first <= environment.PIP_SETTINGS
    assert started[1] == {"UNWINDER": "system"}


def test_environment_is_created_without_variables_that_change_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("VIRTUALENV_SYSTEM_SITE_PACKAGES", "VIRTUALENV_NO_PIP", "PIP_TARGET"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1")
    started: list[dict[str, str]] = []
    monkeypatch.setattr(util, "check_call", lambda _, env: started.append(env))
    monkeypatch.setattr(Virtualenv, "_install_requirements", lambda _: None)
    (system,) = create_environments(SYSTEM)
    system._setup()
    assert started[0]["PIP_INDEX_URL"]
    assert not {name for name in started[0] if name.startswith(("VIRTUALENV_", "PIP_T"))} - {
        "PIP_TIMEOUT", "PIP_TRUSTED_HOST",
    }  # fmt: skip


@pytest.mark.parametrize("script", ["import sys; sys.exit('no loader')", "raise LookupError(1)"])
def test_failed_search_for_libunwind_is_a_reason_to_leave_it_out(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LIBRARY_CHECK", script)
    reason = environment.find_missing_library({"UNWINDER": "libunwind"})
    assert reason.startswith("Looking for the unwinder failed with exit code 1. ")
    assert reason.endswith(("no loader", "LookupError: 1"))


def test_lock_on_windows_has_no_user_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getuid", raising=False)
    assert environment.lock_path().name == "wasmtime-teardown-user.lock"


def test_all_clones_share_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = environment.lock_path()
    monkeypatch.chdir(tmp_path)
    assert environment.lock_path() == path
    assert path.is_absolute()


# Errors that end a command


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), "Interrupted. Results of finished releases are stored."),
        (
            OSError(28, "No space left on device", "results/x.json.1.tmp"),
            r"asv stopped: .*No space left on device: 'results/x.*finished releases are stored\.",
        ),
        (
            ProcessError(["python", "-mpip", "install", "x"], 1, "", "one\ntwo\n"),
            r"python -mpip install x … failed: two Is the package index reachable\?",
        ),
        (ProcessError(["git", "commit"], 1, "out", ""), "git commit … failed: out$"),
        (EOFError("EOF when reading a line"), "asked a question, but .* Use -y"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "file is not UTF-8: "),
        (re.error("missing )"), r"--bench is not a regular expression: missing \)"),
    ],
)
def test_expected_error_is_printed_as_one_line(
    error: BaseException,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["asv", "run"])
    asv_plugin.print_exception(type(error), error, None)
    printed = capsys.readouterr().err
    assert re.search(message, printed)
    assert printed.count("\n") == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_only_a_run_says_that_results_are_stored(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["asv", "publish"])
    assert "stored" not in asv_plugin.explain_error(error)


def test_unexpected_error_is_printed_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise LookupError("a bug")
    except LookupError as error:
        asv_plugin.print_exception(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="uses /dev/full")
@pytest.mark.parametrize("redirection", [">&-", "> /dev/full"])
def test_output_that_cannot_be_written_is_an_error_of_one_line(redirection: str) -> None:
    answer = subprocess.run(
        ["sh", "-c", f'"$0" -m asv show {redirection}', sys.executable],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    assert re.search("Standard output is closed|No space left on device", answer.stderr)


INTERRUPT = """
import signal, time
from asv.plugin_manager import plugin_manager
plugin_manager.import_plugin(".scripts.asv_plugin")

class Callback:
    def __del__(self):
        signal.raise_signal(signal.{name})

Callback()
print("lost", flush=True)
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupt_that_python_discards_is_repeated(name: str) -> None:
    """Python discards exceptions raised in callbacks; in asv, mostly in those of `os.fork`."""
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPT.format(name=name), "run"],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    assert result.returncode != 0
    assert result.stdout == "lost\n"
    assert result.stderr == "Interrupted. Results of finished releases are stored.\n"


POOL = """
import time
from asv import util
from asv.plugin_manager import plugin_manager
plugin_manager.import_plugin(".scripts.asv_plugin")

pool = util.get_multiprocessing_pool(4)
try:
    waiting = pool.apply_async(time.sleep, [300])
    print("started", flush=True)
    waiting.get()
finally:
    pool.terminate()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("receivers", ["process", "process group"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_ends_a_command_that_uses_a_pool(name: str, receivers: str) -> None:
    """`asv publish` detects steps in a pool; Ctrl-C and `timeout` signal the process group."""
    command = subprocess.Popen(
        [sys.executable, "-c", POOL],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == "started\n"
        send = os.kill if receivers == "process" else os.killpg
        send(command.pid, signal.Signals[name])
        output, _ = command.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
    assert output == "Interrupted.\n"
    assert command.returncode != 0
