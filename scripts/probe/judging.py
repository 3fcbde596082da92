"""The last stage: advice for the number of modules that the user has.

The cost is estimated from counts, or by the model without them. Times replace the estimate for the
number of modules that was timed. Only this file asks `scripts.cost` for advice.
"""

from dataclasses import dataclass

from scripts.base.numbers import format_milliseconds, format_milliseconds_range
from scripts.cost.advice import Advice, Load, Range, advise
from scripts.probe.counting import UnwinderCounts
from scripts.probe.predicting import Prediction
from scripts.probe.timing import Times

USUAL_MODULES = (20, 1000)  # numbers of loaded modules for which there is always advice
TOLERANCE = (0.25, 0.01)  # times confirm an estimate within this share of it, or milliseconds
NEAR = 2  # times hold for up to twice or half the number of modules: the table is of similar size


@dataclass(frozen=True)
class ModuleVerdict:
    """What a module costs under one build and one unwinder.

    Attributes:
        requested: the number of loaded modules for which advice is requested.
        advice: advice by number of loaded modules: the requested number, 20 and 1000.
        estimated: milliseconds per module estimated for the number of modules that was timed.
        disagreement: how times and estimate differ, as a sentence, or an empty string.
    """

    requested: int
    advice: dict[int, Advice]
    estimated: Range | None = None
    disagreement: str = ""


def judge(
    prediction: Prediction, requested: int, counts: UnwinderCounts | None, times: Times | None
) -> ModuleVerdict:
    """Return the verdict on a module, from the model, its counts and its times, if any."""
    advice = {}
    for modules in sorted({requested, *USUAL_MODULES}):
        cost, is_measured = find_cost(prediction, modules, counts, times)
        advice[modules] = advise(
            prediction.unwinder.platform, prediction.release, Load(modules, prediction.fdes),
            measured=cost if is_measured else None, estimated=cost,
        )  # fmt: skip
    estimated, disagreement = None, ""
    if times:
        estimated = estimate_cost(prediction, times.modules, counts)
        if not confirms(times, estimated):
            disagreement = (
                f"With {times.modules:,} modules loaded, the median of the times is "
                f"{format_milliseconds(times.extra)} per module, but the "
                f"{'counts' if counts else 'model'} and the known processors give "
                f"{format_milliseconds_range(*estimated)}."
            )
    return ModuleVerdict(requested, advice, estimated, disagreement)


def find_cost(
    prediction: Prediction, modules: int, counts: UnwinderCounts | None, times: Times | None
) -> tuple[Range, bool]:
    """Return milliseconds per module with that many loaded, and whether they were measured."""
    estimated = estimate_cost(prediction, modules, counts)
    if times is None:
        return estimated, False
    estimated_timed = estimate_cost(prediction, times.modules, counts)
    timed, is_measured = combine(estimated_timed, times)
    if modules == times.modules:
        return timed, is_measured
    if times.modules / NEAR <= modules <= times.modules * NEAR and estimated_timed.high:
        scale = sum(estimated) / sum(estimated_timed)
        return Range(timed.low * scale, timed.high * scale), False
    if modules > times.modules and not confirms(times, estimated_timed):
        # an entry of a larger table costs at least as much as the times show
        excess = timed.high / estimated_timed.high if estimated_timed.high else 1
        return Range(estimated.low, estimated.high * max(excess, 1)), False
    return estimated, False


def estimate_cost(prediction: Prediction, modules: int, counts: UnwinderCounts | None) -> Range:
    """Return the model's cost, corrected by how much counts differ from the model."""
    cost = prediction.cost(modules)
    predicted = counts.prediction.instructions(modules) if counts else 0
    if counts is None or not predicted:
        return cost
    scale = counts.deregister_with(modules) / predicted
    return Range(cost.low * scale, cost.high * scale)


def combine(estimated: Range, times: Times) -> tuple[Range, bool]:
    """Return the cost by an estimate and by times, and whether it is measured.

    Times narrow an estimate that they confirm. If they contradict it, they replace it; if they are
    too noisy for that, the cost may be either.
    """
    likely, show_cost = times.likely, times.likely.low > 0
    low, high = max(estimated.low, likely.low), min(estimated.high, likely.high)
    overlaps = low <= high
    if overlaps and confirms(times, estimated):
        return Range(low, high), show_cost
    if not overlaps and show_cost:
        return likely, True
    middle = max(times.extra, 0)
    return Range(min(estimated.low, middle), max(estimated.high, middle)), False


def confirms(times: Times, estimated: Range) -> bool:
    """Return whether the median of times agrees with an estimate, within `TOLERANCE`."""
    share, milliseconds = TOLERANCE
    low = estimated.low - max(share * estimated.low, milliseconds)
    high = estimated.high + max(share * estimated.high, milliseconds)
    return times.extra + times.layout >= low and times.extra - times.layout <= high
