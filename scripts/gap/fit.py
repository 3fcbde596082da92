"""Nanoseconds per table entry: recorded times over the entries that the model says are scanned."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks._shapes import HEADLINE
from scripts.gap.changes import Era
from scripts.gap.law import EXPORTED
from scripts.gap.model import estimate_fdes, find_registration, unload
from scripts.gap.platforms import is_libunwind
from scripts.history.benchmarks import EXTRA
from scripts.history.read import History

FEWEST = 20_000  # entries per module: below that, other work outweighs the scan


@dataclass(frozen=True)
class Residual:
    """Nanoseconds per entry of one shape in one era."""

    shape: str
    first: str
    last: str
    nanoseconds: float


@dataclass(frozen=True)
class Fit:
    """Nanoseconds per entry on a machine: the median of its shapes and eras, and each of them."""

    machine: str
    nanoseconds: float
    residuals: list[Residual]


def fit_entries(history: History, eras: Sequence[Era]) -> list[Fit]:
    """Fit nanoseconds per entry to the extra time of every machine with libunwind and times."""
    residuals: dict[str, list[Residual]] = {}
    for era in eras:
        if not is_libunwind(history.machines[era.machine], era.unwinder):
            continue
        if EXTRA not in era.values or era.shape not in HEADLINE:
            continue
        modules, functions = HEADLINE[era.shape][:2]
        fdes = estimate_fdes(functions, era.last, EXPORTED[functions])
        entries = unload(modules, fdes, find_registration(era.last)).entries
        if entries >= FEWEST:
            per_module = era.values[EXTRA].value * 1000  # ms per 1000 modules, in nanoseconds
            residuals.setdefault(era.machine, []).append(
                Residual(era.shape, era.first, era.last, round(per_module / entries, 3))
            )
    return [
        Fit(machine, round(median(each.nanoseconds for each in found), 3), found)
        for machine, found in residuals.items()
    ]
