"""What `results/` says of the cost of unwind info, read through asv, as rows."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from asv.util import UserError
from packaging.version import Version

from benchmarks._shapes import COUNTED
from scripts.history.benchmarks import FDES, LIBRARY, TIME, TIME_OFF, TIME_ON, TRACKED
from scripts.history.machine import Machine, read_machines
from scripts.history.results import Known, ResultFile, read_known, read_results
from scripts.history.rows import Row, derive_gaps
from scripts.releases import pins
from scripts.releases.pins import Release

REMEASURE = "Delete it and measure the release again."


class Measured(NamedTuple):
    """A release that was measured on a machine with an unwinder, if only to be n/a."""

    machine: str
    unwinder: str
    release: str
    started: float  # seconds since the epoch

    @property
    def series(self) -> tuple[str, str]:
        """The machine and unwinder."""
        return self.machine, self.unwinder


@dataclass
class History:
    """All that was read or left out.

    Attributes:
        machines: by name.
        measured: one entry for each result file, by machine, unwinder and release.
        rows: the values, in the same order.
        newest: the newest release of any result file of a machine, a damaged one included.
        left_out: what could not be read, each with file and remedy.
        on_macs: how the macOS libraries of every pinned release register unwind info.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    newest: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    on_macs: dict[str, str] = field(default_factory=dict)

    def library(self, machine: str, build: float) -> str:
        """Return the package and build id of a counted library."""
        start = f"{int(build):012x}"
        return f"{self.machines[machine].packages.get(start, 'unknown package')} ({start[:8]})"


@functools.lru_cache(maxsize=1)  # every page that asv publishes asks for it
def read_history(conf: Any) -> History:
    """Read every result file below the results folder of an asv configuration.

    Raises:
        UserError: benchmarks.json or the pins are missing or damaged.
    """
    root = Path(conf.results_dir)
    history = History()
    history.machines, history.left_out = read_machines(root)
    known, pinned = read_known(root), pins.load_pins()
    releases = {release.commit: release for release in pinned}
    by_name = {release.commit[:8]: release.version for release in pinned}
    history.on_macs = {release.version: release.on_macs for release in pinned}
    found: dict[tuple[str, str, str], tuple[Measured, list[Row]]] = {}
    for name, machine in history.machines.items():
        paths = sorted({*(root / name).glob("*.json")} - {root / name / "machine.json"})
        # by the names of files: damaged ones have those too
        there = {by_name[path.name[:8]] for path in paths if path.name[:8] in by_name}
        history.newest[name] = max(there, key=Version, default="")
        for path in paths:
            try:
                stored = read_results(path)
                release = require_release(path, stored, releases)
                check_content(path, stored, known, machine)
                measured = Measured(name, stored.unwinder, release, stored.started / 1000)
                if measured[:3] in found:
                    raise UserError(
                        f"{path}: {' '.join(measured[:3])} has another file. Delete one."
                    )
            except UserError as error:
                history.left_out.append(str(error))
                continue
            rows = list(read_rows(stored, known, measured))
            if machine.emulated:  # its clock means nothing
                rows = [row for row in rows if row.benchmark not in (TIME_ON, TIME_OFF)]
            found[measured[:3]] = measured, rows
    order = sorted(found, key=lambda key: (key[0], key[1], Version(key[2])))
    history.measured = [found[key][0] for key in order]
    history.rows = [row for key in order for row in found[key][1]]
    history.rows += derive_gaps(history.rows)
    return history


def require_release(path: Path, stored: ResultFile, releases: Mapping[str, Release]) -> str:
    """Return the release of a result file.

    Raises:
        UserError: its commit is not pinned, or has another date.
    """
    release = releases.get(stored.commit_hash)
    if release is None:
        raise UserError(f"{path}: {stored.commit_hash[:8]} is no pinned release. Delete it.")
    if stored.date != release.timestamp * 1000:
        raise UserError(f"{path} has another date than {release.version}. {REMEASURE}")
    return release.version


def check_content(path: Path, stored: ResultFile, known: Known, machine: Machine) -> None:
    """Refuse negative values, and counts of another unwinder.

    Raises:
        UserError: it names the file and the remedy.
    """
    problems = [
        f"{name} cannot be {columns.least}"
        for name, columns in stored.results.items()
        if name in known and (columns.least or 0) < 0
    ]
    (library,) = (name for name, benchmark in TRACKED.items() if benchmark == LIBRARY)
    wanted = {"system": "libgcc"}.get(stored.unwinder, stored.unwinder)
    for _, build, _ in read_values(stored, known, library):
        counted = machine.unwinders.get(f"{int(build):012x}", wanted)
        if counted != wanted:
            problems.append(f"UNWINDER is {stored.unwinder}, but {counted} was counted")
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}. {REMEASURE}")


def read_rows(stored: ResultFile, known: Known, measured: Measured) -> Iterator[Row]:
    """Yield the values of one result file."""
    for name, benchmark in TRACKED.items():
        for params, value, _ in read_values(stored, known, name):
            shape = params[0] if params else ""
            for each in shapes_with_functions(shape) if benchmark == FDES else (shape,):
                yield Row(*measured[:3], benchmark, each, value)
    for (unwind_info, shape), value, samples in read_values(stored, known, TIME):
        benchmark = TIME_ON if unwind_info == "on" else TIME_OFF
        low, high = (min(samples), max(samples)) if len(samples) > 1 else (None, None)
        yield Row(*measured[:3], benchmark, shape, value, low, high, samples or (value,))


def read_values(
    stored: ResultFile, known: Known, name: str
) -> Iterator[tuple[tuple[str, ...], float, tuple[float, ...]]]:
    """Yield parameters, value and samples of a benchmark, where it is not n/a.

    As asv does, leave out what another version of the suite has measured.
    """
    columns, benchmark = stored.results.get(name), known.get(name)
    if columns is None or benchmark is None or columns.version != benchmark.version:
        return
    for params, value, samples in columns.entries():
        pairs = zip(params, benchmark.params, strict=False)
        if len(params) == len(benchmark.params) and all(one in every for one, every in pairs):
            yield tuple(param.strip("'") for param in params), value, samples


def shapes_with_functions(functions: str) -> list[str]:
    """Return the counted shapes whose modules have that many functions, with unwind info on."""
    return [
        name
        for name, shape in COUNTED.items()
        if str(shape.functions) == functions and shape.unwind_info == "on"
    ]
