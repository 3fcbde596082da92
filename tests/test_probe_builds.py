"""Builds that are not pinned: a library of one's own, or what a Python has installed."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import COMMITS, DEADLINE, ROOT
from .test_probe import EIGHT, NEWEST, cache, needs_counts, probed, run, valgrind

__all__ = ["cache", "valgrind"]
OLD = "49.0.0"
linux = pytest.mark.skipif(sys.platform != "linux", reason="takes an ELF library apart")


def library_of(folder: Path) -> Path:
    """The library in a folder that a release is installed in."""
    (library,) = folder.glob("wasmtime/*-*/_*wasmtime.*")
    return library


@pytest.fixture(scope="module")
def library(install: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of 49.0.0, by another name."""
    path = tmp_path_factory.mktemp("build") / "libwasmtime.so"
    shutil.copy(library_of(install(OLD)), path)
    return path


@needs_counts
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_a_library_has_the_counts_of_the_release_it_is_from(cache: Path, library: Path) -> None:
    newest, own = probed(
        cache, EIGHT, "--library", library, "--bindings", OLD, "--against", "50.0.1",
        "--unwinder", "libunwind", "--counts-only", "--fail-above", "1", code=1,
    )  # fmt: skip
    assert newest["build"] == "50.0.1"
    assert own["build"].startswith("libwasmtime.so ")
    removal = "instructions_to_remove"
    assert own["counts"][removal]["1000"] == pytest.approx(1_156_765, rel=1e-3)
    assert newest["counts"][removal]["1000"] == pytest.approx(68_043, rel=1e-3)
    assert own["counts"]["calls_to_remove"] == {"1000": 17, "250": 17}
    assert own["growth_in_percent"]["calls_to_remove"] == 1600
    assert own["growth_in_percent"][removal] == pytest.approx(1600, rel=1e-2)
    assert "growth_in_percent" not in newest


@needs_counts
@pytest.mark.usefixtures("libunwind", "valgrind")
def test_the_check_passes_the_other_way_round(
    cache: Path, install: Callable[[str], Path], library: Path
) -> None:
    newer = library_of(install("50.0.1"))
    options = ("--unwinder", "libunwind", "--counts-only", "--modules", "40", "--fail-above", "1")
    old, own = probed(cache, EIGHT, "--library", newer, "--against", OLD, *options)
    assert own["growth_in_percent"]["instructions_to_remove"] < -50 < old["fdes"]
    same, own = probed(
        cache, EIGHT, "--library", library, "--bindings", OLD, "--against", OLD, *options
    )
    assert set(own["growth_in_percent"].values()) == {0}
    assert same["counts"] == own["counts"]


@needs_counts
def test_a_library_whose_c_api_does_not_fit_is_told_by_its_missing_symbol(
    cache: Path, library: Path
) -> None:
    answer = run(cache, EIGHT, "--library", library, "--modules", "20")
    assert answer.returncode == 2
    assert f"{library} has no wasmtime_config_wasm_compact_imports_set: its C API" in answer.stderr
    assert f"does not fit the bindings of {NEWEST}. --bindings takes others." in answer.stderr
    assert not list((cache / "wasmtime-teardown").glob("tmp*"))


@linux
def test_a_library_that_is_none_here_is_refused(cache: Path, library: Path, tmp_path: Path) -> None:
    content = library.read_bytes()
    other = {"x86_64": b"\xb7\0"}.get(platform.machine(), b"\x3e\0")
    bad = {
        "garbage.so": (b"hello", "garbage.so is no shared library."),
        "static.a": (b"!<arch>\n", "static.a is no shared library."),
        "mac.dylib": (b"\xcf\xfa\xed\xfe\0", "mac.dylib is a library for darwin, "),
        "windows.dll": (b"MZ\0\0", "windows.dll is a library for win32, "),
        "other.so": (content[:18] + other + content[20:], "other.so is a library for linux, "),
        "cut.so": (content[:100_000], "cut.so cannot be loaded: "),
        "short.so": (content[:40], "short.so cannot be loaded: "),
    }
    for name, (written, said) in bad.items():
        (tmp_path / name).write_bytes(written)
        answer = run(cache, EIGHT, "--library", tmp_path / name, "--modules", "20")
        assert answer.returncode == 2, name
        assert said in answer.stderr
        assert "Traceback" not in answer.stderr
        if " is a library for " in said:
            assert f"; this is linux, {platform.machine()}." in answer.stderr
    for path, said in (("/nowhere.so", "No such file"), (tmp_path, "Is a directory")):
        answer = run(cache, EIGHT, "--library", path)
        assert answer.returncode == 2
        assert f"Cannot read {path}: {said}" in answer.stderr


@linux
def test_another_library_than_wasmtime_is_told_by_its_missing_symbol(cache: Path) -> None:
    import _ctypes

    answer = run(cache, EIGHT, "--library", _ctypes.__file__)
    assert answer.returncode == 2
    assert " has no wasm_" in answer.stderr or " has no wasmtime_" in answer.stderr


@linux
@pytest.mark.usefixtures("valgrind")
def test_the_wheel_s_own_library_is_left_as_it_is(
    cache: Path, library: Path, tmp_path: Path
) -> None:
    (one,) = probed(cache, EIGHT, "--release", OLD, "--modules", "20", "--counts-only", code=0)
    (kept,) = (cache / "wasmtime-teardown").glob(f"{OLD}-*")
    changed = tmp_path / "libwasmtime.so"
    changed.write_bytes(library.read_bytes() + b"\0")
    before = library_of(kept).read_bytes()
    arguments = ("--library", changed, "--bindings", OLD, "--modules", "20", "--counts-only")
    (own,) = probed(cache, EIGHT, *arguments)
    assert library_of(kept).read_bytes() == before
    assert own["counts"] == one["counts"]


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing installed."""
    folder = tmp_path_factory.mktemp("python")
    uv = os.environ.get("UV", "uv")
    command = [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")]
    subprocess.run(command, check=True, timeout=DEADLINE)
    return folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def test_a_python_is_measured_with_what_it_really_has(
    cache: Path, other_python: Path, install: Callable[[str], Path]
) -> None:
    answer = run(cache, EIGHT, "--python", other_python, "--modules", "20")
    assert answer.returncode == 2
    assert f"--python {other_python} has no wasmtime installed." in answer.stderr
    # one that is not pinned: a version that there is not
    (packages,) = (
        path for path in other_python.parent.parent.glob("[Ll]ib/**/site-packages") if path.is_dir()
    )
    source = install(OLD)
    shutil.copytree(source / "wasmtime", packages / "wasmtime")
    metadata = packages / "wasmtime-99.9.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: wasmtime\nVersion: 99.9\n")
    arguments = (EIGHT, "--python", other_python, "--modules", "20")
    (one,) = probed(cache, *arguments, counted=False)
    assert one["build"] == "99.9 of --python"
    assert "99.9" not in COMMITS
    assert one["timed"] == 20
    # what is measured follows what is installed, and a process that dies is an error of its own
    program = packages / "wasmtime/__init__.py"
    text = program.read_text()
    program.write_text(f"{text}\nimport os, sys\nif 'benchmarks' in sys.modules: os._exit(7)\n")
    (one,) = probed(cache, *arguments, code=1, counted=False)
    assert one["error"].startswith("its process ended with 7")
    program.write_text(f"{text}\nraise RuntimeError('this very package')\n")
    answer = run(cache, EIGHT, "--python", other_python, "--modules", "20")
    assert answer.returncode == 2
    assert "this very package" in answer.stderr
    assert str(ROOT) not in str(packages)
