"""The cost in instructions: how many the unwinder executes to register and deregister a module.

Counts are exact: on x86-64 every run gives the same number, so one run is enough, and a
difference of one percent is a change. The kernel's work, such as unmapping the code, is not
counted.
"""

import hashlib
import os
import pickle
import sys
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from elftools.elf.elffile import ELFFile

from ._callgrind import ALL, Profile, run_profiled
from ._counted import REPEATS, CountedLoad
from ._modules import compile_portable_image, fixture
from ._shapes import COUNTED, HEADLINE, Shape
from ._shown import shown
from ._unwinder import require_unwinder

# Functions that unwinders export; distributions strip the names of the others.
FUNCTIONS = [
    "__unw_remove_dynamic_fde", "__unw_remove_dynamic_eh_frame_section", "__deregister_frame",
    "__deregister_frame_info", "__deregister_frame_info_bases",
]  # fmt: skip
OTHERS = "others"
# Repeats may differ by this ratio: on arm64 an interrupted store-exclusive is retried, which added
# 5 to 663,155 instructions under libgcc 14. The lower number is the count.
TOLERANCE = 1e-4

# Instructions per module by (shape, "load" or "drop", function); ALL sums over the functions.
Costs = dict[tuple[str, str, str], float]


class Counted(NamedTuple):
    """Instructions per module, and the library that was counted.

    Attributes:
        library: the file of the unwinder.
        build: the start of its build id; see `library_build`.
        costs: instructions per module.
    """

    library: str
    build: int
    costs: Costs


def count(loads: dict[str, CountedLoad]) -> Counted:
    """Count the unwinder's instructions to load and to drop each of `loads`, by name.

    Raises:
        NotImplementedError, RuntimeError, ValueError: see `require_unwinder` and `run_profiled`.
        AssertionError: repeats of a load differ, or the counts contradict its unwind info.
    """
    if sys.platform != "linux":
        raise NotImplementedError("valgrind counts instructions on Linux only")
    unwinder = os.path.realpath(str(require_unwinder()))
    data = pickle.dumps(list(loads.values()))
    before, *profiles = run_profiled("benchmarks._counted", 1 + 2 * REPEATS * len(loads), data)
    costs: Costs = {}
    for name, load in loads.items():
        pairs = [(profiles.pop(0), profiles.pop(0)) for _ in range(REPEATS)]
        steps = {
            "load": [loaded - before for loaded, _ in pairs],
            "drop": [dropped - loaded for loaded, dropped in pairs],
        }
        for step, repeats in steps.items():
            lowest = _lowest_count(repeats, unwinder, f"{name}, {step}")
            if (lowest[unwinder, ALL] > 0) != (load.unwind_info == "on"):
                raise AssertionError(
                    f"{name}: unwind info is {load.unwind_info}, but {unwinder} executed "
                    f"{lowest[unwinder, ALL]} instructions to {step} its modules"
                )
            by_function = {function: lowest[unwinder, function] for function in FUNCTIONS}
            by_function[OTHERS] = lowest[unwinder, ALL] - sum(by_function.values())
            for function, instructions in {ALL: lowest[unwinder, ALL], **by_function}.items():
                costs[name, step, function] = mean_per_module(instructions, load.modules)
    return Counted(unwinder, library_build(Path(unwinder)), costs)


def _lowest_count(repeats: list[Profile], unwinder: str, step: str) -> Profile:
    """Return the repeat with the fewest instructions; raise AssertionError if repeats differ."""
    totals = [repeat[unwinder, ALL] for repeat in repeats]
    if max(totals) > min(totals) * (1 + TOLERANCE):
        raise AssertionError(f"counts are not exact: {step} took {totals} instructions")
    return repeats[totals.index(min(totals))]


def mean_per_module(total: int, modules: int) -> float:
    """Return the mean per module, as an int if it is whole: asv prints every digit."""
    return total / modules if total % modules else total // modules


def library_build(library: Path) -> int:
    """Return a number that identifies the build of a library: the first 48 bits of its build id.

    A library that was linked without a build id is identified by the SHA-256 of its bytes.
    """
    with library.open("rb") as file:
        section: Any = ELFFile(file).get_section_by_name(".note.gnu.build-id")
        notes = list(section.iter_notes()) if section else []
        file.seek(0)
        digest = notes[0]["n_desc"] if notes else hashlib.sha256(file.read()).hexdigest()
    return int(digest[:12], 16)


def compile_load(shape: Shape) -> CountedLoad:
    """Compile the modules of a shape, for every processor of this architecture."""
    image = bytes(compile_portable_image(fixture(shape.functions), shape.unwind_info))
    residents: tuple[bytes, ...] = ()
    if shape.resident_modules:
        residents = (bytes(compile_portable_image(fixture(2000), "on")),) * shape.resident_modules
    return CountedLoad(shape.modules, image, shape.unwind_info, shape.order, residents)


class UnwinderInstructions:
    """Instructions of the unwinder per module: the mean of all modules of a shape.

    `shape` says how many modules are loaded at once and how many functions each has. The module
    loaded last is dropped first, except in `fifo` and `random`: before GCC 13, libgcc searches a
    linked list for each module, the newest first. libunwind scans its whole table: up to 49.0.0 for
    every FDE, from 50.0.0 for every module. `beside` says how many FDEs of other modules stay
    registered. `off` is without unwind info.
    """

    param_names: ClassVar = ["shape"]
    timeout = 7200  # seconds for the process that counts; emulated machines are the slowest
    unit = "instructions"
    version = "1"

    def setup_cache(self) -> Counted | Exception:
        """Count all loads once, or return the exception: asv treats a raised one as a failure."""
        try:
            return count({name: compile_load(shape) for name, shape in COUNTED.items()})
        except (RuntimeError, ValueError, OSError, AssertionError) as error:
            return error

    def setup(self, counted: Counted | Exception, _shape: str = "") -> None:
        """Raise the reason if nothing was counted."""
        if isinstance(counted, Exception):
            raise counted

    @shown("Deregister a module", params=[list(COUNTED)])
    def track_removal(self, counted: Counted, shape: str) -> float:
        """Instructions of the unwinder per module that is dropped: 0 with unwind info off."""
        return counted.costs[shape, "drop", ALL]

    @shown(
        "Deregister a module: by function",
        params=[[*FUNCTIONS, OTHERS]],
        param_names=["function"],
    )
    def track_function(self, counted: Counted, function: str) -> float:
        """Instructions of each function of the unwinder per module that is dropped, at 1000x8."""
        return counted.costs["1000x8", "drop", function]

    @shown("Register a module", params=[list(HEADLINE)])
    def track_registration(self, counted: Counted, shape: str) -> float:
        """Instructions of the unwinder per module that is loaded."""
        return counted.costs[shape, "load", ALL]

    @shown("Build id of the counted unwinder", params=[], param_names=[], unit="build id")
    def track_library(self, counted: Counted) -> int:
        """First 48 bits of the build id: a number that identifies the library."""
        return counted.build
