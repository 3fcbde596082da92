"""Result files: read through their schema, and joined so that no measured value is lost."""

import math
import time
from collections.abc import Iterator
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
from scripts.history.machine import LOCAL

VALUES = ("_results", "_samples", "_stats")  # a list by benchmark, one entry per parameter
FACTS = ("_benchmark_params", "_benchmark_version", "_started_at", "_duration", "_profiles")

CLOCKS = 24 * 3600  # seconds that the clocks of two hosts may differ
FIRST = 1_577_836_800_000  # 2020: asv measured no wasmtime-py before
NANOSECOND = 1e-9  # no clock is finer
Numbers = list[Number | None]
COLUMNS = [  # of a benchmark, in asv's order
    "result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b",
    "stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile",
]  # fmt: skip
Samples = Annotated[list[Number], Meta(max_length=1000)]
Bounds = list[float | None]  # negative or infinite where samples are few
Milliseconds = Annotated[int, Meta(ge=FIRST, le=10**14)]


class Columns(Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What asv 0.6.6 stores of one benchmark: one entry per combination of its parameters.

    asv leaves out what is None at the end. A result that is n/a or failed is None.
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
    number: Numbers | None = None
    repeat: Numbers | None = None
    samples: list[Samples | None] | None = None
    profile: list[str | None] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for columns that contradict each other, or the clock."""
        size = math.prod(map(len, self.params))
        for column in (self.result, self.ci_99_a, self.ci_99_b, self.samples):
            if column is not None and len(column) != size:
                raise ValueError(f"{len(column)} entries for {size} combinations of parameters")
        if (self.started_at or 0) / 1000 > time.time() + CLOCKS:
            raise ValueError("it was measured in the future: is the clock right?")
        nothing = [None] * size
        for value, samples, low, high in zip(
            self.result or nothing, self.samples or nothing,
            self.ci_99_a or nothing, self.ci_99_b or nothing, strict=True,
        ):  # fmt: skip
            if value is None:
                continue
            if samples and not math.isclose(median(samples), value, rel_tol=1e-6, abs_tol=1e-9):
                raise ValueError(f"{value} is not the median of its samples")
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"{value} is outside its own range")

    @property
    def least(self) -> float | None:
        """The least value or sample."""
        samples = (number for taken in self.samples or () for number in taken or ())
        values = (value for value in self.result or () if value is not None)
        return min((*samples, *values), default=None)

    def entries(self) -> Iterator[tuple[tuple[str, ...], float, tuple[float, ...]]]:
        """Yield the parameters, the value and the samples of what is not n/a."""
        samples = self.samples or [None] * len(self.result or ())
        for params, value, taken in zip(
            product(*self.params), self.result or (), samples, strict=False
        ):
            if value is not None:
                yield params, value, tuple(taken or ())


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
        """Raise ValueError for no machine, other columns, another unwinder, or no time."""
        if not self.params.get("machine"):
            raise ValueError("it names no machine")
        if self.result_columns != COLUMNS:
            raise ValueError("its columns are not those of asv 0.6.6")
        if self.unwinder not in ("system", "libunwind"):
            raise ValueError("UNWINDER is neither system nor libunwind")
        tagged = {("nobuild", name): value for name, value in self.env_vars.items()}
        if self.env_name != get_env_name("virtualenv", self.python, self.requirements, tagged):
            raise ValueError("the environment's name is not that of its variables")
        for name, columns in self.results.items():
            least = columns.least
            if is_time(name) and least is not None and least < NANOSECOND:
                raise ValueError(f"a time is {least}")

    @property
    def unwinder(self) -> str:
        """What UNWINDER was."""
        return self.env_vars.get("UNWINDER", "")

    @property
    def started(self) -> int:
        """When the last of its benchmarks started, in milliseconds since the epoch."""
        return max((columns.started_at or 0 for columns in self.results.values()), default=0)


class Benchmark(Struct, frozen=True):
    """A benchmark of the suite, as asv has discovered it."""

    name: Text
    version: Text
    params: list[list[Text]]


Known = dict[str, Benchmark]


def is_time(name: str) -> bool:
    """Return whether a benchmark measures time; zero is a count, and no time."""
    return name.rpartition(".")[2].startswith("time_")


def read_known(root: Path) -> Known:
    """Read the benchmarks that asv has discovered, from the folder of results.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = root / "benchmarks.json"
    remedy = (
        f"{suggest_restore(path)[:-1]}, or make it with `uv run asv run --bench just-discover`."
    )
    found = read_json(path, dict[str, Benchmark | Literal[2]], remedy)  # the version is among them
    if known := {name: each for name, each in found.items() if isinstance(each, Benchmark)}:
        return known
    raise UserError(f"{path} is damaged (it has no benchmarks). {remedy}")


def read_results(path: Path) -> ResultFile:
    """Read a result file; name, folder and content must say the same.

    Raises:
        UserError: the file is damaged, or holds what belongs into another; with the remedy.
    """
    machine = path.parent.name
    remedy = "Delete it" if machine.startswith(LOCAL) else "Restore it from git, or delete it"
    remedy += " and measure the release again."
    found = read_json(path, ResultFile, remedy)
    expected = Path(get_filename(found.params.get("machine"), found.commit_hash, found.env_name))
    if (path.parent.name, path.name) != expected.parts:
        raise UserError(f"{path} holds what belongs into {expected}. {remedy}")
    return found


def _columns(results: Results, name: str, params: list[list[str]]) -> list[list[Any]]:
    """Return values, samples and statistics of a benchmark, one entry per parameter."""
    read = (results.get_result_value, results.get_result_samples, results.get_result_stats)
    return [column(name, params) for column in read]


def keep_older_values(newer: Results, older: Results) -> None:
    """Add to `newer` what only `older` has.

    A value is never replaced by n/a or by a failure, nor one with samples by one without.
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
    for column, entries, before in zip(VALUES, new, old, strict=True):
        for index in kept:
            entries[index] = before[index]
        getattr(newer, column)[name] = entries
    if all(index in kept or util.is_na(value) for index, value in enumerate(new[0])):
        newer.started_at[name] = older.started_at[name]
        newer.duration[name] = older.duration[name]
