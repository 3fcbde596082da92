"""Result files: read with a check, and joined so that no measured value is lost."""

import math
import sys
from pathlib import Path
from statistics import median
from typing import Any

from asv import util
from asv.results import Results
from asv.util import UserError

from scripts.history.benchmarks import TIME, TRACKED
from scripts.history.machine import LOCAL

VALUES = ("_results", "_samples", "_stats")  # a list by benchmark, one entry per parameter
FACTS = ("_benchmark_params", "_benchmark_version", "_started_at", "_duration", "_profiles")


def read_results(path: Path, machine: str) -> Results:
    """Read a result file and check that its values are possible.

    Raises:
        UserError: the file is damaged; it names the file and the remedy.
    """
    try:
        results = Results.load(str(path), machine_name=machine)
        check_values(results)
    except (UserError, AttributeError, LookupError, TypeError, ValueError) as error:
        remedy = "Delete it" if machine.startswith(LOCAL) else "Restore it from git, or delete it"
        raise UserError(
            f"{path} is damaged ({error}). {remedy} and measure the release again."
        ) from error
    return results


def check_values(results: Results) -> None:
    """Raise TypeError or ValueError for values that the benchmarks scripts read cannot have."""
    if not isinstance(results.commit_hash, str) or not isinstance(results.env_vars, dict):
        raise TypeError("it names no commit or environment")
    for name in {TIME, *TRACKED} & results.get_all_result_keys():
        least = 0 if name in TRACKED else sys.float_info.min  # zero is a count, and no time
        columns = _columns(results, name, results.get_result_params(name))
        for value, samples, stats in zip(*columns, strict=True):
            if util.is_na(value):
                continue
            for number in (value, *(samples or ())):
                if not least <= number < math.inf:
                    raise ValueError(f"{name} cannot be {number}")
            if samples and not math.isclose(median(samples), value, rel_tol=1e-6, abs_tol=1e-9):
                raise ValueError(f"{name} is {value}, but its samples have another median")
            low, high = ((stats or {}).get(f"ci_99_{end}") for end in "ab")
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"{name} is {value}, outside its own range")


def _columns(results: Results, name: str, params: list[list[str]]) -> list[list[Any]]:
    """Return values, samples and statistics of a benchmark, one entry per parameter."""
    read = (results.get_result_value, results.get_result_samples, results.get_result_stats)
    return [column(name, params) for column in read]


def keep(newer: Results, older: Results) -> None:
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


def started(results: Results) -> int:
    """Return when the last of its benchmarks started, in milliseconds since the epoch."""
    return max((time or 0 for time in results.started_at.values()), default=0)
