"""The fourth stage: time how long unloading takes on this machine, with unwind info and without."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scripts.cost.advice import Range
from scripts.probe.cases import Case
from scripts.probe.compiling import Compiled
from scripts.probe.predicting import Prediction
from scripts.probe.sizes import (
    Budget,
    choose_number,
    describe_duration,
    fits_in_mappings,
    fits_in_memory,
)

SAMPLES = 8  # of each setting: unwind info on and off, alternating
SLOW_ENTRY_NS = 1.0  # nanoseconds per entry on a slow processor, which keeps to the budget, too
# Both settings are timed in one process, whose memory layout may favour one of them by this share
# of the time without unwind info. A module of 35 MB varied by 6 %, where libgcc executes 51
# instructions.
LAYOUT_SHARE = 0.1


@dataclass(frozen=True)
class Times:
    """Milliseconds to drop one module, from alternating samples with and without unwind info.

    Attributes:
        modules: how many modules were loaded and dropped in each sample.
        on, off: medians with and without unwind info.
        extra: the difference of the medians.
        range: the least and the greatest difference between two neighbouring samples.
        likely: the range of differences without the least and the greatest, which holds their
            median with 93 % probability, widened by `LAYOUT_SHARE`. If it includes 0, the times
            show no cost.
    """

    modules: int
    on: float
    off: float
    extra: float
    range: Range
    likely: Range

    @property
    def layout(self) -> float:
        """Milliseconds by which the memory layout of the process may change `extra`."""
        return LAYOUT_SHARE * self.off

    @classmethod
    def from_samples(cls, modules: int, on: Sequence[float], off: Sequence[float]) -> "Times":
        """Return the times per module of samples, which are milliseconds for all modules."""
        pairs = zip(on, off, strict=True)
        differences = sorted((on_sample - off_sample) / modules for on_sample, off_sample in pairs)
        inner = differences[1:-1] if len(differences) >= SAMPLES else differences
        on_median, off_median = round(median(on) / modules, 6), round(median(off) / modules, 6)
        layout = LAYOUT_SHARE * off_median
        return cls(
            modules, on_median, off_median, round(on_median - off_median, 6),
            Range(differences[0], differences[-1]), Range(inner[0] - layout, inner[-1] + layout),
        )  # fmt: skip


def choose_timed(
    compiled: Compiled, prediction: Prediction, requested: int, budget: Budget
) -> tuple[int, str]:
    """Return with how many modules to time, or 0 and why nothing is timed."""

    def fits(number: int) -> bool:
        is_possible = fits_in_memory(number, compiled.memory_mb) and fits_in_mappings(number)
        return is_possible and estimate_seconds(compiled, prediction, number) <= budget.time

    modules = choose_number(requested, fits)
    seconds = estimate_seconds(compiled, prediction, modules)
    if seconds > max(budget.limit, budget.time):
        return 0, f"timing one module would take {describe_duration(seconds)}"
    return modules, ""


def estimate_seconds(compiled: Compiled, prediction: Prediction, modules: int) -> float:
    """Estimate the seconds that timing takes, from the model and the times of one module."""
    scan = prediction.entries(modules) * SLOW_ENTRY_NS / 1e9
    per_module = 2 * (compiled.load_seconds + compiled.drop_seconds) + scan
    return SAMPLES * modules * per_module


def time_drops(
    case: Case, compiled: Compiled, prediction: Prediction, modules: int
) -> tuple[Times | None, str]:
    """Time the drop of that many modules. Return the times, or None and the error."""
    images = {kind: compiled.images[kind] for kind in ("on", "off")}
    job = {"job": "time", "modules": modules, "samples": SAMPLES, **images}
    seconds = 1 + estimate_seconds(compiled, prediction, modules)
    answer = case.run(job, images, f"timing with {modules:,} loaded", seconds)
    if "error" in answer:
        return None, answer["error"]
    return Times.from_samples(modules, answer["on"], answer["off"]), ""
