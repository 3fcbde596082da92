"""Start the probe, with an exit code for failures of any kind."""

import sys
from collections.abc import Sequence

from scripts.base.exits import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe. Return one of the exit codes of `scripts.probe.command`."""
    from scripts.probe import command  # imported here, so that a missing package exits with 2

    return command.main(arguments)


if __name__ == "__main__":
    sys.exit(exit_code(main))
