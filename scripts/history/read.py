"""Read the recorded history: the result files in `results/`, as rows."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from asv.util import UserError

from benchmarks._axis import Unwinder, find_unwinder
from benchmarks._shapes import COUNTED
from scripts.history.benchmarks import CLOCKED, FDES, LIBRARY, PAIRED, TRACKED
from scripts.history.dev_build import DevBuild, read_dev_build
from scripts.history.machine import Machine, read_machines
from scripts.history.results import Benchmarks, ResultFile, read_benchmarks, read_results
from scripts.history.rows import Row, SeriesKey, derive_gaps
from scripts.releases import pins
from scripts.releases.pins import Release

REMEASURE = "Delete the file and measure the release again."


class Measured(NamedTuple):
    """A result file: a release on a machine with an unwinder. All its values may be n/a."""

    series: SeriesKey
    release: str
    started: float  # seconds since the epoch


@dataclass
class History:
    """The recorded history.

    Attributes:
        machines: the machines by name.
        releases: the pins, oldest first.
        measured: an entry for each result file, sorted by machine, unwinder and release.
        rows: the values, in the same order; derived values follow the measured ones.
        newest: the newest release of each machine with a result file, even a damaged one.
        left_out: a message for each file that was left out, with path and remedy.
        dev: the newest counts of Wasmtime's dev release, if they are recorded.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    releases: list[Release] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    newest: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    dev: DevBuild | None = None

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """The position of each pinned release in the history, by its version."""
        return {release.version: position for position, release in enumerate(self.releases)}

    def newest_by_machine(self, name: str | None = None) -> set[str]:
        """Return the newest release of each machine, or of the named one only."""
        return {release for machine, release in self.newest.items() if name in (None, machine)}

    @property
    def measured_releases(self) -> list[str]:
        """The releases with a result file, oldest first."""
        measured = {measured.release for measured in self.measured}
        return sorted(measured, key=self.positions.__getitem__)

    def library(self, machine: str, build: float) -> str:
        """Return package and build id of a counted library, such as `libunwind 16 (80aaa6b0)`."""
        build_id = f"{int(build):012x}"
        package = self.machines[machine].packages.get(build_id, "unknown package")
        return f"{package} ({build_id[:8]})"


def read_history(conf: Any) -> History:
    """Read all result files in the results folder of an asv configuration.

    Raises:
        UserError: benchmarks.json or the pins are missing or damaged.
    """
    root = Path(conf.results_dir)
    history = History()
    history.machines, history.left_out = read_machines(root)
    benchmarks, history.releases = read_benchmarks(root), pins.load_pins()
    releases = {release.commit: release for release in history.releases}
    version_by_prefix = {release.commit[:8]: release.version for release in history.releases}
    files: dict[tuple[SeriesKey, str], tuple[Measured, list[Row]]] = {}
    for name, machine in history.machines.items():
        paths = sorted({*(root / name).glob("*.json")} - {root / name / "machine.json"})
        # from file names, because the content of a file may be damaged
        prefixes = {path.name[:8] for path in paths} & version_by_prefix.keys()
        versions = (version_by_prefix[prefix] for prefix in prefixes)
        history.newest[name] = max(versions, key=history.positions.__getitem__, default="")
        for path in paths:
            try:
                stored = read_results(path)
                release = require_release(path, stored, releases)
                unwinder = require_unwinder(path, stored, machine)
                check_content(path, stored, benchmarks, machine, unwinder)
                series = SeriesKey(name, unwinder)
                if (series, release) in files:
                    raise UserError(
                        f"{path}: {release} on {name} with UNWINDER={unwinder.option} has a second "
                        "file. Delete one of them."
                    )
            except UserError as error:
                history.left_out.append(str(error))
                continue
            measured = Measured(series, release, stored.started / 1000)
            rows = list(read_rows(stored, benchmarks, measured))
            if machine.emulated:  # its times are invalid
                rows = [row for row in rows if row.benchmark not in CLOCKED]
            files[series, release] = measured, rows
    order = sorted(files, key=lambda key: (key[0], history.positions[key[1]]))
    history.measured = [files[key][0] for key in order]
    history.rows = [row for key in order for row in files[key][1]]
    history.rows += derive_gaps(history.rows)
    try:
        history.dev = read_dev_build(root, history.releases)
    except UserError as error:
        history.left_out.append(str(error))
    return history


def require_release(path: Path, stored: ResultFile, releases: Mapping[str, Release]) -> str:
    """Return the release of a result file.

    Raises:
        UserError: the commit is not a pinned release, or its date is not that of the release.
    """
    release = releases.get(stored.commit_hash)
    if release is None:
        raise UserError(
            f"{path}: commit {stored.commit_hash[:8]} is not a pinned release. Delete the file."
        )
    if stored.date != release.timestamp * 1000:
        raise UserError(f"{path} has a different date than {release.version}. {REMEASURE}")
    return release.version


def require_unwinder(path: Path, stored: ResultFile, machine: Machine) -> Unwinder:
    """Return the unwinder that a result file was measured with.

    Raises:
        UserError: this version of the repository does not know the unwinder.
    """
    unwinder = find_unwinder(stored.unwinder, machine.system)
    if unwinder is None:
        raise UserError(
            f"{path}: UNWINDER={stored.unwinder} is not an unwinder of {machine.system} in "
            "benchmarks/_axis.py. Update this clone, add the unwinder there, or delete the file."
        )
    return unwinder


def check_content(
    path: Path, stored: ResultFile, benchmarks: Benchmarks, machine: Machine, unwinder: Unwinder
) -> None:
    """Reject a file with negative values, or with counts of another unwinder than it claims.

    Raises:
        UserError: with the path and the remedy.
    """
    problems = [
        f"{name} cannot be {columns.minimum}"
        for name, columns in stored.results.items()
        if name in benchmarks and (columns.minimum or 0) < 0
    ]
    (library,) = (name for name, benchmark in TRACKED.items() if benchmark == LIBRARY)
    for _, build, _ in read_values(stored, benchmarks, library):
        expected = unwinder.option if unwinder.is_by_function else unwinder.family
        counted = machine.unwinders.get(f"{int(build):012x}", expected)
        if counted != expected:
            problems.append(f"its unwinder is {unwinder.name}, but {counted} was counted")
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}. {REMEASURE}")


def read_rows(stored: ResultFile, benchmarks: Benchmarks, measured: Measured) -> Iterator[Row]:
    """Yield the values of a result file as rows."""
    for name, benchmark in TRACKED.items():
        for params, value, _ in read_values(stored, benchmarks, name):
            param = params[0] if params else ""
            # FDEs depend on the number of functions only, so several shapes share a value
            shapes = shapes_with_functions(param) if benchmark == FDES else [param]
            for shape in shapes:
                yield Row(measured.series, measured.release, benchmark, shape, value)
    for name, benchmark in PAIRED.items():
        for (unwind_info, *shapes), value, samples in read_values(stored, benchmarks, name):
            low, high = (min(samples), max(samples)) if len(samples) > 1 else (None, None)
            yield Row(
                *(measured.series, measured.release, f"{benchmark} {unwind_info}", "".join(shapes)),
                value,
                low=low,
                high=high,
                samples=samples or (value,),
            )


def read_values(
    stored: ResultFile, benchmarks: Benchmarks, name: str
) -> Iterator[tuple[tuple[str, ...], float, tuple[float, ...]]]:
    """Yield parameters, value and samples of each entry of a benchmark that has a value.

    Like asv, skip results of another version of the benchmark, and unknown parameters.
    """
    columns, benchmark = stored.results.get(name), benchmarks.get(name)
    if columns is None or benchmark is None or columns.version != benchmark.version:
        return
    for params, value, samples in columns.entries():
        pairs = zip(params, benchmark.params, strict=False)
        is_known = all(param in known_params for param, known_params in pairs)
        if is_known and len(params) == len(benchmark.params):
            yield tuple(param.strip("'") for param in params), value, samples


def shapes_with_functions(functions: str) -> list[str]:
    """Return the counted shapes with unwind info whose modules have this number of functions."""
    return [
        name
        for name, shape in COUNTED.items()
        if str(shape.functions) == functions and shape.unwind_info == "on"
    ]
