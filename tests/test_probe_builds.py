"""Tests of the builds to measure: pinned releases, libraries, and the package of a Python."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from asv.util import UserError

from scripts.base import files
from scripts.probe import builds
from scripts.probe.builds import find_equivalent_release
from scripts.releases import pins

from .probe_inputs import (
    DEADLINE,
    EIGHT,
    NEWEST,
    install_in_cache,
    linux_only,
    needs_valgrind,
    posix_only,
    run_probe,
    run_probe_json,
)

OLD = "49.0.0"


def library_of(folder: Path) -> Path:
    """Return the shared library in the folder of an installed release."""
    return next(folder.glob("wasmtime/*-*/_*wasmtime.*"))


@pytest.fixture(scope="module")
def library(probe_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the library of 49.0.0 with another file name."""
    path = tmp_path_factory.mktemp("build") / "libwasmtime.so"
    shutil.copy(library_of(install_in_cache(OLD, probe_cache)), path)
    return path


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_a_regression_on_the_macos_path_fails_the_check(probe_cache: Path, library: Path) -> None:
    """No count grows under libgcc; all counts grow under libunwind, which stands in for macOS."""
    options = ("--library", library, "--bindings", OLD, "--against", "newest", "--counts-only")
    results = run_probe_json(probe_cache, EIGHT, *options, "--fail-above", "1", code=1)
    assert [(result["build"].split()[0], result["unwinder"]) for result in results] == [
        (NEWEST, "libunwind"), ("libwasmtime.so", "libunwind"),
        (NEWEST, "system"), ("libwasmtime.so", "system"),
    ]  # fmt: skip
    removal = "instructions_to_remove"
    assert results[3]["growth_in_percent"][removal] == 0
    assert results[1]["counts"][removal]["1000"] == pytest.approx(1_156_765, rel=1e-3)
    assert results[0]["counts"][removal]["1000"] == pytest.approx(68_043, rel=1e-3)
    assert results[1]["growth_in_percent"][removal] == pytest.approx(1600, rel=1e-2)
    assert "growth_in_percent" not in results[0]
    assert results[1]["extrapolated"] == [1000]
    completed = run_probe(probe_cache, EIGHT, *options, "--unwinder", "system", "--fail-above", "1")
    assert completed.returncode == 0, completed.stdout
    assert "PASS: no count grew by more than 1 %" in completed.stdout


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_releases_with_different_fdes_are_compared(probe_cache: Path) -> None:
    old, new = run_probe_json(
        probe_cache, EIGHT, "--release", "22.0.0", "--against", "21.0.0", "--unwinder", "libunwind",
        "--counts-only", "--fail-above", "1",
    )  # fmt: skip
    assert (old["fdes"], new["fdes"]) == (25, 17)
    assert old["counts"].keys() == new["counts"].keys()
    assert -60 < new["growth_in_percent"]["instructions_to_remove"] < -50


@pytest.mark.slow
@linux_only
@needs_valgrind
def test_an_improvement_passes_the_check(probe_cache: Path, library: Path) -> None:
    options = ("--unwinder", "libunwind", "--counts-only", "--modules", "40", "--fail-above", "1")
    newer = library_of(install_in_cache(NEWEST, probe_cache))
    old, own = run_probe_json(probe_cache, EIGHT, "--library", newer, "--against", OLD, *options)
    assert own["growth_in_percent"]["instructions_to_remove"] < -50 < old["fdes"]
    same, own = run_probe_json(
        probe_cache, EIGHT, "--library", library, "--bindings", OLD, "--against", OLD, *options
    )
    assert set(own["growth_in_percent"].values()) == {0}
    assert same["counts"] == own["counts"]


@pytest.mark.slow
@posix_only
def test_a_library_with_another_c_api_is_rejected_with_the_missing_function(
    probe_cache: Path, library: Path
) -> None:
    completed = run_probe(probe_cache, EIGHT, "--library", library, "--modules", "20")
    assert completed.returncode == 2
    assert (
        f"{library} has no wasmtime_config_wasm_compact_imports_set: its C API" in completed.stderr
    )
    assert (
        f"the bindings of {NEWEST}. Choose other bindings with --bindings RELEASE."
        in completed.stderr
    )


@pytest.mark.slow
@linux_only
def test_a_file_that_is_not_a_library_for_this_machine_is_rejected(
    probe_cache: Path, library: Path, tmp_path: Path
) -> None:
    content = library.read_bytes()
    other = {"x86_64": b"\xb7\0"}.get(platform.machine(), b"\x3e\0")
    bad_files = {
        "garbage.so": (b"hello", "garbage.so is not a shared library."),
        "static.a": (b"!<arch>\n", "static.a is not a shared library."),
        "mac.dylib": (b"\xcf\xfa\xed\xfe\0", "mac.dylib is a library for darwin, "),
        "windows.dll": (b"MZ\0\0", "windows.dll is a library for win32, "),
        "other.so": (content[:18] + other + content[20:], "other.so is a library for linux, "),
        "cut.so": (content[:100_000], "cut.so cannot be loaded: "),
        "short.so": (content[:40], "short.so cannot be loaded: "),
    }
    for name, (bad_content, message) in bad_files.items():
        (tmp_path / name).write_bytes(bad_content)
        completed = run_probe(probe_cache, EIGHT, "--library", tmp_path / name, "--modules", "20")
        assert completed.returncode == 2, name
        assert message in completed.stderr
        assert "Traceback" not in completed.stderr
        if " is a library for " in message:
            assert f"; this machine is linux, {platform.machine()}." in completed.stderr
    for path, reason in (("/nowhere.so", "No such file"), (tmp_path, "Is a directory")):
        completed = run_probe(probe_cache, EIGHT, "--library", path)
        assert completed.returncode == 2
        assert f"Cannot read {path}: {reason}" in completed.stderr


@pytest.mark.slow
@linux_only
def test_the_library_of_the_wheel_is_not_modified(
    probe_cache: Path, library: Path, tmp_path: Path
) -> None:
    kept = library_of(install_in_cache(OLD, probe_cache))
    changed = tmp_path / "libwasmtime.so"
    changed.write_bytes(library.read_bytes() + b"\0")
    before = kept.read_bytes()
    arguments = ("--library", changed, "--bindings", OLD, "--modules", "4")
    (own,) = run_probe_json(probe_cache, EIGHT, *arguments, "--unwinder", "system", valgrind=False)
    assert kept.read_bytes() == before
    assert own["timed"] == 4


@pytest.mark.slow
@posix_only
def test_the_wasmtime_package_of_a_python_is_measured(probe_cache: Path, tmp_path: Path) -> None:
    uv = os.environ.get("UV", "uv")
    command = [uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")]
    subprocess.run(command, check=True, timeout=DEADLINE)
    python = tmp_path / "venv/bin/python"
    arguments = (EIGHT, "--python", python, "--modules", "5", "--unwinder", "system")
    completed = run_probe(probe_cache, *arguments)
    assert completed.returncode == 2
    assert f"--python {python} has no wasmtime installed." in completed.stderr
    # install a version that is not pinned
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    shutil.copytree(install_in_cache(OLD, probe_cache) / "wasmtime", packages / "wasmtime")
    metadata = packages / "wasmtime-99.9.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: wasmtime\nVersion: 99.9\n")
    (result,) = run_probe_json(probe_cache, *arguments, valgrind=False)
    assert result["build"] == "99.9 of --python"
    assert result["timed"] == 5
    # a child that dies is reported as an error of its module
    program = packages / "wasmtime/__init__.py"
    text = program.read_text()
    program.write_text(f"{text}\nimport os, sys\nif 'benchmarks' in sys.modules: os._exit(7)\n")
    (result,) = run_probe_json(probe_cache, *arguments, code=2, valgrind=False)
    assert result["error"].startswith("the process ended with exit code 7")
    program.write_text(f"{text}\nraise RuntimeError('this very package')\n")
    completed = run_probe(probe_cache, *arguments)
    assert completed.returncode == 2
    assert "this very package" in completed.stderr


def test_symbols_of_a_library_tell_which_release_it_registers_like(tmp_path: Path) -> None:
    path = tmp_path / "library"
    for content, release in (
        (b"__unw_add_dynamic_fde\0__unw_add_dynamic_eh_frame_section", "50.0.0"),
        (b"__unw_add_dynamic_fde", "19.0.0"),
        (b"__register_frame", "13.0.0"),
        (b"", "13.0.0"),
    ):
        path.write_bytes(content)
        assert find_equivalent_release(path) == release
    assert find_equivalent_release(None) == "13.0.0"


def test_two_probes_can_install_the_same_release_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def install(command: list[str | Path], **_: str) -> subprocess.CompletedProcess[str]:
        temporary = Path(command[-1])
        final = temporary.with_name(temporary.name.removesuffix(f".{os.getpid()}.tmp"))
        for folder in (temporary, final):  # as if another probe had finished first
            (folder / "wasmtime").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(builds, "_run", install)
    build = builds.install_release(pins.load_pins()[-1])
    assert build.name == build.release == NEWEST
    assert [entry.name for entry in Path(build.path).parent.iterdir()] == [Path(build.path).name]


def test_an_unwritable_cache_is_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be written.*Set XDG_CACHE_HOME"):
        builds.install_release(pins.load_pins()[-1])


def test_an_unreachable_index_is_an_error_and_leaves_no_files(tmp_path: Path) -> None:
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    completed = run_probe(
        tmp_path, EIGHT, UV_DEFAULT_INDEX="http://127.0.0.1:9", UV_INDEX="", UV_FIND_LINKS="",
        UV_EXTRA_INDEX_URL="", UV_HTTP_RETRIES="0", UV_NO_CACHE="1",
    )  # fmt: skip
    assert completed.returncode == 2
    assert completed.stdout.startswith("functions-8.wasm, by its bytes: 17 FDEs")
    assert f"{NEWEST} cannot be installed" in completed.stderr
    assert "Is the package index reachable?" in completed.stderr
    assert not list((tmp_path / "wasmtime-teardown").iterdir())


def test_a_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    def fill(*, complete: bool) -> None:
        with files.replace_atomically(tmp_path / "folder") as new:
            (new / "deeper").mkdir(parents=True)
            assert complete

    with pytest.raises(AssertionError):
        fill(complete=False)
    assert not list(tmp_path.iterdir())
    fill(complete=True)
    assert [*tmp_path.rglob("*")] == [tmp_path / "folder", tmp_path / "folder/deeper"]
