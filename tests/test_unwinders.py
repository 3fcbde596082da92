"""How the unwinders of a host are identified: by file, package and build id."""

import ctypes
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.measuring import machines, unwinders

from .conftest import skip_missing
from .github import write_program

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs the libraries of Linux")


@LINUX
def test_libgcc_is_recorded_with_its_file_and_build_id() -> None:
    facts: Any = unwinders.collect_facts()["libgcc"]
    assert Path(facts["file"]).name.startswith("libgcc_s")
    assert Path(facts["file"]).exists()
    if shutil.which("readelf") is None:
        skip_missing("readelf is not installed (Debian: binutils)")
    listing = subprocess.run(
        ["readelf", "-n", facts["file"]], capture_output=True, text=True, check=True
    ).stdout
    assert f"Build ID: {facts['build_id']}" in listing


@LINUX
def test_version_of_libgcc_comes_from_its_package() -> None:
    if not any(map(shutil.which, unwinders.MANAGERS)):
        pytest.skip("there is no package manager that knows the version")
    major = unwinders.libgcc_major()
    file = unwinders.find_library(unwinders.LIBGCC)
    assert file is not None
    assert f"{major}." in unwinders.package_name(file)
    assert int(major) >= 8


@LINUX
def test_recorded_libunwind_is_llvm_libunwind(libunwind: str) -> None:
    facts: Any = unwinders.collect_facts()["libunwind"]
    assert libunwind in facts["file"]
    assert hasattr(ctypes.CDLL(facts["file"]), "__unw_add_dynamic_fde")


@LINUX
@pytest.mark.usefixtures("libunwind")
def test_loaded_nongnu_libunwind_is_not_recorded() -> None:
    try:
        ctypes.CDLL("libunwind.so.8")
    except OSError:
        skip_missing("nongnu's libunwind is not installed (Debian: libunwind8)")
    assert "libunwind.so.1" in str(unwinders.find_library(unwinders.LIBUNWIND))


@LINUX
def test_missing_library_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBUNWIND", "/nowhere.so")
    assert "libunwind" not in unwinders.collect_facts()


def test_macos_records_the_paths_of_its_unwinder(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is a simulation: the code has not run on a Mac yet."""

    class ImageName:
        restype: object = None

        def __call__(self, index: int) -> bytes | None:
            return [b"/usr/lib/libSystem.B.dylib", None, b"/usr/lib/system/libunwind.dylib"][index]

    class Loader:
        _dyld_get_image_name = ImageName()

        def _dyld_image_count(self) -> int:
            return 3

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Loader())
    assert unwinders.collect_facts() == {"apple": ["/usr/lib/system/libunwind.dylib"]}


def test_windows_records_no_unwinder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert unwinders.collect_facts() == {}


# Simulated package managers


def set_programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """Write these shell scripts to a folder, and make it the only folder of PATH."""
    for name, script in programs.items():
        write_program(folder / "bin" / name.replace("_", "-"), script)
    monkeypatch.setenv("PATH", str(folder / "bin"))
    unwinders.find_package.cache_clear()


@pytest.fixture(autouse=True)
def _clear_packages() -> None:
    unwinders.find_package.cache_clear()


# Case -> (scripts, recorded package, major version of libgcc).
MANAGERS = {
    "Debian": ({"dpkg_query": """case "$1" in -S) echo "libgcc-s1:amd64: $2";;
        *) printf ' 12.2.0-14\n';; esac"""}, "libgcc-s1 12.2.0-14", "12"),
    "Fedora": ({"rpm": "echo libgcc-14.2.1"}, "libgcc-14.2.1", "14"),
    "Alpine": ({"apk": 'echo "$3 is owned by libgcc-13.2.1_git20240309-r1"'},
               "libgcc-13.2.1_git20240309-r1", "13"),
    "Arch": ({}, "", ""),
    "file unknown to dpkg": ({"dpkg_query": "echo no path found >&2; exit 1"}, "", ""),
    "output is not UTF-8": ({"dpkg_query": "printf '\\377: x'"}, "\ufffd\ufffd: x", ""),
    "killed": ({"dpkg_query": "kill -9 $$"}, "", ""),
    "silent": ({"rpm": "exit 0", "apk": "exit 0"}, "", ""),
}  # fmt: skip


@LINUX
@pytest.mark.parametrize("case", MANAGERS)
def test_package_is_read_from_each_manager_or_left_empty(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, package, major = MANAGERS[case]
    set_programs(tmp_path, monkeypatch, **programs)
    facts: Any = unwinders.collect_facts()["libgcc"]
    assert facts["package"].strip() == package
    assert facts["build_id"]
    assert unwinders.libgcc_major() == major
    assert all(machines.describe_machine("here").values())
    machines.record_host(tmp_path / "here")
    assert (tmp_path / "here/hosts.jsonl").exists()


@LINUX
def test_damaged_package_manager_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_programs(tmp_path, monkeypatch, rpm="")
    (tmp_path / "bin/rpm").write_bytes(b"\x7fELF")
    assert unwinders.package_name(Path("/lib/x.so")) == ""


@LINUX
def test_package_manager_that_hangs_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert unwinders.package_name(Path("/lib/x.so")) == ""


@LINUX
@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no library"])
def test_build_id_of_a_file_that_is_not_elf_is_empty(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "libgcc_s.so.1"
    library.write_bytes(content)
    monkeypatch.setattr(unwinders, "find_library", lambda _: library)
    facts: Any = unwinders.collect_facts()["libgcc"]
    assert facts["build_id"] == ""


@LINUX
@pytest.mark.parametrize(
    "failing",
    ["collect_facts", "can_register_sections", "libgcc_major", "package_name", "find_library"],
)
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_failure_to_read_a_fact_does_not_stop_a_measurement(
    failing: str, system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("NAME")

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(unwinders, failing, fail)
    assert len(machines.describe_machine("here")) == 6
    machines.record_host(tmp_path / "here")
    assert (tmp_path / "here/hosts.jsonl").read_text().count("\n") == 1


@LINUX
def test_failure_to_write_hosts_does_not_stop_a_measurement(tmp_path: Path) -> None:
    (tmp_path / "here/hosts.jsonl").mkdir(parents=True)
    machines.record_host(tmp_path / "here")
    assert list((tmp_path / "here").rglob("*")) == [tmp_path / "here/hosts.jsonl"]


@LINUX
def test_library_that_changes_during_a_run_gives_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("asv"), "propagate", True)
    monkeypatch.setattr(machines, "FIRST_BUILD_IDS", {})
    old, new = "a" * 40, "b" * 40
    library = {"file": "/lib/libunwind.so.1", "package": "libunwind"}
    facts = [{"libunwind": {**library, "build_id": build}} for build in (old, old, new)]
    monkeypatch.setattr(unwinders, "collect_facts", iter(facts).__next__)
    for _ in range(2):
        machines.record_host(tmp_path)
    assert "changed" not in caplog.text
    machines.record_host(tmp_path)
    assert f"libunwind changed during this run: {old} before, {new} now" in caplog.text
    assert (tmp_path / "hosts.jsonl").read_text().count("\n") == 2


@LINUX
def test_package_of_an_updated_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_programs(
        tmp_path, monkeypatch, rpm=f'IFS= read -r line < "{tmp_path}/version"; echo "$line"'
    )
    library = tmp_path / "x.so"
    library.touch()
    for version in ("x-1", "x-2"):
        (tmp_path / "version").write_text(version + "\n")
        os.utime(library, ns=(0, int(version[-1])))
        assert unwinders.package_name(library) == version
