"""The program that runs under callgrind: load modules and drop them in forked processes.

`_callgrind.run_profiled` starts it. The profile of a process counts from the start of the program,
so the difference between the profiles of two processes is the work that only one of them did.
"""

import os
import pickle
import random
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ._callgrind import prepare_child
from ._modules import drop_all, load_image
from ._shapes import Order, UnwindInfo

TAKES = 2  # times that each load is counted
SEED = 910


class Load(NamedTuple):
    """A shape with its compiled images.

    Attributes:
        modules: how many copies are loaded and dropped.
        image: the compiled module.
        unwind_info: what it was compiled with.
        order: which module is dropped first, by when it was loaded.
        residents: compiled modules that are loaded before and stay.
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
        _kept = work()  # keeps its modules loaded until the process ends
        os.dup2(slot, int(sys.argv[1]))
        os._exit(0)
    return child


def wait(child: int) -> None:
    """Wait for a forked process, and exit if it failed."""
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"a forked process ended with exit code {status}")


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
    """Fill the slots: one for the start, then a pair (loaded, dropped) for each take of a load."""
    loads: list[Load] = pickle.load(sys.stdin.buffer)  # noqa: S301
    for load in loads:
        load_image(1, load.image, load.unwind_info)  # so that one-time work is already done
    slots = map(int, sys.argv[2:])
    wait(fork(next(slots), lambda: None))
    for load in loads:
        takes = [(next(slots), next(slots)) for _ in range(TAKES)]
        for child in [fork(loaded, partial(load_and_drop, load, drop)) for loaded, drop in takes]:
            wait(child)


if __name__ == "__main__":
    main()
