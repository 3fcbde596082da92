"""Nanoseconds per table entry: recorded times divided by the entries scanned in the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks._shapes import HEADLINE
from scripts.cost.model import estimate_fixture_fdes, find_registration, unload
from scripts.cost.rates import Busy, Curves, curves_from_busy
from scripts.history.benchmarks import BUSY, EXTRA, OFF, ON
from scripts.history.read import History
from scripts.releases.pins import Registration
from scripts.report.changes import Era

MIN_ENTRIES = 20_000  # entries scanned per module; with fewer, other work outweighs the scan


@dataclass(frozen=True)
class Residual:
    """Nanoseconds per entry of one shape in one era."""

    shape: str
    first: str
    last: str
    nanoseconds: float


@dataclass(frozen=True)
class Fit:
    """Nanoseconds per entry on a machine: the median of its shapes and eras, and the residuals."""

    machine: str
    nanoseconds: float
    residuals: list[Residual]


def fit_entries(history: History, eras: Sequence[Era]) -> list[Fit]:
    """Fit nanoseconds per entry to the extra times of each machine with libunwind."""
    residuals: dict[str, list[Residual]] = {}
    for era in eras:
        if era.series.unwinder.family != "libunwind":
            continue
        if EXTRA not in era.values or era.shape not in HEADLINE:
            continue
        modules, functions = HEADLINE[era.shape][:2]
        fdes = estimate_fixture_fdes(functions, era.last)
        by_function = era.series.unwinder.is_by_function
        registration = find_registration(era.last, sections=not by_function)
        entries = unload(modules, fdes, registration).entries
        if entries >= MIN_ENTRIES:
            module_ns = era.values[EXTRA].value * 1000  # from ms per 1000 modules
            nanoseconds = round(module_ns / entries, 3)
            residual = Residual(era.shape, era.first, era.last, nanoseconds)
            residuals.setdefault(era.series.machine, []).append(residual)
    return [
        Fit(machine, round(median(residual.nanoseconds for residual in of_machine), 3), of_machine)
        for machine, of_machine in residuals.items()
    ]


def read_curves(history: History) -> dict[str, Curves]:
    """Return the rates by table size of each machine that measured a busy process, by its name.

    The newest measured release of each kind of registration counts. A machine that lacks one of
    them, or has single samples, is left out.
    """
    samples: dict[str, dict[str, dict[str, dict[int, tuple[float, ...]]]]] = {}
    for row in history.rows:
        unwinder = row.series.unwinder
        is_usual = unwinder.family == "libunwind" and not unwinder.is_by_function
        # a rate is between the quartiles of the samples
        if row.benchmark.startswith(f"{BUSY} ") and is_usual and len(row.samples) > 1:
            of_release = samples.setdefault(row.series.machine, {}).setdefault(row.release, {})
            of_release.setdefault(row.benchmark, {})[int(row.shape)] = row.samples
    curves = {}
    for machine, by_release in samples.items():
        newest: dict[Registration, Busy] = {}
        for release, found in by_release.items():
            on, off = found.get(f"{BUSY}{ON}", {}), found.get(f"{BUSY}{OFF}", {})
            on = {fdes: times for fdes, times in on.items() if fdes in off}
            busy = Busy(estimate_fixture_fdes(8, release), on, off)
            newest[find_registration(release)] = busy
        functions = newest.get(Registration.FUNCTIONS)
        sections = newest.get(Registration.SECTIONS)
        if functions and sections and functions.on.keys() & sections.on.keys():
            curves[machine] = curves_from_busy(functions, sections)
    return curves
