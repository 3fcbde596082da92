"""The matrix: advice by platform and era for representative loads, with its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from packaging.version import Version

from benchmarks._axis import LLVM
from scripts.base.numbers import format_count
from scripts.cost.advice import (
    FORMER_STATIC,
    UNDETECTED_BEFORE,
    UNREGISTERED_BEFORE,
    Advice,
    Decision,
    Load,
    Reported,
    advise,
    read_reports,
)
from scripts.cost.model import DETECTS_SINCE, DETECTS_STATIC_SINCE
from scripts.cost.platforms import Platform, platform_of
from scripts.history.benchmarks import DEREGISTER, EXTRA, MAIN_SHAPE
from scripts.history.read import History
from scripts.report.changes import Change, Era

SMALL, MAIN = "1000 × 17 FDEs", "1000 × 106 FDEs"
SERVER = "1 × 497 FDEs beside 50,000"
LOADS = {
    MAIN: (Load(1000, 106), "1000 modules of 106 FDEs each, as in wasmtime#10287; all go"),
    SMALL: (Load(1000, 17), "1000 modules of 17 FDEs each, such as 8 exported functions; all go"),
    SERVER: (Load(1, 497, 50_000), "one module of 497 FDEs goes beside 50,000 FDEs that stay"),
}


class MeasuredCost(NamedTuple):
    """Milliseconds per module unloaded, measured with 1000 modules of 8 functions loaded."""

    milliseconds: float
    machine: str
    is_stand_in: bool


@dataclass(frozen=True)
class Cell:
    """The advice for a platform in an era.

    Attributes:
        first, release: the oldest and the newest release of the era; the advice is for the newest.
        advice: by load.
        measured: measured costs, each with the machine.
        counted: instructions counted on a machine with the same processor architecture.
        reports: measurements published by others.
        mac_registration: how the macOS wheels register unwind info; empty on other platforms.
    """

    platform: Platform
    first: str
    release: str
    advice: dict[str, Advice]
    measured: list[MeasuredCost]
    counted: list[str]
    reports: list[Reported]
    mac_registration: str = ""

    @property
    def decision(self) -> Decision:
        """The decision for the main load."""
        return self.advice[MAIN].decision


@dataclass(frozen=True)
class Column:
    """The releases between two changes under libunwind."""

    first: str
    last: str

    def contains(self, release: str) -> bool:
        """Return whether a release belongs to the column."""
        return Version(self.first) <= Version(release) <= Version(self.last)

    def overlaps(self, first: str, last: str) -> bool:
        """Return whether the column has a release from `first` to `last`."""
        return Version(first) <= Version(self.last) and Version(self.first) <= Version(last)


def find_columns(history: History, changes: Sequence[Change]) -> list[Column]:
    """Return the columns of the matrix. Each change of a libunwind series begins a new one."""
    starts = {change.release for change in changes if change.series.unwinder.family == "libunwind"}
    columns: list[list[str]] = []
    for release in history.measured_releases:
        if not columns or release in starts:
            columns.append([])
        columns[-1].append(release)
    return [Column(releases[0], releases[-1]) for releases in columns]


def build_matrix(
    history: History, changes: Sequence[Change], eras: Sequence[Era]
) -> tuple[list[Column], dict[Platform, list[Cell]]]:
    """Return the columns, and for each platform a cell for each column."""
    columns = find_columns(history, changes)
    published = read_reports()
    return columns, {
        platform: [build_cell(platform, column, history, eras, published) for column in columns]
        for platform in Platform
    }


def build_cell(
    platform: Platform,
    column: Column,
    history: History,
    eras: Sequence[Era],
    published: Sequence[Reported],
) -> Cell:
    """Return the advice for a platform in an era, with its evidence."""
    advice = {name: advise(platform, column.last, load) for name, (load, _) in LOADS.items()}
    first = Version(column.first)
    if platform is Platform.LIBUNWIND and first < DETECTS_SINCE <= Version(column.last):
        first = DETECTS_SINCE
        for answer in advice.values():
            answer.notes.append(UNDETECTED_BEFORE)
    if platform is Platform.STATIC_LIBUNWIND:
        if first < DETECTS_STATIC_SINCE <= Version(column.last):
            first = DETECTS_STATIC_SINCE
            for answer in advice.values():
                answer.notes.append(UNREGISTERED_BEFORE)
        elif first < DETECTS_SINCE:
            for answer in advice.values():
                answer.notes.append(FORMER_STATIC)
    registrations = dict.fromkeys(
        release.mac_registration
        for release in history.releases
        if release.mac_registration and column.contains(release.version)
    )
    return Cell(
        platform,
        str(first),
        column.last,
        advice,
        measured=describe_measured(platform, column, history, eras),
        counted=describe_counted(platform, column, history, eras),
        reports=[
            report
            for report in published
            if platform.value in report["platforms"]
            and report["release"] is not None
            and column.contains(report["release"])
        ],
        mac_registration=" or ".join(registrations) if platform.is_mac else "",
    )


def describe_measured(
    platform: Platform, column: Column, history: History, eras: Sequence[Era]
) -> list[MeasuredCost]:
    """Return the costs measured on a platform in an era, for 1000 modules of 8 functions.

    LLVM libunwind on Linux stands in for a Mac, unless one with that processor has a time.
    """
    timed = [
        (era, era.values[EXTRA])
        for era in eras
        if era.shape == MAIN_SHAPE and EXTRA in era.values and column.overlaps(era.first, era.last)
    ]
    platforms = {
        era.series: platform_of(history.machines[era.series.machine], era.series.unwinder)
        for era, _ in timed
    }
    stand_in = platform.is_mac and platform not in platforms.values()
    wanted = Platform.LIBUNWIND if stand_in else platform
    return [
        MeasuredCost(max(extra.value, 0) / 1000, era.series.machine, stand_in)
        for era, extra in timed
        if platforms[era.series] is wanted and not history.machines[era.series.machine].is_local
    ]


def describe_counted(
    platform: Platform, column: Column, history: History, eras: Sequence[Era]
) -> list[str]:
    """Return the counts of LLVM libunwind on arm64, which stand in for Apple silicon.

    A count depends on the instruction set and not on the clock, so an emulated machine will do.
    """
    if platform is not Platform.APPLE_SILICON:
        return []
    sentences = []
    for era in eras:
        machine = history.machines[era.series.machine]
        is_stand_in = era.series.unwinder == LLVM and machine.arch == "arm64"
        if not is_stand_in or machine.is_local or era.shape != MAIN_SHAPE:
            continue
        if DEREGISTER in era.values and column.overlaps(era.first, era.last):
            count = format_count(era.values[DEREGISTER].value)
            sentences.append(
                f"{count} instructions to deregister a module, counted on {era.series.machine} "
                "with LLVM libunwind, the stand-in"
            )
    return sentences
