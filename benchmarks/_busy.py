"""Unload one module again and again while more and more other modules stay loaded.

`sample_in_processes` starts this file as a program, several times. Each process is fast or slow as
a whole, so each contributes one sample: the lower quartile of its drops, because other work on the
machine makes drops slower, by evicting the table from a shared cache, and never faster.

The program never drops the resident modules: with a million FDEs and function by function, that
would take minutes. It ends without cleaning up, also on Ctrl-C.
"""

import gc
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from statistics import quantiles
from typing import Any

from ._destructive import CLOCK
from ._modules import check_unwind_info, compile_image, drop_all, fixture, load_image
from ._shapes import RESIDENT_FDES, UnwindInfo

ROOT = Path(__file__).resolve().parent.parent
SETTINGS: tuple[UnwindInfo, UnwindInfo] = ("on", "off")
RESIDENT_FUNCTIONS = 2000  # functions of a resident module
PROCESSES = 8  # one sample each: asv's rank test needs 7 per release
DROPS = 15  # for one sample
# No further drops for a sample after this time. Up to 49.0.0, libunwind needs 0.02 to 0.03 s for a
# drop beside a million FDEs on the hosts tried; slower hosts make fewer drops, but at least three.
MAX_SECONDS = 0.5
MIN_DROPS = 3
# Memory that a resident module takes, as a multiple of its image. It was 1.3 at most in 13.0.0 to
# 50.0.1; the rest is for the table of the unwinder, which doubles when it is full.
MEMORY_PER_IMAGE = 1.6
MEMINFO = Path("/proc/meminfo")

Images = dict[UnwindInfo, bytearray]
Reasons = dict[UnwindInfo, NotImplementedError]
# Samples in seconds, or the reason why there are none, by setting and FDEs that stay loaded.
Cells = dict[tuple[UnwindInfo, int], list[float] | NotImplementedError]


def sample_in_processes() -> Cells:
    """Return `PROCESSES` samples of each cell, or the reason why it cannot be measured.

    Raises:
        NotImplementedError, RuntimeError, ValueError, AssertionError: see `run_program`.
    """
    answers = [run_program() for _ in range(PROCESSES)]
    return {cell: join_samples([answer[cell] for answer in answers]) for cell in answers[0]}


def join_samples(
    parts: list[list[float] | NotImplementedError],
) -> list[float] | NotImplementedError:
    """Join the samples of a cell; if a process has none, return its reason."""
    samples: list[float] = []
    for part in parts:
        if isinstance(part, NotImplementedError):
            return part
        samples += part
    return samples


def run_program() -> Cells:
    """Run this file as a program, and return one sample of each cell.

    Raises:
        NotImplementedError, RuntimeError, ValueError, AssertionError: see `compile_images`.
        RuntimeError: the program failed.
    """
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks._busy"], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    if process.returncode:
        raise RuntimeError(
            f"a process that measures ended with exit code {process.returncode}; see its output"
        )
    cells: Cells | Exception = pickle.loads(process.stdout)  # noqa: S301
    if isinstance(cells, Exception):
        raise cells
    return cells


def sample_cells(residents: list[Any]) -> Cells:
    """Return one sample of each cell. `residents` is filled with the modules that stay loaded."""
    resident_image = compile_image(fixture(RESIDENT_FUNCTIONS), "on")
    images, reasons = compile_images()
    cells: Cells = {}
    for fdes in RESIDENT_FDES:
        count = fdes // RESIDENT_FUNCTIONS - len(residents)
        shortage = find_shortage(fdes, count * len(resident_image) * MEMORY_PER_IMAGE)
        if shortage is not None:
            cells.update({(setting, fdes): shortage for setting in SETTINGS})
            continue
        residents += load_image(count, resident_image, "on")
        drops = sample_drops(images)
        cells.update({(setting, fdes): [quantiles(drops[setting])[0]] for setting in images})
        cells.update({(setting, fdes): reason for setting, reason in reasons.items()})
    return cells


def compile_images() -> tuple[Images, Reasons]:
    """Compile the module that is unloaded, with unwind info on and off.

    Returns:
        the images, and the reason for each setting that the platform does not have.

    Raises:
        NotImplementedError, RuntimeError, ValueError: see `require_unwinder`.
        AssertionError: an image has unwind info although it is off, or lacks it although it is on.
    """
    images: Images = {"on": compile_image(fixture(8), "on")}
    reasons: Reasons = {}
    try:
        images["off"] = compile_image(fixture(8), "off")
    except NotImplementedError as error:  # on Windows
        reasons["off"] = error
    for setting, image in images.items():
        check_unwind_info(image, setting)
    return images, reasons


def sample_drops(images: Images) -> dict[UnwindInfo, list[float]]:
    """Load and drop a module of each image in turn; return the seconds of each drop.

    The order never changes: a drop with unwind info leaves the table in the caches, so the drop
    after it is another load than a drop after one without.
    """
    drops: dict[UnwindInfo, list[float]] = {setting: [] for setting in images}
    start = time.perf_counter()
    for number in range(DROPS):
        if number >= MIN_DROPS and time.perf_counter() - start > MAX_SECONDS:
            break
        for setting, image in images.items():
            modules = load_image(1, image, setting)
            # `timeit` would compile code first, and so make the drop slower by evicting the caches
            before = CLOCK()
            drop_all(modules, 1)
            drops[setting].append(CLOCK() - before)
    return drops


def find_shortage(fdes: int, required: float) -> NotImplementedError | None:
    """Return the reason if `required` bytes of memory for modules are not available."""
    available = read_available_memory()
    if available is None or required < available:
        return None
    return NotImplementedError(
        f"modules with {fdes:,} FDEs need {required / 1e6:,.0f} MB more memory, but only "
        f"{available / 1e6:,.0f} MB are available"
    )


def read_available_memory() -> int | None:
    """Return the available bytes on Linux. Elsewhere return None: hosts have far more than 1 GB."""
    if not MEMINFO.exists():
        return None
    fields = dict(line.split(":") for line in MEMINFO.read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


class ExitWithoutCleanup:
    """End the process at the end of the block, without dropping what is loaded."""

    def __enter__(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the process at once

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        os._exit(0 if error is None else 1)


def main() -> None:
    """Write the cells, or the exception that explains why there are none, to standard output."""
    residents: list[Any] = []
    gc.disable()  # as asv does when it times
    with ExitWithoutCleanup():
        answer: Cells | Exception
        try:
            answer = sample_cells(residents)
        except (NotImplementedError, RuntimeError, ValueError, AssertionError) as error:
            answer = error.with_traceback(None)
        pickle.dump(answer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
