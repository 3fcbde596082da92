"""asv without uv: missing packages are named before anything imports them."""

import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from asv.util import UserError

from scripts import dependencies

from .conftest import DEADLINE


def test_installed_packages_match_the_pins() -> None:
    dependencies.setup()


@pytest.mark.parametrize(
    ("package", "installed", "problem"),
    [
        ("psutil", None, r": psutil==\S+\. Start asv with `uv run asv`, or .*--group measure`"),
        ("asv", "0.7", r": asv==0\.6\.6 \(installed: 0\.7\)\. Start"),
    ],
)
def test_missing_or_other_package_is_named_with_its_remedy(
    package: str, installed: str | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name != package:
            return real(name)
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(dependencies, "version", version)
    with pytest.raises(UserError, match=problem):
        dependencies.setup()


@pytest.mark.slow
def test_python_with_asv_alone_says_what_to_install(copy: Path, tmp_path: Path) -> None:
    python = tmp_path / "bare/bin/python"
    subprocess.run(["uv", "venv", "-q", "-p", "3.11", tmp_path / "bare"], check=True)
    subprocess.run(["uv", "pip", "install", "-q", "-p", python, "asv==0.6.6"], check=True)
    answer = subprocess.run(
        [python, "-m", "asv", "run"],
        cwd=copy, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    printed = answer.stdout + answer.stderr
    assert answer.returncode == 1
    assert "or have another version: filelock==" in printed
    assert "pip install --group measure" in printed
    assert "Traceback" not in printed
