"""The verdict on a module: estimated from counts or the model, and narrowed down by times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from scripts.cost import model
from scripts.cost.advice import Advice, Load, Range, advise, decide
from scripts.probe.plan import Run

USUAL_MODULES = (20, 1000)  # numbers of loaded modules for which there is always advice
# Plausible nanoseconds per entry, and per instruction of libgcc, for any processor. Times outside
# these ranges measure something other than the unwinder.
POSSIBLE_ENTRY_NS = Range(0.1, 5)
POSSIBLE_INSTRUCTION_NS = Range(0.05, 1)


@dataclass(frozen=True)
class Times:
    """Milliseconds to drop one module, from alternating samples with and without unwind info.

    Attributes:
        modules: how many modules were loaded and dropped in each sample.
        on, off: medians with and without unwind info.
        extra: the difference of the medians.
        range: the least and the greatest difference between two neighbouring samples.
    """

    modules: int
    on: float
    off: float
    extra: float
    range: Range

    @classmethod
    def from_samples(cls, modules: int, on: Sequence[float], off: Sequence[float]) -> "Times":
        """Return the times per module of samples, which are milliseconds for all modules."""
        pairs = zip(on, off, strict=True)
        differences = [(on_sample - off_sample) / modules for on_sample, off_sample in pairs]
        on_median, off_median = round(median(on) / modules, 6), round(median(off) / modules, 6)
        extra = round(on_median - off_median, 6)
        return cls(modules, on_median, off_median, extra, Range(min(differences), max(differences)))


@dataclass
class Counts:
    """Instructions of the unwinder per module, by how many modules are loaded."""

    deregister: dict[int, float] = field(default_factory=dict)
    register: dict[int, float] = field(default_factory=dict)

    def instructions(self, modules: int, run: Run) -> float:
        """Return the instructions to deregister a module with any number of modules loaded.

        Between and beyond two counts they grow linearly, under every unwinder. With a single count
        the model's prediction is scaled to it; without a count it is used as it is.
        """
        if modules in self.deregister:
            return self.deregister[modules]
        if not self.deregister:
            return run.instructions(modules)
        most, fewest = max(self.deregister), min(self.deregister)
        at_most, at_fewest = self.deregister[most], self.deregister[fewest]
        if most == fewest:
            predicted = run.instructions(most)
            return run.instructions(modules) * (at_most / predicted if predicted else 1)
        slope = (at_most - at_fewest) / (most - fewest)
        return max(at_most + slope * (modules - most), 0)


@dataclass(frozen=True)
class Verdict:
    """What a module costs under one build and one unwinder.

    Attributes:
        requested: the number of loaded modules for which advice is requested.
        advice: advice by number of loaded modules: the requested number, 20 and 1000.
        unconfirmed: why the times do not confirm the counts, or an empty string.
    """

    requested: int
    advice: dict[int, Advice]
    unconfirmed: str = ""


def judge(run: Run, requested: int, counts: Counts, times: Times | None) -> Verdict:
    """Return the verdict on a run, from its counts or the model's predictions, and its times."""
    scans = run.unwinder.platform.scans
    possible = POSSIBLE_ENTRY_NS if scans else POSSIBLE_INSTRUCTION_NS
    usual = Range(*(model.ENTRY_NS if scans else model.INSTRUCTION_NS))

    def units(modules: int) -> float:
        """Return what the cost is proportional to: entries scanned, or instructions of libgcc."""
        instructions = counts.instructions(modules, run)
        return instructions / run.unwinder.scan.in_front if scans else instructions

    rate, confirmed, unconfirmed = usual, False, ""
    if times and units(times.modules):
        observed = Range(*(1e6 * limit / units(times.modules) for limit in times.range))
        rate, overlaps = narrow_range(usual, observed, possible)
        confirmed = overlaps and observed.low > 0
        decided = decide(Range(*(units(times.modules) * limit / 1e6 for limit in rate)))
        if not overlaps and decide(times.range) is not decided:
            unconfirmed = (
                "The times do not confirm the counts: they are noisy, or include other work than "
                "the unwinder's."
            )
    advice = {}
    for modules in sorted({requested, *USUAL_MODULES}):
        cost = Range(*(units(modules) * limit / 1e6 for limit in rate))
        measured = cost if confirmed and times and times.modules == modules else None
        load = Load(modules, run.fdes)
        advice[modules] = advise(
            run.unwinder.platform, run.build.release, load, measured=measured, estimated=cost
        )
    return Verdict(requested, advice, unconfirmed)


def narrow_range(usual: Range, observed: Range, possible: Range) -> tuple[Range, bool]:
    """Narrow the usual range, or else the possible one, to the values that were observed.

    Returns:
        The narrowed range and True, or the usual range and False if the observed range overlaps
        neither.
    """
    for expected in (usual, possible):
        low, high = max(expected.low, observed.low), min(expected.high, observed.high)
        if low <= high:
            return Range(low, high), True
    return usual, False
