"""The commands in README.md, CONTRIBUTING.md and docs/ are valid."""

import argparse
import importlib
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from asv.benchmarks import Benchmarks
from asv.commands import make_argparser
from asv.config import Config
from asv.util import UserError

from benchmarks._shapes import COUNTED
from scripts.releases import pins
from scripts.releases.repo import ReleaseRepo

from .conftest import LIBUNWIND, ROOT, SYSTEM

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = r"(?:[A-Z_]+=\S+ )*uv run "
BLOCK = re.compile(rf"^(?:\$ )?({COMMAND}.*)$", re.MULTILINE)
INLINE = re.compile(rf"`({COMMAND}[^`]*)`")
YOURS = re.compile(r"^your|yourname$", re.IGNORECASE)  # a placeholder for the reader's own name


def find_commands(page: Path) -> list[str]:
    """Return the commands of a page, in code blocks and in its sentences."""
    text = page.read_text("utf-8")
    return [" ".join(command.split()) for command in BLOCK.findall(text) + INLINE.findall(text)]


README, *_ = PAGES
COMMANDS = list(dict.fromkeys(command for page in PAGES for command in find_commands(page)))


def test_readme_has_commands_for_the_main_tasks() -> None:
    in_readme = find_commands(README)
    for command in ("uv run asv run", "uv run asv publish", "uv run pytest"):
        assert command in in_readme
    assert any(command.startswith("uv run asv compare ") for command in in_readme)
    assert len([page for page in PAGES if find_commands(page)]) >= 4


def parse_arguments(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the options that a script's own parser reads, without running the script."""
    path = ROOT / module.replace(".", "/")
    if path.is_dir():
        path, module = path / "__main__", f"{module}.__main__"
    assert path.with_suffix(".py").exists()
    main = importlib.import_module(module).main
    if not inspect.signature(main).parameters:  # it takes no options
        assert not arguments
        return argparse.Namespace()
    parse, parsed = argparse.ArgumentParser.parse_args, []

    def stop(parser: argparse.ArgumentParser, *given: Any) -> None:
        parsed.append(parse(parser, *given))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(KeyboardInterrupt):
            main(arguments)
    return parsed[0]


def check_names(options: dict[str, Any]) -> None:
    """Check that the releases, benchmarks, machines and shapes among the options exist.

    Raises:
        UserError: a release does not exist.
        AssertionError: another name does not exist.
    """
    history, config = ReleaseRepo(str(pins.PINS)), Config.load("asv.conf.json")
    for spec in (options.get("range"), options.get("since"), *options.get("release", ())):
        assert spec in (None, "ALL") or history.get_hashes_from_range(spec)
    for name in ("revision1", "revision2", "commit"):
        assert options.get(name) is None or history.get_hash_from_name(options[name])
    patterns = options.get("bench") or []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if pattern != "just-discover" and not YOURS.search(pattern):
            # asv matches a pattern against names with parameters
            assert Benchmarks(config, Benchmarks.load(config).values(), pattern), pattern
    for environment in options.get("env_spec") or ():
        assert environment in (SYSTEM, LIBUNWIND)
    machine = options.get("machine")
    if machine is not None and not machine.startswith("local-") and not YOURS.search(machine):
        assert (ROOT / "results" / machine / "machine.json").exists(), machine
    assert options.get("shape") in (None, *COUNTED)


def parse_command(command: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the options of a command line, read by the parser of its tool."""
    words = shlex.split(command)
    tool, *arguments = words[words.index("run") + 1 :]
    if tool == "asv":
        parser, _ = make_argparser()
        return dict(vars(parser.parse_args(arguments)))
    if tool == "python":
        flag, module, *rest = arguments
        assert flag == "-m"
        return dict(vars(parse_arguments(module, rest, monkeypatch)))
    assert tool == "pytest"
    assert arguments in (
        [],
        ["-m", ""],
        ["-n0", "-s", "tests/test_messages.py"],
        ["-n0", "-s", "-m", "slow", "tests/check_rates.py"],
    )
    return {}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_valid(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_names(parse_command(command, monkeypatch))


@pytest.mark.parametrize(
    "command",
    [
        "uv run asv run --no-such-option",
        "uv run asv run --bench no_such_benchmark",
        r"""uv run asv run --bench "time_teardown\('on', '1000x9'\)" """,
        "uv run asv run -E virtualenv-py3.11-UNWINDERapple",
        "uv run asv run 50.0.99",
        "uv run asv compare --machine linux-x86_64 49.0.0 50.0.99",
        "uv run asv show --machine nobodys 50.0.1",
        "uv run asv sprint",
        "uv run python -m scripts.nowhere",
        "uv run python -m scripts.gap --no-such-option",
        "uv run python -m scripts.gap --size 9x9",
        "uv run python -m scripts.gap --since 50.0.99",
        "uv run python -m scripts.probe my.wasm --release 50.0.99",
        "uv run python -m scripts.probe",
        "uv run python -m scripts.make_fixtures --size 9",
        "uv run pytest --no-such-option",
    ],
)
def test_invalid_command_is_detected(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((AssertionError, SystemExit, UserError)):
        check_names(parse_command(command, monkeypatch))
