"""The matrix: advice by platform and era for representative loads, with its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from scripts.base.numbers import format_count, format_milliseconds
from scripts.cost.advice import (
    DETECTS_SINCE,
    UNDETECTED_BEFORE,
    Advice,
    Load,
    Reported,
    advise,
    read_reports,
)
from scripts.cost.model import estimate_fdes
from scripts.cost.platforms import Platform, is_libunwind, platform_of
from scripts.history.benchmarks import DEREGISTER, EXTRA, MAIN_SHAPE
from scripts.history.read import History
from scripts.report.changes import Change, Era

SMALL, MIDDLE = "1000 × 8 functions", "1000 × 106 FDEs"
LARGE = "1 × 2,000 functions beside 100,000 FDEs"
LOADS = {
    SMALL: "1000 modules of 8 exported functions each",
    MIDDLE: "1000 modules of 106 FDEs each, as in wasmtime#10287",
    LARGE: "one module of 2,000 functions beside 100,000 FDEs of other modules",
}


@dataclass(frozen=True)
class Cell:
    """The advice for a platform in an era.

    Attributes:
        first, release: the oldest and the newest release of the era; the advice is for the newest.
        advice: by load.
        measured: measured costs, each as text that names the machine.
        counted: instructions counted on a machine with the same processor architecture.
        reports: measurements published by others.
        way: how the macOS wheels register unwind info; empty on other platforms.
    """

    platform: Platform
    first: str
    release: str
    advice: dict[str, Advice]
    measured: list[str]
    counted: list[str]
    reports: list[Reported]
    way: str = ""

    @property
    def decision(self) -> str:
        """The decision if it is the same for every load, otherwise `it depends on the load`."""
        decisions = {advice.decision for advice in self.advice.values()}
        return decisions.pop().value if len(decisions) == 1 else "it depends on the load"


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
    libunwind = [
        change
        for change in changes
        if is_libunwind(history.machines[change.machine], change.unwinder)
    ]
    starts = {change.release for change in libunwind}
    columns: list[list[str]] = []
    for release in sorted({measured.release for measured in history.measured}, key=Version):
        if not columns or release in starts:
            columns.append([])
        columns[-1].append(release)
    return [Column(releases[0], releases[-1]) for releases in columns]


def load_of(name: str, release: str) -> Load:
    """Return a representative load, with the FDEs that its modules have in a release."""
    if name == MIDDLE:
        return Load(1000, 106)
    if name == SMALL:
        return Load(1000, estimate_fdes(8, release, exported=8))
    return Load(1, estimate_fdes(2000, release, exported=7), residents=100_000)


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
    advice = {name: advise(platform, column.last, load_of(name, column.last)) for name in LOADS}
    first = Version(column.first)
    if platform is Platform.LIBUNWIND and first < DETECTS_SINCE <= Version(column.last):
        first = DETECTS_SINCE
        for answer in advice.values():
            answer.notes.append(UNDETECTED_BEFORE)
    registrations = dict.fromkeys(
        registration
        for release, registration in history.on_macs.items()
        if registration and column.contains(release)
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
        way=" or ".join(registrations) if platform.is_mac else "",
    )


def describe_measured(
    platform: Platform, column: Column, history: History, eras: Sequence[Era]
) -> list[str]:
    """Return the costs measured on a platform in an era, for 1000 modules of 8 functions.

    LLVM libunwind on Linux stands in for a Mac, unless one with that processor has a time.
    """
    timed = [
        (era, era.values[EXTRA])
        for era in eras
        if era.shape == MAIN_SHAPE and EXTRA in era.values and column.overlaps(era.first, era.last)
    ]
    platforms = {
        (era.machine, era.unwinder): platform_of(history.machines[era.machine], era.unwinder)
        for era, _ in timed
    }
    stand_in = platform.is_mac and platform not in platforms.values()
    wanted = Platform.LIBUNWIND if stand_in else platform
    return [
        f"{format_milliseconds(max(extra.value, 0) / 1000)} measured on {era.machine}"
        + (", the stand-in" if stand_in else "")
        for era, extra in timed
        if platforms[era.series] is wanted and not history.machines[era.machine].is_local
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
        machine = history.machines[era.machine]
        is_stand_in = era.unwinder == "libunwind" and machine.arch == "arm64"
        if not is_stand_in or machine.is_local or era.shape != MAIN_SHAPE:
            continue
        if DEREGISTER in era.values and column.overlaps(era.first, era.last):
            count = format_count(era.values[DEREGISTER].value)
            sentences.append(
                f"{count} instructions to deregister a module, counted on {era.machine} "
                "with LLVM libunwind, the stand-in"
            )
    return sentences
