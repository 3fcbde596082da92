"""The program that runs under callgrind: load modules and drop them in forked processes.

`_callgrind.run_profiled` starts it. A forked process's profile includes everything since the start
of the program, so the difference between two profiles is the work that only one process did.
"""

import os
import pickle
import platform
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ._callgrind import describe_exit, prepare_child
from ._modules import drop_all, load_image
from ._shapes import Order, UnwindInfo

# How often each load is counted. On x86-64 every repeat gives the same number; on arm64 an
# interrupted store-exclusive is retried, so the lower of two counts is taken.
REPEATS = 1 if platform.machine() == "x86_64" else 2
MAX_PROCESSES = 4  # that count at the same time; under valgrind each takes several hundred MB
SEED = 910


class CountedLoad(NamedTuple):
    """A shape with its compiled modules.

    Attributes:
        modules: how many copies of the module are loaded and dropped.
        image: the compiled module.
        unwind_info: the `native_unwind_info` setting of the module.
        order: which module is dropped first: the one loaded last, the one loaded first, or any.
        residents: compiled modules that are loaded first and stay loaded.
    """

    modules: int
    image: bytes
    unwind_info: UnwindInfo = "on"
    order: Order = "last first"
    residents: tuple[bytes, ...] = ()


def fork(slot: int, work: Callable[[], object]) -> int:
    """Run `work` in a forked process whose profile goes to `slot`; return its process id."""
    child = os.fork()
    if not child:
        prepare_child()
        _modules = work()  # keep the modules loaded until the process ends
        os.dup2(slot, int(sys.argv[1]))
        os._exit(0)
    return child


def wait(child: int = -1) -> None:
    """Wait for a forked process, by default any of them, and exit if it failed."""
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"a forked process {describe_exit(status)}")


def load_and_drop(load: CountedLoad, drop_slot: int) -> object:
    """Load the modules, drop them in a forked process, and return them so that they stay alive."""
    residents = [load_image(1, image, "on") for image in load.residents]
    modules = load_image(load.modules, load.image, load.unwind_info)
    if load.order == "first first":
        modules.reverse()  # `drop_all` drops from the end
    elif load.order == "random":
        random.Random(SEED).shuffle(modules)  # noqa: S311
    wait(fork(drop_slot, lambda: drop_all(modules, load.modules)))
    return residents, modules


def main() -> None:
    """Fill the slots: one for the start, then two (loaded, dropped) for each repeat of a load."""
    loads: list[CountedLoad] = pickle.load(sys.stdin.buffer)  # noqa: S301
    for load in loads:
        load_image(1, load.image, load.unwind_info)  # do one-time work before the first fork
    slots = map(int, sys.argv[2:])
    wait(fork(next(slots), lambda: None))
    processes = min(len(os.sched_getaffinity(0)), MAX_PROCESSES)
    running = 0
    for load in loads:
        for _ in range(REPEATS):
            if running == processes:
                wait()
                running -= 1
            loaded, dropped = next(slots), next(slots)
            fork(loaded, partial(load_and_drop, load, dropped))
            running += 1
    for _ in range(running):
        wait()


if __name__ == "__main__":
    main()
