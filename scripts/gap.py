"""The gap report: when the cost of unwind info changed, and what to do."""

import io
import signal
import sys
from collections.abc import Sequence

from scripts.base.exits import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report. Return the exit code of `--check`, or 2 on an error."""
    from scripts.report import command  # imported here, so that a missing package exits with 2

    return command.main(arguments)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        # the default encoding of a pipe on Windows lacks × and →
        sys.stdout.reconfigure(encoding="utf-8")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(exit_code(main))
