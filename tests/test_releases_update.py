"""Pinning new releases, against a local package index."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.releases import index as releases_index
from scripts.releases import pins
from scripts.releases.update import main

from .index import Index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serve an index with the pinned releases; the working directory has a pin file to update."""
    index = Index()
    pin_file = pins.PINS.read_bytes()
    monkeypatch.chdir(tmp_path)
    pins.PINS.parent.mkdir()
    pins.PINS.write_bytes(pin_file)
    with index.serve():
        yield index


def update(index: Index) -> int:
    return main(["--index", index.url])


def test_pin_file_is_untouched_without_new_releases(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pins.PINS.read_bytes(), pins.PINS.stat().st_mtime_ns
    assert update(index) == 0
    assert (pins.PINS.read_bytes(), pins.PINS.stat().st_mtime_ns) == before
    assert f"{len(pins.load_pins())} releases pinned, 0 of them new" in capsys.readouterr().out


def test_new_releases_are_appended_in_order_with_native_wheels_only(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pins.load_pins()
    index.add_release("100.0.0")
    index.add_release("99.0.0")
    assert update(index) == 0
    after = pins.load_pins()
    assert after[:-2] == before
    assert [release.version for release in after[-2:]] == ["99.0.0", "100.0.0"]
    assert after[-1].time == "2026-11-02T03:04:05Z"
    assert list(after[-1].wheels) == [
        "wasmtime-100.0.0-py3-none-macosx_11_0_arm64.whl",
        "wasmtime-100.0.0-py3-none-win_amd64.whl",
    ]
    assert "added 99.0.0, 2 wheels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("library", "registration"),
    [
        (b"\0___register_frame\0", pins.Registration.FUNCTIONS),
        (b"\0___register_frame\0__unw_add_dynamic_eh_frame_section\0", pins.Registration.SECTIONS),
        (b"\0something else\0", pins.Registration.UNKNOWN),
    ],
)
def test_pin_has_the_registration_of_the_macos_library(
    index: Index, capsys: pytest.CaptureFixture[str], library: bytes, registration: str
) -> None:
    index.add_release("99.0.0", library=library)
    assert update(index) == 0
    assert pins.load_pins()[-1].macs == {"arm64": registration}
    assert pins.load_pins()[-1].mac_registration == registration
    assert f"macosx_11_0_arm64.whl: registers {registration}" in capsys.readouterr().out


def test_missing_registration_is_added_to_an_existing_pin(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    index.add_release("99.0.0")
    assert update(index) == 0
    complete = pins.load_pins()
    pins.save_pins([*complete[:-1], replace(complete[-1], macs={})])
    assert update(index) == 0
    assert pins.load_pins() == complete
    assert capsys.readouterr().out.count("macosx_11_0_arm64.whl: registers") == 2


def test_wheel_for_several_platforms_is_pinned(index: Index) -> None:
    index.add_release("99.0.0")
    wheel = "wasmtime-99.0.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    index.add(wheel, "2026-11-02T03:04:05Z")
    assert update(index) == 0
    assert wheel in pins.load_pins()[-1].wheels
    assert list(pins.load_pins()[-1].macs) == ["arm64"]


def test_mac_registration_lists_processors_if_their_libraries_differ() -> None:
    release = replace(
        pins.load_pins()[-1],
        macs={"arm64": pins.Registration.SECTIONS, "x86_64": pins.Registration.FUNCTIONS},
    )
    assert release.mac_registration == "arm64 a section at a time, x86_64 function by function"


def test_skipped_releases_are_listed_with_reasons(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pins.PINS.read_bytes()
    index.add_release("12.0.0")
    index.add_release("36.0.9")
    index.add_release("98.0.0", yanked="broken")
    index.add_release("99.0.0rc1")
    index.add("wasmtime-99.0.1-py3-none-any.whl", "2026-11-02T03:04:05Z")
    index.add("wasmtime-50.0.1-py3-none-win32.whl", "2026-11-02T03:04:05Z")
    assert update(index) == 0
    assert pins.PINS.read_bytes() == before
    output = capsys.readouterr().out
    for line in (
        "skipped releases before 13.0.0",
        f"skipped 36.0.9: older than the newest pin, {pins.load_pins()[-1].version}",
        "skipped 98.0.0: yanked",
        "skipped 99.0.0rc1: a pre-release",
        "skipped 99.0.1: no wheel for a measured platform",
        "ignored wasmtime-50.0.1-py3-none-win32.whl: added after",
    ):
        assert line in output


@pytest.mark.parametrize(
    "version", ["98.0", "98.0.0.1", "98.0.0+x", "1!2.0.0", "98.0.0x", "98", "99999.0.0"]
)
def test_oddly_named_release_is_skipped_with_its_name(
    version: str, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    index.add_release(version)
    index.add_release("99.0.0")
    assert update(index) == 0
    assert pins.load_pins()[-1].version == "99.0.0"
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("skipped ") and f"{version}" in line]


def test_release_that_was_yanked_after_pinning_is_kept(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in index.files:
        if "-49.0.0-" in file["filename"]:
            file["yanked"] = True
    assert update(index) == 0
    assert "kept 49.0.0, although it was yanked" in capsys.readouterr().out


def time_ago(**age: float) -> str:
    return (datetime.now(UTC) - timedelta(**age)).isoformat()


@pytest.mark.parametrize(
    ("age", "wheels", "reason"),
    [
        ({"minutes": 5}, ["manylinux1_x86_64"], "uploaded within the last hour"),
        ({"hours": 5}, [], "it has no wheel for Linux x86-64 yet"),
        ({"hours": 5}, ["manylinux2014_aarch64"], "it has no wheel for Linux x86-64 yet"),
        ({"hours": 5}, ["musllinux_1_2_x86_64"], "it has no wheel for Linux x86-64 yet"),
    ],
)
def test_release_that_is_still_uploading_postpones_newer_releases(
    index: Index,
    capsys: pytest.CaptureFixture[str],
    age: dict[str, float],
    wheels: list[str],
    reason: str,
) -> None:
    index.add_release("99.0.0")
    index.add_release("99.0.1", time=time_ago(**age))
    for platform in wheels:
        index.add(f"wasmtime-99.0.1-py3-none-{platform}.whl", time_ago(**age))
    index.add_release("100.0.0")
    assert update(index) == 0
    assert pins.load_pins()[-1].version == "99.0.0"
    assert f"postponed 99.0.1: {reason}" in capsys.readouterr().out
    for file in index.files:
        if "-99.0.1" in file["filename"]:
            file["upload-time"] = time_ago(days=2, minutes=1)  # after two days it is pinned anyway
    assert update(index) == 0
    assert [release.version for release in pins.load_pins()[-2:]] == ["99.0.1", "100.0.0"]


def test_late_wheel_does_not_extend_the_wait_for_the_others(index: Index) -> None:
    index.add("wasmtime-99.0.0-py3-none-musllinux_1_2_x86_64.whl", time_ago(days=3))
    index.add("wasmtime-99.0.0-py3-none-win_amd64.whl", time_ago(hours=5))
    assert update(index) == 0
    assert pins.load_pins()[-1].version == "99.0.0"


def test_release_is_pinned_once_all_three_systems_have_wheels(index: Index) -> None:
    index.add_release("99.0.0", time=time_ago(hours=2))
    index.add("wasmtime-99.0.0-py3-none-manylinux1_x86_64.whl", time_ago(hours=2))
    assert update(index) == 0
    assert pins.load_pins()[-1].version == "99.0.0"
    index.add_release("99.1.0", time=time_ago(hours=2))
    index.add("wasmtime-99.1.0-py3-none-manylinux1_x86_64.whl", time_ago(hours=2))
    index.files = [file for file in index.files if "99.1.0-py3-none-win" not in file["filename"]]
    assert update(index) == 0
    assert pins.load_pins()[-1].version == "99.0.0"


@pytest.mark.parametrize("missing", ["-30.0.0-py3-none-win_amd64", "-30.0.0-"])
def test_pinned_wheel_missing_from_the_index_is_a_warning(
    missing: str, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    index.add_release("99.0.0")
    index.files = [file for file in index.files if missing not in file["filename"]]
    assert update(index) == 0
    output = capsys.readouterr().out
    assert "warning: wasmtime-30.0.0-py3-none-win_amd64.whl is gone from the index." in output
    assert pins.load_pins()[-1].version == "99.0.0"


@pytest.mark.parametrize(
    ("sha256", "name"),
    [
        ("b" * 64 + "\n--index-url=http://x", "win_amd64"),
        ("b" * 63, "win_amd64"),
        ("B" * 64, "win_amd64"),
        ("", "win_amd64"),
        ("b" * 64, "win_amd64.win_" + "x" * 200),
    ],
)
def test_malformed_hash_or_name_is_an_error(
    sha256: str, name: str, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pins.PINS.read_bytes()
    index.add(f"wasmtime-99.0.0-py3-none-{name}.whl", "2026-11-02T03:04:05Z", sha256)
    assert update(index) == 1
    assert pins.PINS.read_bytes() == before
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1


@pytest.mark.parametrize("too_large", ["page", "wheel", "library"])
def test_downloads_are_limited_in_size(
    too_large: str,
    index: Index,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = 1000 if too_large == "page" else len(index.page()) + 10_000
    monkeypatch.setattr(releases_index, "MAX_BYTES", limit)
    # random bytes make a large wheel; zeros make a small wheel with a large library
    content = os.urandom(2 * limit) if too_large == "wheel" else b"\0" * 2 * limit
    index.add_release("99.0.0", library=content)
    before = pins.PINS.read_bytes()
    assert update(index) == 1
    assert pins.PINS.read_bytes() == before
    expected = "its files are too large" if too_large == "library" else "has more than"
    assert expected in capsys.readouterr().err


def test_downloads_are_limited_in_time(
    index: Index, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases_index, "MAX_DURATION", timedelta(0))
    assert update(index) == 1
    assert "takes more than 0:00:00" in capsys.readouterr().err


def test_unwritable_folder_is_an_error(
    index: Index, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny_writing(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", "fixtures")

    index.add_release("99.0.0")
    monkeypatch.setattr(Path, "write_text", deny_writing)
    assert update(index) == 1
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("offline", "did not list wasmtime"),
        ("not found", "did not list wasmtime"),
        ("server error", "did not list wasmtime"),
        ("not json", "did not list wasmtime"),
        ("login page", "did not list wasmtime: there is no wheel on its page"),
        ("empty list", "did not list wasmtime: there is no wheel on its page"),
        ("another project", "did not list wasmtime: there is no wheel on its page"),
        ("deep nesting", "did not list wasmtime: nested too deeply"),
        ("wheel changed", "has a different hash on the index"),
        ("no time", "no upload time or sha256"),
        ("no time zone", "no upload time or sha256"),
        ("time before all time", "malformed name, time or hash of 99.0.1"),
        ("time of another century", "malformed name, time or hash of 99.0.1"),
        ("no hash", "no upload time or sha256"),
        ("odd name", "Invalid wheel filename"),
        ("other wheel", "wasmtime-99.0.0-py3-none-macosx_11_0_arm64.whl cannot be read"),
        ("no wheel", "wasmtime-99.0.0-py3-none-macosx_11_0_arm64.whl is not a wheel"),
    ],
)
def test_error_leaves_the_pins_unchanged(
    index: Index, capsys: pytest.CaptureFixture[str], fault: str, message: str
) -> None:
    index.add_release("99.0.0")
    match fault:
        case "offline":
            index.url = "http://127.0.0.1:9/simple"
        case "not found":
            index.status = 404
        case "server error":
            index.status = 500
        case "not json":
            index.body = b"<html>"
        case "login page":
            index.type, index.body = "text/html", b"<html><a href='/login'>Log in</a></html>"
        case "empty list":
            index.files = []
        case "another project":
            for file in index.files:
                file["filename"] = file["filename"].replace("wasmtime", "wasmer")
        case "deep nesting":
            index.body = b'{"meta": ' + b"[" * 300_000
        case "wheel changed":
            index.files[3]["hashes"]["sha256"] = "c" * 64
        case "no time":
            index.add("wasmtime-99.0.1-py3-none-win_amd64.whl", None)
        case "no time zone":
            index.add("wasmtime-99.0.1-py3-none-win_amd64.whl", "2026-11-02T03:04:05")
        case "time before all time":
            index.add("wasmtime-99.0.1-py3-none-win_amd64.whl", "0001-01-01T00:00:00+23:00")
        case "time of another century":
            index.add("wasmtime-99.0.1-py3-none-win_amd64.whl", "1999-01-01T00:00:00Z")
        case "no hash":
            index.add("wasmtime-99.0.1-py3-none-win_amd64.whl", "2026-11-02T03:04:05Z")
            index.files[-1]["hashes"] = {}
        case "odd name":
            index.add("wasmtime-99.0.1-py3-none-win_amd64-x-y.whl", "2026-11-02T03:04:05Z")
        case "other wheel":
            index.contents["wasmtime-99.0.0-py3-none-macosx_11_0_arm64.whl"] = b"other"
        case "no wheel":
            name, content = "wasmtime-99.0.0-py3-none-macosx_11_0_arm64.whl", b"none"
            index.contents[name] = content
            (file,) = (file for file in index.files if file["filename"] == name)
            file["hashes"]["sha256"] = hashlib.sha256(content).hexdigest()
    before = pins.PINS.read_bytes()
    assert update(index) == 1
    assert pins.PINS.read_bytes() == before
    assert message in capsys.readouterr().err


def test_damaged_pin_file_is_not_overwritten(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    index.add_release("99.0.0")
    pins.PINS.write_text(pins.PINS.read_text()[:-20])
    before = pins.PINS.read_bytes()
    assert update(index) == 1
    assert pins.PINS.read_bytes() == before
    assert "git checkout" in capsys.readouterr().err
