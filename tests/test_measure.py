"""What the benchmark workflow measures on which platform."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from asv.config import Config
from packaging.tags import platform_tags

from scripts.history.read import read
from scripts.measuring import measure
from scripts.releases import pins

from .conftest import LIBUNWIND, ROOT, SYSTEM
from .results import repository, write_results

RELEASES = pins.load(ROOT / pins.PINS)
ALL = [release.commit for release in RELEASES]
NEWEST, BEFORE = RELEASES[-1].version, RELEASES[-2].version
GLIBC = ["linux_x86_64", "manylinux_2_36_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"]


def test_a_new_release_is_measured_with_the_one_before() -> None:
    assert measure.plan(ALL, RELEASES, done=False) == [
        (False, [NEWEST, BEFORE]),
        (True, [release.version for release in reversed(RELEASES[:-2])]),
    ]
    # also when it was asked for alone; an older one has nothing to do with it
    assert measure.plan(ALL[-1:], RELEASES, done=False) == [(False, [NEWEST, BEFORE])]
    assert measure.plan(ALL[-2:-1], RELEASES, done=False) == [(True, [BEFORE])]


def test_when_the_newest_release_is_measured_all_is_left_to_asv() -> None:
    ((skip, versions),) = measure.plan(ALL, RELEASES, done=True)
    assert skip
    assert versions == [release.version for release in reversed(RELEASES)]


def test_a_release_is_measured_with_every_unwinder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "unwinders", lambda: ("system", "libunwind"))
    results = repository(tmp_path)
    monkeypatch.chdir(tmp_path)

    def is_measured() -> bool:
        return measure.is_measured(read(Config.load("asv.conf.json")), "ubuntu", NEWEST)

    gaps = {"1000x8": 8.0}
    assert not is_measured()
    write_results(results, {BEFORE: gaps}, "ubuntu", "system")
    write_results(results, {BEFORE: gaps}, "ubuntu", "libunwind")
    assert not is_measured()
    write_results(results, {NEWEST: gaps}, "ubuntu", "system")
    assert not is_measured()
    write_results(results, {NEWEST: gaps}, "elsewhere", "libunwind")
    assert not is_measured()
    write_results(results, {NEWEST: gaps}, "ubuntu", "libunwind")
    assert is_measured()


def commands(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, code: int = 0, platforms: list[str] = GLIBC
) -> list[list[str]]:
    """The commands that are run."""
    run: list[list[str]] = []

    def asv(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        run.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", asv)
    monkeypatch.setattr(measure, "unwinders", lambda: ("system", "libunwind"))
    monkeypatch.setattr(measure, "platform_tags", lambda: platforms)
    assert measure.main(["--machine", "m", *arguments]) == code
    return run


def test_only_what_needs_no_session_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that waits for its session is measured again, whatever is stored of it."""
    session, others = commands(monkeypatch)
    assert "--skip-existing-successful" not in session
    assert session[-1].split() == [NEWEST, BEFORE]
    assert "--skip-existing-successful" in others
    assert others[-1].split()[0] == RELEASES[-3].version
    # all samples are kept, and every option is passed on
    (only,) = commands(monkeypatch, "--range", "49.0.0", "--bench", "time_", "--quick")
    assert only == [
        sys.executable, "-m", "asv", "run", "--show-stderr",
        "--machine", "m", "--skip-existing-successful", "--quick", "--bench", "time_",
        "--environment", SYSTEM, "--environment", LIBUNWIND, "49.0.0",
    ]  # fmt: skip


def test_the_newest_release_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def done(_: object, machine: str, release: str) -> bool:
        asked.append([machine, release])
        return True

    monkeypatch.setattr(measure, "is_measured", done)
    (only,) = commands(monkeypatch)
    assert "--skip-existing-successful" in only
    assert asked == [["m", NEWEST]]


@pytest.mark.parametrize(
    ("libc", "expected"), [("glibc", ("system", "libunwind")), ("", ("system",))]
)
def test_libunwind_is_measured_where_the_wheels_look_for_it(
    monkeypatch: pytest.MonkeyPatch, libc: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, "2"))
    assert measure.unwinders() == expected


def test_a_machine_has_to_be_named() -> None:
    with pytest.raises(SystemExit):
        measure.main([])


def test_a_failure_of_asv_is_one_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(commands(monkeypatch, code=2)) == 2  # what failed first is no reason to stop


def test_a_killed_asv_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: subprocess.CompletedProcess[str] = subprocess.CompletedProcess("asv", -9)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    assert measure.main(["--machine", "m"]) == 9


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
    platforms: list[str], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = commands(monkeypatch, platforms=platforms)
    versions = [version for command in run for version in command[-1].split()]
    assert versions[0] == NEWEST
    assert versions[-1] == first
    assert len(versions) == len({*versions})


def test_the_best_wheel_is_named() -> None:
    wheel = RELEASES[-1].wheel_for(["macosx_15_0_arm64", "macosx_11_0_arm64"])
    assert wheel == f"wasmtime-{NEWEST}-py3-none-macosx_11_0_arm64.whl"
    assert RELEASES[-1].wheel_for(list(platform_tags()))


def test_ranges_are_those_of_asv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        (only,) = commands(patched, "--range", "47.0.1..49.0.0")
        assert only[-1] == "49.0.0 48.0.0"
    assert measure.main(["--machine", "m", "--range", "49.0.9"]) == 1
    assert "Did you mean 49.0.0" in capsys.readouterr().err
    for platforms, releases in ((["win_arm64"], "13.0.0"), (["linux_riscv64"], "ALL")):
        monkeypatch.setattr(measure, "platform_tags", lambda platforms=platforms: platforms)
        assert measure.main(["--machine", "m", "--range", releases]) == 1
        assert "has a wheel for this platform" in capsys.readouterr().err
