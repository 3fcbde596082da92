"""The gap report: when the cost of unwind info changed, and what to do."""

import io
import signal
import sys
from collections.abc import Sequence

from scripts.base.exits import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; the exit code is that of `--check`, or 2 on an error."""
    from scripts.gap import command  # here, so that a missing package is an error as well

    return command.main(arguments)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows knows neither × nor →
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(exit_code(main))
