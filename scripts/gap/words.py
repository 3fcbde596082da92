"""The report: everything that is said of a history, once, for every form it is said in."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from scripts.base.names import known
from scripts.base.numbers import interval, number, times
from scripts.gap.changes import FEWEST, MOST, WORTH, Change, Era, Newest, conclude
from scripts.history.benchmarks import HEADLINE, SIZES
from scripts.history.read import History, Point, Value
from scripts.history.results import LOCAL, is_mac

RULE = (
    f"Turn unwind info off where it costs more than {WORTH:.0f} ms per 1000 modules, else keep it."
)
UNTIMED = (
    f"Where no milliseconds are recorded, instructions stand for them: {FEWEST:,} to {MOST:,} take "
    "a µs. Where that range leaves it open, and where neither is recorded, it is not known."
)
CHANGES = (
    "Counts are exact: a count that differs by 1 % or more from the release before is a change.",
    "Where nothing is counted, a gap that differs by a factor of two or more from the release "
    "before is a change. The newest release and the one before it have to be measured in one "
    "session.",
)
STAND_IN = (
    "No Mac is recorded here. libunwind on Linux stands in for one: Wasmtime takes the same path "
    "there as on macOS, in other times."
)


@dataclass(frozen=True)
class Report:
    """What unwind info costs, when that changed, what the newest release did, and what to do.

    `advice` has the newest era of each series; `sizes` are those that tables show, and `series`
    what they and charts call a machine and unwinder.
    """

    verdict: str
    advice: list[Era]
    newest: list[Newest]
    changes: list[Change]
    eras: list[Era]
    points: list[Point]
    sizes: tuple[str, ...]
    left_out: list[str]
    note: str
    macs: str
    series: dict[str, str]


def report(
    history: History, machine: str | None = None, size: str | None = None, since: str | None = None
) -> Report:
    """The report on a history, or on one machine or size of it.

    Neither `since` nor `size` leaves anything out of what is concluded.

    Raises:
        UserError: there is no such machine, size or release; it names the near ones.
    """
    known(machine, dict.fromkeys(file.machine for file in history.files), "machine with results")
    known(size, dict.fromkeys([*SIZES, *(point.size for point in history.points)]), "size")
    known(since, dict.fromkeys(file.release for file in history.files), "measured release")
    points = [point for point in history.points if machine in (None, point.machine)]
    changes, newest, eras = conclude(replace(history, points=points))
    last = {(*era.key, era.size): era for era in eras if era.size in SIZES}
    macs = {name for name, described in history.machines.items() if is_mac(described)}
    oldest = Version(since or "0")
    return Report(
        verdict=say_verdict(eras, newest, macs),
        advice=list(last.values()),
        newest=newest,
        changes=changes,
        eras=[e for e in eras if size in (None, e.size) and Version(e.last) >= oldest],
        points=[p for p in points if size in (None, p.size) and Version(p.release) >= oldest],
        sizes=(size,) if size else SIZES,
        left_out=[*say_nothing(history, machine), *history.left_out],
        note="" if macs & set(recorded(history.points)) else STAND_IN,
        macs=say_macs(history.on_macs),
        series=dict(name_series(history, *point.key) for point in points),
    )


def recorded(points: Iterable[Point]) -> list[str]:
    """The recorded machines; all where there are none but local ones."""
    machines = list(dict.fromkeys(point.machine for point in points))
    return [name for name in machines if not name.startswith(LOCAL)] or machines


def name_series(history: History, machine: str, unwinder: str) -> tuple[str, str]:
    """A machine and unwinder, and the same with what the system's own unwinder is there."""
    key, system = f"{machine}, {unwinder}", history.machines[machine]["os"].partition(", ")[2]
    return key, key if unwinder == "libunwind" or not system else f"{key} ({system})"


def span(first: str, last: str) -> str:
    """From one release to another."""
    return " to ".join(dict.fromkeys((first, last)))


def functions(size: str) -> str:
    """A size in words."""
    return f"{size} function{'s' * (size != '1')}" if size.isdigit() else size


def count(instructions: float | None) -> str:
    """Instructions, to the last one."""
    return "n/a" if instructions is None else f"{instructions:,.0f}"


def ranged(value: Value | None, unit: str = "") -> str:
    """A value with its range."""
    if value is None:
        return "n/a"
    said = f"{number(value.value)}{unit}"
    if value.low is None:
        return said
    ends = interval(value.low, value.high)
    return f"{said} ({ends.replace('–', ' to ') if value.low < 0 else ends})"


def cost(point: Point) -> str:
    """What unwind info costs: extra time, or else instructions, or else the gap."""
    if point.extra:
        return f"{ranged(point.extra, ' ms')} per 1000 modules"
    if point.instructions is not None:
        return f"{count(point.instructions)} instructions a module"
    return f"{ranged(point.gap, '×')} the time without it"


def advise(eras: Sequence[Era]) -> str:
    """What the rule says of several sizes."""
    sizes: dict[str, list[str]] = {}
    for era in eras:
        sizes.setdefault(era.says, []).append(era.size)
    if len(sizes) == 1:
        return eras[0].says
    said = {says: " and ".join((*at[:-1], functions(at[-1]))) for says, at in sizes.items()}
    return ", ".join(f"{says} at {said[says]}" for says in sorted(said)[::-1])


def say_advice(advice: Sequence[Era]) -> Iterator[str]:
    """One sentence for every machine and unwinder."""
    for key, group in itertools.groupby(advice, key=lambda era: era.key):
        eras = list(group)
        costs = "; ".join(f"{functions(era.size)}: {cost(era)}" for era in eras)
        yield f"{', '.join(key)}, {eras[-1].last}: {advise(eras)}. {costs}"


def say_change(change: Change) -> str:
    """One sentence for a change."""
    sizes = [size for size in SIZES if size in change.moved] or list(change.moved)
    say, what = (count, "instructions a module") if change.counted else (times, "gap")
    moved = ", ".join(
        f"{' → '.join(map(say, change.moved[size]))} at {functions(size)}" for size in sizes
    )
    causes = [f"#{cause['pull_request']}: {cause['what']}" for cause in change.causes]
    if change.library:
        causes.insert(0, f"the counted library changed, {' → '.join(change.library)}")
    why = "; ".join(causes) or "no upstream change is known"
    return f"{change.machine}, {change.unwinder}, {change.release}: {what} {moved} ({why})"


def say_functions(change: Change) -> str:
    """One sentence for what a change is by function, or nothing where that is not counted."""
    moved = (f"{name} {' → '.join(map(count, two))}" for name, two in change.functions.items())
    where = f"{change.machine}, {change.unwinder}, {change.release}"
    said = ", ".join(moved)
    return said and f"{where}, by function of the unwinder: {said} at {functions(HEADLINE)}"


def say_macs(on_macs: dict[str, str]) -> str:
    """How the libraries in the macOS wheels register unwind info: evidence, no measurement."""
    eras = [
        (way, list(releases)) for way, releases in itertools.groupby(on_macs, on_macs.get) if way
    ]
    said = ", ".join(f"{way} in {span(here[0], here[-1])}" for way, here in eras)
    return said and f"By their own bytes, the macOS wheels register unwind info {said}."


def say_newest(newest: Newest) -> str:
    """One sentence for a verdict on the newest release."""
    against = f", compared with {newest.previous}" if newest.previous else ""
    if newest.reason:
        said = f"whether {newest.release} changed the cost is not known{against}: {newest.reason}"
    else:
        changed = "changed" if newest.moved else "did not change"
        said = f"{newest.release} {changed} the cost{against}"
    return f"{newest.machine}, {newest.unwinder}: {said}"


def say_nothing(history: History, machine: str | None) -> Iterator[str]:
    """A line for every machine and unwinder about the releases in which all is n/a."""
    measured = {(*point.key, point.release) for point in history.points}
    for key, files in itertools.groupby(history.files, key=lambda file: file.key[:2]):
        releases = [file.release for file in files if file.key not in measured]
        if releases and machine in (None, key[0]):
            yield f"n/a: {', '.join(key)}, {span(releases[0], releases[-1])} ({len(releases)})"


def say_verdict(eras: Sequence[Era], newest: Sequence[Newest], macs: set[str]) -> str:
    """The sentence that stands first: the cost where it matters most, now and before it changed.

    That is on a Mac, else with libunwind on Linux, else wherever something is measured; of several
    machines it is one with times.
    """
    machines = recorded(eras)
    now = max(
        [era for era in eras if era.machine in machines and era.size == HEADLINE] or eras,
        key=lambda era: (
            era.machine in macs, era.unwinder == "libunwind", bool(era.extra), Version(era.last)
        ),
        default=None,
    )  # fmt: skip
    if now is None:
        return ""
    said = (
        f"In {now.last} ({', '.join(now.key)}), unwind info costs {cost(now)} when modules of "
        f"{functions(now.size)} are dropped."
    )
    for before in [era for era in eras if (era.key, era.size) == (now.key, now.size)][-2:-1]:
        said += f" From {span(before.release, before.last)} it cost {cost(before)}."
    said += f" What to do: {now.says}."
    (judged,) = [verdict for verdict in newest if (verdict.machine, verdict.unwinder) == now.key]
    if judged.reason:
        said += f" What {judged.release} changed is not known: {judged.reason}."
    return said
