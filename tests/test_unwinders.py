"""The unwinders of a host, by file, package and build id."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.measuring import unwinders

from .conftest import absent

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="files of Linux")


@LINUX
def test_libgcc_is_the_file_that_is_loaded() -> None:
    facts: Any = unwinders.facts()["libgcc"]
    assert Path(facts["file"]).name.startswith("libgcc_s")
    assert Path(facts["file"]).exists()
    if shutil.which("readelf") is None:
        absent("readelf is not installed (Debian: binutils)")
    listing = subprocess.run(
        ["readelf", "-n", facts["file"]], capture_output=True, text=True, check=True
    ).stdout
    assert f"Build ID: {facts['build_id']}" in listing


@LINUX
def test_the_version_of_libgcc_is_that_of_its_package() -> None:
    if not any(map(shutil.which, unwinders.MANAGERS)):
        pytest.skip("no package manager knows the version")
    major = unwinders.libgcc_major()
    file = unwinders.library(unwinders.LIBGCC)
    assert file is not None
    assert f"{major}." in unwinders.package_of(file)
    assert int(major) >= 8


@LINUX
def test_libunwind_is_llvms(libunwind: str) -> None:
    facts: Any = unwinders.facts()["libunwind"]
    assert libunwind in facts["file"]
    assert hasattr(ctypes.CDLL(facts["file"]), "__unw_add_dynamic_fde")


@LINUX
@pytest.mark.usefixtures("libunwind")
def test_nongnu_libunwind_in_the_process_is_not_taken_for_llvms() -> None:
    try:
        ctypes.CDLL("libunwind.so.8")
    except OSError:
        absent("nongnu's libunwind is not installed (Debian: libunwind8)")
    assert "libunwind.so.1" in str(unwinders.library(unwinders.LIBUNWIND))


@LINUX
def test_a_missing_library_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBUNWIND", "/nowhere.so")
    assert "libunwind" not in unwinders.facts()


def test_on_macos_the_names_of_the_system_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: no Mac has run this yet."""

    class Name:
        restype: object = None

        def __call__(self, index: int) -> bytes | None:
            return [b"/usr/lib/libSystem.B.dylib", None, b"/usr/lib/system/libunwind.dylib"][index]

    class Loader:
        _dyld_get_image_name = Name()

        def _dyld_image_count(self) -> int:
            return 3

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Loader())
    assert unwinders.facts() == {"apple": ["/usr/lib/system/libunwind.dylib"]}


def test_windows_has_no_library_to_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert unwinders.facts() == {}
