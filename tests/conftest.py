"""What tests share: a copy of the repository, asv in it, and pinned releases to import."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks._unwinder import SONAME
from scripts.history.benchmarks import RATIO
from scripts.measuring import machines
from scripts.releases import pins

ROOT = Path(__file__).resolve().parent.parent
STRICT = os.environ.get("BENCHMARKS_STRICT") == "1"
COMMITS = {release.version: release.commit for release in pins.load(ROOT / pins.PINS)}
NAME = "module_teardown.ModuleTeardown.time_teardown"
MIDDLE = r"time_teardown\(.*, 8\)"  # the size that shows the gap and does not take long
SMALL_GAPS = r"track_ratio\('1000x"
SYSTEM, LIBUNWIND = (f"virtualenv-py3.11-UNWINDER{name}" for name in ("system", "libunwind"))


def absent(reason: str) -> None:
    """Skip for something that is not there, except in CI, where it has to be."""
    if STRICT:
        pytest.fail(f"{reason} (BENCHMARKS_STRICT=1)")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths such as the pin file's are relative to the repository."""
    monkeypatch.chdir(ROOT)


def copy_repository(target: Path, until: str = "", *, recorded: bool = False) -> Path:
    """The files git would commit, less results, under a git of their own to see changes by.

    With `until` also less the pins of newer releases, and their results; with `recorded` results
    are copied.
    """
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    newer = list(COMMITS)[list(COMMITS).index(until) + 1 :] if until else []
    newer_results = tuple(COMMITS[version][:8] for version in newer)
    for name in filter(None, listing.split("\0")):
        result = name.startswith("results/") and name.count("/") > 1
        wanted = recorded and not Path(name).name.startswith(newer_results) if result else True
        if (ROOT / name).exists() and wanted:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())
    if newer:
        releases = pins.load(target / pins.PINS)
        pins.save(releases[: -len(newer)], target / pins.PINS)
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):
        subprocess.run(["git", *arguments], cwd=target, check=True)
    return target


def environment(home: Path | None = None) -> dict[str, str]:
    """This process' environment, less what would reach into a measurement."""
    ours = ("ASV_", "UNWINDER", "LIBUNWIND", "BENCHMARKS_STRICT", "LD_PRELOAD")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    if home is not None:
        variables["HOME"] = str(home)
    return variables


def asv(
    copy: Path, *arguments: str, home: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run asv in a copy, with no terminal to ask."""
    return subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**environment(home), **variables},
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository without results."""
    return copy_repository(tmp_path / "copy")


@pytest.fixture(scope="session")
def libunwind() -> str:
    """LLVM's libunwind, by the name under which the dynamic linker finds it."""
    if sys.platform != "linux":
        pytest.skip("LLVM's libunwind is measured on Linux")
    try:
        ctypes.CDLL(SONAME)  # not global: no other test is affected
    except OSError:
        absent("LLVM's libunwind is not installed (Debian: libunwind-19)")
    return SONAME


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Install a pinned release by hash, once a session, and give the folder to import it from."""
    folders: dict[str, Path] = {}
    by_version = {release.version: release for release in pins.load(ROOT / pins.PINS)}

    def installed(version: str) -> Path:
        if version not in folders:
            folder = tmp_path_factory.mktemp(version)
            requirements = folder / "requirements.txt"
            requirements.write_text(by_version[version].requirements)
            subprocess.run(
                [
                    os.environ.get("UV", "uv"), "pip", "install", "--quiet", "--target", folder,
                    "--require-hashes", "--only-binary", ":all:", "--no-deps",
                    "-r", requirements, "-r", ROOT / "fixtures/helper-requirements.txt",
                ],
                check=True,
            )  # fmt: skip
            folders[version] = folder
        return folders[version]

    return installed


@dataclass
class Measured:
    """A copy of the repository in which two releases were measured."""

    copy: Path
    home: Path
    run: subprocess.CompletedProcess[str]

    def asv(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return asv(self.copy, *arguments, home=self.home, **variables)

    def results(self, machine: str, version: str, environment: str = SYSTEM) -> Any:
        path = self.copy / f"results/{machine}/{COMMITS[version][:8]}-{environment}.json"
        return json.loads(path.read_text())

    def gap(self, version: str, environment: str) -> float:
        """Time with unwind info over time without, of 1000 modules of 8 functions."""
        stored = self.results(machines.local_name(), version, environment)
        _, gap, _ = stored["results"][RATIO][stored["result_columns"].index("result")]
        return float(gap)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    home = tmp_path_factory.mktemp("home")
    copy = copy_repository(tmp_path_factory.mktemp("measured"))
    bench = f"{MIDDLE}|{SMALL_GAPS}|track_fde_count"
    run = asv(copy, "run", "--record-samples", "--bench", bench, "48.0.0..50.0.1", home=home)
    return Measured(copy, home, run)


@pytest.fixture(scope="session")
def published(measured: Measured) -> Path:
    answer = measured.asv("publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Couldn't find" not in answer.stdout
    return measured.copy / ".asv/html"
