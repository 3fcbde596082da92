"""The verdict for a platform and a release: its conditions, and the cost of typical loads."""

import bisect
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from scripts.base.numbers import format_milliseconds_range
from scripts.cost.advice import Advice, Decision, Load, advise
from scripts.cost.platforms import Platform
from scripts.report.matrix import LOADS

TYPICAL = 500  # FDEs of the modules that a condition is about
MODULES = 1000  # modules loaded where a condition is about the FDEs of each
# modules or FDEs at which a limit can be: with two significant digits, up to 10 million
SIZES = [*range(1, 100), *(size * 10**power for power in range(1, 6) for size in range(10, 100))]
DEPENDS = "It depends on the load"
DECISIONS = {
    Decision.KEEP: "Keep unwind info",
    Decision.TURN_OFF: "Turn unwind info off",
    Decision.EITHER: "Too close to call",
    Decision.UNKNOWN: "Unknown",
    Decision.FIXED: "Unwind info cannot be turned off",
}
ANY_LOAD = "With any load."


class Example(NamedTuple):
    """A typical load with its cost per module unloaded and the decision for it."""

    load: str
    cost: str
    decision: Decision


class Condition(NamedTuple):
    """A sentence on the sizes at which the decision changes.

    Attributes:
        text: the sentence.
        keep: the largest load of its kind for which to keep unwind info, if any.
        turn_off: the smallest one for which to turn it off, if any.
    """

    text: str
    keep: Load | None = None
    turn_off: Load | None = None


@dataclass(frozen=True)
class Verdict:
    """What to do on a platform in a release.

    Attributes:
        decision: the same for every typical load, or None if it depends on the load.
        conditions: the loads at which the decision changes.
        examples: typical loads, if unwind info has a known cost.
        gives: the benefit of unwind info, which turning it off gives up.
        notes: why the cost is unknown.
    """

    decision: Decision | None
    conditions: list[Condition]
    examples: list[Example]
    gives: str
    notes: list[str]

    @property
    def answer(self) -> str:
        """The decision in words."""
        return DEPENDS if self.decision is None else DECISIONS[self.decision]

    @property
    def sentences(self) -> list[str]:
        """The conditions and notes."""
        return [condition.text for condition in self.conditions] + self.notes


def build_verdict(platform: Platform, release: str, *, macos: str = "") -> Verdict:
    """Return the verdict for a platform, a release, and a version of macOS."""

    def advise_on(load: Load) -> Advice:
        return advise(platform, release, load, macos=macos)

    answers = {name: advise_on(load) for name, (load, _) in LOADS.items()}
    first = next(iter(answers.values()))
    if first.cost is None:
        return Verdict(first.decision, [], [], first.gives, first.notes)
    decisions = {answer.decision for answer in answers.values()}
    examples = [
        Example(name, format_milliseconds_range(*answer.cost), answer.decision)
        for name, answer in answers.items()
        if answer.cost is not None
    ]
    decision = decisions.pop() if len(decisions) == 1 else None
    conditions = find_conditions(lambda load: advise_on(load).decision)
    return Verdict(decision, conditions, examples, first.gives, [])


def find_conditions(decide: Callable[[Load], Decision]) -> list[Condition]:
    """Return the loads at which a decision changes: if all modules go, and if one goes."""
    if decide(Load(1, 1)) is Decision.TURN_OFF:
        return [Condition(ANY_LOAD)]
    others = f"If one of {TYPICAL} FDEs goes and the others stay"
    found = [
        find_limits(
            f"If all go, {TYPICAL} FDEs each", "modules", lambda size: Load(size, TYPICAL), decide
        ),
        find_limits(others, "other FDEs", lambda size: Load(1, TYPICAL, size), decide),
    ]
    if not any(found):
        found = [
            find_limits(
                f"With {MODULES:,} modules", "FDEs each", lambda size: Load(MODULES, size), decide
            )
        ]
    return [condition for condition in found if condition]


def find_limits(
    which: str, unit: str, load_of: Callable[[int], Load], decide: Callable[[Load], Decision]
) -> Condition | None:
    """Return the condition for loads of one kind, or None if the decision is always to keep it."""

    @functools.cache
    def decide_size(size: int) -> Decision:
        return decide(load_of(size))

    kept = count_leading(lambda size: decide_size(size) is Decision.KEEP)
    if kept == len(SIZES):
        return None
    unclear = count_leading(lambda size: decide_size(size) is not Decision.TURN_OFF)
    keep, off = SIZES[kept - 1] if kept else 0, [*SIZES, 0][unclear]
    parts = list[str]()
    if keep:
        parts.append(f"keep it up to {keep:,} {unit}")
    if off:
        parts.append(f"turn it off from {off:,} {'' if keep else f'{unit} '}on")
    text = f"{which}: {', '.join(parts) or 'too close to call'}."
    return Condition(text, load_of(keep) if keep else None, load_of(off) if off else None)


def count_leading(holds: Callable[[int], bool]) -> int:
    """Return for how many of SIZES a condition holds, from the smallest on."""
    return bisect.bisect_left(SIZES, True, key=lambda size: not holds(size))
