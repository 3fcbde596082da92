"""Start the probe, with an exit code for failures and interruptions of any kind."""

import sys
from collections.abc import Sequence

from scripts.base.exits import exit_code
from scripts.probe.interrupts import SIGNALS, exit_at_once, handle_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the probe. Return one of the exit codes of `scripts.probe.cli`."""
    with handle_signals(exit_at_once, SIGNALS):
        from scripts.probe import cli  # imported here, so that a missing package exits with 2

        return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(exit_code(main))
