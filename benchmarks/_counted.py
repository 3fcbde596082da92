"""What is counted: modules are loaded and dropped in forked children.

`_callgrind.run` starts it. A child's counts begin with the first process, so that two of them
differ by what the one did and the other did not.
"""

import os
import pickle
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ._callgrind import settle
from ._modules import UnwindInfo, drop_all, fixture, images, load_image
from ._program import program

TAKES = 2  # of each shape
SEED = 910


class Shape(NamedTuple):
    """Modules that are loaded and dropped."""

    modules: int
    functions: int = 0  # none is the real program
    order: str = "lifo"
    residents: int = 0  # modules of 2,000 functions that stay
    unwind_info: UnwindInfo = "on"
    file: Path | None = None  # a module of the user's own

    @property
    def wasm(self) -> Path:
        """The wasm module."""
        return self.file or (fixture(self.functions) if self.functions else program())


def fork(slot: int, work: Callable[[], object]) -> int:
    """Do it in a child, which is counted into the slot."""
    child = os.fork()
    if not child:
        settle()
        _kept = work()  # or what is loaded would be dropped again
        os.dup2(slot, int(sys.argv[1]))
        os._exit(0)
    return child


def wait(child: int) -> None:
    """Wait for a child, and fail if it did."""
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit(f"a forked child ended with {status}")


def take(shape: Shape, slot: int) -> object:
    """Load the modules, have a child drop them, and return what is loaded here still."""
    residents = shape.residents and load_image(shape.residents, fixture(2000), "on")
    modules = load_image(shape.modules, shape.wasm, shape.unwind_info)
    if shape.order == "fifo":
        modules.reverse()  # the last is dropped first
    elif shape.order == "random":
        random.Random(SEED).shuffle(modules)  # noqa: S311
    wait(fork(slot, lambda: drop_all(modules, shape.modules)))
    return residents, modules


def main() -> None:
    """Fill the slots: before anything is loaded, then, loaded and dropped, each take of a shape."""
    shapes, compiled = pickle.load(sys.stdin.buffer)  # noqa: S301
    images.update(compiled)
    for shape in shapes:
        load_image(1, shape.wasm, shape.unwind_info)  # what is done once, is done
    slots = map(int, sys.argv[2:])
    wait(fork(next(slots), lambda: None))
    for shape in shapes:
        pairs = [(next(slots), next(slots)) for _ in range(TAKES)]
        for child in [fork(loaded, partial(take, shape, dropped)) for loaded, dropped in pairs]:
            wait(child)


if __name__ == "__main__":
    main()
