"""Read result files through their schema, and merge two of them without losing a value."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

from asv import util
from asv.environment import get_env_name
from asv.results import Results, get_filename
from asv.util import UserError
from msgspec import Meta, Struct

from scripts.base.schema import Commit, Number, Text, read_json, suggest_restore
from scripts.history.machine import CLOCK_TOLERANCE, LOCAL

# Attributes of asv's Results, each a mapping by benchmark. VALUES have a list per benchmark, with
# an entry for each combination of parameters; FACTS have one value per benchmark.
VALUES = ("_results", "_samples", "_stats")
FACTS = ("_benchmark_params", "_benchmark_version", "_started_at", "_duration", "_profiles")

EARLIEST = 1_577_836_800_000  # 2020: no result of wasmtime-py is older
NANOSECOND = 1e-9  # no clock has a finer resolution
MAX_COMBINATIONS = 10_000  # of parameters; a benchmark of this suite has at most 10
ROUNDING = 1e-4  # asv rounds statistics, but not values, to five significant digits
Numbers = list[Number | None]
COLUMNS = [  # of a benchmark, in the order of asv
    "result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b",
    "stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile",
]  # fmt: skip
Samples = Annotated[list[Number], Meta(max_length=1000)]
Bounds = list[float | None]  # may be negative or infinite if there are few samples
Counts = list[Annotated[float, Meta(ge=1, le=1e9)] | None]
Milliseconds = Annotated[int, Meta(ge=EARLIEST, le=10**14)]


def count_combinations(params: Sequence[Sequence[str]]) -> int:
    """Return the number of combinations of parameters.

    Raises:
        ValueError: there are more than MAX_COMBINATIONS, which would fill the memory.
    """
    count = math.prod(map(len, params))
    if count > MAX_COMBINATIONS:
        raise ValueError(f"{count:,} combinations of parameters")
    return count


class Columns(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What asv 0.6.6 stores of a benchmark: columns with an entry per combination of parameters.

    asv omits trailing columns that are None. A result that is n/a or failed is None.
    """

    result: Numbers | None
    params: list[list[Text]]
    version: Text
    started_at: Milliseconds | None = None
    duration: Number | None = None
    ci_99_a: Bounds | None = None
    ci_99_b: Bounds | None = None
    q_25: Numbers | None = None
    q_75: Numbers | None = None
    number: Counts | None = None
    repeat: Counts | None = None
    samples: list[Samples | None] | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the columns contradict each other or the clock."""
        size = count_combinations(self.params)
        intervals = (self.ci_99_a, self.ci_99_b), (self.q_25, self.q_75)
        statistics = (*intervals[0], *intervals[1], self.number, self.repeat)
        for column in (self.result, self.samples, *statistics):
            if column is not None and len(column) != size:
                raise ValueError(f"{len(column)} entries for {size} combinations of parameters")
        if (self.started_at or 0) / 1000 > time.time() + CLOCK_TOLERANCE.total_seconds():
            raise ValueError("it was measured in the future: is the clock right?")
        empty = [None] * size
        for entry in zip(*(column or empty for column in statistics), strict=True):
            if len({statistic is None for statistic in entry}) > 1:
                raise ValueError("an entry lacks some of its statistics")
        values = self.result or empty
        for value, samples in zip(values, self.samples or empty, strict=True):
            if value is None or not samples:
                continue
            if not math.isclose(median(samples), value, rel_tol=1e-6, abs_tol=1e-9):
                raise ValueError(f"{value} is not the median of its samples")
        for lows, highs in intervals:
            for value, low, high in zip(values, lows or empty, highs or empty, strict=True):
                if value is None or low is None or high is None:
                    continue
                tolerance = ROUNDING * abs(value)
                if not low - tolerance <= value <= high + tolerance:
                    raise ValueError(f"{value} is outside its confidence interval or quartiles")

    @property
    def minimum(self) -> float | None:
        """The smallest value or sample, or None if there is none."""
        all_samples = (sample for samples in self.samples or () for sample in samples or ())
        values = (value for value in self.result or () if value is not None)
        return min((*all_samples, *values), default=None)

    def entries(self) -> Iterator[tuple[tuple[str, ...], float, tuple[float, ...]]]:
        """Yield the parameters, value and samples of each entry that has a value."""
        column = self.samples or [None] * len(self.result or ())
        for params, value, samples in zip(
            product(*self.params), self.result or (), column, strict=False
        ):
            if value is not None:
                yield params, value, tuple(samples or ())


class ResultFile(Struct, forbid_unknown_fields=True, frozen=True):
    """What asv stores of one release in one environment."""

    commit_hash: Commit
    env_name: Text
    date: Annotated[int, Meta(ge=0)]
    params: dict[Text, Text | None]
    python: Text
    requirements: dict[Text, Text | None]
    env_vars: dict[Text, Text]
    result_columns: list[str]
    results: dict[Text, Columns]
    durations: dict[str, Number]
    version: Literal[2]

    def __post_init__(self) -> None:
        """Raise ValueError if machine, columns, environment name or times are invalid."""
        if not self.params.get("machine"):
            raise ValueError("it has no machine name")
        if self.result_columns != COLUMNS:
            raise ValueError("its columns are not those of asv 0.6.6")
        tagged = {("nobuild", name): value for name, value in self.env_vars.items()}
        if self.env_name != get_env_name("virtualenv", self.python, self.requirements, tagged):
            raise ValueError("the environment's name does not match its variables")
        for name, columns in self.results.items():
            minimum = columns.minimum
            if is_time(name) and minimum is not None and minimum < NANOSECOND:
                raise ValueError(f"a time is {minimum}")

    @property
    def unwinder(self) -> str:
        """The value of UNWINDER: an option of `benchmarks._axis.UNWINDERS`."""
        return self.env_vars.get("UNWINDER", "")

    @property
    def started(self) -> int:
        """When the last of its benchmarks started, in milliseconds since the epoch."""
        return max((columns.started_at or 0 for columns in self.results.values()), default=0)


class Benchmark(Struct, frozen=True):
    """A benchmark that asv discovered in the suite."""

    name: Text
    version: Text
    params: list[list[Text]]

    def __post_init__(self) -> None:
        """Raise ValueError if the parameters have too many combinations."""
        count_combinations(self.params)


Benchmarks = dict[str, Benchmark]  # by name
BenchmarkFile = dict[str, Benchmark | Literal[2]]  # benchmarks.json; 2 is the file's version


def is_time(name: str) -> bool:
    """Return whether a benchmark measures time; other values may be zero."""
    return name.rpartition(".")[2].startswith("time_")


def read_benchmarks(root: Path) -> Benchmarks:
    """Read the benchmarks that asv discovered from `benchmarks.json` in the results folder.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = root / "benchmarks.json"
    restore = suggest_restore(path).removesuffix(".")
    remedy = f"{restore}, or create it with `uv run asv run --bench just-discover`."
    content = read_json(path, BenchmarkFile, remedy)
    benchmarks = {name: entry for name, entry in content.items() if isinstance(entry, Benchmark)}
    if not benchmarks:
        raise UserError(f"{path} is damaged (it has no benchmarks). {remedy}")
    return benchmarks


def read_results(path: Path) -> ResultFile:
    """Read a result file, and check that its path matches its content.

    Raises:
        UserError: the file is damaged, or its content belongs in another file; with the remedy.
    """
    machine = path.parent.name
    remedy = "Delete it" if machine.startswith(LOCAL) else "Restore it from git, or delete it"
    remedy += " and measure the release again."
    stored = read_json(path, ResultFile, remedy)
    expected = Path(get_filename(stored.params.get("machine"), stored.commit_hash, stored.env_name))
    if (machine, path.name) != expected.parts:
        raise UserError(f"{path} has the content of {expected}. {remedy}")
    return stored


def _columns(results: Results, name: str, params: list[list[str]]) -> list[list[Any]]:
    """Return a benchmark's values, samples and statistics, in the order of VALUES."""
    getters = (results.get_result_value, results.get_result_samples, results.get_result_stats)
    return [get(name, params) for get in getters]


def keep_older_values(newer: Results, older: Results) -> None:
    """Add to `newer` the values that only `older` has.

    n/a and failures never replace a value. A value without samples never replaces one with samples.
    """
    for name in older.get_all_result_keys():
        if name not in newer.get_all_result_keys():
            for column in (*VALUES, *FACTS):
                getattr(newer, column)[name] = getattr(older, column).get(name)
        elif newer.benchmark_version[name] == older.benchmark_version[name]:
            _keep_values(newer, older, name)


def _keep_values(newer: Results, older: Results, name: str) -> None:
    params = newer.get_result_params(name)
    new, old = (_columns(results, name, params) for results in (newer, older))
    kept = [
        index
        for index, (value, samples, _) in enumerate(zip(*new, strict=True))
        if not util.is_na(old[0][index]) and (util.is_na(value) or (old[1][index] and not samples))
    ]
    for column, new_entries, old_entries in zip(VALUES, new, old, strict=True):
        for index in kept:
            new_entries[index] = old_entries[index]
        getattr(newer, column)[name] = new_entries
    nothing_new = all(index in kept or util.is_na(value) for index, value in enumerate(new[0]))
    if nothing_new:
        newer.started_at[name] = older.started_at[name]
        newer.duration[name] = older.duration[name]
