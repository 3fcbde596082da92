"""The report: everything that a history says, once, for every form it is shown in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from packaging.version import Version

from scripts.base.exits import CHANGED, UNKNOWN
from scripts.base.names import check_known_name
from scripts.gap import words
from scripts.gap.changes import (
    Change,
    Era,
    Verdict,
    find_changes,
    judge_newest,
    split_eras,
    split_series,
)
from scripts.gap.fit import Fit, fit_entries
from scripts.gap.law import broken_laws
from scripts.gap.matrix import Cell, Column, build_matrix
from scripts.gap.platforms import Platform, name_unwinder
from scripts.history.benchmarks import EXTRA, MAIN_SHAPE
from scripts.history.read import History
from scripts.history.rows import Row


@dataclass(frozen=True)
class Series:
    """One machine and unwinder.

    Attributes:
        machine, unwinder: its key.
        name: the unwinder in the reader's words, such as `libgcc 12`.
        eras, changes, verdict: what is concluded from its rows.
    """

    machine: str
    unwinder: str
    name: str
    eras: list[Era]
    changes: list[Change]
    verdict: Verdict

    def eras_of(self, shape: str) -> list[Era]:
        """Return the eras of one shape, oldest first."""
        return [era for era in self.eras if era.shape == shape]


@dataclass(frozen=True)
class Report:
    """What unwind info costs, when that changed, what the newest release did, and what to do.

    Attributes:
        headline: the answer for a Mac user, and its basis.
        series: the most telling one first.
        columns, matrix: the advice by platform and era.
        fits: nanoseconds per table entry, by machine.
        rows: every value, for CSV and JSON.
        shapes: those that are shown, in order.
        not_measured: releases without results, by series.
        problems: files that were left out, and counts that break the model.
        wheels: how the macOS wheels register.
        macs: how recorded Macs register from 50.0.0 on.
    """

    headline: list[str]
    series: list[Series]
    columns: list[Column]
    matrix: dict[Platform, list[Cell]]
    fits: list[Fit]
    rows: list[Row]
    shapes: list[str]
    not_measured: list[str]
    problems: list[str]
    wheels: str
    macs: list[str]

    @property
    def changes(self) -> list[Change]:
        """The changes of all series, oldest first."""
        found = [change for series in self.series for change in series.changes]
        return sorted(found, key=lambda change: Version(change.release))

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
    """Build the report on a history, or on one machine or shape of it.

    `shape` and `since` filter what is shown; conclusions are drawn from everything.

    Raises:
        UserError: there is no such machine, shape or release; it names the near ones.
    """
    shapes = list(dict.fromkeys(era_shape for era_shape in shapes_of(history.rows)))
    check_known_name(
        machine, dict.fromkeys(each.machine for each in history.measured), "machine with results"
    )
    check_known_name(shape, shapes, "shape")
    check_known_name(
        since, dict.fromkeys(each.release for each in history.measured), "measured release"
    )
    if machine is not None:
        history = replace(
            history,
            rows=[row for row in history.rows if row.machine == machine],
            measured=[each for each in history.measured if each.machine == machine],
        )
    series = [conclude_series(history, rows) for rows in split_series(history).values()]
    series.sort(key=lambda each: rank(history, each))
    eras = [era for each in series for era in each.eras]
    changes = [change for each in series for change in each.changes]
    columns, matrix = build_matrix(history, changes, eras)
    oldest = Version(since or "0")
    shown = [
        replace(
            each,
            eras=[
                era
                for era in each.eras
                if shape in (None, era.shape) and Version(era.last) >= oldest
            ],
            changes=[change for change in each.changes if Version(change.release) >= oldest],
        )
        for each in series
    ]
    return Report(
        headline=words.write_headline(history, series[0].eras_of(MAIN_SHAPE), series[0].verdict)
        if series
        else [],
        series=shown,
        columns=columns,
        matrix=matrix,
        fits=fit_entries(history, eras),
        rows=[
            row
            for row in history.rows
            if shape in (None, row.shape) and Version(row.release) >= oldest
        ],
        shapes=[shape] if shape else shapes,
        not_measured=list(words.na_lines(history)),
        problems=[*history.left_out, *broken_laws(history)],
        wheels=words.describe_wheels(history.on_macs),
        macs=list(words.mac_lines(history)),
    )


def shapes_of(rows: Iterable[Row]) -> list[str]:
    """Return the shapes with a cost, the headline ones first."""
    from benchmarks._shapes import COUNTED, HEADLINE

    found = {row.shape for row in rows}
    return [shape for shape in dict.fromkeys((*HEADLINE, *COUNTED)) if shape in found]


def conclude_series(history: History, rows: Sequence[Row]) -> Series:
    """Conclude changes, eras and the verdict of one series."""
    machine, unwinder = rows[0].series
    changes = find_changes(history, rows)
    return Series(
        machine,
        unwinder,
        name_unwinder(history.machines[machine], unwinder),
        list(split_eras(rows, changes)),
        changes,
        judge_newest(history, rows, changes),
    )


def rank(history: History, series: Series) -> tuple[int, ...]:
    """Order series: recorded before local, Macs, then their stand-in, with times, the longest."""
    machine = history.machines[series.machine]
    timed = any(EXTRA in era.values for era in series.eras)
    return (
        machine.is_local,
        not machine.is_mac,
        series.unwinder != "libunwind",
        machine.emulated,
        not timed,
        -sum(era.releases for era in series.eras_of(MAIN_SHAPE)),
    )


def exit_code_of(verdicts: Sequence[Verdict]) -> int:
    """Return the exit code for verdicts: changed, unknown, or 0 for unchanged.

    A change that is certain comes before what is unknown.
    """
    if any(verdict.changed for verdict in verdicts):
        return CHANGED
    return UNKNOWN if any(verdict.unknown for verdict in verdicts) else 0
