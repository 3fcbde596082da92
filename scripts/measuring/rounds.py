"""Releases of one run take turns, a process each, and are stored when they are through.

A process is fast or slow as a whole, and so is a spell of the host. asv can let releases take turns
(`--interleave-rounds`), but with all of them at once, each installed again in every round, and
stores after each round what looks complete.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asv.results import Results
from asv.runner import BenchmarkResult

from scripts.history import results

GROUP = 2  # releases that take turns; an order of 1 2 2 1 1 2 … installs once a round

IMAGES = "BENCHMARKS_IMAGES"  # where processes leave compiled code for the next: _modules.py
NEEDED: dict[str, int] = {}  # rounds by benchmark, for complete results
HELD: dict[str, "Measured"] = {}  # what is not through yet, by file
GIVEN_UP: dict[tuple[str, ...], BenchmarkResult] = {}  # failed or n/a in an earlier round


class TooManyError(Exception):
    """asv was about to let more releases take turns than should, which are its arguments."""


class Measured(Results):
    """What `asv run` measures of a release: asv's own results, in which nothing is lost."""

    missed = False  # whether a round could not be measured

    def load_data(self, results_dir: str) -> None:
        """Go on from the round before; what is stored counts for the first round alone."""
        if self._filename in HELD:
            self.__dict__.update(HELD[self._filename].__dict__)
        else:
            super().load_data(results_dir)

    def save(self, results_dir: str) -> None:
        """Store what all rounds have measured, and never n/a or a failure in place of a value.

        asv takes for complete what one round has measured, and a run without a library or a wheel
        would erase what took hours. What is printed is what was measured; only the file keeps
        what it had.
        """
        if measuring():
            HELD[self._filename] = self
        elif not self.missed:
            path = Path(results_dir, self._filename)
            if path.exists():
                results.keep(self, results.load(str(path)))
            super().save(results_dir)


@contextmanager
def group(results_dir: str) -> Iterator[None]:
    """Store what is measured when all rounds are through; an interruption drops it."""
    HELD.clear()
    with tempfile.TemporaryDirectory(prefix="wasmtime-teardown-") as folder:
        os.environ[IMAGES] = folder
        try:
            yield
        finally:
            del os.environ[IMAGES]
            GIVEN_UP.clear()
    for measured in HELD.values():
        measured.save(results_dir)
    HELD.clear()


def measuring() -> bool:
    """Whether rounds are under way."""
    return IMAGES in os.environ
