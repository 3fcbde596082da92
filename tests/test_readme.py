"""The commands in README.md are ones that asv and this repository understand."""

import importlib.util
import shlex

import pytest
from asv.commands import make_argparser

from scripts.releases import pins
from scripts.releases.repo import ReleaseRepo

from .conftest import ROOT

LINES = (ROOT / "README.md").read_text().splitlines()
COMMANDS = [line for line in LINES if line.startswith("uv run ")]


def test_there_are_commands_for_the_main_jobs() -> None:
    for command in ("uv run asv run", "uv run asv publish", "uv run pytest"):
        assert command in COMMANDS
    assert any(command.startswith("uv run asv compare ") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str) -> None:
    tool, *arguments = shlex.split(command)[2:]
    if tool == "asv":
        parser, _ = make_argparser()
        parsed = vars(parser.parse_args(arguments))
        history = ReleaseRepo(str(pins.PINS))
        if parsed.get("range") not in (None, "ALL"):
            assert history.get_hashes_from_range(parsed["range"])
        for name in ("revision1", "revision2"):
            assert name not in parsed or history.get_hash_from_name(parsed[name])
    elif tool == "python":
        assert arguments[0] == "-m"
        assert importlib.util.find_spec(arguments[1])
    else:
        assert tool == "pytest"
