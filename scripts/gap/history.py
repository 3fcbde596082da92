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

from scripts import machines, pins
from scripts.asv_wraps import load_results

RATIO = "teardown_gap.TeardownGap.track_ratio"
TIME = "module_teardown.ModuleTeardown.time_teardown"
CONTROL = "control.Control.time_drop_store"
FDES = "unwind_tables.UnwindTables.track_fde_count"
# modules × functions; the last is too slow to be measured in pairs: two series of the headline
SIZES = ("1000x1", "1000x8", "250x100", "1000x100")
PAIRED = SIZES[:3]
APART = 2  # what two series may differ by on a shared machine, whatever was measured


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
            without it was not measured, or the two series are not `APART`. `at_least` is that at
            the lower end of the interval.
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
class Measured:
    """One result file: every value of every benchmark of one release in one environment."""

    machine: str
    unwinder: str
    release: str
    started: float
    values: dict[str, dict[tuple[str, ...], Value]]

    @property
    def key(self) -> tuple[str, str, str]:
        """What there is one file of."""
        return self.machine, self.unwinder, self.release


@dataclass
class History:
    """All that was read, and what had to be left out, with the reasons."""

    measured: list[Measured] = field(default_factory=list)
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
    machines.require(Path(conf.results_dir))
    benchmarks = Benchmarks.load(conf)
    releases = {release.commit: release.version for release in pins.load()}
    history, keys = History(), set[tuple[str, str, str]]()
    for folder, name, machine in sorted(iter_results_paths(conf.results_dir)):
        path = Path(folder, name)
        try:
            results = load_results(str(path), machine_name=machine)
        except UserError as error:
            history.left_out.append(str(error))
            continue
        if results.commit_hash not in releases:
            history.unpinned.append(f"{path}: {results.commit_hash[:8]} is no pinned release")
            continue
        measured = _measured(results, benchmarks, machine, releases[results.commit_hash])
        if measured.key in keys:
            history.left_out.append(f"{path}: {' '.join(measured.key)} has another file")
            continue
        if RATIO not in results.get_result_keys(benchmarks):  # n/a is there, and is no problem
            history.left_out.append(f"{path}: has no {RATIO}")
        keys.add(measured.key)
        history.measured.append(measured)
    history.left_out += history.unpinned
    history.measured.sort(key=lambda one: (*one.key[:2], Version(one.release)))
    history.gaps = [gap for one in history.measured for gap in _gaps(one)]
    return history


def _measured(results: Results, benchmarks: Any, machine: str, release: str) -> Measured:
    names = results.get_result_keys(benchmarks)
    started = results.started_at.get(RATIO) or max(
        (results.started_at[name] or 0 for name in names), default=0
    )
    return Measured(
        machine=machine,
        unwinder=results.env_vars.get("UNWINDER", "system"),
        release=release,
        started=started / 1000,
        values={name: found for name in names if (found := dict(_values(results, name)))},
    )


def _values(results: Results, name: str) -> Iterator[tuple[tuple[str, ...], Value]]:
    params = results.get_result_params(name)
    rows = (
        itertools.product(*params),
        results.get_result_value(name, params),
        results.get_result_stats(name, params),
        results.get_result_samples(name, params),
    )
    for combination, value, stats, samples in zip(*rows, strict=True):
        if value is not None and not math.isnan(value):
            low, high = (_finite((stats or {}).get(f"ci_99_{end}")) for end in "ab")
            names = tuple(param.strip("'") for param in combination)
            yield names, Value(value, low, high, tuple(samples or ()))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _gaps(one: Measured) -> Iterator[Gap]:
    ratios, times, fdes = (one.values.get(name, {}) for name in (RATIO, TIME, FDES))
    for size in SIZES:
        functions = size.split("x")[1]
        on, off = (times.get((unwind_info, functions)) for unwind_info in ("on", "off"))
        ratio = ratios.get((size,))
        if size not in PAIRED and on and off:
            ratio = Value(on.value / off.value, None, None, ())
        if ratio is None:
            continue
        excess = at_least = None
        if on and off and (size in PAIRED or ratio.value >= APART):
            unit = _unit(size, ratio.value, on, off)
            certain = ratio.low if size in PAIRED else ratio.value / APART
            excess = unit * (ratio.value - 1)
            at_least = None if certain is None else unit * (certain - 1)
        counted = fdes.get((functions,))
        yield Gap(
            machine=one.machine,
            unwinder=one.unwinder,
            size=size,
            release=one.release,
            ratio=ratio.value,
            low=ratio.low,
            high=ratio.high,
            excess=excess,
            at_least=at_least,
            per_fde=None if excess is None or counted is None else excess / counted.value,
            fdes=None if counted is None else int(counted.value),
            samples=ratio.samples,
            started=one.started,
        )


def _unit(size: str, ratio: float, on: Value, off: Value) -> float:
    """What 1 of the gap is, in milliseconds per 1000 modules, by the shortest times.

    That is the time without unwind info. It was taken minutes before that with it; where the two
    are clearly apart, and of as many modules as the gap, their difference is the better measure.
    """
    longer, shorter = (1e3 * min(one.samples, default=one.value) for one in (on, off))
    if size.startswith("1000x") and ratio >= APART:
        return (longer - shorter) / (ratio - 1)
    return shorter
