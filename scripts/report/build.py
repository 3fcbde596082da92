"""The report: all conclusions from a history, built once for all output formats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scripts.base.exits import CHANGED, UNKNOWN
from scripts.base.names import check_known_name
from scripts.cost.platforms import Platform, name_unwinder
from scripts.cost.rates import Curves
from scripts.history.benchmarks import EXTRA, MAIN_SHAPE
from scripts.history.read import History
from scripts.history.rows import Row, SeriesKey
from scripts.report import words
from scripts.report.benefits import benefit_lines
from scripts.report.changes import (
    Change,
    Era,
    Verdict,
    find_changes,
    judge_newest,
    split_eras,
    split_series,
)
from scripts.report.fit import Fit, fit_entries, read_curves
from scripts.report.law import broken_laws, unchecked_machines
from scripts.report.matrix import Cell, Column, build_matrix
from scripts.report.memory import MemorySummary, summarize_memory


@dataclass(frozen=True)
class Series:
    """One machine and unwinder.

    Attributes:
        key: the machine and unwinder.
        name: the display name of the unwinder, such as `libgcc 12`.
        eras, changes, verdict: the conclusions from its rows.
    """

    key: SeriesKey
    name: str
    eras: list[Era]
    changes: list[Change]
    verdict: Verdict

    @property
    def has_times(self) -> bool:
        """Whether anything was timed in the series."""
        return any(EXTRA in era.values for era in self.eras)

    def eras_of(self, shape: str) -> list[Era]:
        """Return the eras of one shape, oldest first."""
        return [era for era in self.eras if era.shape == shape]


@dataclass(frozen=True)
class Report:
    """The cost of unwind info, its changes, the verdict on the newest release, and the advice.

    Attributes:
        headline: the answer for macOS users, and its basis.
        series: the most relevant one first.
        columns, matrix: the advice by platform and era.
        fits: nanoseconds per table entry, by machine.
        curves: the rates by table size of machines that measured a busy process.
        benefits: what unwind info gives by release, as sentences.
        memory: releases that leave more or less memory than the one before; None if unrecorded.
        rows: every value, for CSV and JSON.
        shapes: the shapes to show, in order.
        not_measured: releases without values, by series, and machines with unchecked counts.
        problems: files that were left out, and counts that contradict the model.
        mac_registration: how the macOS wheels register.
        recorded_macs: how recorded Macs register from 50.0.0 on.
        releases: the pinned releases, oldest first.
    """

    headline: list[str]
    series: list[Series]
    columns: list[Column]
    matrix: dict[Platform, list[Cell]]
    fits: list[Fit]
    curves: dict[str, Curves]
    benefits: list[str]
    memory: MemorySummary | None
    rows: list[Row]
    shapes: list[str]
    not_measured: list[str]
    problems: list[str]
    mac_registration: str
    recorded_macs: list[str]
    releases: list[str]

    @property
    def newest(self) -> str:
        """The newest pinned release."""
        return self.releases[-1]

    @property
    def changes(self) -> list[Change]:
        """The changes of all series, oldest first."""
        changes = [change for series in self.series for change in series.changes]
        return sorted(changes, key=lambda change: self.releases.index(change.release))

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict on the newest release of each series."""
        return [series.verdict for series in self.series]


def build_report(
    history: History,
    machine: str | None = None,
    shape: str | None = None,
    since: str | None = None,
) -> Report:
    """Build the report on a history, or on one machine of it.

    `shape` and `since` only filter the values that are shown; conclusions use all of them.

    Raises:
        UserError: there is no such machine, shape or release. The message suggests similar names.
    """
    shapes = find_shapes(history.rows)
    machines = dict.fromkeys(measured.series.machine for measured in history.measured)
    position = history.positions.__getitem__
    check_known_name(machine, machines, "machine with results")
    check_known_name(shape, shapes, "shape")
    check_known_name(since, history.measured_releases, "measured release")
    if machine is not None:
        history = replace(
            history,
            rows=[row for row in history.rows if row.series.machine == machine],
            measured=[
                measured for measured in history.measured if measured.series.machine == machine
            ],
        )
    all_series = [conclude_series(history, rows) for rows in split_series(history).values()]
    all_series.sort(key=lambda series: rank_series(history, series))
    eras = [era for series in all_series for era in series.eras]
    changes = [change for series in all_series for change in series.changes]
    columns, matrix = build_matrix(history, changes, eras)
    headline: list[str] = []
    if all_series:
        first = all_series[0]
        about = shape or MAIN_SHAPE
        headline = words.write_headline(history, first.eras_of(about), first.verdict, about)
    newest = history.releases[-1].version
    if headline and newest not in history.newest_by_machine(machine):
        headline[0] += f" {newest} has not been measured yet."
    oldest = position(since) if since else 0
    shown = [
        replace(
            series,
            eras=[
                era
                for era in series.eras
                if shape in (None, era.shape) and position(era.last) >= oldest
            ],
            changes=[change for change in series.changes if position(change.release) >= oldest],
        )
        for series in all_series
    ]
    return Report(
        headline=headline,
        series=shown,
        columns=columns,
        matrix=matrix,
        fits=fit_entries(history, eras),
        curves=read_curves(history),
        benefits=list(benefit_lines(history)),
        memory=summarize_memory(history),
        rows=[
            row
            for row in history.rows
            if shape in (None, row.shape) and position(row.release) >= oldest
        ],
        shapes=[shape] if shape else shapes,
        not_measured=[*words.na_lines(history, oldest), *unchecked_machines(history)],
        problems=[*history.left_out, *broken_laws(history), *words.contradicted_macs(history)],
        mac_registration=words.describe_mac_registration(history.releases),
        recorded_macs=list(words.recorded_mac_lines(history)),
        releases=[release.version for release in history.releases],
    )


def find_shapes(rows: Iterable[Row]) -> list[str]:
    """Return the shapes that have values, the headline shapes first."""
    from benchmarks._shapes import COUNTED, HEADLINE

    measured = {row.shape for row in rows}
    return [shape for shape in dict.fromkeys((*HEADLINE, *COUNTED)) if shape in measured]


def conclude_series(history: History, rows: Sequence[Row]) -> Series:
    """Return the changes, the eras and the verdict of one series."""
    key = rows[0].series
    changes = find_changes(history, rows)
    return Series(
        key,
        name_unwinder(history.machines[key.machine], key.unwinder),
        list(split_eras(history, rows, changes)),
        changes,
        judge_newest(history, rows, changes),
    )


def rank_series(history: History, series: Series) -> tuple[int, ...]:
    """Return a sort key that puts the most relevant series first.

    In order of importance: recorded before local, Macs before others, their stand-in before
    others, newer macOS before older, real before emulated, timed before untimed, long before short.
    """
    machine, unwinder = history.machines[series.key.machine], series.key.unwinder
    return (
        machine.is_local,
        not machine.is_mac,
        not unwinder.stand_in,
        unwinder.is_by_function,
        machine.emulated,
        not series.has_times,
        -sum(era.releases for era in series.eras_of(MAIN_SHAPE)),
    )


def exit_code_of(verdicts: Sequence[Verdict], newest: str) -> int:
    """Return the exit code for verdicts on a release: changed, unknown, or 0 for unchanged.

    A series that lags behind does not count, but if no series has the release, the answer is
    unknown. A certain change on one series outweighs an unknown verdict on another.
    """
    current = [verdict for verdict in verdicts if verdict.release == newest]
    if any(verdict.changed for verdict in current):
        return CHANGED
    return UNKNOWN if not current or any(verdict.unknown for verdict in current) else 0
