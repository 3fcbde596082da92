"""The program that runs under callgrind: load modules and drop them in forked processes.

`_callgrind.run_profiled` starts it. A forked process's profile includes everything since the start
of the program, so the difference between two profiles is the work that only one process did.
"""

import os
import pickle
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ._callgrind import describe_exit, prepare_child
from ._modules import drop_all, load_image
from ._shapes import Order, UnwindInfo

REPEATS = 2  # how often each load is counted
SEED = 910


class Load(NamedTuple):
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


def wait(child: int) -> None:
    """Wait for a forked process, and exit if it failed."""
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"a forked process {describe_exit(status)}")


def load_and_drop(load: Load, drop_slot: int) -> object:
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
    loads: list[Load] = pickle.load(sys.stdin.buffer)  # noqa: S301
    for load in loads:
        load_image(1, load.image, load.unwind_info)  # do one-time work before the first fork
    slots = map(int, sys.argv[2:])
    wait(fork(next(slots), lambda: None))
    for load in loads:
        pairs = [(next(slots), next(slots)) for _ in range(REPEATS)]
        for child in [fork(loaded, partial(load_and_drop, load, drop)) for loaded, drop in pairs]:
            wait(child)


if __name__ == "__main__":
    main()
