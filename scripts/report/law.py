"""The check of recorded counts against the model, which names counts it does not explain."""

from collections.abc import Iterator

from benchmarks._axis import LLVM, Unwinder
from benchmarks._shapes import COUNTED, PROGRAM
from scripts.cost.model import (
    SCANS,
    SCANS_BY_FUNCTION,
    Drop,
    Scan,
    estimate_fixture_fdes,
    find_registration,
    unload,
)
from scripts.history.benchmarks import DEREGISTER
from scripts.history.machine import Machine
from scripts.history.read import History
from scripts.history.rows import Row

TOLERANCE = 0.005  # relative; other builds of libunwind differ less than that from those in SCANS
DROPS = {"last first": Drop.ALL_NEWEST_FIRST, "first first": Drop.ALL_OLDEST_FIRST}


def predict_count(row: Row, scan: Scan) -> float | None:
    """Return the instructions per module that the model predicts for a recorded count.

    The result is None for the random order and the real program, which the model does not cover.
    """
    shape = COUNTED.get(row.shape)
    if shape is None or shape.functions == PROGRAM or shape.order not in DROPS:
        return None
    if shape.unwind_info == "off":
        return 0
    fdes = estimate_fixture_fdes(shape.functions, row.release)
    residents = shape.resident_modules * estimate_fixture_fdes(2000, row.release)
    by_function = row.series.unwinder.is_by_function
    registration = find_registration(row.release, sections=not by_function)
    cost = unload(shape.modules, fdes, registration, DROPS[shape.order], residents)
    return cost.instructions(scan, registration)


def scans_for(machine: Machine, unwinder: Unwinder = LLVM) -> dict[str, Scan]:
    """Return the known builds of libunwind for the processor of a machine."""
    arch = machine.arch.replace("_", "-")
    known = SCANS_BY_FUNCTION if unwinder.is_by_function else SCANS
    return {name: scan for name, scan in known.items() if name.endswith(arch)}


def unchecked_machines(history: History) -> Iterator[str]:
    """Yield a sentence for each machine whose libunwind counts the model cannot check."""
    counted = {
        row.series.machine
        for row in history.rows
        if row.benchmark == DEREGISTER and row.series.unwinder.family == "libunwind"
    }
    for name in sorted(counted):
        machine = history.machines[name]
        if not scans_for(machine):
            yield (
                f"The counts of {name} are not checked: scripts/cost/model.py has no build of "
                f"libunwind for {machine.arch}."
            )


def broken_laws(history: History) -> Iterator[str]:
    """Yield a sentence for each libunwind count that the model does not explain."""
    for row in history.rows:
        series = row.series
        machine = history.machines[series.machine]
        if row.benchmark != DEREGISTER or series.unwinder.family != "libunwind":
            continue
        predicted = [
            predict_count(row, scan) for scan in scans_for(machine, series.unwinder).values()
        ]
        counts = [count for count in predicted if count is not None]
        if counts and not any(abs(row.value - count) <= TOLERANCE * count for count in counts):
            nearest = min(counts, key=lambda count: abs(row.value - count))
            yield (
                f"{series.machine}, {series.unwinder.option}, {row.release}, {row.shape}: "
                f"{row.value:,.10g} instructions per module, but the model predicts {nearest:,.10g}"
            )
