"""The releases that the benchmark workflow measures on each platform."""

import sys
from dataclasses import replace

import pytest
from packaging.tags import platform_tags

from scripts.measuring import measure
from scripts.releases import pins

from .conftest import ROOT

RELEASES = pins.load_pins(ROOT / pins.PINS)
NEWEST = RELEASES[-1].version
GLIBC = ["linux_x86_64", "manylinux_2_36_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"]


def run_measure(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, code: int = 0, platforms: list[str] = GLIBC
) -> list[str]:
    """Run the command with a simulated asv and platform; return the asv command line.

    asv runs in the same process: a child would go on measuring after a signal to its parent.
    """
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(measure, "run_asv", lambda: code)
    monkeypatch.setattr(measure, "platform_tags", lambda: platforms)
    with pytest.raises(SystemExit) as exit_:
        measure.main(["--machine", "m", *arguments])
    assert exit_.value.code == code
    return sys.argv


def test_asv_runs_once_for_all_releases_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    command = run_measure(monkeypatch)
    assert command[-1].split() == [release.version for release in reversed(RELEASES)]


def test_options_are_passed_to_asv(monkeypatch: pytest.MonkeyPatch) -> None:
    command = run_measure(monkeypatch, "--range", "47.0.1..49.0.0", "--bench", "time_", "--quick")
    assert command == [
        "asv", "run", "--show-stderr", "--machine", "m",
        "--skip-existing-successful", "--quick", "--bench", "time_", "49.0.0 48.0.0",
    ]  # fmt: skip


def test_empty_pattern_selects_all_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--bench" not in run_measure(monkeypatch, "--bench", "")


def test_machine_option_is_required() -> None:
    with pytest.raises(SystemExit):
        measure.main([])


def test_command_fails_if_asv_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    run_measure(monkeypatch, code=2)


@pytest.mark.parametrize(
    ("platforms", "oldest"),
    [
        (["macosx_15_0_arm64", "macosx_11_0_arm64", "macosx_10_13_x86_64"], "13.0.0"),
        (["musllinux_1_2_x86_64", "musllinux_1_1_x86_64"], "22.0.0"),
        (["win_amd64"], "13.0.0"),
        (["win_arm64"], "30.0.0"),
        (["musllinux_1_2_aarch64"], "39.0.0"),
        (GLIBC, "13.0.0"),
    ],
)
def test_releases_without_a_wheel_for_the_platform_are_left_out(
    monkeypatch: pytest.MonkeyPatch, platforms: list[str], oldest: str
) -> None:
    versions = run_measure(monkeypatch, platforms=platforms)[-1].split()
    assert versions[0] == NEWEST
    assert versions[-1] == oldest


def test_most_specific_wheel_is_chosen() -> None:
    wheel = RELEASES[-1].wheel_for(["macosx_15_0_arm64", "macosx_11_0_arm64"])
    assert wheel == f"wasmtime-{NEWEST}-py3-none-macosx_11_0_arm64.whl"
    assert RELEASES[-1].wheel_for(list(platform_tags()))


def test_wheel_of_the_preferred_platform_is_chosen() -> None:
    wheels = [
        f"wasmtime-1.0.0-py3-none-{tag}.whl" for tag in ("macosx_11_0_arm64", "macosx_14_0_arm64")
    ]
    release = replace(RELEASES[-1], wheels=dict.fromkeys(wheels, "0" * 64))
    assert release.wheel_for(["macosx_14_0_arm64", "macosx_11_0_arm64"]) == wheels[1]
    assert release.wheel_for(["macosx_11_0_arm64", "macosx_14_0_arm64"]) == wheels[0]


def test_unknown_release_is_an_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(["--machine", "m", "--range", "49.0.9"]) == 1
    assert "Did you mean 49.0.0" in capsys.readouterr().err


def test_range_without_a_wheel_for_the_platform_is_skipped_with_a_notice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "platform_tags", lambda: ["musllinux_1_2_x86_64"])
    assert measure.main(["--machine", "m", "--range", "13.0.0 21.0.0"]) == 0
    assert capsys.readouterr().out == (
        "::notice::No release of 13.0.0 21.0.0 has a wheel for this platform: skipped.\n"
    )


def test_platform_without_any_wheel_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "platform_tags", lambda: ["linux_riscv64"])
    assert measure.main(["--machine", "m"]) == 1
    assert capsys.readouterr().err == "No release has a wheel for this platform.\n"
