"""Print the job matrix of the benchmark workflow, for all machines or for those that are named.

`.github/machines.json` lists the machines. The output is a line for `$GITHUB_OUTPUT`.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from asv.util import UserError
from msgspec import Meta, Struct

from scripts.base.names import check_known_name
from scripts.base.schema import MaybeText, Text, read_json, suggest_restore

MACHINES = Path(".github/machines.json")


class Runner(Struct, forbid_unknown_fields=True, frozen=True):
    """A machine of the workflow.

    Attributes:
        machine: its name, which is the name of its folder in `results/`.
        os: the labels of the runner.
        image: the container image to measure in, or an empty string.
    """

    machine: Annotated[str, Meta(pattern=r"\A[\w.-]{1,100}\Z")]
    os: Annotated[list[Text], Meta(min_length=1)]
    image: MaybeText = ""


def select_machines(text: str) -> list[Runner]:
    """Return the machines that a text names, in any list notation; all if it is empty.

    Raises:
        UserError: the text names an unknown machine or none, or the list cannot be read.
    """
    runners = read_json(MACHINES, list[Runner], suggest_restore(MACHINES))
    if not text.strip():
        return runners
    names = [name for name in re.split(r"[\s,\[\]\"']+", text) if name]
    if not names:
        raise UserError(f"{text!r} names no machine. Leave it empty to select all machines.")
    for name in names:
        check_known_name(name, [runner.machine for runner in runners], f"machine of {MACHINES}")
    return [runner for runner in runners if runner.machine in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the matrix; return 1 if it cannot be made."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.measuring.runners", description=__doc__
    )
    parser.add_argument("--machines", default="", help="names of machines (default: all)")
    options = parser.parse_args(arguments)
    try:
        runners = select_machines(options.machines)
    except UserError as error:
        print(f"::error::{error}", file=sys.stderr)
        return 1
    print(f"matrix={msgspec.json.encode(runners).decode()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
