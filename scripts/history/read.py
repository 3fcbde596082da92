"""What `results/` says of the gap, read through asv, release by release."""

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.results import Results, iter_results_paths
from asv.util import UserError
from packaging.version import Version

from scripts.history import results
from scripts.history.benchmarks import FDES, PAIRED, RATIO, SIZES, TIME
from scripts.releases import pins

SESSION = 6 * 3600  # seconds: the longest a job of a hosted runner can take
UNPAIRED_ERROR = 2  # the factor that two series may be apart on a shared machine by noise alone


@dataclass(frozen=True)
class Value:
    """A value that asv has stored: the median of its samples and their 99 % interval.

    One sample has no interval: asv stores none, or an infinite one.
    """

    value: float
    low: float | None
    high: float | None
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Gap:
    """What unwind info costs on one machine, with one unwinder, at one size, in one release.

    Attributes:
        ratio: teardown time with unwind info over the time without; `low` and `high` are its
            99 % interval within the process, or None for a size that is not measured in pairs.
        excess: milliseconds per 1000 modules that unwind info adds, or None where the time
            without it was not measured, or two series differ by less than `UNPAIRED_ERROR`.
            `at_least` is that at the lower end of the interval.
        per_fde: microseconds that it adds per FDE, or None.
        samples: of the ratio; none for a size that is not measured in pairs.
        started: when, in seconds since the epoch.
    """

    machine: str
    unwinder: str
    size: str
    release: str
    ratio: float
    low: float | None
    high: float | None
    excess: float | None
    at_least: float | None
    per_fde: float | None
    fdes: int | None
    samples: tuple[float, ...]
    started: float

    @property
    def series(self) -> tuple[str, str, str]:
        """What has a line of its own in a chart."""
        return self.machine, self.unwinder, self.size


@dataclass
class ResultFile:
    """Every value of every benchmark of one release in one environment.

    Attributes:
        library: the package and build of the unwinder that is counted, where they are known.
    """

    machine: str
    unwinder: str
    release: str
    started: float
    values: dict[str, dict[tuple[str, ...], Value]]
    library: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """There is one file for each."""
        return self.machine, self.unwinder, self.release


@dataclass
class History:
    """All that was read, and what had to be left out, with the reasons.

    Attributes:
        machines: what asv has recorded of each machine, by its name.
    """

    machines: dict[str, dict[str, str]] = field(default_factory=dict)
    files: list[ResultFile] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unpinned: list[str] = field(default_factory=list)


@functools.lru_cache(maxsize=1)  # every page that asv publishes asks for it
def read(conf: Any) -> History:
    """Read every result file below the results folder of an asv configuration.

    Files that cannot be used are named in `left_out`, those of commits that are no pinned release
    in `unpinned` as well.

    Raises:
        UserError: benchmarks.json, the pins or the description of a machine are missing or damaged.
    """
    history = History(machines=results.descriptions(Path(conf.results_dir)))
    benchmarks = Benchmarks.load(conf)
    releases = {release.commit: release.version for release in pins.load()}
    hosts = {}
    for machine in history.machines:
        try:
            hosts[machine] = results.hosts(Path(conf.results_dir, machine))
        except UserError as error:
            history.left_out.append(str(error))
    files: dict[tuple[str, str, str], ResultFile] = {}
    for folder, name, machine in sorted(iter_results_paths(conf.results_dir)):
        path = Path(folder, name)
        try:
            stored = results.load(str(path), machine_name=machine)
        except UserError as error:
            history.left_out.append(str(error))
            continue
        if stored.commit_hash not in releases:
            history.unpinned.append(f"{path}: {stored.commit_hash[:8]} is no pinned release")
            continue
        file = _result_file(stored, benchmarks, machine, releases[stored.commit_hash])
        if file.key in files:
            history.left_out.append(f"{path}: {' '.join(file.key)} has another file")
            continue
        if RATIO not in stored.get_result_keys(benchmarks):  # n/a is there, and is no problem
            history.left_out.append(f"{path}: has no {RATIO}")
        file.library = results.library(hosts.get(machine, []), file.unwinder, file.started)
        files[file.key] = file
    history.left_out += history.unpinned
    history.files = sorted(files.values(), key=lambda file: (*file.key[:2], Version(file.release)))
    history.gaps = [gap for file in history.files for gap in _gaps(file)]
    return history


def _result_file(stored: Results, benchmarks: Any, machine: str, release: str) -> ResultFile:
    names = stored.get_result_keys(benchmarks)
    started = stored.started_at.get(RATIO) or max(
        (stored.started_at[name] or 0 for name in names), default=0
    )
    return ResultFile(
        machine=machine,
        unwinder=stored.env_vars.get("UNWINDER", "system"),
        release=release,
        started=started / 1000,
        values={name: values for name in names if (values := dict(_values(stored, name)))},
    )


def _values(stored: Results, name: str) -> Iterator[tuple[tuple[str, ...], Value]]:
    params = stored.get_result_params(name)
    rows = (
        itertools.product(*params),
        stored.get_result_value(name, params),
        stored.get_result_stats(name, params),
        stored.get_result_samples(name, params),
    )
    for combination, value, stats, samples in zip(*rows, strict=True):
        if value is not None and not math.isnan(value):
            low, high = (_finite((stats or {}).get(f"ci_99_{end}")) for end in "ab")
            names = tuple(param.strip("'") for param in combination)
            yield names, Value(value, low, high, tuple(samples or ()))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _gaps(file: ResultFile) -> Iterator[Gap]:
    ratios, times, fdes = (file.values.get(name, {}) for name in (RATIO, TIME, FDES))
    for size in SIZES:
        functions = size.split("x")[1]
        on, off = (times.get((unwind_info, functions)) for unwind_info in ("on", "off"))
        ratio = ratios.get((size,))
        if size not in PAIRED and on and off:
            ratio = Value(on.value / off.value, None, None, ())
        if ratio is None:
            continue
        excess = at_least = None
        if on and off and (size in PAIRED or ratio.value >= UNPAIRED_ERROR):
            unit = _unit(size, ratio.value, on, off)
            certain = ratio.low if size in PAIRED else ratio.value / UNPAIRED_ERROR
            excess = unit * (ratio.value - 1)
            at_least = None if certain is None else unit * (certain - 1)
        counted = fdes.get((functions,))
        yield Gap(
            machine=file.machine,
            unwinder=file.unwinder,
            size=size,
            release=file.release,
            ratio=ratio.value,
            low=ratio.low,
            high=ratio.high,
            excess=excess,
            at_least=at_least,
            per_fde=None if excess is None or counted is None else excess / counted.value,
            fdes=None if counted is None else int(counted.value),
            samples=ratio.samples,
            started=file.started,
        )


def _unit(size: str, ratio: float, on: Value, off: Value) -> float:
    """What 1 of the gap is, in milliseconds per 1000 modules, by the shortest times.

    That is the time without unwind info. It was taken minutes before that with it; where the two
    are clearly apart, and of as many modules as the gap, their difference is the better measure.
    """
    longer, shorter = (1e3 * min(one.samples, default=one.value) for one in (on, off))
    if size.startswith("1000x") and ratio >= UNPAIRED_ERROR:
        return (longer - shorter) / (ratio - 1)
    return shorter
