"""The report: everything that is said of a history, once, for every form it is said in."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from asv.util import UserError
from packaging.version import Version

from scripts.gap import analysis
from scripts.gap.analysis import Advice, Newest, Step
from scripts.gap.history import PAIRED, SIZES, Gap, History

STAND_IN = (
    "No result of a Mac is recorded here: libunwind on Linux stands in for it. It takes the code "
    "path of macOS, not its times."
)


@dataclass(frozen=True)
class Report:
    """What the gap is, when it changed, whether the newest release moved it, and what to do."""

    gaps: list[Gap]
    steps: list[Step]
    newest: list[Newest]
    advice: list[Advice]
    left_out: list[str]
    note: str


def report(
    history: History, machine: str | None = None, size: str | None = None, since: str | None = None
) -> Report:
    """The report on a history, or on one machine or size of it.

    `since` leaves out older releases from what is shown, and nothing from what is concluded.

    Raises:
        UserError: there is no such machine, size or release; it names the near ones.
    """
    known(machine, {gap.machine for gap in history.gaps}, "machine with results")
    known(size, SIZES, "size")
    known(since, {gap.release for gap in history.gaps}, "measured release")
    gaps = [
        gap for gap in history.gaps if machine in (None, gap.machine) and size in (None, gap.size)
    ]
    return Report(
        gaps=[gap for gap in gaps if since is None or Version(gap.release) >= Version(since)],
        steps=analysis.all_steps(gaps, analysis.upstream_changes()),
        newest=analysis.newest(gaps),
        advice=analysis.advice(gaps),
        left_out=history.left_out,
        note="" if any("macos" in gap.machine for gap in history.gaps) else STAND_IN,
    )


def known(name: str | None, names: Iterable[str], kind: str) -> None:
    """Refuse a name that is none of the names.

    Raises:
        UserError: with the names that are near, or all of them.
    """
    names = list(names)
    if name is not None and name not in names:
        near = difflib.get_close_matches(name, names, cutoff=0.5) or sorted(names)
        raise UserError(f"{name} is no {kind}. Did you mean {' or '.join(near)}?")


def number(value: float | None) -> str:
    """Three digits, or n/a."""
    if value is None:
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interval(low: float | None, high: float | None) -> str:
    """Its ends, or n/a."""
    return "n/a" if low is None or high is None else f"{number(low)}–{number(high)}"


def times(ratio: float) -> str:
    """A ratio, as in `9.31×`."""
    return f"{number(ratio)}×"


def say_step(step: Step) -> str:
    """One sentence for a change point."""
    causes = "; ".join(f"#{change.pull_request}: {change.what}" for change in step.changes)
    return (
        f"{step.machine}, {step.unwinder}, {step.size}: {times(step.before)} up to "
        f"{step.previous}, {times(step.after)} from {step.release} on"
        f"{f' ({causes})' if causes else ', with no upstream change known'}"
    )


def say_newest(newest: Newest) -> str:
    """One sentence for a verdict on the newest release."""
    where = f"{newest.machine}, {newest.unwinder}: {newest.release}"
    if newest.reason:
        against = f" with {newest.previous}" if newest.previous else ""
        return f"{where} cannot be compared{against}: {newest.reason}"
    if not newest.moved:
        return f"{where} did not move the gap against {newest.previous}"
    sizes = ", ".join(
        f"{times(before)} → {times(now)} at {size}" for size, (before, now) in newest.moved.items()
    )
    return f"{where} moved the gap against {newest.previous}: {sizes}"


def say_advice(advice: Advice) -> str:
    """One sentence for an advice."""
    costs = ", ".join(
        f"{'under 1' if abs(cost) < 1 else number(cost)} ms at {size}"
        for size, cost in advice.costs.items()
    )
    if not advice.costs:
        what = "no advice: the times are not measured"
    elif not advice.too_much:
        what = "keep unwind info"
    elif set(PAIRED) & set(advice.costs) <= set(advice.too_much):
        what = "turn unwind info off if you unload modules often"
    else:
        what = f"turn unwind info off if you unload many modules like {', '.join(advice.too_much)}"
    cost = f" It costs, per 1000 modules: {costs}." if costs else ""
    return f"{advice.machine}, {advice.unwinder}, {advice.release}: {what}.{cost}"


def verdict(report: Report) -> str:
    """The sentence that stands first: the gap where it matters most, now and before it changed.

    That is on a Mac, else with libunwind on Linux, else wherever something is measured; with 1000
    modules of 8 functions.
    """
    gaps = [gap for gap in report.gaps if gap.size == "1000x8"] or report.gaps
    gap = max(
        gaps,
        key=lambda gap: ("macos" in gap.machine, gap.unwinder == "libunwind", Version(gap.release)),
    )
    modules, functions = gap.size.split("x")
    mine = [step for step in report.steps if (step.machine, step.unwinder, step.size) == gap.series]
    before = f"; it was {times(mine[-1].before)} up to {mine[-1].previous}" if mine else ""
    return (
        f"With unwind info, dropping {modules} modules of {functions} functions takes "
        f"{times(gap.ratio)} as long in {gap.release} ({gap.machine}, {gap.unwinder}){before}."
    )
