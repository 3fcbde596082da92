"""Report wording shared by all output formats."""

import itertools
import re
from collections.abc import Iterator, Sequence

from benchmarks._axis import Unwinder
from scripts.base.numbers import format_count, format_milliseconds, format_number, format_ratio
from scripts.cost.macos import Answer, registers_sections
from scripts.cost.platforms import name_unwinder
from scripts.history.benchmarks import DEREGISTER, EXTRA, GAP, MAIN_SHAPE
from scripts.history.machine import Machine
from scripts.history.read import History
from scripts.history.rows import SeriesKey
from scripts.releases.pins import Registration, Release
from scripts.report.changes import GAP_FACTOR, Change, Era, Verdict
from scripts.report.matrix import MeasuredCost

METHOD = (
    "A change is a release whose count differs by 1 % or more from that of the release before, or "
    "of the first release of the era before it; counts are exact. In a series without counts, it "
    f"is one whose gap differs by a factor of {GAP_FACTOR:.0f} or more."
)
MAIN = "1000 modules of 8 functions"
OTHERS = "others"  # in `track_function`: functions of the unwinder without a name of their own


def name_line(machine: Machine, unwinder: Unwinder) -> str:
    """Return the name of a series in a chart. Machines with the same unwinder share a name."""
    if unwinder.stand_in:
        return f"{unwinder.stand_in} path: {unwinder.name}"
    return name_unwinder(machine, unwinder)


def format_span(first: str, last: str) -> str:
    """Return a range of releases, such as `22.0.0 to 49.0.0`."""
    return " to ".join(dict.fromkeys((first, last)))


def name_load(shape: str) -> str:
    """Return a shape in words, such as `1000 modules of 8 functions`; others by their name."""
    return MAIN if shape == MAIN_SHAPE else f"shape {shape}"


def write_headline(
    history: History, eras: Sequence[Era], verdict: Verdict, shape: str = MAIN_SHAPE
) -> list[str]:
    """Return the headline on a shape: the newest change in cost and in time, and its basis."""
    if not eras:
        return [f"No cost was measured for {name_load(shape)}."]
    where = name_headline_platform(history, verdict.series)
    now, before = eras[-1], next((era for era in eras[-2::-1] if era.known), None)
    if not now.known or now.last != verdict.release:
        unknown = verdict.unknown or "its result file was left out"
        answer = f"{where}: whether {verdict.release} changed the cost is unknown: {unknown}."
        return [answer, describe_time(now, None), describe_basis(history, verdict)]
    changed = before if now.change is not None else None
    answer = f"{where}: {describe_cost_change(changed, now)}"
    time, basis = describe_time(now, changed), describe_basis(history, verdict)
    return [sentence for sentence in (answer, time, basis) if sentence]


def name_headline_platform(history: History, series: SeriesKey) -> str:
    """Return the platform that a headline on a series is about: macOS for a stand-in."""
    machine = history.machines[series.machine]
    if machine.is_mac:
        return "macOS"
    return series.unwinder.stand_in or name_unwinder(machine, series.unwinder)


def describe_cost_change(before: Era | None, now: Era) -> str:
    """Return the cost in the newest era, compared with the era before if that has a cost."""
    counted = DEREGISTER in now.values
    benchmark = DEREGISTER if counted else GAP
    show, unit = (format_count, " instructions") if counted else (format_ratio, " the time without")
    cost = f"{show(now.values[benchmark].value)}{unit}"
    action = "deregistering a module" if counted else "unloading modules with unwind info"
    load = name_load(now.shape)
    if before is None or now.change is None or benchmark not in before.values:
        return f"in {format_span(now.first, now.last)}, {action} takes {cost} ({load})."
    old, new = now.change.shapes.get(
        now.shape, (before.values[benchmark].value, now.values[benchmark].value)
    )
    reasons = f" ({', '.join(now.change.reasons)})" if now.change.reasons else ""
    earlier = f"{show(old)} in {now.change.previous}"
    return (
        f"{now.change.release}{reasons} made {action} {compare_costs(old, new)}: "
        f"{cost} instead of {earlier} ({load})."
    )


def compare_costs(old: float, new: float) -> str:
    """Return a change of cost as a factor, such as `17 times cheaper`."""
    if not old or not new:
        return "free" if old else "no longer free"
    factor, direction = cost_factor(old, new)
    return f"{factor} times {direction}"


def abbreviate_cost_change(old: float, new: float) -> str:
    """Return a change of cost for a chart, such as `17× cheaper`."""
    if not old or not new:
        return compare_costs(old, new)
    factor, direction = cost_factor(old, new)
    return f"{factor}× {direction}"


def cost_factor(old: float, new: float) -> tuple[str, str]:
    """Return the factor by which a cost changed, and `cheaper` or `more expensive`."""
    factor = format_number(max(old / new, new / old))
    return factor, "cheaper" if old > new else "more expensive"


def describe_time(now: Era, before: Era | None) -> str:
    """Return a sentence on the time that unwind info adds, or nothing if it was not timed."""
    if EXTRA not in now.values:
        return ""
    releases = format_span(now.first, now.last)
    extra = format_number(now.values[EXTRA].value)
    machine = now.series.machine
    sentence = f"On {machine}, unwind info adds {extra} ms to unloading 1000 modules in {releases}"
    if before is not None and EXTRA in before.values:
        earlier = format_span(before.first, before.last)
        earlier_extra = format_number(before.values[EXTRA].value)
        sentence += f"; it added {earlier_extra} ms in {earlier}"
    return f"{sentence}."


def describe_basis(history: History, verdict: Verdict) -> str:
    """Return a sentence that names the machine behind the headline."""
    machine, unwinder = verdict.series
    if not unwinder.stand_in:
        return f"Basis: {machine}."
    has_mac = any(machine.is_mac for machine in history.machines.values())
    basis = f"Basis: {machine}. {unwinder.name} stands in for Apple's"
    return f"{basis}." if has_mac else f"{basis}; no Mac is recorded."


def describe_measured(cost: MeasuredCost) -> str:
    """Return a measured cost with its machine."""
    stand_in = ", the stand-in" if cost.is_stand_in else ""
    return f"{format_milliseconds(cost.milliseconds)} measured on {cost.machine}{stand_in}"


def describe_empty(history: History) -> str:
    """Return why a history has no values, and how to get some."""
    if not history.measured:
        return "results/ holds no results. Run `uv run asv run`."
    return (
        f"All {len(history.measured)} results are n/a: on Windows unwind info cannot be turned "
        "off, and an unwinder may be missing."
    )


def describe_change(change: Change) -> str:
    """Return one sentence for a change in one series."""
    show = format_count if change.counted else format_ratio
    unit = "instructions per module" if change.counted else "gap"
    shapes = [shape for shape in (MAIN_SHAPE, *change.shapes) if shape in change.shapes]
    values = ", ".join(
        f"{' → '.join(map(show, change.shapes[shape]))} at {shape}"
        for shape in dict.fromkeys(shapes)
    )
    return f"{change.release}: {unit} {values} ({describe_causes(change)})"


def describe_causes(change: Change) -> str:
    """Return the known causes of a change."""
    causes = [f"#{cause['pull_request']}: {cause['what']}" for cause in change.causes]
    if change.libraries:
        causes.insert(0, f"the counted library changed, {' → '.join(change.libraries)}")
    return "; ".join(causes) or "no upstream change is known"


def describe_functions(change: Change) -> str:
    """Return the unwinder functions that changed most in a change, or nothing if unknown."""
    functions = ", ".join(
        f"{'other functions' if name == OTHERS else name} {' → '.join(map(format_count, values))}"
        for name, values in change.functions.items()
    )
    if not functions:
        return ""
    return f"{change.release}, by function at {MAIN_SHAPE}: {functions}"


def describe_mac_registration(releases: Sequence[Release]) -> str:
    """Return how the libraries in the macOS wheels register, which their symbols suggest."""
    parts = []
    for registration, group in itertools.groupby(releases, lambda pin: pin.mac_registration):
        versions = [release.version for release in group]
        how = registration
        if registration == Registration.SECTIONS:
            how += " (if the Mac's libunwind can)"
        if registration:
            parts.append(f"{how} in {format_span(versions[0], versions[-1])}")
    if not parts:
        return ""
    return f"Symbols in the macOS wheels show that they register unwind info {', '.join(parts)}."


def describe_verdict(verdict: Verdict, newest: str) -> str:
    """Return the verdict on the newest release of a series. It may lag behind the newest pin."""
    lag = "" if verdict.release == newest else f" {newest} was not measured there."
    return describe_own_verdict(verdict) + lag


def describe_own_verdict(verdict: Verdict) -> str:
    """Return one sentence for the verdict on the newest release that a series has."""
    against = f" compared with {verdict.previous}" if verdict.previous else ""
    if verdict.unknown:
        return f"Whether {verdict.release} changed the cost{against} is unknown: {verdict.unknown}."
    changed = "changed" if verdict.changed else "did not change"
    return f"{verdict.release} {changed} the cost{against}."


def na_lines(history: History, oldest: int = 0) -> Iterator[str]:
    """Yield a line for each series, with its releases that have no values.

    `oldest` is the position of the first release that is looked at.
    """
    with_values = {(row.series, row.release) for row in history.rows}
    by_series: dict[SeriesKey, list[str]] = {}
    for measured in sorted(history.measured, key=lambda item: history.positions[item.release]):
        is_shown = history.positions[measured.release] >= oldest
        if is_shown and (measured.series, measured.release) not in with_values:
            by_series.setdefault(measured.series, []).append(measured.release)
    for (machine, unwinder), releases in by_series.items():
        name = name_unwinder(history.machines[machine], unwinder)
        span = format_span(releases[0], releases[-1])
        yield f"n/a: {span} ({len(releases)} releases) on {machine} with {name}"


def recorded_mac_lines(history: History) -> Iterator[str]:
    """Yield how each Mac registers from 50.0.0 on, if its host recorded that."""
    for machine in history.machines.values():
        if machine.is_mac and machine.sections is not None:
            how = Registration.SECTIONS.value
            if not machine.sections:
                how = f"{Registration.FUNCTIONS.value}, like 49.0.0"
            yield f"{machine.name}: from 50.0.0 on, Wasmtime registers {how}."


def contradicted_macs(history: History) -> Iterator[str]:
    """Yield a sentence for each Mac whose libunwind is not as Apple's SDKs say."""
    for machine in history.machines.values():
        version = re.search(r"\d+(\.\d+)*", machine.os)
        if not machine.is_mac or machine.sections is None or version is None:
            continue
        expected = registers_sections(version[0])
        if expected is not Answer.UNKNOWN and (expected is Answer.YES) != machine.sections:
            verb = "registers" if machine.sections else "cannot register"
            yield (
                f"{machine.name} ({machine.os}) {verb} sections, but fixtures/macos_libunwind.json "
                "says otherwise. Run `uv run python -m scripts.releases.update_sdks`."
            )
