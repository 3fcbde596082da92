"""Report wording shared by all output formats."""

import itertools
from collections.abc import Iterator, Sequence

from packaging.version import Version

from scripts.base.numbers import format_count, format_number, format_ratio
from scripts.gap.advice import has_benefit
from scripts.gap.changes import SUDDEN, Change, Era, Verdict
from scripts.gap.matrix import Cell, Column
from scripts.gap.platforms import Platform, name_unwinder
from scripts.history.benchmarks import DEREGISTER, EXTRA, GAP, MAIN_SHAPE
from scripts.history.machine import Machine
from scripts.history.read import History

METHOD = (
    "Counts are exact. A count that differs by 1 % or more from the release before, or from the "
    f"first release of its era, is a change. Where nothing is counted, a gap that differs by a "
    f"factor of {SUDDEN:.0f} is."
)
MAIN = "1000 modules of 8 functions"


def name_line(machine: Machine, unwinder: str) -> str:
    """Return the name of a series in a chart: machines with the same unwinder share it."""
    if unwinder == "libunwind" and not machine.is_mac:
        return "macOS path: LLVM libunwind"
    return name_unwinder(machine, unwinder)


def format_span(first: str, last: str) -> str:
    """Return a range of releases."""
    return " to ".join(dict.fromkeys((first, last)))


def write_headline(history: History, eras: Sequence[Era], verdict: Verdict) -> list[str]:
    """Return the answer that comes first, what it means in time, and its basis."""
    if not eras:
        return [f"Nothing is measured at {MAIN}."]
    machine = history.machines[verdict.machine]
    stand_in = verdict.unwinder == "libunwind"
    where = "macOS" if machine.is_mac or stand_in else name_unwinder(machine, verdict.unwinder)
    now, before = eras[-1], next((era for era in eras[-2::-1] if era.known), None)
    if not now.known or now.last != verdict.release:
        unknown = verdict.unknown or "its file is left out"
        said = f"{where}: whether {verdict.release} changed the cost is unknown: {unknown}."
        return [said, describe_time(now, None), describe_basis(history, verdict)]
    changed = before if now.change is not None else None
    said = f"{where}: {describe_fall(changed, now)}"
    return list(filter(None, [said, describe_time(now, changed), describe_basis(history, verdict)]))


def describe_fall(before: Era | None, now: Era) -> str:
    """Return what deregistering a module costs now, and by what factor that changed."""
    counted = DEREGISTER in now.values
    benchmark = DEREGISTER if counted else GAP
    show, unit = (format_count, " instructions") if counted else (format_ratio, " the time without")
    cost = f"{show(now.values[benchmark].value)}{unit}"
    what = "deregistering a module" if counted else "unloading modules with unwind info"
    if before is None or now.change is None or benchmark not in before.values:
        return f"in {format_span(now.first, now.last)}, {what} takes {cost} ({MAIN})."
    old, new = now.change.shapes.get(
        now.shape, (before.values[benchmark].value, now.values[benchmark].value)
    )
    return (
        f"{now.change.label} made {what} {compare_costs(old, new)}: "
        f"{cost}, {show(old)} in {now.change.previous} ({MAIN})."
    )


def compare_costs(old: float, new: float) -> str:
    """Return a change of cost as a factor, such as `17 times cheaper`."""
    if not old or not new:
        return "free" if old else "no longer free"
    return (
        f"{format_number(max(old / new, new / old))} times {'cheaper' if old > new else 'dearer'}"
    )


def describe_time(now: Era, before: Era | None) -> str:
    """Return what unwind info adds to the time, or nothing if it was not timed."""
    if EXTRA not in now.values:
        return ""
    releases = format_span(now.first, now.last)
    extra = format_number(now.values[EXTRA].value)
    sentence = f"In {releases}, unwind info adds {extra} ms to unloading them"
    if before is not None and EXTRA in before.values:
        earlier = format_span(before.first, before.last)
        earlier_extra = format_number(before.values[EXTRA].value)
        sentence += f"; in {earlier}, it added {earlier_extra} ms"
    return f"{sentence}."


def describe_basis(history: History, verdict: Verdict) -> str:
    """Return which machine a statement rests on."""
    if verdict.unwinder != "libunwind":
        return f"Basis: {verdict.machine}."
    macs = any(machine.is_mac for machine in history.machines.values())
    return f"Basis: {verdict.machine}, LLVM libunwind on Linux, where Wasmtime registers as on " + (
        "macOS." if macs else "macOS; no Mac is recorded yet."
    )


def describe_platform(platform: Platform, columns: Sequence[Column], cells: Sequence[Cell]) -> str:
    """Return what to do on a platform, by releases: neighbours with the same decision are one."""
    said = []
    decisions = zip(columns, cells, strict=True)
    for decision, group in itertools.groupby(decisions, lambda each: each[1].decision):
        here = list(group)
        what = decision.replace("turn it off", "turn unwind info off")
        lost = "" if has_benefit(platform, here[-1][1].release) else " (nothing is lost)"
        said.append(f"{what} in {format_span(here[0][0].first, here[-1][0].last)}{lost}")
    return "; ".join(said)


def describe_empty(history: History) -> str:
    """Return why a history has no values, and what to do."""
    if not history.measured:
        return "results/ holds no results. Run `uv run asv run`."
    return (
        f"All {len(history.measured)} results are n/a: on Windows unwind info cannot be turned "
        "off, and an unwinder may be missing."
    )


def describe_change(change: Change) -> str:
    """Return one sentence for a change in one series."""
    show = format_count if change.counted else format_ratio
    what = "instructions per module" if change.counted else "gap"
    shapes = [shape for shape in (MAIN_SHAPE, *change.shapes) if shape in change.shapes]
    values = ", ".join(
        f"{' → '.join(map(show, change.shapes[shape]))} at {shape}"
        for shape in dict.fromkeys(shapes)
    )
    return f"{change.release}: {what} {values} ({describe_causes(change)})"


def describe_causes(change: Change) -> str:
    """Return what caused a change, as far as it is known."""
    causes = [f"#{cause['pull_request']}: {cause['what']}" for cause in change.causes]
    if change.libraries:
        causes.insert(0, f"the counted library changed, {' → '.join(change.libraries)}")
    return "; ".join(causes) or "no upstream change is known"


def describe_functions(change: Change) -> str:
    """Return the functions of the unwinder that explain a change, or nothing."""
    parts = (
        f"{name} {' → '.join(map(format_count, values))}"
        for name, values in change.functions.items()
    )
    said = ", ".join(parts)
    return said and f"{change.release}, by function at {MAIN_SHAPE}: {said}"


def describe_wheels(on_macs: dict[str, str]) -> str:
    """Return how the libraries in the macOS wheels register: evidence, not a measurement."""
    eras = [
        (way, list(releases)) for way, releases in itertools.groupby(on_macs, on_macs.get) if way
    ]
    said = ", ".join(f"{way} in {format_span(releases[0], releases[-1])}" for way, releases in eras)
    return said and f"Symbols in the macOS wheels show that they register unwind info {said}."


def describe_verdict(verdict: Verdict) -> str:
    """Return one sentence for the verdict on the newest release of a series."""
    against = f", compared with {verdict.previous}" if verdict.previous else ""
    if verdict.unknown:
        return f"Whether {verdict.release} changed the cost is unknown{against}: {verdict.unknown}."
    changed = "changed" if verdict.changed else "did not change"
    return f"{verdict.release} {changed} the cost{against}."


def na_lines(history: History) -> Iterator[str]:
    """Yield the releases without results, by series."""
    measured = {row[:3] for row in history.rows}
    by_series: dict[tuple[str, str], list[str]] = {}
    for each in sorted(history.measured, key=lambda each: Version(each.release)):
        if each[:3] not in measured:
            by_series.setdefault(each.series, []).append(each.release)
    for (machine, unwinder), releases in by_series.items():
        unwinders = name_unwinder(history.machines[machine], unwinder)
        said = format_span(releases[0], releases[-1])
        yield f"n/a: {said} ({len(releases)}) with {unwinders} on {machine}"


def mac_lines(history: History) -> Iterator[str]:
    """Yield how each recorded Mac registers from 50.0.0 on, if its host says so."""
    for machine in history.machines.values():
        if machine.is_mac and machine.sections is not None:
            way = "a section at a time" if machine.sections else "function by function, as 49.0.0"
            yield f"{machine.name}: from 50.0.0 on, wasmtime registers {way} there."
