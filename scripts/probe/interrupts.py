"""Interrupt the probe by signals, from its first moment on.

This module imports only the standard library, so that it works before the other imports, which
take about a second.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130  # exit code
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last one
MESSAGE = "Interrupted."
Handler = Callable[[int, FrameType | None], object]


class Interrupted(KeyboardInterrupt):
    """Raised on SIGTERM and SIGHUP, which interrupt the probe as Ctrl-C does."""


def raise_interrupted(*_: object) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise Interrupted


def exit_at_once(*_: object) -> None:
    """Handle a signal while modules are imported: an exception might be swallowed there."""
    print(MESSAGE, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


def end_with_launcher(parent: Any) -> None:
    """End this process soon after `uv run`, which started it, was killed by SIGKILL.

    uv passes on all other signals. A shell is no launcher: with `nohup`, the probe survives it.

    Args:
        parent: the parent process as an object of psutil, or None.
    """
    if sys.platform == "win32" or parent is None or parent.name() != "uv":
        return

    def watch() -> None:
        while os.getppid() == parent.pid:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def handle_signals(handler: Handler, names: Sequence[str]) -> Iterator[None]:
    """Call a handler on the named signals, unless the process ignores them."""
    previous_handlers = {
        number: previous
        for name in names
        if (number := getattr(signal, name, None)) is not None
        and (previous := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in previous_handlers:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in previous_handlers.items():
            signal.signal(number, previous)
