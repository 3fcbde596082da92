"""Rows: what was measured, one value each, and what follows from two of them."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks._shapes import HEADLINE
from scripts.history.benchmarks import EXTRA, GAP, TIME_OFF, TIME_ON

RESAMPLES = 1000
RANGE = (2.5, 97.5)  # percentiles of the resampled values
SEED = 10287

Counts = np.ndarray[tuple[int, int], np.dtype[np.int16]]
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Row(NamedTuple):
    """One value of one benchmark.

    Attributes:
        machine, unwinder, release: where it was measured.
        benchmark: its short name in `scripts.history.benchmarks`.
        shape: its shape, or the function of the unwinder.
        value: the median of the samples, or the exact count.
        low, high: the range: least and most sample; None for an exact count.
        samples: what was measured.
    """

    machine: str
    unwinder: str
    release: str
    benchmark: str
    shape: str
    value: float
    low: float | None = None
    high: float | None = None
    samples: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, str]:
        """The machine and unwinder."""
        return self.machine, self.unwinder


def derive_gaps(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the gap and the extra time of every release and shape with times on and off.

    The value is the ratio, or the difference, of the medians. The range is that of the middle 95 %
    of 1000 resamples: as many samples of each side, drawn with replacement, give new medians.
    """
    off = {(*row[:3], row.shape): row for row in rows if row.benchmark == TIME_OFF}
    for on in rows:
        without = off.get((*on[:3], on.shape))
        if on.benchmark != TIME_ON or without is None:
            continue
        per_1000 = 1000 * 1000 / HEADLINE[on.shape].modules  # milliseconds, 1000 modules
        on_medians, off_medians = resample(on.samples, SEED), resample(without.samples, SEED + 1)
        derived = (
            (GAP, on.value / without.value, on_medians / off_medians),
            (EXTRA, (on.value - without.value) * per_1000, (on_medians - off_medians) * per_1000),
        )
        ends = np.percentile([values for *_, values in derived], RANGE, axis=1).T
        for (benchmark, value, _), (low, high) in zip(derived, ends, strict=True):
            several = len(on.samples) > 1
            yield Row(
                *(on.machine, on.unwinder, on.release, benchmark, on.shape, round_value(value)),
                low=round_value(low) if several else None,
                high=round_value(high) if several else None,
                samples=on.samples,
            )


def resample(samples: Sequence[float], seed: int) -> Floats:
    """Return the medians of resamples: the same for the same samples, whatever else is read.

    Drawn and sorted one by one they would be the same medians; a long history has 10,000 of them.
    """
    values = np.asarray(samples)
    order = np.argsort(values)
    # of each sample and all lesser ones
    drawn = np.cumsum(count_draws(len(samples), seed)[:, order], axis=1, dtype=np.int16)
    middle = (len(samples) + 1) // 2, len(samples) // 2 + 1
    low, high = (values[order][(drawn < place).sum(axis=1)] for place in middle)
    medians: Floats = (low + high) / 2
    return medians


@functools.cache
def count_draws(size: int, seed: int) -> Counts:
    """Return how often each of `size` samples is drawn in each resample."""
    drawn = np.random.default_rng(seed).choice(size, (RESAMPLES, size))
    places = drawn + size * np.arange(RESAMPLES)[:, np.newaxis]  # in a table of all counts
    counts: Counts = np.bincount(places.ravel(), minlength=RESAMPLES * size).astype(np.int16)
    return counts.reshape(RESAMPLES, size)


def round_value(value: float) -> float:
    """Round to four significant digits: more would be noise."""
    return float(f"{value:.4g}")
