"""The choice of the unwinder, and the proof that it is the one in effect.

Most tests need no other release than the one that is installed beside them.
"""

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
    _unwinder.require_unwinder()
except (NotImplementedError, RuntimeError) as error:
    print(type(error).__name__, error)
else:
    print("proven")
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="LLVM's libunwind is measured on Linux")


@pytest.fixture
def forget() -> Iterator[None]:
    """Forget the proof of this process, before and after."""
    caches = (_unwinder.preload_unwinder, _unwinder.require_unwinder, _modules.engine)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def prove(release: Path = ROOT, /, **variables: str) -> str:
    """Return the outcome of the proof under a release: the folder of one, or the installed one.

    Only a new process can load another unwinder.
    """
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
        env={**environment(), "PYTHONPATH": f"{release}{os.pathsep}{ROOT}", **variables},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@linux
@pytest.mark.parametrize("version", ["19.0.0", "27.0.1"])
def test_libunwind_takes_effect_from_19_on(
    version: str, install: Callable[[str], Path], libunwind: str
) -> None:
    release = install(version)
    assert prove(release, UNWINDER="libunwind") == "proven"
    assert prove(release) == "proven"


@linux
def test_a_preloaded_libunwind_may_be_the_one_asked_for(libunwind: str) -> None:
    assert prove(UNWINDER="libunwind", LD_PRELOAD=libunwind) == "proven"
    assert prove() == "proven"


@linux
def test_a_release_that_does_not_look_for_libunwind(
    install: Callable[[str], Path], libunwind: str
) -> None:
    for library in (libunwind, "/nowhere"):  # installing it would not help
        answer = prove(
            install("18.0.2"), UNWINDER="libunwind", LIBUNWIND=library, BENCHMARKS_STRICT="1"
        )
        assert answer.startswith("NotImplementedError this release does not look for libunwind")


@linux
def test_a_missing_library_is_na_or_in_strict_mode_an_error() -> None:
    asked = {"UNWINDER": "libunwind", "LIBUNWIND": "/nowhere/libunwind.so.1"}
    answer = prove(**asked)
    assert answer.startswith("NotImplementedError /nowhere/libunwind.so.1 is missing, or not LLVM")
    assert "apt install libunwind-19" in answer
    assert "dnf install llvm-libunwind" in answer
    strict = prove(**asked, BENCHMARKS_STRICT="1")
    assert strict.startswith("RuntimeError /nowhere/libunwind.so.1 is missing")


@linux
@pytest.mark.parametrize("soname", ["libunwind.so.8", "libm.so.6"])
def test_another_library_is_no_libunwind(soname: str) -> None:
    try:
        ctypes.CDLL(soname)
    except OSError:
        absent(f"{soname} is not installed (Debian: libunwind8)")
    answer = prove(UNWINDER="libunwind", LIBUNWIND=soname)
    assert answer.startswith(f"NotImplementedError {soname} is missing, or not LLVM's")


@linux
@pytest.mark.parametrize("symbol", [_unwinder.DETECT, _unwinder.BULK])
def test_a_libunwind_without_the_symbol(libunwind: str, tmp_path: Path, symbol: str) -> None:
    found = _unwinder._file_of(ctypes.CDLL(libunwind), symbol)
    assert found is not None
    old = tmp_path / "libunwind.so.1"
    old.write_bytes(Path(found).read_bytes().replace(symbol.encode(), symbol[:-1].encode() + b"_"))
    answer = prove(UNWINDER="libunwind", LIBUNWIND=str(old))
    assert answer.startswith(f"NotImplementedError {old} is missing, or not LLVM's libunwind of")


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
def test_libunwind_without_effect(libunwind: str) -> None:
    asked = {"UNWINDER": "libunwind", "LIBUNWIND": libunwind, "LD_PRELOAD": "libgcc_s.so.1"}
    answer = prove(**asked)
    assert answer.startswith("NotImplementedError libunwind has no effect:")
    assert "libgcc_s" in answer
    strict = prove(**asked, BENCHMARKS_STRICT="1")
    assert strict.startswith("RuntimeError libunwind has no effect:")


@linux
@pytest.mark.parametrize("before", ["", "libgcc_s.so.1 "])
def test_a_preloaded_libunwind_is_not_the_system_s(libunwind: str, before: str) -> None:
    answer = prove(UNWINDER="system", LD_PRELOAD=before + libunwind)
    assert answer.startswith("RuntimeError UNWINDER=system, but wasmtime finds")
    assert "libunwind.so.1, not libgcc alone" in answer


@pytest.mark.usefixtures("forget")
def test_an_unknown_unwinder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNWINDER", "apple")
    with pytest.raises(ValueError, match="UNWINDER=apple: it must be system or libunwind"):
        _unwinder.require_unwinder()


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
    monkeypatch.setattr(_unwinder, "_file_of", lambda scope, symbol: owner)
    monkeypatch.delenv("UNWINDER", raising=False)
    if message is None:
        _unwinder.require_unwinder()
    else:
        with pytest.raises(RuntimeError, match=message):
            _unwinder.require_unwinder()
    _unwinder.require_unwinder.cache_clear()
    monkeypatch.setenv("UNWINDER", "libunwind")
    with pytest.raises(NotImplementedError, match="is for Linux"):
        _unwinder.require_unwinder()


@pytest.mark.usefixtures("forget")
def test_windows_has_one_unwinder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_unwinder, "_file_of", lambda *_: pytest.fail("looked for a symbol"))
    monkeypatch.delenv("UNWINDER", raising=False)
    _unwinder.require_unwinder()


@pytest.mark.usefixtures("forget")
def test_nothing_is_measured_without_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NotImplementedError("not proven")

    monkeypatch.setattr(_modules, "require_unwinder", refuse)
    _modules.compiled_image.cache_clear()
    setups: list[Callable[[], object]] = [
        lambda: module_teardown.ModuleTeardown().setup("on", "1000x8"),
        lambda: module_teardown.ModuleTeardownMemory().setup("off"),
    ]
    if sys.platform != "win32":  # where there is nothing to count
        setups.append(lambda: unwind_tables.UnwindTables().setup(8))
    for setup in setups:
        with pytest.raises(NotImplementedError, match="not proven"):
            setup()
