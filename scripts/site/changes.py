"""The table of changes: each change once, whatever the number of machines that saw it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from packaging.version import Version

from benchmarks._shapes import HEADLINE
from scripts.base.numbers import format_count, format_ratio
from scripts.gap import words
from scripts.gap.changes import Change, UpstreamChange
from scripts.gap.report import Report
from scripts.history.benchmarks import MAIN_SHAPE


class Effect(NamedTuple):
    """What a change did to the cost with one unwinder.

    Attributes:
        unwinder: in the reader's words.
        counted: whether costs are instructions per module; otherwise they are gaps.
        shapes: before and after, by headline shape; None where it did not change.
        others: the same of the other shapes that changed.
        said: what it means.
    """

    unwinder: str
    counted: bool
    shapes: dict[str, tuple[str, str] | None]
    others: dict[str, tuple[str, str]]
    said: str


@dataclass
class ChangeRow:
    """A release that changed the cost, by cause.

    Attributes:
        release: where it changed.
        causes: the upstream changes behind it.
        libraries: the counted libraries before and after, if they differ.
        wheels: whether the macOS wheels register in another way from there on.
        effects: by unwinder.
    """

    release: str
    causes: list[UpstreamChange]
    libraries: tuple[str, ...]
    wheels: bool
    effects: list[Effect] = field(default_factory=list)


def build_change_rows(report: Report) -> list[ChangeRow]:
    """Return every change once, newest first; the most telling machine has its numbers."""
    rows: dict[tuple[str, tuple[str, ...]], ChangeRow] = {}
    for series in report.series:
        for change in series.changes:
            row = rows.setdefault(
                (change.release, change.libraries),
                ChangeRow(change.release, [], change.libraries, wheels=False),
            )
            row.causes += [cause for cause in change.causes if cause not in row.causes]
            row.wheels |= change.wheels
            if series.name not in [effect.unwinder for effect in row.effects]:
                row.effects.append(describe_effect(series.name, change))
    return sorted(rows.values(), key=lambda row: Version(row.release), reverse=True)


def describe_effect(name: str, change: Change) -> Effect:
    """Return a change as its row shows it."""
    show = format_count if change.counted else format_ratio
    shapes = {shape: (show(old), show(new)) for shape, (old, new) in change.shapes.items()}
    telling = MAIN_SHAPE if MAIN_SHAPE in change.shapes else next(iter(change.shapes))
    said = f"{words.compare_costs(*change.shapes[telling])} at {telling}"
    return Effect(
        name,
        change.counted,
        {shape: shapes.get(shape) for shape in HEADLINE},
        {shape: values for shape, values in shapes.items() if shape not in HEADLINE},
        said,
    )


def function_lines(report: Report) -> Iterator[str]:
    """Yield the functions of the unwinder that explain a change, once for each unwinder."""
    seen = set()
    for series in report.series:
        for change in series.changes:
            if change.functions and (series.name, change.release) not in seen:
                seen.add((series.name, change.release))
                yield f"{series.name}, {words.describe_functions(change)}"
