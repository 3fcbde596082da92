"""Shared fixtures: copies of the repository, asv runs in them, and installed releases.

The slow layer is every test that is marked `slow` or uses a fixture of `SLOW`.
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
DEADLINE = 900  # seconds that a test waits for a command; every command is 10 times faster
WHEELS = ROOT / ".asv/wheels"  # pip's cache for all tests, so that it does not depend on HOME
SLOW = {"browser", "counted", "install", "measured", "published", "valgrind"}  # fixtures
COMMITS = {release.version: release.commit for release in pins.load_pins(ROOT / pins.PINS)}
NAME = "module_teardown.ModuleTeardown.time_teardown"
MIDDLE = r"time_teardown\(.*, '1000x8'\)"  # a shape that shows the gap and is quick to measure
SMALLEST = r"time_teardown\('on', '100x100'\)"  # the shape that compiles fastest
SYSTEM, LIBUNWIND = (f"virtualenv-py3.11-UNWINDER{name}" for name in ("system", "libunwind"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow layer, and run tests that share an expensive fixture in one process."""
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        if fixtures & SLOW:
            item.add_marker("slow")
        group = "measured" if "measured" in fixtures else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


def skip_missing(reason: str) -> None:
    """Skip the test because a tool is missing, or fail it under BENCHMARKS_STRICT=1."""
    if STRICT:
        pytest.fail(f"{reason} (BENCHMARKS_STRICT=1)")
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give each test process its own temporary folder, and so its own lock for measuring."""
    tempfile.tempdir = os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(scope="session", autouse=True)
def accept_interrupts() -> None:
    """Accept SIGINT and SIGHUP, which processes ignore in the background or under `nohup`.

    Children inherit that a signal is ignored, but not a handler. Under `nohup` this process goes on
    after SIGHUP.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(scope="session", autouse=True)
def have_no_width() -> None:
    """Remove the width of the terminal, which pytest-xdist sets and commands would wrap to."""
    os.environ.pop("COLUMNS", None)


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in the root folder, because paths such as `pins.PINS` are relative to it."""
    monkeypatch.chdir(ROOT)


def copy_repository(target: Path, until: str = "", *, recorded: bool = False) -> Path:
    """Copy the files that git would commit, except results, and commit them in the copy.

    `until` is a release: pins and results of newer releases are left out. `recorded` copies the
    recorded results too.
    """
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    newer = list(COMMITS)[list(COMMITS).index(until) + 1 :] if until else []
    newer_results = tuple(COMMITS[version][:8] for version in newer)
    for name in filter(None, listing.split("\0")):
        is_result = name.startswith("results/") and name.count("/") > 1
        is_newer = Path(name).name.startswith(newer_results)
        if is_result and (is_newer or not recorded):
            continue
        if (ROOT / name).exists():
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
    """Return the environment of this process without the variables that change a measurement."""
    removed = ("ASV_", "UNWINDER", "LIBUNWIND", "BENCHMARKS_STRICT", "LD_PRELOAD")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(removed)}
    variables.setdefault("PIP_CACHE_DIR", str(WHEELS))
    if home is not None:
        variables["HOME"] = str(home)
    return variables


def asv(
    copy: Path, *arguments: str, home: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run asv in a copy, without a terminal, so that it cannot ask questions."""
    return subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=copy, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=DEADLINE,
        env={**environment(home), **variables},
    )  # fmt: skip


class RunningCommand:
    """A command that runs in the background; a thread collects its output."""

    def __init__(self, command: Sequence[str | Path], cwd: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.output = ""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "RunningCommand":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait until the command prints a line that contains `text`."""
        deadline = time.monotonic() + seconds
        while (line := self._next_line(repr(text), deadline)) is not None:
            if text in line:
                return
        pytest.fail(f"the command ended and did not print {text!r}:\n{self.output}")

    def end(self, seconds: float = 120) -> int:
        """Wait until the command has ended, and return its exit code."""
        deadline = time.monotonic() + seconds
        while self._next_line("the end of the command", deadline) is not None:
            pass
        return self.process.wait(seconds)

    def _next_line(self, event: str, deadline: float) -> str | None:
        try:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            pytest.fail(f"waited too long for {event}:\n{self.output}")
        self.output += line or ""
        return line


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the repository without results."""
    return copy_repository(tmp_path / "copy")


def has_libunwind() -> bool:
    """Return whether the dynamic linker finds LLVM's libunwind."""
    try:
        ctypes.CDLL(SONAME)  # not in the global scope, so other tests are not affected
    except OSError:
        return False
    return sys.platform == "linux"


# Environments that this machine can measure.
AVAILABLE = (SYSTEM, LIBUNWIND) if has_libunwind() else (SYSTEM,)


@pytest.fixture(scope="session")
def libunwind() -> str:
    """Return the name of LLVM's libunwind."""
    if sys.platform != "linux":
        pytest.skip("LLVM's libunwind is measured on Linux")
    if not has_libunwind():
        skip_missing("LLVM's libunwind is not installed (Debian: libunwind-19)")
    return SONAME


@pytest.fixture(scope="session")
def valgrind() -> None:
    """Skip tests that count instructions if valgrind is missing."""
    if shutil.which("valgrind") is None:
        skip_missing("valgrind is not installed (Debian: valgrind)")


@pytest.fixture(scope="module")
def probe_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that the probe's tests of a file share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that installs a pinned release by hash and returns its folder.

    Each release is installed once per session.
    """
    folders: dict[str, Path] = {}
    by_version = {release.version: release for release in pins.load_pins(ROOT / pins.PINS)}

    def install_release(version: str) -> Path:
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

    return install_release


def release_environment(release: Path, unwinder: str = "system") -> dict[str, str]:
    """Return the environment of a process that uses an installed release and an unwinder."""
    path = f"{release}{os.pathsep}{ROOT}"
    return {**environment(), "PYTHONPATH": path, "UNWINDER": unwinder}


def run_release(release: Path, *arguments: str | Path, unwinder: str = "system") -> Any:
    """Run Python with an installed release, and return the JSON that it prints."""
    process = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=DEADLINE, env=release_environment(release, unwinder),
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


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
        """Return the seconds of `time_teardown` on this machine, by parameters."""
        stored = self.results(machines.local_name(), version, environment)
        values, params = stored["results"][NAME][:2]
        return dict(zip(itertools.product(*params), values, strict=True))

    def gap(self, version: str, environment: str) -> float:
        """Return the time with unwind info divided by the time without, at 1000x8."""
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
    process = measured.asv("publish")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "Couldn't find" not in process.stdout
    return measured.copy / ".asv/html"
