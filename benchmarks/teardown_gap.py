"""What unwind info costs: teardown with it against teardown without, in one process.

Two separate series cannot tell that: between them the machine changes more than many a release. On
a shared virtual machine loading decides how fast dropping is, by a factor of 1.6, for reasons that
have nothing to do with unwind info. So both sets of modules are loaded before either is dropped.
One process tells little of the next, so several are asked. Times are those of the CPU.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

from ._modules import SETTINGS, SHAPES, UnwindInfo, engine, fixture, load_image, seconds_to_drop
from ._sampling import Destructive
from ._shown import shown

ROOT = Path(__file__).resolve().parent.parent
PARTS = 10  # dropping takes turns between the two sets by tenths, so that noise hits both
ORDERS = (SETTINGS, SETTINGS[::-1])  # a block has a pair of each; a part's shortest time counts
BLOCKS = 8  # samples; in the benchmark each is of a process of its own

Pair = dict[UnwindInfo, list[float]]
Sample = dict[str, dict[str, float]]  # of a process, by shape: ratio, and extra ms per 1000 modules


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


def block_of_pairs(count: int, wasm: Path) -> list[Pair]:
    """Two pairs: one begins with unwind info, one without."""
    return [drop_in_turn(count, wasm, settings) for settings in ORDERS]


def sample() -> Sample:
    """The gap of every shape, from one block each, in this process."""
    seen = {}
    for shape, (count, functions) in SHAPES.items():
        block = block_of_pairs(count, fixture(functions))
        on, off = (shortest(block, unwind_info) for unwind_info in SETTINGS)
        seen[shape] = {"ratio": ratio(block), "extra": round((on - off) * 1e6 / count, 3)}
    return seen


def sample_elsewhere() -> Sample:
    """The same, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.teardown_gap"]
    seen: Sample = json.loads(subprocess.check_output(command, cwd=ROOT))
    return seen


class TeardownGap(Destructive):
    """Teardown time with unwind info over teardown time without, and the difference of the two.

    `modules_x_functions` is how many modules are dropped and how many functions each has. A result
    is the median of 8 processes, each with one block of 2 pairs; ratio and difference are of the
    same pairs.
    """

    params: ClassVar = [list(SHAPES)]
    param_names: ClassVar = ["modules_x_functions"]
    timeout = 600  # of all 8 processes

    def setup_cache(self) -> list[Sample] | str:
        """What 8 processes measured of every shape, or why it is n/a.

        Measured once for all results of this class. What is raised here asv takes for a failure.
        """
        try:
            engine("off")  # the setting that may be n/a where the other is not
        except NotImplementedError as reason:
            return str(reason)
        return [sample_elsewhere() for _ in range(BLOCKS)]

    def setup(self, seen: list[Sample] | str, shape: str) -> None:
        """Pass on why it is n/a."""
        if isinstance(seen, str):
            raise NotImplementedError(seen)
        self.samples = [process[shape] for process in seen]

    @shown("Gap: what unwind info costs", unit="×")
    def track_ratio(self, seen: object, shape: str) -> dict[str, list[float] | int]:
        """Times as long; 1 is no difference."""
        return {"samples": [sample["ratio"] for sample in self.samples], "number": 1}

    @shown("Gap: what unwind info adds", unit="ms")
    def track_extra(self, seen: object, shape: str) -> dict[str, list[float] | int]:
        """Milliseconds longer per 1000 modules; 0 is no difference."""
        return {"samples": [sample["extra"] for sample in self.samples], "number": 1}


if __name__ == "__main__":
    print(json.dumps(sample()))
