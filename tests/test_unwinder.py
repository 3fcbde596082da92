"""The choice of the unwinder, and the proofs that it is the one in effect."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import _modules, _unwinder, module_teardown, unwind_tables

from .conftest import DEADLINE, ROOT, absent, environment

PROGRAM = """
from benchmarks import _unwinder
try:
    _unwinder.require()
except (NotImplementedError, RuntimeError) as error:
    print(type(error).__name__, error)
else:
    print("proven")
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="LLVM's libunwind is measured on Linux")


@pytest.fixture
def forget() -> Iterator[None]:
    """Forget what was proven in this process, before and after."""
    caches = (_unwinder.select, _unwinder.require)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def require(release: Path, **variables: str) -> str:
    """What a process under that release finds."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
        env={**environment(), "PYTHONPATH": f"{release}{os.pathsep}{ROOT}", **variables},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@linux
@pytest.mark.parametrize("version", ["19.0.0", "27.0.1", "50.0.1"])
def test_libunwind_takes_effect_from_19_on(
    version: str, install: Callable[[str], Path], libunwind: str
) -> None:
    release = install(version)
    assert require(release, UNWINDER="libunwind") == "proven"
    assert require(release, UNWINDER="libunwind", LD_PRELOAD=libunwind) == "proven"
    assert require(release) == "proven"


@linux
def test_a_release_that_does_not_look_for_libunwind(
    install: Callable[[str], Path], libunwind: str
) -> None:
    for library in (libunwind, "/nowhere"):  # installing it would not help
        said = require(
            install("18.0.2"), UNWINDER="libunwind", LIBUNWIND=library, BENCHMARKS_STRICT="1"
        )
        assert said.startswith("NotImplementedError this release does not look for libunwind")


@linux
def test_a_missing_library_is_na_or_in_strict_mode_an_error(
    install: Callable[[str], Path],
) -> None:
    asked = {"UNWINDER": "libunwind", "LIBUNWIND": "/nowhere/libunwind.so.1"}
    said = require(install("50.0.1"), **asked)
    assert said.startswith("NotImplementedError /nowhere/libunwind.so.1 is not there, or not LLVM")
    assert "apt install libunwind-19" in said
    assert "dnf install llvm-libunwind" in said
    strict = require(install("50.0.1"), **asked, BENCHMARKS_STRICT="1")
    assert strict.startswith("RuntimeError /nowhere/libunwind.so.1 is not there")


@linux
@pytest.mark.parametrize("soname", ["libunwind.so.8", "libm.so.6"])
def test_another_library_is_no_libunwind(install: Callable[[str], Path], soname: str) -> None:
    try:
        ctypes.CDLL(soname)
    except OSError:
        absent(f"{soname} is not installed (Debian: libunwind8)")
    said = require(install("50.0.1"), UNWINDER="libunwind", LIBUNWIND=soname)
    assert said.startswith(f"NotImplementedError {soname} is not there, or not LLVM's")


@linux
@pytest.mark.parametrize("symbol", [_unwinder.DETECT, _unwinder.BULK])
def test_a_libunwind_without_the_symbol(
    install: Callable[[str], Path], libunwind: str, tmp_path: Path, symbol: str
) -> None:
    found = _unwinder._owner(ctypes.CDLL(libunwind), symbol)
    assert found is not None
    old = tmp_path / "libunwind.so.1"
    old.write_bytes(Path(found).read_bytes().replace(symbol.encode(), symbol[:-1].encode() + b"_"))
    said = require(install("50.0.1"), UNWINDER="libunwind", LIBUNWIND=str(old))
    assert said.startswith(f"NotImplementedError {old} is not there, or not LLVM's libunwind of")


@linux
def test_a_wasmtime_that_was_imported_before(libunwind: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import wasmtime, benchmarks"],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
        env={**environment(), "UNWINDER": "libunwind", "LIBUNWIND": libunwind},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "wasmtime was imported before libunwind" in answer.stderr


@linux
def test_libunwind_without_effect(install: Callable[[str], Path], libunwind: str) -> None:
    asked = {"UNWINDER": "libunwind", "LIBUNWIND": libunwind, "LD_PRELOAD": "libgcc_s.so.1"}
    said = require(install("50.0.1"), **asked)
    assert said.startswith("NotImplementedError libunwind has no effect:")
    assert "libgcc_s" in said
    strict = require(install("50.0.1"), **asked, BENCHMARKS_STRICT="1")
    assert strict.startswith("RuntimeError libunwind has no effect:")


@linux
@pytest.mark.parametrize("before", ["", "libgcc_s.so.1 "])
def test_a_preloaded_libunwind_is_not_the_system_s(
    install: Callable[[str], Path], libunwind: str, before: str
) -> None:
    said = require(install("50.0.1"), UNWINDER="system", LD_PRELOAD=before + libunwind)
    assert said.startswith("RuntimeError UNWINDER=system, but wasmtime meets")
    assert "libunwind.so.1, not libgcc alone" in said


@pytest.mark.usefixtures("forget")
def test_an_unknown_unwinder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNWINDER", "apple")
    with pytest.raises(ValueError, match="UNWINDER=apple: it is either system or libunwind"):
        _unwinder.select()


@pytest.mark.usefixtures("forget")
@pytest.mark.skipif(sys.platform == "win32", reason="has no library of that name to look into")
@pytest.mark.parametrize(
    ("owner", "message"),
    [
        ("/usr/lib/system/libunwind.dylib", None),
        ("/opt/homebrew/opt/llvm/lib/unwind/libunwind.1.dylib", "not Apple's"),
        (None, None),  # how a Mac names Apple's library has not been seen
        ("/usr/lib/libSystem.B.dylib", None),
    ],
)
def test_macos(monkeypatch: pytest.MonkeyPatch, owner: str | None, message: str | None) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(_unwinder, "_owner", lambda scope, symbol: owner)
    monkeypatch.delenv("UNWINDER", raising=False)
    if message is None:
        _unwinder.require()
    else:
        with pytest.raises(RuntimeError, match=message):
            _unwinder.require()
    _unwinder.require.cache_clear()
    monkeypatch.setenv("UNWINDER", "libunwind")
    with pytest.raises(NotImplementedError, match="is for Linux"):
        _unwinder.require()


@pytest.mark.usefixtures("forget")
def test_windows_has_one_unwinder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_unwinder, "_owner", lambda *_: pytest.fail("looked for a symbol"))
    monkeypatch.delenv("UNWINDER", raising=False)
    _unwinder.require()


def test_nothing_is_measured_without_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NotImplementedError("not proven")

    monkeypatch.setattr(_unwinder, "require", refuse)
    _modules.engine.cache_clear()
    monkeypatch.setattr(_modules, "images", {})
    setups: list[Callable[[], None]] = [
        lambda: module_teardown.ModuleTeardown().setup("on", 8),
        lambda: module_teardown.ModuleTeardownMemory().setup("off", 8),
    ]
    if sys.platform != "win32":  # where there is nothing to count
        setups.append(lambda: unwind_tables.UnwindTables().setup(8))
    for setup in setups:
        with pytest.raises(NotImplementedError, match="not proven"):
            setup()
