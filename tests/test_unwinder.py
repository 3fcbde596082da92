"""How UNWINDER selects an unwinder, and the proof that the selected unwinder is in effect.

Most tests use the release that is installed with the test tools.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import _modules, _unwinder, module_teardown, unwind_tables

from .conftest import DEADLINE, ROOT, environment, skip_missing

PROGRAM = """
from benchmarks import _unwinder
try:
    _unwinder.require_unwinder()
except (NotImplementedError, RuntimeError) as error:
    print(type(error).__name__, error)
else:
    print("proven")
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="LLVM libunwind is for Linux only")


@pytest.fixture
def clear_caches() -> Iterator[None]:
    """Clear the cached unwinder and engines of this process, before and after the test."""
    caches = (_unwinder.preload_unwinder, _unwinder.require_unwinder, _modules.make_engine)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def prove(release: Path = ROOT, /, **variables: str) -> str:
    """Run `require_unwinder` in a new process, and return its outcome.

    `release` is the folder of an installed release. A new process is needed because each process
    can load only one unwinder.
    """
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
        env={**environment(), "PYTHONPATH": f"{release}{os.pathsep}{ROOT}", **variables},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@linux
@pytest.mark.parametrize("version", ["19.0.0", "27.0.1"])
def test_libunwind_is_in_effect_from_19_0_0_on(
    version: str, install: Callable[[str], Path], libunwind: str
) -> None:
    release = install(version)
    assert prove(release, UNWINDER="libunwind") == "proven"
    assert prove(release) == "proven"


@linux
def test_preloaded_libunwind_is_accepted_if_selected(libunwind: str) -> None:
    assert prove(UNWINDER="libunwind", LD_PRELOAD=libunwind) == "proven"
    assert prove() == "proven"


@linux
def test_release_that_does_not_look_for_libunwind_is_na(
    install: Callable[[str], Path], libunwind: str
) -> None:
    for library in (
        libunwind,
        "/nowhere",
    ):  # also n/a in strict mode
        outcome = prove(
            install("18.0.2"), UNWINDER="libunwind", LIBUNWIND=library, BENCHMARKS_STRICT="1"
        )
        assert outcome.startswith("NotImplementedError this release does not look for libunwind")


@linux
def test_missing_libunwind_is_na_or_an_error_in_strict_mode() -> None:
    variables = {"UNWINDER": "libunwind", "LIBUNWIND": "/nowhere/libunwind.so.1"}
    outcome = prove(**variables)
    assert outcome.startswith("NotImplementedError /nowhere/libunwind.so.1 is missing, or not LLVM")
    assert "apt install libunwind-19" in outcome
    assert "dnf install llvm-libunwind" in outcome
    strict = prove(**variables, BENCHMARKS_STRICT="1")
    assert strict.startswith("RuntimeError /nowhere/libunwind.so.1 is missing")


@linux
@pytest.mark.parametrize("soname", ["libunwind.so.8", "libm.so.6"])
def test_library_that_is_not_llvm_libunwind_is_rejected(soname: str) -> None:
    try:
        ctypes.CDLL(soname)
    except OSError:
        skip_missing(f"{soname} is not installed (Debian: libunwind8)")
    outcome = prove(UNWINDER="libunwind", LIBUNWIND=soname)
    assert outcome.startswith(f"NotImplementedError {soname} is missing, or not LLVM's")


@linux
@pytest.mark.parametrize("symbol", [_unwinder.DETECT, _unwinder.BULK])
def test_libunwind_without_a_needed_symbol_is_rejected(
    libunwind: str, tmp_path: Path, symbol: str
) -> None:
    file = _unwinder._defining_file(ctypes.CDLL(libunwind), symbol)
    assert file is not None
    content = Path(file).read_bytes().replace(symbol.encode(), symbol[:-1].encode() + b"_")
    old = tmp_path / "libunwind.so.1"
    old.write_bytes(content)
    outcome = prove(UNWINDER="libunwind", LIBUNWIND=str(old))
    assert outcome.startswith(f"NotImplementedError {old} is missing, or not LLVM's libunwind of")


@linux
def test_importing_wasmtime_before_libunwind_is_an_error(libunwind: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", "import wasmtime, benchmarks"],
        cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE,
        env={**environment(), "UNWINDER": "libunwind", "LIBUNWIND": libunwind},
    )  # fmt: skip
    assert process.returncode == 1
    assert "wasmtime was imported before libunwind" in process.stderr


@linux
def test_libunwind_behind_libgcc_is_na_or_an_error_in_strict_mode(libunwind: str) -> None:
    variables = {"UNWINDER": "libunwind", "LIBUNWIND": libunwind, "LD_PRELOAD": "libgcc_s.so.1"}
    outcome = prove(**variables)
    assert outcome.startswith("NotImplementedError libunwind has no effect:")
    assert "libgcc_s" in outcome
    strict = prove(**variables, BENCHMARKS_STRICT="1")
    assert strict.startswith("RuntimeError libunwind has no effect:")


@linux
@pytest.mark.parametrize("before", ["", "libgcc_s.so.1 "])
def test_preloaded_libunwind_is_an_error_for_the_system_unwinder(
    libunwind: str, before: str
) -> None:
    outcome = prove(UNWINDER="system", LD_PRELOAD=before + libunwind)
    assert outcome.startswith("RuntimeError UNWINDER=system, but wasmtime finds")
    assert "libunwind.so.1, not libgcc alone" in outcome


@pytest.mark.usefixtures("clear_caches")
def test_unknown_unwinder_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNWINDER", "apple")
    with pytest.raises(ValueError, match="UNWINDER=apple is unknown"):
        _unwinder.require_unwinder()


@pytest.mark.usefixtures("clear_caches")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no separate unwinder library")
@pytest.mark.parametrize(
    ("owner", "message"),
    [
        ("/usr/lib/system/libunwind.dylib", None),
        ("/opt/homebrew/opt/llvm/lib/unwind/libunwind.1.dylib", "not Apple's"),
        (None, None),  # the name of Apple's library on a Mac is not known
        ("/usr/lib/libSystem.B.dylib", None),
    ],
)
def test_macos_accepts_only_the_unwinder_of_the_system(
    monkeypatch: pytest.MonkeyPatch, owner: str | None, message: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(_unwinder, "_defining_file", lambda scope, symbol: owner)
    monkeypatch.delenv("UNWINDER", raising=False)
    if message is None:
        _unwinder.require_unwinder()
    else:
        with pytest.raises(RuntimeError, match=message):
            _unwinder.require_unwinder()
    _unwinder.require_unwinder.cache_clear()
    monkeypatch.setenv("UNWINDER", "libunwind")
    with pytest.raises(NotImplementedError, match="works on Linux only"):
        _unwinder.require_unwinder()


@pytest.mark.usefixtures("clear_caches")
def test_windows_needs_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_unwinder, "_defining_file", lambda *_: pytest.fail("looked for a symbol"))
    monkeypatch.delenv("UNWINDER", raising=False)
    _unwinder.require_unwinder()


@pytest.mark.usefixtures("clear_caches")
def test_nothing_is_measured_without_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NotImplementedError("not proven")

    monkeypatch.setattr(_modules, "require_unwinder", refuse)
    _modules.compile_image.cache_clear()
    setups: list[Callable[[], object]] = [
        lambda: module_teardown.ModuleTeardown().setup("on", "1000x8"),
        lambda: module_teardown.ModuleTeardownMemory().setup("off"),
    ]
    if sys.platform != "win32":  # Windows has no FDEs to count
        setups.append(lambda: unwind_tables.UnwindTables().setup(8))
    for setup in setups:
        with pytest.raises(NotImplementedError, match="not proven"):
            setup()
