"""What to do, by the platforms that readers have and the eras of releases."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.base.files import entries
from scripts.gap import words
from scripts.gap.changes import UNKNOWN, Era, rule
from scripts.history.benchmarks import SIZES
from scripts.history.read import History, Value

PER = " per 1000 modules"  # so is all that the matrix says
REPORTED = Path("fixtures/reported.json")
MAC, LIBUNWIND, TREE, LIST, WINDOWS = "macOS", "libunwind", "libgcc 13", "libgcc 12", "Windows"
PLATFORMS = {
    MAC: "macOS",
    LIBUNWIND: "Linux with LLVM's libunwind in the process, as in builds for musl with Rust's own",
    TREE: "Linux with libgcc 13 or later",
    LIST: "Linux with libgcc 12 or older",
    WINDOWS: "Windows",
}


class Cell(NamedTuple):
    """What to do on a platform in an era, what unwind info costs there, and who says so."""

    says: str
    costs: list[str]
    source: str
    reports: list[dict[str, Any]]


def reported() -> list[dict[str, Any]]:
    """What others have published of Macs and of libunwind, as they gave it."""
    return entries(REPORTED, "reported")


def matrix(report: words.Report, history: History) -> tuple[list[str], dict[str, list[Cell]]]:
    """The eras, and a cell for each of them by platform."""
    starts, columns = {change.release for change in report.changes}, list[list[str]]()
    for release in sorted({file.release for file in history.files}, key=Version):
        if not columns or release in starts:
            columns.append([])
        columns[-1].append(release)
    machines, eras = words.recorded(report.eras), dict[str, list[Era]]()
    published = [entry for entry in reported() if entry["release"]]
    for era in report.eras:
        if era.machine in machines and era.size in SIZES:
            platform = platform_of(history.machines[era.machine]["os"], era.unwinder)
            eras.setdefault(platform, []).append(era)
    return [words.span(column[0], column[-1]) for column in columns], {
        name: [_cell(platform, column, eras, published, history) for column in columns]
        for platform, name in PLATFORMS.items()
    }


def platform_of(system: str, unwinder: str) -> str:
    """Which of the platforms a machine is, with an unwinder."""
    libgcc = re.search(r"libgcc (\d+)", system)
    if system.startswith((MAC, WINDOWS)):
        return system.split()[0]
    if unwinder == LIBUNWIND or libgcc is None:
        return unwinder
    return TREE if int(libgcc[1]) >= 13 else LIST


def _cell(
    platform: str,
    column: list[str],
    eras: dict[str, list[Era]],
    published: list[dict[str, Any]],
    history: History,
) -> Cell:
    if platform == WINDOWS:
        return Cell("cannot", ["creating an Engine aborts the process"], "Wasmtime's own limit", [])
    first, last = Version(column[0]), Version(column[-1])
    here = [entry for entry in published if entry["platform"] == platform]
    reports = [entry for entry in here if first <= Version(entry["release"]) <= last]
    stand_in = [] if platform != MAC or MAC in eras else eras.get(LIBUNWIND, [])
    worst: dict[str, Era] = {}  # of several machines
    for era in eras.get(platform, stand_in):
        if first <= Version(era.last) and Version(era.release) <= last:
            worst[era.size] = max(
                worst.get(era.size, era), era,
                key=lambda era: (era.extra.value if era.extra else 0, era.instructions or 0),
            )  # fmt: skip
    for report in reports:
        if not worst and (milliseconds := report.get("ms_per_1000_modules")):
            says = rule(Value(milliseconds), None)
            return Cell(says, [report["numbers"]], "reported elsewhere", reports)
    if not worst:
        return Cell(UNKNOWN, [], "nothing recorded", reports)
    shown = list(worst.values())
    costs = [f"{words.functions(era.size)}: {words.cost(era).removesuffix(PER)}" for era in shown]
    since = f" from {shown[0].release} on" if Version(shown[0].release) > first else ""
    source = f"{'stand-in, libunwind on Linux' if stand_in else 'measured here'}{since}: "
    source += ", ".join(dict.fromkeys(era.machine for era in shown))
    if platform == MAC:
        mac = history.on_macs.items()
        known = (way for release, way in mac if first <= Version(release) <= last)
        ways = " or ".join(filter(None, dict.fromkeys(known)))
        source += f"; the Mac library registers {ways}" * bool(ways)
    return Cell(words.advise(shown), costs, source, reports)
