"""What the benchmark workflow measures on which platform."""

from pathlib import Path

import pytest

from scripts import machines, measure, pins

from .conftest import COMMITS, ROOT

RELEASES = pins.load(ROOT / pins.PINS)
NEWEST, BEFORE = RELEASES[-1].version, RELEASES[-2].version
GLIBC = ["linux_x86_64", "manylinux_2_36_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"]


def test_a_new_release_is_measured_with_the_one_before() -> None:
    assert measure.plan(RELEASES, (), GLIBC) == [
        (False, [NEWEST, BEFORE]),
        (True, [release.version for release in reversed(RELEASES[:-2])]),
    ]
    measured = {release.commit[:8] for release in RELEASES[:-1]}
    (session, history) = measure.plan(RELEASES, measured, GLIBC)
    assert session == (False, [NEWEST, BEFORE])
    assert history[0]  # what is measured is left to asv, which looks at every benchmark


def test_a_measured_newest_release_is_not_measured_again() -> None:
    measured = {RELEASES[-1].commit[:8]}
    ((skip, versions),) = measure.plan(RELEASES, measured, GLIBC)
    assert skip
    assert versions == [release.version for release in reversed(RELEASES)]


@pytest.mark.parametrize(
    ("platforms", "first"),
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
    platforms: list[str], first: str
) -> None:
    planned = [version for _, some in measure.plan(RELEASES, (), platforms) for version in some]
    assert planned[0] == NEWEST
    assert planned[-1] == first
    assert measure.plan(RELEASES, (), ["linux_riscv64"]) == []


def test_the_best_wheel_is_named() -> None:
    wheel = RELEASES[-1].wheel_for(["macosx_15_0_arm64", "macosx_11_0_arm64"])
    assert wheel == f"wasmtime-{NEWEST}-py3-none-macosx_11_0_arm64.whl"
    assert RELEASES[-1].wheel_for(machines.platforms())


def test_ranges_are_those_of_asv(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.release_history.HISTORY", tmp_path / "releases.git")
    asked = measure.asked_for("47.0.1..49.0.0")
    assert [release.version for release in asked] == ["48.0.0", "49.0.0"]
    assert len(measure.asked_for("ALL")) == len(COMMITS)
    assert measure.main(["--machine", "m", "--range", "50.0.2"]) == 1
    assert "Did you mean 50.0.1" in capsys.readouterr().err
    monkeypatch.setattr(machines, "platforms", lambda: ["win_arm64"])
    assert measure.main(["--machine", "m", "--range", "13.0.0"]) == 1
    assert "has a wheel for this platform" in capsys.readouterr().err
