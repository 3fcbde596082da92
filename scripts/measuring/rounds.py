"""Releases of one run take turns, a process each, and are stored when they are through.

A process is fast or slow as a whole, and so is a spell of the host. asv can let releases take turns
(`--interleave-rounds`), but with all of them at once, each installed again in every round, and
stores after each round what looks complete.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asv import runner, util
from asv.console import log
from asv.results import Results

GROUP = 2  # releases that take turns; an order of 1 2 2 1 1 2 … installs once a round

IMAGES = "BENCHMARKS_IMAGES"  # where processes leave compiled code for the next: _modules.py
HELD: dict[str, Results | None] = {}  # by file; None where a round was not measured
NEEDED: dict[str, int] = {}  # rounds by benchmark, for complete results


class TooManyError(Exception):
    """asv was about to let more releases take turns than should."""

    def __init__(self, commits: list[str]) -> None:
        self.commits = commits


@contextmanager
def group() -> Iterator[None]:
    """Hold back what is measured until all rounds are through; an interruption drops it."""
    HELD.clear()
    with tempfile.TemporaryDirectory(prefix="wasmtime-teardown-") as folder:
        os.environ[IMAGES] = folder
        try:
            yield
        finally:
            del os.environ[IMAGES]


def measuring() -> bool:
    """Whether rounds are under way."""
    return IMAGES in os.environ


def store(results_dir: str) -> None:
    """Store what all rounds of a group have measured."""
    for results in HELD.values():
        if results is not None:
            results.save(results_dir)
    HELD.clear()


def hold(measured: Results) -> None:
    """Keep what a round has measured, unless a round before it is missing."""
    if HELD.get(measured._filename, measured) is not None:
        HELD[measured._filename] = measured


def incomplete(measured: Results) -> None:
    """Store nothing of a release of which a round could not be measured."""
    HELD[measured._filename] = None


def go_on(measured: Results) -> bool:
    """Let a round go on from the one before; whether there was one."""
    held = HELD.get(measured._filename)
    if held is not None:
        vars(measured).update(vars(held))
    return held is not None


def given_up(benchmarks: Any, measured: Results, this: int) -> set[str]:
    """The benchmarks that failed, or were n/a for all parameters, in a round before this one."""
    return {
        name
        for name, benchmark in benchmarks.items()
        if int(benchmark.get("rounds", 1)) > this
        and name in measured.get_all_result_keys()
        and all(map(util.is_na, measured.get_result_value(name, benchmark["params"])))
    }


def show(names: set[str], benchmarks: Any, measured: Results, *, result: bool) -> None:
    """Count them, and say in the last round what asv would have said."""
    for name in sorted(names):
        log.step()
        if result:
            log.info(name, reserve_space=True)
            runner.log_benchmark_result(measured, benchmarks[name])


def forget_incomplete(stored: Results) -> None:
    """Take away the values with fewer samples than rounds: `--quick`, or a round that failed."""
    for name, rounds in NEEDED.items():
        if name in stored.get_all_result_keys():
            stats = stored.get_result_stats(name, stored.get_result_params(name))
            if any(entry and entry["repeat"] < rounds for entry in stats):
                stored._results.pop(name)
