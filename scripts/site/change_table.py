"""The table of changes: each change once, however many machines show it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks._shapes import HEADLINE
from scripts.base.numbers import format_count, format_ratio
from scripts.history.benchmarks import MAIN_SHAPE
from scripts.report import words
from scripts.report.build import Report
from scripts.report.changes import Change, UpstreamChange


class Effect(NamedTuple):
    """The effect of a change on the cost with one unwinder.

    Attributes:
        unwinder: its display name.
        counted: whether costs are instructions per module; otherwise they are gaps.
        shapes: the cost before and after, by headline shape; None if it did not change.
        other_shapes: the cost before and after, for the other shapes that changed.
        summary: the factor by which the cost changed, such as `17 times cheaper at 1000x8`.
    """

    unwinder: str
    counted: bool
    shapes: dict[str, tuple[str, str] | None]
    other_shapes: dict[str, tuple[str, str]]
    summary: str


@dataclass
class ChangeRow:
    """A release that changed the cost, with its causes.

    Attributes:
        release: the first release with the new cost.
        causes: the upstream changes behind it.
        libraries: the counted libraries before and after, if they differ.
        mac_registration: whether the macOS wheels register differently from this release on, too.
        effects: one for each unwinder.
    """

    release: str
    causes: list[UpstreamChange]
    libraries: tuple[str, ...]
    mac_registration: bool
    effects: list[Effect] = field(default_factory=list)


def build_change_rows(report: Report) -> list[ChangeRow]:
    """Return every change once, newest first, with the numbers of the most relevant machine."""
    rows: dict[tuple[str, tuple[str, ...]], ChangeRow] = {}
    for series in report.series:
        for change in series.changes:
            row = rows.setdefault(
                (change.release, change.libraries),
                ChangeRow(change.release, [], change.libraries, mac_registration=False),
            )
            row.causes += [cause for cause in change.causes if cause not in row.causes]
            row.mac_registration |= change.mac_registration
            if series.name not in [effect.unwinder for effect in row.effects]:
                row.effects.append(describe_effect(series.name, change))
    return sorted(rows.values(), key=lambda row: report.releases.index(row.release), reverse=True)


def describe_effect(name: str, change: Change) -> Effect:
    """Return the effect of a change in the series of an unwinder."""
    show = format_count if change.counted else format_ratio
    shapes = {shape: (show(old), show(new)) for shape, (old, new) in change.shapes.items()}
    main = MAIN_SHAPE if MAIN_SHAPE in change.shapes else next(iter(change.shapes))
    return Effect(
        name,
        change.counted,
        shapes={shape: shapes.get(shape) for shape in HEADLINE},
        other_shapes={shape: costs for shape, costs in shapes.items() if shape not in HEADLINE},
        summary=f"{words.compare_costs(*change.shapes[main])} at {main}",
    )


def function_lines(report: Report) -> Iterator[str]:
    """Yield the unwinder functions that changed most in each change, once for each unwinder."""
    seen = set()
    for series in report.series:
        for change in series.changes:
            if change.functions and (series.name, change.release) not in seen:
                seen.add((series.name, change.release))
                yield f"{series.name}, {words.describe_functions(change)}"
