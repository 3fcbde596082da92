"""Ctrl-C ends a run wherever it lands.

Python raises KeyboardInterrupt in the code that runs at that moment. Where that is a callback, such
as one after a fork, Python prints the exception and goes on.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN = 3.0  # seconds: longer than asv takes to end a process that it has started


@contextmanager
def until_it_ends() -> Iterator[None]:
    """After an interrupt, raise KeyboardInterrupt every few seconds until the block has ended.

    SIGTERM counts as an interrupt, so that asv ends its child before it ends itself.
    """
    reminders: list[threading.Timer] = []

    def interrupt(*_: Any) -> None:
        reminder = threading.Timer(AGAIN, _remind)
        reminder.daemon = True
        reminder.start()
        reminders.append(reminder)
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for reminder in reminders:
            reminder.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _remind() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # a signal that also ends the waiting in a system call
        ident = threading.main_thread().ident
        assert ident is not None  # noqa: S101  it has started
        signal.pthread_kill(ident, signal.SIGINT)


def say_and_exit(*_: Any) -> None:
    """End a command that measures nothing, without a traceback."""
    raise SystemExit("Interrupted.")
