"""Shared by all tests: copies of the repository, asv in them, and pinned releases to import.

Tests that use a fixture of `SLOW` form the slow layer, with those that are marked `slow`.
"""

import ctypes
import itertools
import json
import os
import queue
import shutil
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
from scripts.measuring import machines
from scripts.releases import pins

ROOT = Path(__file__).resolve().parent.parent
STRICT = os.environ.get("BENCHMARKS_STRICT") == "1"
DEADLINE = 900  # seconds that a test waits for a command; none takes a tenth of it
WHEELS = ROOT / ".asv/wheels"  # pip's cache for all tests, whichever HOME they have
SLOW = {"browser", "counted", "install", "measured", "published", "valgrind"}  # fixtures
COMMITS = {release.version: release.commit for release in pins.load_pins(ROOT / pins.PINS)}
NAME = "module_teardown.ModuleTeardown.time_teardown"
MIDDLE = r"time_teardown\(.*, '1000x8'\)"  # the shape that shows the gap and does not take long
SMALLEST = r"time_teardown\('on', '100x100'\)"  # the shape that compiles fastest
SYSTEM, LIBUNWIND = (f"virtualenv-py3.11-UNWINDER{name}" for name in ("system", "libunwind"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow layer, and keep tests together that share an expensive fixture."""
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        if fixtures & SLOW:
            item.add_marker("slow")
        group = "measured" if "measured" in fixtures else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


def absent(reason: str) -> None:
    """Skip a test that needs a missing tool; fail it under BENCHMARKS_STRICT=1."""
    if STRICT:
        pytest.fail(f"{reason} (BENCHMARKS_STRICT=1)")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give each test process its own lock for measuring, so that none waits for another."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Accept Ctrl-C: a process that a shell starts in the background ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test at the root: paths such as the pin file's are relative to it."""
    monkeypatch.chdir(ROOT)


def copy_repository(target: Path, until: str = "", *, recorded: bool = False) -> Path:
    """Copy the files that git would commit, without results, and commit them there.

    With `until`, leave out the pins and results of newer releases; with `recorded`, copy results.
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
        releases = pins.load_pins(target / pins.PINS)
        pins.save_pins(releases[: -len(newer)], target / pins.PINS)
    for arguments in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "copy"],
    ):
        subprocess.run(["git", *arguments], cwd=target, check=True)
    return target


def environment(home: Path | None = None) -> dict[str, str]:
    """Return this process' environment without the variables that change a measurement."""
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
    """A command that runs beside the test; its output is read as it comes, until a deadline."""

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

    def wait_for(self, wanted: str, seconds: float = 120) -> None:
        """Wait until the command prints a line that contains `wanted`."""
        until = time.monotonic() + seconds
        while (line := self._next(wanted, until)) is not None:
            if wanted in line:
                return
        pytest.fail(f"the command ended and did not print {wanted!r}:\n{self.said}")

    def end(self, seconds: float = 120) -> int:
        """Wait until the command has ended, and return its exit code."""
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
    """Return a copy of the repository without results."""
    return copy_repository(tmp_path / "copy")


def has_libunwind() -> bool:
    """Return whether the dynamic linker finds LLVM's libunwind."""
    try:
        ctypes.CDLL(SONAME)  # not global: no other test is affected
    except OSError:
        return False
    return sys.platform == "linux"


# The environments that are available on this machine.
WITH_VALUES = (SYSTEM, LIBUNWIND) if has_libunwind() else (SYSTEM,)


@pytest.fixture(scope="session")
def libunwind() -> str:
    """Return the name of LLVM's libunwind."""
    if sys.platform != "linux":
        pytest.skip("LLVM's libunwind is measured on Linux")
    if not has_libunwind():
        absent("LLVM's libunwind is not installed (Debian: libunwind-19)")
    return SONAME


@pytest.fixture(scope="session")
def valgrind() -> None:
    """Skip what counts instructions if valgrind is missing."""
    if shutil.which("valgrind") is None:
        absent("valgrind is not installed (Debian: valgrind)")


@pytest.fixture(scope="module")
def probe_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that the probe's tests of a file share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Install a pinned release by hash, once a session; return the folder to import it from."""
    folders: dict[str, Path] = {}
    by_version = {release.version: release for release in pins.load_pins(ROOT / pins.PINS)}

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

    def result(self, version: str, environment: str = SYSTEM) -> dict[tuple[str, ...], float]:
        """Seconds of `time_teardown` on this machine, by parameters."""
        stored = self.results(machines.local_name(), version, environment)
        values, params = stored["results"][NAME][:2]
        return dict(zip(itertools.product(*params), values, strict=True))

    def gap(self, version: str, environment: str) -> float:
        """Time with unwind info over time without, of 1000 modules of 8 functions."""
        seconds = self.result(version, environment)
        return seconds["'on'", "'1000x8'"] / seconds["'off'", "'1000x8'"]


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Measure 49.0.0 and 50.0.1 once, with one sample of each setting."""
    home = tmp_path_factory.mktemp("home")
    copy = copy_repository(tmp_path_factory.mktemp("measured"))
    bench = rf"{MIDDLE}|track_fde_count"
    run = asv(copy, "run", "--quick", "--bench", bench, "48.0.0..50.0.1", home=home)
    return Measured(copy, home, run)


@pytest.fixture(scope="session")
def published(measured: Measured) -> Path:
    """Publish the measured copy once; return the folder of the site."""
    answer = measured.asv("publish")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Couldn't find" not in answer.stdout
    return measured.copy / ".asv/html"
