"""The report: everything that is said of a history, once, for every form it is said in."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from scripts.base.names import known
from scripts.base.numbers import number, times
from scripts.gap import changes
from scripts.gap.changes import Advice, Newest, Step
from scripts.history.benchmarks import HEADLINE, PAIRED, SIZES
from scripts.history.read import Gap, History
from scripts.history.results import LOCAL, is_mac

STAND_IN = (
    "No result of a Mac is recorded here: libunwind on Linux stands in for it. It takes the code "
    "path of macOS, not its times."
)


@dataclass(frozen=True)
class Report:
    """What the gap is, when it changed, whether the newest release moved it, and what to do."""

    gaps: list[Gap]
    measured: list[tuple[str, str, str]]  # also where it is n/a: machine, unwinder, release
    steps: list[Step]
    newest: list[Newest]
    advice: list[Advice]
    libraries: list[str]
    left_out: list[str]
    note: str


def report(
    history: History, machine: str | None = None, size: str | None = None, since: str | None = None
) -> Report:
    """The report on a history, or on one machine or size of it.

    Neither `since` nor `size` leaves anything out of what is concluded.

    Raises:
        UserError: there is no such machine, size or release; it names the near ones.
    """
    known(machine, dict.fromkeys(file.machine for file in history.files), "machine with results")
    known(size, SIZES, "size")
    known(since, dict.fromkeys(file.release for file in history.files), "measured release")
    selected = History(
        machines=history.machines,
        files=[file for file in history.files if machine in (None, file.machine)],
        gaps=[gap for gap in history.gaps if machine in (None, gap.machine)],
    )
    shown = [gap for gap in selected.gaps if size in (None, gap.size)]
    verdicts = changes.newest(selected)
    oldest = Version(since or "0")
    machines = {gap.machine for gap in recorded(history.gaps)}
    return Report(
        gaps=[gap for gap in shown if Version(gap.release) >= oldest],
        measured=[file.key for file in selected.files if Version(file.release) >= oldest],
        steps=changes.all_steps(shown, changes.upstream_changes(), verdicts),
        newest=verdicts,
        advice=changes.advice(selected),
        libraries=list(other_libraries(selected)),
        left_out=history.left_out,
        note="" if any(is_mac(history.machines[name]) for name in machines) else STAND_IN,
    )


def other_libraries(history: History) -> Iterator[str]:
    """A sentence where the unwinder that is counted is another build than at the release before.

    Counts move then, and no release is the cause.
    """
    for before, now in itertools.pairwise(history.files):
        same = before.key[:2] == now.key[:2]
        if same and before.library and now.library and before.library != now.library:
            yield (
                f"{now.machine}, {now.unwinder}: from {now.release} on another library is counted "
                f"({before.library} → {now.library}); counts that move there are no change of "
                "Wasmtime"
            )


def recorded(gaps: Sequence[Gap]) -> Sequence[Gap]:
    """Those of recorded machines; all where there are none but of local ones."""
    return [gap for gap in gaps if not gap.machine.startswith(LOCAL)] or gaps


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
        functions = dict.fromkeys(size.split("x")[1] for size in advice.too_much)
        what = (
            f"turn unwind info off if you unload many modules of {' or '.join(functions)} functions"
        )
    cost = f" It costs, per 1000 modules: {costs}." if costs else ""
    return f"{advice.machine}, {advice.unwinder}, {advice.release}: {what}.{cost}"


def verdict(report: Report) -> str:
    """The sentence that stands first: the gap where it matters most, now and before it changed.

    That is in the newest release, on a Mac, else with libunwind on Linux, else wherever something
    is measured; with 1000 modules of 8 functions.
    """
    gaps = recorded([gap for gap in report.gaps if gap.size == HEADLINE] or report.gaps)
    libunwind = {(one.machine, one.unwinder) for one in report.newest if one.libunwind}
    gap = max(
        gaps,
        key=lambda gap: (
            Version(gap.release),
            gap.series[:2] in libunwind and gap.unwinder == "system",
            gap.unwinder == "libunwind",
        ),
    )
    modules, functions = gap.size.split("x")
    steps = [s for s in report.steps if (s.machine, s.unwinder, s.size) == gap.series]
    before = f"; it was {times(steps[-1].before)} up to {steps[-1].previous}" if steps else ""
    return (
        f"With unwind info, dropping {modules} modules of {functions} functions takes "
        f"{times(gap.ratio)} as long in {gap.release} ({gap.machine}, {gap.unwinder}){before}."
    )
