"""Exit codes of commands for which 1 means that something changed.

This module imports only the standard library, so importing it cannot fail.
"""

import os
import sys
import traceback
from collections.abc import Callable

CHANGED, FAILED, UNKNOWN = 1, 2, 3


def exit_code(main: Callable[[], int]) -> int:
    """Run a command and return its exit code, or 2 for any failure.

    Python itself exits with 1 after a traceback, and with 0 or 1 if standard output is closed or
    full.
    """
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        code = main()
        sys.stdout.flush()
    except OSError as error:
        print(f"The output cannot be written: {error}", file=sys.stderr)
        # discard what is still buffered: Python would flush it at exit, fail, and exit with 120
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ModuleNotFoundError as error:
        remedy = "Use `uv run python`, or `pip install --group measure` (pip 25.1 or later)."
        print(f"{error}. {remedy}", file=sys.stderr)
        return FAILED
    except Exception:  # noqa: BLE001 no failure may exit with 1, which means a change
        traceback.print_exc()
        return FAILED
    return code
