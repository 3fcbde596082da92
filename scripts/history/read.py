"""What `results/` says of the cost of unwind info, read through asv, as rows."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from asv import util
from asv.benchmarks import Benchmarks
from asv.results import Results, iter_results_paths
from asv.util import UserError
from packaging.version import Version

from benchmarks._shapes import COUNTED
from scripts.history import results
from scripts.history.benchmarks import FDES, TIME, TIME_OFF, TIME_ON, TRACKED
from scripts.history.machine import Machine, read_machines
from scripts.history.rows import Row, derive
from scripts.releases import pins


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
def read(conf: Any) -> History:
    """Read every result file below the results folder of an asv configuration.

    Raises:
        UserError: benchmarks.json or the pins are missing or damaged.
    """
    root = Path(conf.results_dir)
    history = History()
    history.machines, history.left_out = read_machines(root)
    known, pinned = Benchmarks.load(conf), pins.load()
    releases = {release.commit: release.version for release in pinned}
    history.on_macs = {release.version: release.on_macs for release in pinned}
    for name in history.machines:
        # by the names of files: damaged ones have those too
        commits = {path.name[:8] for path in (root / name).glob("*-*.json*")}
        there = [release for commit, release in releases.items() if commit[:8] in commits]
        history.newest[name] = max(there, key=Version, default="")
    found: dict[tuple[str, str, str], tuple[Measured, list[Row]]] = {}
    for folder, file, name in sorted(iter_results_paths(conf.results_dir)):
        path = Path(folder, file)
        if name not in history.machines:
            continue
        try:
            stored = results.read_results(path, name)
            if stored.commit_hash not in releases:
                commit = stored.commit_hash[:8]
                raise UserError(f"{path}: {commit} is no pinned release. Delete it.")
            unwinder = stored.env_vars.get("UNWINDER", "system")
            measured = Measured(
                name, unwinder, releases[stored.commit_hash], results.started(stored) / 1000
            )
            if measured[:3] in found:
                raise UserError(f"{path}: {' '.join(measured[:3])} has another file. Delete one.")
        except UserError as error:
            history.left_out.append(str(error))
            continue
        found[measured[:3]] = measured, list(read_rows(stored, known, measured))
    order = sorted(found, key=lambda key: (key[0], key[1], Version(key[2])))
    history.measured = [found[key][0] for key in order]
    history.rows = [row for key in order for row in found[key][1]]
    history.rows += derive(history.rows)
    return history


def read_rows(stored: Results, known: Benchmarks, measured: Measured) -> Iterator[Row]:
    """Yield the values of one result file."""
    names = stored.get_result_keys(known)
    for name, benchmark in TRACKED.items():
        for params, value, _ in read_values(stored, name) if name in names else ():
            shape = params[0] if params else ""
            for each in shapes_with_functions(shape) if benchmark == FDES else (shape,):
                yield Row(*measured[:3], benchmark, each, value)
    for (unwind_info, shape), value, samples in read_values(stored, TIME) if TIME in names else ():
        benchmark = TIME_ON if unwind_info == "on" else TIME_OFF
        low, high = (min(samples), max(samples)) if len(samples) > 1 else (None, None)
        yield Row(*measured[:3], benchmark, shape, value, low, high, samples or (value,))


def read_values(stored: Results, name: str) -> Iterator[tuple[list[str], float, tuple[float, ...]]]:
    """Yield the parameters, the value and the samples of a benchmark, where it is not n/a."""
    params = stored.get_result_params(name)
    values, samples = stored.get_result_value(name, params), stored.get_result_samples(name, params)
    combinations = itertools.product(*params) if params else [()]
    for combination, value, taken in zip(combinations, values, samples, strict=True):
        if not util.is_na(value):
            yield [param.strip("'") for param in combination], value, tuple(taken or ())


def shapes_with_functions(functions: str) -> list[str]:
    """Return the counted shapes whose modules have that many functions, with unwind info on."""
    return [
        name
        for name, shape in COUNTED.items()
        if str(shape.functions) == functions and shape.unwind_info == "on"
    ]
