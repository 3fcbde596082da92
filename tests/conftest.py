"""What tests share: a copy of the repository, asv in it, and pinned releases to import."""

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
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
DEADLINE = 900  # seconds, for whatever a test waits for; nothing takes a tenth of it
WHEELS = ROOT / ".asv/wheels"  # pip's cache for all tests, whatever HOME they have
COMMITS = {release.version: release.commit for release in pins.load(ROOT / pins.PINS)}
NAME = "module_teardown.ModuleTeardown.time_teardown"
MIDDLE = r"time_teardown\(.*, '1000x8'\)"  # the size that shows the gap and does not take long
SYSTEM, LIBUNWIND = (f"virtualenv-py3.11-UNWINDER{name}" for name in ("system", "libunwind"))


def absent(reason: str) -> None:
    """Skip for something that is not there, except in CI, where it has to be."""
    if STRICT:
        pytest.fail(f"{reason} (BENCHMARKS_STRICT=1)")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the lock for measuring in a folder of its own, no process of tests waits for another."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """What is started in the background of a shell ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    variables.setdefault("PIP_CACHE_DIR", str(WHEELS))
    if home is not None:
        variables["HOME"] = str(home)
    return variables


def asv(
    copy: Path, *arguments: str, home: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run asv in a copy, with no terminal to ask."""
    return subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE,
        env={**environment(home), **variables},
    )  # fmt: skip


class Started:
    """A command that runs beside the test: what it says is read as it comes, until a deadline."""

    def __init__(self, command: Sequence[str | Path], cwd: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.said = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, wanted: str, seconds: float = DEADLINE) -> None:
        """Wait until it says something."""
        until = time.monotonic() + seconds
        while (line := self._next(wanted, until)) is not None:
            if wanted in line:
                return
        pytest.fail(f"it ended without a word of {wanted!r}:\n{self.said}")

    def end(self, seconds: float = DEADLINE) -> int:
        """Wait for its end, and give its exit code."""
        until = time.monotonic() + seconds
        while self._next("the end", until) is not None:
            pass
        return self.process.wait(seconds)

    def _next(self, wanted: str, until: float) -> str | None:
        try:
            line = self._lines.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            pytest.fail(f"waited too long for {wanted!r}:\n{self.said}")
        self.said += line or ""
        return line


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository without results."""
    return copy_repository(tmp_path / "copy")


def has_libunwind() -> bool:
    """Whether LLVM's libunwind is here, by the name under which the dynamic linker finds it."""
    try:
        ctypes.CDLL(SONAME)  # not global: no other test is affected
    except OSError:
        return False
    return sys.platform == "linux"


# the environments that have values here; asv makes the others too, for n/a
WITH_VALUES = (SYSTEM, LIBUNWIND) if has_libunwind() else (SYSTEM,)


@pytest.fixture(scope="session")
def libunwind() -> str:
    """The name of LLVM's libunwind."""
    if sys.platform != "linux":
        pytest.skip("LLVM's libunwind is measured on Linux")
    if not has_libunwind():
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
                check=True, timeout=DEADLINE,
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

    def environment(self) -> dict[str, str]:
        return environment(self.home)

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
    bench = rf"{MIDDLE}|track_ratio\('1000x|track_fde_count"
    run = asv(copy, "run", "--quick", "--bench", bench, "48.0.0..50.0.1", home=home)
    return Measured(copy, home, run)


@pytest.fixture(scope="session")
def published(measured: Measured) -> Path:
    answer = measured.asv("publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Couldn't find" not in answer.stdout
    return measured.copy / ".asv/html"
