"""The verdict for a platform and a release: its condition, and the cost of typical loads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from scripts.base.numbers import format_milliseconds_range
from scripts.cost.advice import Advice, Decision, Load, advise
from scripts.cost.platforms import Platform

# Typical loads. 106 FDEs are a module of wasmtime#10287, and 497 a parser of 210 KB.
EXAMPLES = [Load(20, 497), Load(1000, 106), Load(1000, 497)]
SMALLEST = Load(1, 17)
SIZES = (100, 500)  # FDEs per module for which a condition says how many modules are too many
MANY = 1_000_000  # modules, or FDEs per module, above which no limit is worth saying
MODULES = 1000  # modules loaded where a condition is about the FDEs of each
DEPENDS = "It depends on the load"
DECISIONS = {
    Decision.KEEP: "Keep unwind info",
    Decision.TURN_OFF: "Turn unwind info off",
    Decision.EITHER: "Too close to call",
    Decision.UNKNOWN: "Unknown",
    Decision.FIXED: "Unwind info cannot be turned off",
}


class Example(NamedTuple):
    """A typical load with its cost per module unloaded and the decision for it."""

    load: str
    cost: str
    decision: Decision


@dataclass(frozen=True)
class Verdict:
    """What to do on a platform in a release.

    Attributes:
        decision: the same for every load, or None if it depends on the load.
        conditions: sentences that say from which load on the decision changes.
        examples: typical loads, if unwind info has a known cost.
        gives: the benefit of unwind info, which turning it off gives up.
        notes: why the cost is unknown.
    """

    decision: Decision | None
    conditions: list[str]
    examples: list[Example]
    gives: str
    notes: list[str]

    @property
    def answer(self) -> str:
        """The decision in words."""
        return DEPENDS if self.decision is None else DECISIONS[self.decision]


def build_verdict(platform: Platform, release: str, *, macos: str = "") -> Verdict:
    """Return the verdict for a platform, a release, and a version of macOS."""

    def advise_on(load: Load) -> Advice:
        return advise(platform, release, load, macos=macos)

    answers = {load: advise_on(load) for load in EXAMPLES}
    first = answers[EXAMPLES[0]]
    if first.cost is None:
        return Verdict(first.decision, [], [], first.gives, first.notes)
    conditions = find_conditions(advise_on)
    # a single small module may be kept where every example is not
    decisions = {answer.decision for answer in (*answers.values(), advise_on(SMALLEST))}
    examples = [
        Example(name_load(load), format_milliseconds_range(*answer.cost), answer.decision)
        for load, answer in answers.items()
        if answer.cost is not None
    ]
    decision = decisions.pop() if len(decisions) == 1 else None
    return Verdict(decision, conditions, examples, first.gives, [])


def name_load(load: Load) -> str:
    """Return a load as a product, such as `1,000 × 106 FDEs`."""
    return f"{load.modules:,} × {load.fdes:,} FDEs"


def find_conditions(advise_on: Callable[[Load], Advice]) -> list[str]:
    """Return sentences on the number of modules, or else of FDEs, from which the advice changes."""
    if advise_on(Load(1, 1)).decision is Decision.TURN_OFF:
        return ["With any load."]
    sentences = [
        describe_limits(
            f"Keep it up to {{}} modules of {fdes:,} FDEs{{}}.", advise_on, Load(0, fdes)
        )
        for fdes in SIZES
    ]
    if not any(sentences):
        sentences = [
            describe_limits("Keep it up to {} FDEs per module{}.", advise_on, Load(MODULES, 0))
        ]
    return list(dict.fromkeys(filter(None, sentences)))


def describe_limits(sentence: str, advise_on: Callable[[Load], Advice], load: Load) -> str:
    """Return a sentence on the sizes at which a decision changes, or nothing if it does not.

    Args:
        sentence: has a place for the size up to which to keep unwind info, and one for the size
            from which to turn it off.
        advise_on: returns the advice for a load.
        load: its size that is 0 is varied.
    """

    def decide(size: int) -> Decision:
        varied = Load(load.modules or size, load.fdes or size)
        return advise_on(varied).decision

    keep = find_last(lambda size: decide(size) is Decision.KEEP)
    if keep == MANY:
        return ""
    off = find_last(lambda size: decide(size) is not Decision.TURN_OFF) + 1
    from_size = f", turn it off from {round_up(off):,}" if off <= MANY else ""
    if keep == 0:
        return f"With modules of {load.fdes:,} FDEs, measure{from_size}."
    return sentence.format(f"{round_down(keep):,}", from_size)


def find_last(holds: Callable[[int], bool]) -> int:
    """Return the last size from 0 to MANY up to which a condition holds."""
    low, high = 0, MANY + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def round_down(size: int) -> int:
    """Return a number with two significant digits that is not larger."""
    step = int("1".ljust(len(str(size)) - 1, "0"))
    return size // step * step


def round_up(size: int) -> int:
    """Return a number with two significant digits that is not smaller."""
    step = int("1".ljust(len(str(size)) - 1, "0"))
    return -(-size // step) * step
