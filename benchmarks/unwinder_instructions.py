"""The cost itself, counted: the instructions that the unwinder executes for a module.

They are exact, the same to the last digit in every run: there are no samples, and a change of one
percent is a change. What the kernel does is not in them, such as unmapping the code.
"""

import ctypes
import os
import pickle
import subprocess
import sys
from typing import ClassVar

from . import _callgrind
from ._counted import TAKES, Shape
from ._modules import MODULES, SETTINGS, UnwindInfo, drop_all, fixture, load_image, plain_image
from ._shown import shown
from ._unwinder import require, wasmtime_library

SHAPES = {  # with more modules in other orders, or more real programs, 21.0.0 would take minutes
    "1000x1": Shape(1000, 1),
    "250x8": Shape(250, 8),
    "1000x8": Shape(1000, 8),
    "100x100": Shape(100, 100),
    "250x8 fifo": Shape(250, 8, "fifo"),
    "250x8 random": Shape(250, 8, "random"),
    "1x2000": Shape(1, 2000),
    "1x2000 beside 10,000 FDEs": Shape(1, 2000, residents=5),
    "4x real program": Shape(4),
    "1000x8 off": Shape(1000, 8, unwind_info="off"),
}
BY_SIZE = [["1000x1", "250x8", "1000x8", "100x100"]]
ALL = [list(SHAPES)]
OFF = [["1000x8 off"]]
# That libraries export: distributions strip the names of others.
FUNCTIONS = [
    "__unw_remove_dynamic_fde", "__unw_remove_dynamic_eh_frame_section", "__deregister_frame",
    "__deregister_frame_info", "__deregister_frame_info_bases",
]  # fmt: skip
PROCESSES = 8  # samples on macOS: the fewest whose whole range asv stores

Costs = dict[tuple[str, str, str], float]  # of a module: by shape, step, and what is counted


def count(wanted: dict[str, Shape] = SHAPES) -> tuple[str, Costs]:
    """The file of the unwinder, and what shapes cost in it and in wasmtime, in one process.

    Raises:
        NotImplementedError, RuntimeError, ValueError: as `require` and `_callgrind.run`.
        AssertionError: takes of a shape differ in the unwinder, or unwind info off is not off.
    """
    if sys.platform != "linux":
        raise NotImplementedError("valgrind counts instructions on Linux")
    unwinder, wasmtime = map(os.path.realpath, (str(require()), wasmtime_library()._name))
    shapes = list(wanted.values())
    compiled = {(shape.wasm, shape.unwind_info) for shape in shapes}
    data = pickle.dumps((shapes, {key: plain_image(*key) for key in compiled}))
    before, *files = _callgrind.run("benchmarks._counted", 1 + 2 * TAKES * len(shapes), data)
    costs: Costs = {}
    for name, shape in wanted.items():
        takes: list[Costs] = []
        for _ in range(TAKES):
            loaded, dropped, *files = files
            load, drop = loaded - before, dropped - loaded
            takes.append({
                (name, step, what): mean(counts[unwinder, what], shape.modules)
                for step, counts in (("load", load), ("drop", drop))
                for what in ("instructions", "calls")
            })  # fmt: skip
        if any(again != takes[0] for again in takes):
            raise AssertionError(f"counts are not exact: {' and then '.join(map(str, takes))}")
        if {value > 0 for value in takes[0].values()} != {shape.unwind_info == "on"}:
            raise AssertionError(f"unwind info is {shape.unwind_info}, but {unwinder}: {takes[0]}")
        costs |= takes[0]
        named = {function: drop[unwinder, function] for function in FUNCTIONS}
        named["others"] = drop[unwinder, "instructions"] - sum(named.values())
        named["wasmtime"] = drop[wasmtime, "instructions"]
        costs |= {(name, "drop", what): mean(all_, shape.modules) for what, all_ in named.items()}
    return unwinder, costs


def mean(total: int, modules: int) -> float:
    """A whole number as such: asv prints every digit."""
    return total / modules if total % modules else total // modules


class UnwinderInstructions:
    """What one module takes: the mean of all modules of a shape.

    `shape` is how many modules are loaded at once and how many functions each has. The one loaded
    last is dropped first, but not in `fifo` and `random`: libgcc before GCC 13 looks for each in a
    linked list, the newest first; libunwind scans its whole table, before 50.0.1 for every FDE.
    FDEs that it is dropped beside are those of modules that stay. `off` is without unwind info.
    """

    param_names: ClassVar = ["shape"]
    timeout = 600  # of the process that counts
    unit = "instructions"
    version = "1"

    def setup_cache(self) -> tuple[str, Costs] | Exception:
        """Count it all, or tell why not: what is raised here is never n/a."""
        try:
            return count()
        except (RuntimeError, ValueError, OSError, AssertionError) as error:
            return error

    def setup(self, counted: tuple[str, Costs] | Exception, _shape: str) -> None:
        """Name the library whose instructions are counted, or the reason why none are."""
        if isinstance(counted, Exception):
            raise counted
        library, self.costs = counted
        print(f"counted: {library}")

    @shown("Remove a module", params=ALL)
    def track_removal(self, _: object, shape: str) -> float:
        """Instructions of the unwinder per module that is dropped: 0 with unwind info off."""
        return self.costs[shape, "drop", "instructions"]

    @shown(
        "Remove a module: by function", params=[[*FUNCTIONS, "others"]], param_names=["function"]
    )
    def track_function(self, _: object, function: str) -> float:
        """Instructions of each function of the unwinder per module that is dropped, at 1000x8."""
        return self.costs["1000x8", "drop", function]

    @shown("Register a module", params=BY_SIZE)
    def track_registration(self, _: object, shape: str) -> float:
        """Instructions of the unwinder per module that is loaded."""
        return self.costs[shape, "load", "instructions"]

    @shown("Calls to remove a module", params=BY_SIZE, unit="calls")
    def track_removal_calls(self, _: object, shape: str) -> float:
        """Calls into the unwinder per module that is dropped."""
        return self.costs[shape, "drop", "calls"]

    @shown("Calls to register a module", params=BY_SIZE, unit="calls")
    def track_registration_calls(self, _: object, shape: str) -> float:
        """Calls into the unwinder per module that is loaded."""
        return self.costs[shape, "load", "calls"]

    @shown("Drop a module: wasmtime's own part", params=OFF)
    def track_wasmtime(self, _: object, shape: str) -> float:
        """Instructions of wasmtime's own library per module that is dropped.

        Every run here gave the same digits, but nothing promises that: takes need not agree in it.
        """
        return self.costs[shape, "drop", "wasmtime"]


def executed() -> int:
    """Instructions of this process on macOS, the kernel for it included; 0 is not counted."""
    usage = (ctypes.c_uint64 * 37)()  # rusage_info_v4
    ctypes.CDLL(None).proc_pid_rusage(os.getpid(), 4, ctypes.byref(usage))
    return usage[31]  # ri_instructions


def executed_to_drop(unwind_info: UnwindInfo) -> int:
    """Instructions to drop 1000 modules of 8 functions."""
    modules = load_image(MODULES, fixture(8), unwind_info)
    before = executed()
    drop_all(modules, MODULES)
    return executed() - before


class ProcessInstructions:
    """What macOS counts, which has no valgrind: the kernel is in it, and it is not exact.

    Nobody has run this on a Mac yet.
    """

    params: ClassVar = [list(SETTINGS)]
    param_names: ClassVar = ["unwind_info"]
    timeout = 300
    unit = "instructions"
    version = "1"

    def setup(self, _: UnwindInfo) -> None:
        """Look whether they are counted."""
        if sys.platform != "darwin":
            raise NotImplementedError("the instructions of a process are counted on macOS")
        if not executed():
            raise NotImplementedError("this Mac counts no instructions: it is a virtual machine")

    @shown("Instructions to drop 1000 modules")
    def track_process_instructions(self, unwind_info: UnwindInfo) -> dict[str, list[int] | int]:
        """Instructions per 1000 modules of 8 functions, each sample from a new process."""
        command = [sys.executable, "-m", "benchmarks.unwinder_instructions", unwind_info]
        answers = (subprocess.check_output(command, cwd=_callgrind.ROOT) for _ in range(PROCESSES))
        return {"samples": [int(answer) for answer in answers], "number": 1}


if __name__ == "__main__":
    print(executed_to_drop("on" if sys.argv[1] == "on" else "off"))
