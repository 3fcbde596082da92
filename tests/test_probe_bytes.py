"""The probe's first answer: what a file costs by its bytes."""

import json
from pathlib import Path

import pytest
from wasmtime import Engine, Module

from scripts.cost.advice import Load, advise
from scripts.cost.platforms import Platform
from scripts.probe.cli import main
from scripts.probe.from_bytes import PLATFORMS, RELEASES

from .conftest import ROOT

SMALL = ROOT / "fixtures/functions-8.wasm"


def test_prediction_names_the_parts_of_f_and_answers_for_every_platform(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--predict", str(SMALL)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "functions-8.wasm, by its bytes: 17 FDEs (8 functions + 8 exported or in tables + 1 "
        "function type + helpers); up to 21.0.0 25"
    )
    for platform in PLATFORMS:
        for span in RELEASES:
            assert any(line.strip().startswith(f"{platform.value}, {span}: ") for line in lines)


def test_prediction_is_the_advice_for_the_predicted_fdes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--predict", "--json", "--modules", "1000", str(SMALL)]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["fdes_up_to_21"], entry["fdes_from_22"]) == ([25, 25], [17, 17])
    for each in entry["answers"]:
        release = RELEASES[each["releases"]]
        expected = advise(Platform(each["platform"]), release, Load(1000, 17))
        assert each["decision"] == expected.decision.value
        assert each["cost_ms"] == list(expected.cost or ())


def test_text_and_precompiled_files_are_predicted_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled = tmp_path / "module.cwasm"
    compiled.write_bytes(Module(Engine(), SMALL.read_bytes()).serialize())
    assert main(["--predict", "--json", str(SMALL.with_suffix(".wat")), str(compiled)]) == 0
    text, image = json.loads(capsys.readouterr().out)
    assert text["fdes_from_22"] == image["fdes_from_22"] == [17, 17]
    assert image["kind"] == "precompiled"
    # without --predict, the answer comes first, then the reason why it is not measured
    assert main([str(compiled)]) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("module.cwasm, by its bytes: 17 FDEs, counted in the image")
    assert "module.cwasm is already compiled, so it is not measured." in printed.err


@pytest.mark.parametrize(
    "content", [b"", b"\0asm", b"\x1f\x8b\x08", b"hello", SMALL.read_bytes()[:90]]
)
def test_file_that_is_no_module_is_one_clear_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.wasm"
    path.write_bytes(content)
    assert main(["--predict", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(str(path))
    assert len(printed.err.splitlines()) == 1


def test_missing_file_and_bad_text_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "x.wat"
    text.write_text("(module (func")
    assert main(["--predict", str(tmp_path / "none.wasm"), str(text)]) == 2
    missing, invalid = capsys.readouterr().err.splitlines()
    assert missing.startswith("Cannot read ")
    assert "is not valid WebAssembly text" in invalid
