"""Ctrl-C ends a run wherever it lands.

Python raises KeyboardInterrupt in the code that runs at that moment. Where that is a callback, such
as one after a fork, Python prints the exception and goes on.
"""

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

AGAIN = 3.0  # seconds: longer than asv takes to end a process that it has started


@contextmanager
def until_it_ends() -> Iterator[None]:
    """After an interrupt, raise KeyboardInterrupt every few seconds until the block has ended.

    SIGTERM counts as an interrupt, so that asv ends its child before it ends itself.
    """
    with ExitStack() as at_the_end:

        def interrupt(*_: Any) -> None:
            reminder = threading.Timer(AGAIN, _remind, [threading.get_ident()])
            reminder.daemon = True
            at_the_end.callback(reminder.cancel)
            reminder.start()
            raise KeyboardInterrupt

        for number in (signal.SIGINT, signal.SIGTERM):
            at_the_end.callback(signal.signal, number, signal.signal(number, interrupt))
        yield


def _remind(main_thread: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # a signal that also ends the waiting in a system call
        signal.pthread_kill(main_thread, signal.SIGINT)


def say_and_exit(*_: Any) -> None:
    """End a command that measures nothing, without a traceback."""
    raise SystemExit("Interrupted.")
