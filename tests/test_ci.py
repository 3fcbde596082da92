"""The commands in `.ci/`, and what the tests themselves need of the process that starts them."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import DEADLINE, ROOT, environment
from .github import write_program

linux = pytest.mark.skipif(sys.platform != "linux", reason="uses mount namespaces, or hangs up")
TOOLS = ("valgrind", "npm", "chromium", "google-chrome", "chrome")


@pytest.fixture
def bare() -> None:
    """Skip tests that run `.ci/bare` where only an administrator may use it."""
    try:
        subprocess.run(["unshare", "--mount", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mount namespaces need root")


def run_bare(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci/bare", *command],
        capture_output=True, text=True, check=False, timeout=DEADLINE,
        env={**environment(), **variables},
    )  # fmt: skip


@linux
@pytest.mark.usefixtures("bare")
def test_bare_command_finds_no_optional_tool_in_any_folder(tmp_path: Path) -> None:
    """Two folders of PATH have each tool: if the first one is hidden, the second one is used."""
    folders = [tmp_path / "first folder", tmp_path / "second"]
    for folder in folders:
        for tool in TOOLS:
            write_program(folder / tool, "true")
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    assert all(shutil.which(tool, path=path) for tool in TOOLS)
    code = (
        "import ctypes, shutil\n"
        f"print([tool for tool in {TOOLS} if shutil.which(tool)])\n"
        "try: ctypes.CDLL('libunwind.so.1')\n"
        "except OSError: print('no libunwind')\n"
    )
    answer = run_bare(sys.executable, "-c", code, PATH=path)
    assert answer.stdout == "[]\nno libunwind\n"
    assert all(shutil.which(tool, path=path) for tool in TOOLS)  # only that command is affected


@linux
@pytest.mark.usefixtures("bare")
def test_bare_command_keeps_arguments_user_and_exit_code() -> None:
    answer = run_bare("sh", "-c", 'printf "%s|" "$HOME" "$(id -u)" "$@"; exit 7', "sh", "a b", "*")
    assert answer.stdout == f"{os.environ['HOME']}|{os.getuid()}|a b|*|"
    assert answer.returncode == 7


@linux
def test_children_of_tests_can_be_hung_up() -> None:
    """Under `nohup` all children would ignore SIGHUP, and tests that send it would fail."""
    code = "import signal; print(signal.getsignal(signal.SIGHUP) is signal.SIG_DFL)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout == b"True\n"


@linux
def test_tests_can_run_under_nohup() -> None:
    this = f"{Path(__file__).relative_to(ROOT)}::{test_children_of_tests_can_be_hung_up.__name__}"
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", this],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=DEADLINE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout
    assert "1 passed" in answer.stdout


@linux
@pytest.mark.parametrize("failing", ["ruff check", "mypy", "zizmor", "pytest"])
def test_quick_check_fails_if_one_of_its_commands_fails(tmp_path: Path, failing: str) -> None:
    write_program(tmp_path / "uv", f'echo "$@"; case "$*" in "run {failing}"*) exit 3;; esac')
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    answer = subprocess.run(
        [ROOT / ".ci/quick", "-m", ""],
        env={**environment(), "PATH": path}, cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=DEADLINE,
    )  # fmt: skip
    assert answer.returncode == 3
    *passed, last = answer.stdout.splitlines()
    assert last.startswith(f"run {failing}")
    if failing == "pytest":
        assert last == "run pytest -m "
        checked = " ".join(passed)
        for file in (*(ROOT / ".github").rglob("*.yml"), ROOT / "CITATION.cff"):
            assert str(file.relative_to(ROOT)) in checked


def test_gate_runs_the_quick_check() -> None:
    gate = (ROOT / ".ci/run").read_text()
    assert 'BENCHMARKS_STRICT=1 .ci/quick -m ""' in gate
    assert "uv run ruff" not in gate
