"""Build histories with known costs in memory, for tests of the report."""

from collections.abc import Mapping, Sequence

from benchmarks._axis import APPLE, LLVM, Unwinder
from scripts.cost.model import SCANS
from scripts.history.benchmarks import DEREGISTER, LIBRARY, TIME_OFF, TIME_ON
from scripts.history.machine import Machine
from scripts.history.read import History, Measured
from scripts.history.rows import Row, SeriesKey, derive_gaps
from scripts.releases import pins
from scripts.report.law import predict_count

from .conftest import ROOT

LINUX = Machine("linux", "Debian 12, libgcc 12", "x86_64", "Linux", 12)
TREE = Machine("tree", "Debian 13, libgcc 14", "x86_64", "Linux", 14)
MAC = Machine("mac", "macOS 15", "arm64", "macOS")
LOCAL = Machine("local-linux-x86_64", "Debian 12, libgcc 12", "x86_64", "Linux", 12)
STORY = ("19.0.0", "21.0.0", "22.0.0", "40.0.0", "49.0.0", "50.0.1")
OFF = 0.010  # seconds


def make_counts(
    counts: Mapping[str, float],
    machine: Machine = LINUX,
    unwinder: Unwinder = LLVM,
    shape: str = "1000x8",
) -> list[Row]:
    """Return a row for each release, with its instructions to deregister a module."""
    return [
        Row(SeriesKey(machine.name, unwinder), release, DEREGISTER, shape, value)
        for release, value in counts.items()
    ]


def make_predicted_counts(releases: Sequence[str] = STORY, machine: Machine = LINUX) -> list[Row]:
    """Return the counts that the model predicts for Debian 12's libunwind."""
    scan = SCANS["Debian 12, x86-64"]
    rows = []
    for shape in ("1000x1", "1000x8", "100x100"):
        for release in releases:
            row = Row(SeriesKey(machine.name, LLVM), release, DEREGISTER, shape, 0)
            count = predict_count(row, scan)
            assert count is not None
            rows.append(row._replace(value=count))
    return rows


def make_times(
    gaps: Mapping[str, float],
    machine: Machine = MAC,
    unwinder: Unwinder = APPLE,
    shape: str = "1000x8",
    samples: int = 8,
) -> list[Row]:
    """Return times with equal samples, gaps and extra times, by release."""
    rows = []
    for release, gap in gaps.items():
        for benchmark, seconds in ((TIME_ON, OFF * gap), (TIME_OFF, OFF)):
            values = (seconds, seconds, seconds, (seconds,) * samples)
            rows.append(Row(SeriesKey(machine.name, unwinder), release, benchmark, shape, *values))
    return [*rows, *derive_gaps(rows)]


def make_libraries(builds: Mapping[str, int], machine: Machine = LINUX) -> list[Row]:
    """Return a row for each release, with the build id of the counted library."""
    return [
        Row(SeriesKey(machine.name, LLVM), release, LIBRARY, "", build)
        for release, build in builds.items()
    ]


def make_history(rows: Sequence[Row], *machines: Machine, newest: str = "") -> History:
    """Return a history of these rows, in which every machine has the same newest release."""
    results = dict.fromkeys((row.series, row.release) for row in rows)
    measured = [Measured(series, release, 0) for series, release in results]
    machines = machines or (LINUX,)
    newest_by_machine = {
        machine.name: newest
        or max((row.release for row in rows if row.series.machine == machine.name), default="")
        for machine in machines
    }
    return History(
        {machine.name: machine for machine in machines},
        pins.load_pins(ROOT / pins.PINS),
        measured,
        list(rows),
        newest_by_machine,
    )
