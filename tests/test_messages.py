"""The catalogue of messages: every sentence of the code that a user can read.

`uv run pytest -n0 -s tests/test_messages.py` prints it, so that it can be read in one go.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT

SENTENCE = re.compile(r"\S+( \S+){2}")  # three words or more
# each has a plain word in its place: deregister, unknown, is not a …, instructions, recreate
AVOIDED = re.compile(
    r"\b(hand(ed)? over|t(ake|ook|aken) back|no verdict|is no [a-z]+\.|what it takes|made anew)\b"
)


class Messages(ast.NodeVisitor):
    """Collects the strings of a module, except docstrings; f-strings as they are written."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        """Skip a docstring: a string that is a statement."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Note an f-string, with its expressions in braces."""
        parts = [
            part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
            for part in node.values
            if isinstance(part, (ast.Constant, ast.FormattedValue))
        ]
        self.found.append((node.lineno, "".join(map(str, parts))))

    def visit_Constant(self, node: ast.Constant) -> None:
        """Note a plain string."""
        if isinstance(node.value, str):
            self.found.append((node.lineno, node.value))


def read_messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each message of a module."""
    messages = Messages()
    messages.visit(ast.parse(path.read_text(encoding="utf-8")))
    for line, text in messages.found:
        if SENTENCE.search(text):
            yield line, text


MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks", "scripts")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_messages_use_the_vocabulary(module: str) -> None:
    for line, text in read_messages(ROOT / module):
        print(f"{module}:{line}: {text}")
        assert not AVOIDED.search(text)
