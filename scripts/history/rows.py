"""Rows of the history: one value each, measured or derived from two measured values."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks._axis import Unwinder
from benchmarks._shapes import HEADLINE
from scripts.history.benchmarks import EXTRA, GAP, TIME_OFF, TIME_ON

RESAMPLES = 1000
RANGE = (2.5, 97.5)  # percentiles of the resampled values
SEED = 10287  # of the random draws, so that a report is reproducible

DrawCounts = np.ndarray[tuple[int, int], np.dtype[np.int16]]
Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class SeriesKey(NamedTuple):
    """What the values of a series share, apart from their shape: the machine and the unwinder."""

    machine: str
    unwinder: Unwinder


class Row(NamedTuple):
    """One value of one benchmark.

    Attributes:
        series, release: where the value was measured.
        benchmark: the benchmark's short name in `scripts.history.benchmarks`.
        shape: the shape, or the function of the unwinder.
        value: the median of the samples, or an exact count.
        low, high: the smallest and largest sample, or the range of a derived value; None for an
            exact count.
        samples: the measured samples.
    """

    series: SeriesKey
    release: str
    benchmark: str
    shape: str
    value: float
    low: float | None = None
    high: float | None = None
    samples: tuple[float, ...] = ()


def derive_gaps(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the gap and the extra time where there are times both with and without unwind info.

    The value is the ratio or the difference of the two medians. The range is a bootstrap interval:
    the middle 95 % of 1000 values, each from the medians of samples drawn with replacement.
    """
    off = {(row.series, row.release, row.shape): row for row in rows if row.benchmark == TIME_OFF}
    for on in rows:
        without = off.get((on.series, on.release, on.shape))
        if on.benchmark != TIME_ON or without is None:
            continue
        per_1000 = 1000 * 1000 / HEADLINE[on.shape].modules  # to milliseconds per 1000 modules
        on_medians, off_medians = resample(on.samples, SEED), resample(without.samples, SEED + 1)
        derived = (
            (GAP, on.value / without.value, on_medians / off_medians),
            (EXTRA, (on.value - without.value) * per_1000, (on_medians - off_medians) * per_1000),
        )
        ranges = np.percentile([values for *_, values in derived], RANGE, axis=1).T
        has_range = len(on.samples) > 1
        for (benchmark, value, _), (low, high) in zip(derived, ranges, strict=True):
            yield Row(
                *(on.series, on.release, benchmark, on.shape, round_value(value)),
                low=round_value(low) if has_range else None,
                high=round_value(high) if has_range else None,
                samples=on.samples,
            )


def resample(samples: Sequence[float], seed: int) -> Floats:
    """Return the medians of all resamples of some samples.

    The result depends only on the samples and the seed. It is computed from the number of times
    each sample is drawn, because drawing and sorting every resample is slow: a long history needs
    10,000 calls.
    """
    values = np.asarray(samples)
    order = np.argsort(values)
    # for each sample: how often it or a smaller sample is drawn
    cumulative = np.cumsum(count_draws(len(samples), seed)[:, order], axis=1, dtype=np.int16)
    middle = (len(samples) + 1) // 2, len(samples) // 2 + 1
    low, high = (values[order][(cumulative < place).sum(axis=1)] for place in middle)
    medians: Floats = (low + high) / 2
    return medians


@functools.cache
def count_draws(size: int, seed: int) -> DrawCounts:
    """Return how often each of `size` samples is drawn in each resample."""
    drawn = np.random.default_rng(seed).choice(size, (RESAMPLES, size))
    cells = drawn + size * np.arange(RESAMPLES)[:, np.newaxis]  # of a flat resample × sample table
    counts: DrawCounts = np.bincount(cells.ravel(), minlength=RESAMPLES * size).astype(np.int16)
    return counts.reshape(RESAMPLES, size)


def round_value(value: float) -> float:
    """Round to four significant digits; further digits would be noise."""
    return float(f"{value:.4g}")
