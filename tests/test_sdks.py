"""Reading Apple's SDKs from a local package index, and what they say about macOS versions."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from asv.util import UserError

from scripts.cost.macos import SECTIONS, Answer, is_inferred, registers_sections
from scripts.releases import index as releases_index
from scripts.releases.sdks import SDKS, Function, Sdk, list_sdks, load_wheels, save_wheels
from scripts.releases.update_sdks import LIBSYSTEM, LIBUNWIND, SETTINGS, main

from .index import Index

LISTS = "ziglang/lib/libc/darwin/"
INCLUDE = "ziglang/lib/libc/include/"
BOTH = ("x86_64", "arm64")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serve an index with the recorded wheels; the working directory has a file to update."""
    index = Index()
    recorded = load_wheels()
    for wheel in recorded:
        index.add(wheel.name, "2026-10-02T03:04:05Z", wheel.sha256)
    monkeypatch.chdir(tmp_path)
    SDKS.parent.mkdir()
    save_wheels(recorded)
    with index.serve():
        yield index


def write_list(
    libsystem: str,
    libunwind: str,
    functions: Mapping[str, Sequence[str]] | None = None,
    target: str = "{}-macos",
) -> bytes:
    """Return a list of exported symbols, with functions of libunwind by processor."""
    if functions is None:
        functions = {processor: get_args(Function) for processor in BOTH}
    targets = ", ".join(target.format(processor) for processor in functions)
    exports = ""
    for processor, names in functions.items():
        symbols = ", ".join(["'$ld$hide$os10.4$_x'", *(f"_{name}" for name in names)])
        exports += f"  - targets: [ {target.format(processor)}, {processor}-maccatalyst ]\n"
        exports += f"    symbols: [ {symbols} ]\n"
    return (
        f"--- !tapi-tbd\ntbd-version: 4\ntargets: [ {targets} ]\ninstall-name: '{LIBSYSTEM}'\n"
        f"current-version: {libsystem}\n"
        f"--- !tapi-tbd\ntbd-version: 4\ntargets: [ {targets} ]\ninstall-name: '{LIBUNWIND}'\n"
        f"current-version: {libunwind}\nexports:\n{exports}"
        f"--- !tapi-tbd\ntbd-version: 4\ntargets: [ {targets} ]\ninstall-name: '/usr/lib/x.dylib'\n"
        "...\n"
    ).encode()


def write_header(*versions: str) -> bytes:
    return "".join(f"#define __MAC_{version}    100\n" for version in versions).encode()


def add_zig(index: Index, version: str, members: dict[str, bytes], **more: Any) -> str:
    """Add a wheel of ziglang, and return its name."""
    name = f"ziglang-{version}-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.whl"
    index.add_wheel(name, "2026-11-02T03:04:05Z", members, **more)
    return name


def new_sdk(
    macos: str = '{"Version": "99.1"}', listed: bytes = write_list("2000.1", "3000.2")
) -> dict[str, bytes]:
    return {f"{LISTS}libSystem.tbd": listed, SETTINGS: macos.encode()}


def update(index: Index) -> int:
    return main(["--index", index.url])


def test_file_is_untouched_without_new_wheels(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    index.add("ziglang-0.8.1-py3-none-manylinux_2_12_x86_64.whl", "2021-09-18T00:00:00Z")
    index.add("ziglang-99.0.0.dev1-py3-none-manylinux_2_12_x86_64.whl", "2026-11-02T00:00:00Z")
    index.add("ziglang-99.0.0-py3-none-win_amd64.whl", "2026-11-02T00:00:00Z")
    add_zig(index, "99.0.1", new_sdk(), yanked="broken")
    before = SDKS.read_bytes(), SDKS.stat().st_mtime_ns
    assert update(index) == 0
    assert (SDKS.read_bytes(), SDKS.stat().st_mtime_ns) == before
    assert f"{len(list_sdks(load_wheels()))} SDKs known, 0 of them new" in capsys.readouterr().out


def test_new_sdk_is_added_once_and_nothing_is_dropped(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_wheels()
    functions = {"x86_64": [], "arm64": ["__unw_add_dynamic_fde", SECTIONS]}
    listed = write_list("2000.1", "3000.2", functions)
    name = add_zig(index, "99.0.0", new_sdk(listed=listed))
    add_zig(index, "99.0.1", new_sdk(listed=listed))
    assert update(index) == 0
    *kept, added, repeated = load_wheels()
    assert kept == before
    (sdk,) = added.sdks
    assert (sdk.macos, sdk.source, sdk.libsystem, sdk.libunwind) == (
        "99.1", "SDKSettings.json", "2000.1", "3000.2",
    )  # fmt: skip
    assert sdk.functions["arm64"][SECTIONS]
    assert not sdk.functions["arm64"]["__unw_add_find_dynamic_unwind_sections"]
    assert not any(sdk.functions["x86_64"].values())
    assert sdk.has_function(SECTIONS) is None
    assert repeated.version == "99.0.1"
    assert repeated.sdks == []
    assert f"read {name}: macOS 99.1 (libunwind 3000.2)" in capsys.readouterr().out
    content = SDKS.read_bytes()
    index.contents.clear()  # wheels are read once
    assert update(index) == 0
    assert SDKS.read_bytes() == content


def test_headers_state_versions_of_old_wheels(index: Index) -> None:
    """A later header beside a known list does not change the macOS version of the list."""
    intel = write_list("2001", "3001", {"x86_64": ["__unw_add_dynamic_fde"]})
    add_zig(index, "99.0.0", {
        f"{LISTS}libSystem.98.tbd": write_list("2000.1", "3000.2"),
        f"{LISTS}libSystem.99.tbd": intel,
        f"{INCLUDE}any-macos.98-any/AvailabilityVersions.h": write_header("98_9", "98_10", "98_2"),
        f"{INCLUDE}x86_64-macos.99-gnu/Availability.h": write_header("99_1", "99_1_4"),
    })  # fmt: skip
    add_zig(index, "99.1.0", {
        f"{LISTS}libSystem.98.tbd": write_list("2000.1", "3000.2"),
        f"{INCLUDE}any-macos.98-any/AvailabilityVersions.h": write_header("99_3"),
    })  # fmt: skip
    assert update(index) == 0
    *_, added, repeated = load_wheels()
    assert [(sdk.macos, sdk.source) for sdk in added.sdks] == [
        ("98.10", "AvailabilityVersions.h"), ("99.1.4", "Availability.h"),
    ]  # fmt: skip
    assert list(added.sdks[1].functions) == ["x86_64"]
    assert repeated.sdks == []


def test_list_for_arm64e_counts_for_arm64(index: Index) -> None:
    functions = {"x86_64": [], "arm64e": ["__unw_add_dynamic_fde"]}
    add_zig(index, "99.0.0", new_sdk(listed=write_list("2000.1", "3000.2", functions)))
    assert update(index) == 0
    (sdk,) = load_wheels()[-1].sdks
    assert sdk.functions["arm64"]["__unw_add_dynamic_fde"]
    assert not sdk.functions["x86_64"]["__unw_add_dynamic_fde"]


def test_committed_sdks_state_both_processors_since_apple_silicon() -> None:
    """A list that the script misreads would lack a processor."""
    for sdk in list_sdks(load_wheels()):
        assert set(sdk.functions) == ({"x86_64"} if sdk.version < (11,) else set(BOTH))
        assert sdk.has_function("__unw_add_dynamic_fde") is (sdk.version >= (11,))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("offline", "did not list ziglang"),
        ("other wheel", "cannot be read"),
        ("no wheel", "is not a wheel"),
        ("no hash", "cannot be read"),
        ("no list", "it does not list what libSystem exports"),
        ("malformed list", "libSystem.tbd is malformed"),
        ("list without libunwind", f"libSystem.tbd lacks {LIBUNWIND}"),
        ("odd version of libunwind", "cannot be read"),
        ("other processors", "is for no known processor"),
        ("no version", "no file states the macOS version of libSystem.tbd"),
        ("malformed settings", "cannot be read"),
        ("empty settings", "cannot be read"),
        ("header of another major version", "names macOS 97.1"),
        ("too large", "its files are too large"),
    ],
)
def test_error_leaves_the_file_unchanged(
    index: Index,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    message: str,
) -> None:
    members = new_sdk()
    listed = f"{LISTS}libSystem.tbd"
    match fault:
        case "no list":
            del members[listed]
        case "malformed list":
            members[listed] = b"--- !tapi-tbd\ntargets: [ x86_64-macos\n..."
        case "list without libunwind":
            members[listed] = members[listed].replace(LIBUNWIND.encode(), b"/usr/lib/other.dylib")
        case "odd version of libunwind":
            members[listed] = write_list("2000", "3000-beta")
        case "other processors":
            members[listed] = write_list("2000", "3000", target="{}-ios")
        case "no version":
            del members[SETTINGS]
        case "malformed settings":
            members[SETTINGS] = b'{"Version": '
        case "empty settings":
            members[SETTINGS] = b"{}"
        case "header of another major version":
            members = {
                f"{LISTS}libSystem.98.tbd": members[listed],
                f"{INCLUDE}any-macos.98-any/AvailabilityVersions.h": write_header("97_1"),
            }
        case "too large":
            members["ziglang/zig"] = os.urandom(1000)
            members[listed] += b"#" * 200_000
            monkeypatch.setattr(releases_index, "MAX_BYTES", 100_000)
    name = add_zig(index, "99.0.0", members)
    match fault:
        case "offline":
            index.url = "http://127.0.0.1:9/simple"
        case "other wheel":
            index.contents[name] = b"other"
        case "no wheel":
            index.contents[name] = b""
            index.files[-1]["hashes"] = {
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            }
        case "no hash":
            index.files[-1]["hashes"] = {}
    before = SDKS.read_bytes()
    assert update(index) == 1
    assert SDKS.read_bytes() == before
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("damage", ["cut off", "repeated", "without functions", "missing"])
def test_damaged_file_is_not_overwritten(
    index: Index, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    text = SDKS.read_text()
    match damage:
        case "cut off":
            SDKS.write_text(text[:-20])
        case "repeated":
            SDKS.write_text(text.replace('"libsystem": "1311"', '"libsystem": "1292.100.5"'))
        case "without functions":
            SDKS.write_text(text.replace('"__unw_add_dynamic_fde": true,', "", 1))
        case "missing":
            SDKS.unlink()
    before = SDKS.read_bytes() if SDKS.exists() else None
    add_zig(index, "99.0.0", new_sdk())
    assert update(index) == 1
    assert (SDKS.read_bytes() if SDKS.exists() else None) == before
    assert "git checkout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("10.15", Answer.NO), ("11", Answer.NO), ("11.7.10", Answer.NO), ("12", Answer.NO),
        ("12.0", Answer.NO), ("12.7.6", Answer.NO),
        ("13", Answer.UNKNOWN), ("13.0", Answer.UNKNOWN), ("13.0.1", Answer.UNKNOWN),
        ("13.2.1", Answer.UNKNOWN),
        ("13.3", Answer.YES), ("13.7.8", Answer.YES), ("14", Answer.YES), ("15", Answer.YES),
        ("26.4", Answer.YES), ("27", Answer.YES), ("99", Answer.YES),
        ("10.16", Answer.UNKNOWN),  # stands for 11 and later
    ],
)  # fmt: skip
def test_macos_versions_that_register_sections(version: str, expected: Answer) -> None:
    assert registers_sections(version) is expected


def test_versions_after_the_newest_sdk_are_inferred() -> None:
    newest = list_sdks(load_wheels())[-1]
    assert not is_inferred(newest.macos)
    assert not is_inferred("12")
    assert is_inferred("99.0")


def make_sdk(macos: str, *, sections: bool) -> Sdk:
    known = list_sdks(load_wheels())[-1]
    functions = {**known.functions["arm64"], SECTIONS: sections}
    return replace(known, macos=macos, functions={"arm64": functions})


def test_boundaries_follow_the_sdks() -> None:
    sdks = [make_sdk("20.1", sections=False), make_sdk("20.4", sections=True)]
    answers = [registers_sections(f"20.{minor}", sdks) for minor in range(6)]
    no, yes, unknown = Answer.NO, Answer.YES, Answer.UNKNOWN
    assert answers == [no, no, unknown, unknown, yes, yes]
    assert registers_sections("20.1.1", sdks) is Answer.NO
    assert registers_sections("20", sdks) is Answer.UNKNOWN
    # the SDK of an x.0 may be that of a beta
    sdks[0] = make_sdk("20.0", sections=False)
    assert registers_sections("20.0", sdks) is Answer.UNKNOWN
    assert registers_sections("19.9", sdks) is Answer.NO
    assert registers_sections("19", sdks) is Answer.NO


def test_function_that_a_newer_sdk_lacks_is_an_error() -> None:
    sdks = [make_sdk("20.1", sections=True), make_sdk("20.4", sections=False)]
    with pytest.raises(UserError, match=r"The SDK of macOS 20\.4 lacks .* which that of 20\.1 has"):
        registers_sections("20.2", sdks)


@pytest.mark.parametrize("version", ["", "macOS 13", "13.", "13.3.1.1", "-1", "1e3", "٣", "99999"])
def test_malformed_version_is_an_error(version: str) -> None:
    with pytest.raises(UserError, match="is not a macOS version"):
        registers_sections(version)
