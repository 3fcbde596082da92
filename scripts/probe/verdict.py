"""The advice for a module: from exact counts and the model; times narrow it down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from scripts.gap import model
from scripts.gap.advice import Advice, Load, Range, advise, decide
from scripts.probe.plan import Run

USUAL = (20, 1000)  # modules loaded, for which there is always an advice
# Nanoseconds of an entry, and of an instruction of libgcc, that a processor may take at all. Times
# beyond are of something else than the unwinder.
POSSIBLE_ENTRY_NS = Range(0.1, 5)
POSSIBLE_INSTRUCTION_NS = Range(0.05, 1)


@dataclass(frozen=True)
class Times:
    """Milliseconds to drop one module, from samples with unwind info and without, by turns.

    Attributes:
        modules: how many were loaded and dropped in each sample.
        on, off: medians.
        extra: their difference.
        range: the least and the greatest difference of two neighbouring samples.
    """

    modules: int
    on: float
    off: float
    extra: float
    range: Range

    @classmethod
    def of(cls, modules: int, on: Sequence[float], off: Sequence[float]) -> "Times":
        """Return the times of samples, which are milliseconds of all modules."""
        differences = [(one - other) / modules for one, other in zip(on, off, strict=True)]
        with_, without = round(median(on) / modules, 6), round(median(off) / modules, 6)
        extra = round(with_ - without, 6)
        return cls(modules, with_, without, extra, Range(min(differences), max(differences)))


@dataclass
class Counts:
    """Instructions of the unwinder per module, by how many modules are loaded."""

    deregister: dict[int, float] = field(default_factory=dict)
    register: dict[int, float] = field(default_factory=dict)

    def at(self, modules: int, run: Run) -> float:
        """Return the instructions to deregister with any number of modules loaded.

        Two counts lie on a straight line, whatever the unwinder; one is scaled by the model, and
        without any the model alone predicts it.
        """
        if modules in self.deregister:
            return self.deregister[modules]
        if not self.deregister:
            return run.instructions(modules)
        most, least = max(self.deregister), min(self.deregister)
        now, fewer = self.deregister[most], self.deregister[least]
        if most == least:
            predicted = run.instructions(most)
            return run.instructions(modules) * (now / predicted if predicted else 1)
        return max(now + (now - fewer) / (most - least) * (modules - most), 0)


@dataclass(frozen=True)
class Verdict:
    """What a module costs under one build and one unwinder.

    Attributes:
        wanted: how many modules are loaded, as asked for.
        advice: by how many modules are loaded: as asked for, and the usual numbers.
        unconfirmed: why the times do not confirm the counts, or nothing.
    """

    wanted: int
    advice: dict[int, Advice]
    unconfirmed: str = ""


def judge(run: Run, wanted: int, counts: Counts, times: Times | None) -> Verdict:
    """Return the advice from counts, or the model's prediction of them, and times."""
    scans = run.unwinder.platform.scans
    possible = POSSIBLE_ENTRY_NS if scans else POSSIBLE_INSTRUCTION_NS
    usual = Range(*(model.ENTRY_NS if scans else model.INSTRUCTION_NS))

    def units(modules: int) -> float:
        """Entries scanned per module, or instructions of libgcc."""
        instructions = counts.at(modules, run)
        return instructions / run.unwinder.scan.in_front if scans else instructions

    rate, confirmed, unconfirmed = usual, False, ""
    if times and units(times.modules):
        seen = Range(*(1e6 * limit / units(times.modules) for limit in times.range))
        rate, overlaps = narrow(usual, seen, possible)
        confirmed = overlaps and seen.low > 0
        decided = decide(Range(*(units(times.modules) * limit / 1e6 for limit in rate)))
        if not overlaps and decide(times.range) is not decided:
            unconfirmed = (
                "The times do not confirm the counts: they have noise, or differ by work that is "
                "not the unwinder's."
            )
    advice = {}
    for modules in sorted({wanted, *USUAL}):
        cost = Range(*(units(modules) * limit / 1e6 for limit in rate))
        measured = cost if confirmed and times and times.modules == modules else None
        load = Load(modules, run.fdes)
        advice[modules] = advise(
            run.unwinder.platform, run.build.release, load, measured=measured, estimated=cost
        )
    return Verdict(wanted, advice, unconfirmed)


def narrow(usual: Range, seen: Range, possible: Range) -> tuple[Range, bool]:
    """Return the range to believe, and whether what was seen agrees with it."""
    for expected in (usual, possible):
        low, high = max(expected.low, seen.low), min(expected.high, seen.high)
        if low <= high:
            return Range(low, high), True
    return usual, False
