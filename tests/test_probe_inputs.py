"""Tests of the modules to probe: those it accepts or rejects, and the proposals they use."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from asv.util import UserError
from packaging.version import Version

from scripts.probe import cli
from scripts.probe.builds import install_release
from scripts.probe.inputs import find_modules, shorten_paths
from scripts.probe.proposals import PROPOSALS, explain_refusal, require_features
from scripts.releases import pins

from .probe_inputs import (
    EIGHT,
    EMPTY,
    MODULES_BY_PROPOSAL,
    ROOT,
    linux_only,
    posix_only,
    run_probe_json,
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wasm", b"hello", "is not WebAssembly: it does not start with \\0asm."),
        ("a.wasm", b"", "is empty."),
        ("a.wasm", b"\0asm", "is truncated, or of an unknown WebAssembly version"),
        ("a.wasm", b"\0asm\x02\0\0\0", "is truncated, or of an unknown WebAssembly version"),
        ("a.cwasm", b"\x7fELF\x02", "is already compiled, so it is not measured. Pass the .wasm"),
        (
            "a.wasm.gz",
            gzip.compress(EMPTY, mtime=0),
            "is compressed with gzip. Unpack it: `gzip --decompress --stdout ",
        ),
        ("a.wasm.zst", b"\x28\xb5\x2f\xfd", "is compressed with zstd"),
        ("a.wasm.xz", b"\xfd7zXZ\0", "is compressed with xz. Unpack it: `xz --decompress"),
        ("a.wasm.bz2", b"BZh9", "is compressed with bzip2. Unpack it: `bzip2 --decompress"),
        ("a.wasm", EIGHT.read_bytes()[:-1], "is truncated: it has "),
        ("a.wasm", EMPTY + b"\1", "is truncated: it has 9 bytes of at least 10."),
        ("a.wasm", EMPTY + b"\1\x85", "is truncated: it has 10 bytes of at least 11."),
        ("a.whl", b"PK\x03\x04", "is a zip archive"),
        ("a.wasm", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.wasm", b"<!DOCTYPE html>", "is a web page"),
        ("a.wasm", b"\0asm\x0d\0\x01\0\1", "is truncated: it has 9 bytes of at least 10."),
        ("a.wasm", b"\n (module)", "is in text format. Rename it to a.wat."),
        ("a.wasm", b" ;; text\n(; (; ;)\n(component)", "is in text format. Rename it to a.wat."),
    ],
)
def test_a_file_that_is_not_a_module_is_rejected_with_a_remedy(
    name: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert cli.main([str(path)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"{path} is ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


@posix_only
@pytest.mark.parametrize("command", ["gzip", "bzip2", "xz", "zstd"])
@pytest.mark.parametrize("name", ["m.wasm", "m o.wasm.{suffix}"])
def test_the_remedy_unpacks_a_compressed_module_and_overwrites_none(
    command: str, name: str, tmp_path: Path
) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    suffix = {"gzip": "gz", "bzip2": "bz2", "xz": "xz", "zstd": "zst"}[command]
    path = tmp_path / name.format(suffix=suffix)
    packed = subprocess.run([command, "--stdout"], input=EMPTY, capture_output=True, check=True)
    path.write_bytes(packed.stdout)
    other = tmp_path / "m o.wasm"
    other.write_bytes(b"other")
    with pytest.raises(UserError) as error:
        find_modules([path])
    remedy = str(error.value).split("`")[1]
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    subprocess.run(["sh", "-c", remedy], check=True)
    (unpacked,) = set(tmp_path.iterdir()) - set(before)
    assert {file: file.read_bytes() for file in before} == before
    assert [module.problem for module in find_modules([unpacked])] == [""]


def test_a_damaged_section_is_left_to_wasmtime(tmp_path: Path) -> None:
    path = tmp_path / "m.wasm"
    path.write_bytes(EMPTY + b"\1" + b"\xff" * 9)
    assert [module.problem for module in find_modules([path])] == [""]


@linux_only
def test_a_pipe_is_rejected_without_reading_it(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.wasm"
    os.mkfifo(fifo)
    with pytest.raises(
        UserError, match=r"is a pipe or a device\. Save the module to a file, and pass that"
    ):
        find_modules([fifo])
    completed = subprocess.run(
        [sys.executable, "-m", "scripts.probe", "/dev/stdin"],
        cwd=ROOT, input=EIGHT.read_bytes(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert completed.returncode == 2
    assert completed.stderr.startswith(b"/dev/stdin is a pipe")


def test_a_missing_file_and_an_empty_folder_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "folder.wasm").mkdir()
    for path, message in (
        (Path("/nowhere.wasm"), "Cannot read /nowhere.wasm: No such file"),
        (tmp_path, "contains no .wasm or .wat file"),
    ):
        with pytest.raises(UserError, match=message):
            find_modules([path])


def test_modules_of_a_folder_are_listed_once_with_unique_names(tmp_path: Path) -> None:
    for folder in ("one", "other/deeper"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "same.wasm").write_bytes(EMPTY)
    (tmp_path / "one/OK.WASM").write_bytes(EMPTY)
    (tmp_path / "é [x].wat").write_text("(module)")
    (tmp_path / "bad.wasm").write_bytes(b"hello")
    (tmp_path / "link.wasm").symlink_to(tmp_path / "one/OK.WASM")
    modules = find_modules([tmp_path, tmp_path / "one/same.wasm"])
    assert sorted(module.name for module in modules) == [
        "bad.wasm", "deeper/same.wasm", "link.wasm", "one/same.wasm", "é [x].wat"
    ]  # fmt: skip
    assert [module.name for module in modules if module.problem] == ["bad.wasm"]


def test_names_are_the_shortest_unique_paths() -> None:
    paths = [Path("/a/b/m.wasm"), Path("/c/b/m.wasm"), Path("/c/n.wasm")]
    assert list(shorten_paths(paths).values()) == ["a/b/m.wasm", "c/b/m.wasm", "n.wasm"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            "failed to parse WebAssembly module\n\nCaused by:\n    exceptions proposal not enabled "
            "(at offset 0x14)\n\nStack backtrace:\n   0: anyhow::error::gc proposal",
            "exceptions proposal not enabled (at offset 0x14). exceptions is on by default since "
            "47.0.1 (--release); --wasm-features exceptions enables it since 39.0.0.",
        ),
        (
            "rec group usage requires `gc` proposal to be enabled (at offset 0x16)",
            "gc is on by default since 47.0.1",
        ),
        ("tail calls support is not enabled", "tail-call is on by default since 22.0.0"),
        (
            "the custom page sizes proposal must be enabled to customize a memory's page size",
            "off by default in every release; --wasm-features custom-page-sizes enables it since",
        ),
        (
            "constant expression required: non-constant operator: i32.add (at offset 0x11)",
            "extended-const is on by default since 25.0.0 (--release).",
        ),
        (
            "shared globals require the shared-everything-threads proposal",
            "shared-everything-threads is off by default in every release.",
        ),
        (
            "legacy_exceptions feature required for try instruction",
            "`wasm-opt --all-features --disable-compact-imports --translate-to-exnref 'a b.wasm' "
            "-o 'a b.translated.wasm'`.",
        ),
        ("unexpected end-of-file (at offset 0xc8)", "unexpected end-of-file (at offset 0xc8)"),
    ],
)
def test_a_refusal_names_the_release_that_accepts_the_module(error: str, message: str) -> None:
    explanation = explain_refusal(error, Path("a b.wasm"))
    assert message in explanation
    assert "anyhow" not in explanation


def test_a_proposal_enables_the_proposals_it_needs() -> None:
    assert require_features("gc") == ["gc", "function-references"]
    assert require_features("tail_call, exceptions,") == [
        "tail-call", "exceptions", "gc", "function-references"
    ]  # fmt: skip
    assert require_features("") == []
    with pytest.raises(
        UserError, match=r"thread is not a proposal that can be enabled\. Did you mean threads"
    ):
        require_features("thread")


COMPILE = "import sys, wasmtime; wasmtime.Module(wasmtime.Engine(), sys.argv[1])"
SETTER = "import sys; from wasmtime import _bindings; getattr(_bindings, sys.argv[1])"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES_BY_PROPOSAL)
def test_the_table_of_proposals_agrees_with_the_releases(
    name: str, probe_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(probe_cache))
    releases = pins.load_pins()
    versions = [release.version for release in releases]

    def run(program: str, argument: str, version: str) -> subprocess.CompletedProcess[str]:
        path = install_release(releases[versions.index(version)]).path
        return subprocess.run(
            [sys.executable, "-c", program, argument], env=os.environ | {"PYTHONPATH": path},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    proposal = PROPOSALS[name]
    if on := proposal.on_since:
        assert run(COMPILE, MODULES_BY_PROPOSAL[name], on).returncode == 0
    before = versions[versions.index(on) - 1] if on else versions[-1]
    if name != "custom-page-sizes":
        refused = run(COMPILE, MODULES_BY_PROPOSAL[name], before)
        assert refused.returncode != 0
        assert f"{name} is " in explain_refusal(refused.stderr, Path("a.wasm"))
    if since := proposal.settable_since:
        assert not on or Version(since) <= Version(on)
        setter = f"wasmtime_config_wasm_{name.replace('-', '_')}_set"
        assert run(SETTER, setter, since).returncode == 0
        index = versions.index(since)
        assert index == 0 or run(SETTER, setter, versions[index - 1]).returncode != 0


@pytest.mark.slow
@linux_only
def test_a_feature_is_enabled_if_the_c_api_can(probe_cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "gc.wat"
    path.write_text(MODULES_BY_PROPOSAL["gc"])
    options = ("--release", "45.0.0", "--modules", "4", "--unwinder", "system")
    (off,) = run_probe_json(probe_cache, path, *options, code=2)
    assert "gc is on by default since 47.0.1" in off["error"]
    (on,) = run_probe_json(probe_cache, path, *options, "--wasm-features", "gc")
    assert on["fdes"] > 0
    assert on["timed"] == 4
    (old,) = run_probe_json(
        probe_cache,
        path,
        "--release",
        "19.0.0",
        "--wasm-features",
        "gc",
        "--unwinder",
        "system",
        code=2,
    )
    assert "the C API of this release cannot enable gc" in old["error"]
