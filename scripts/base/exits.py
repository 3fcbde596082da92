"""Exit codes of commands for which 1 means that something changed.

This module imports nothing that could be missing.
"""

import os
import sys
import traceback
from collections.abc import Callable

CHANGED, FAILED, UNKNOWN = 1, 2, 3


def exit_code(main: Callable[[], int]) -> int:
    """Run a command; return its exit code, or 2 if it fails in any way.

    Python would end with 1 on a traceback, and with 0 or 1 if standard output is closed or full.
    """
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed")
        code = main()
        sys.stdout.flush()
    except OSError as error:
        print(f"The output cannot be written: {error}", file=sys.stderr)
        if sys.stdout is not None:  # Python writes the rest when it ends, and fails again with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ModuleNotFoundError as error:
        remedy = "Start Python with `uv run`, or run `pip install --group measure`."
        print(f"{error}. {remedy}", file=sys.stderr)
        return FAILED
    except Exception:  # noqa: BLE001 whatever it is, it is no change
        traceback.print_exc()
        return FAILED
    return code
