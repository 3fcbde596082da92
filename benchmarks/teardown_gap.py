"""What unwind info costs: teardown with it over teardown without, in one process.

Two separate series cannot tell that: between them the machine changes more than many a release. On
a shared virtual machine loading decides how fast dropping is, by a factor of 1.6, for reasons that
have nothing to do with unwind info. So both sets of modules are loaded before either is dropped.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from ._modules import SETTINGS, UnwindInfo, fixture, image, load_image, seconds_to_drop
from ._sampling import Destructive
from ._shown import shown

# 1000 modules of 100 functions would take 10 s a pair under libunwind before 50.0.1
SHAPES = {"1000x1": (1000, 1), "1000x8": (1000, 8), "250x100": (250, 100)}
PARTS = 10  # dropping takes turns between the two sets by tenths, so that noise hits both
PAIRS = 3  # a block: what is stored is the ratio of each part's shortest times
BLOCKS = 8  # samples: the fewest of which asv gives an interval that covers 99 %

Pair = dict[UnwindInfo, list[float]]


def shortest(block: list[Pair], unwind_info: UnwindInfo) -> float:
    """Seconds to drop all modules of one set, from each part's shortest time in a block.

    Other work on the machine only ever adds to a time, so the shortest is nearest to the truth.
    """
    return float(np.min([pair[unwind_info] for pair in block], axis=0).sum())


def ratio(block: list[Pair]) -> float:
    """Time with unwind info over time without, of a block."""
    on, off = (shortest(block, unwind_info) for unwind_info in SETTINGS)
    return round(on / off, 3)  # asv prints every digit it is given


def drop_in_turn(count: int, wasm: Path, settings: tuple[UnwindInfo, ...]) -> Pair:
    """Seconds for each tenth of `count` modules, dropped in turn, the first of `settings` first."""
    modules = {unwind_info: load_image(count, wasm, unwind_info) for unwind_info in settings}
    pair: Pair = {unwind_info: [] for unwind_info in settings}
    for part in range(PARTS):
        for unwind_info in settings[:: (-1) ** part]:
            tenth = modules[unwind_info][-(count // PARTS) :]
            del modules[unwind_info][-len(tenth) :]
            pair[unwind_info].append(seconds_to_drop(tenth, count // PARTS))
    return pair


def blocks_of_pairs(count: int, wasm: Path, blocks: int) -> Iterator[list[Pair]]:
    """Blocks of pairs; which set goes first alternates."""
    orders = itertools.cycle((SETTINGS, SETTINGS[::-1]))
    for _ in range(blocks):
        yield [drop_in_turn(count, wasm, next(orders)) for _ in range(PAIRS)]


class TeardownGap(Destructive):
    """Teardown time with unwind info over teardown time without.

    `modules_x_functions` is how many modules are dropped and how many functions each has. The
    result is the median of 8 samples, each the ratio of one block of 3 pairs.
    """

    params: ClassVar = [list(SHAPES)]
    param_names: ClassVar = ["modules_x_functions"]

    def setup(self, shape: str) -> None:
        """Compile the module with unwind info and without."""
        for unwind_info in SETTINGS:
            image(fixture(SHAPES[shape][1]), unwind_info)

    @shown("Gap: what unwind info costs", unit="×")
    def track_ratio(self, shape: str) -> dict[str, list[float] | int]:
        """Times as long; 1 is no difference."""
        count, functions = SHAPES[shape]
        blocks = blocks_of_pairs(count, fixture(functions), BLOCKS)
        return {"samples": [ratio(block) for block in blocks], "number": 1}
