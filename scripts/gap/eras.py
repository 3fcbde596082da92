"""All that is measured with unwind info on and off, era by era.

An era lies between two change points of the gap. What is not measured in pairs is two series,
taken minutes apart: on a shared machine one release of them says little, and the median of many
releases says more.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from scripts.base.numbers import interval, times
from scripts.gap.words import Report
from scripts.history.benchmarks import RATIO
from scripts.history.read import History, ResultFile


def tables(history: History, found: Report) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """A title, a head and rows for every machine and unwinder: one row a benchmark."""
    for verdict in found.newest:
        key = (verdict.machine, verdict.unwinder)
        steps = {step.release for step in found.steps if (step.machine, step.unwinder) == key}
        eras = split([file for file in history.files if file.key[:2] == key and file.values], steps)
        costs = [cost(era) for era in eras]
        names = dict.fromkeys(name for by_name in costs for name in by_name)
        rows = [[name, *(cell(by_name.get(name, [])) for by_name in costs)] for name in names]
        heads = [" to ".join(dict.fromkeys((era[0].release, era[-1].release))) for era in eras]
        yield ", ".join(key), ["times as long with unwind info", *heads], rows


def split(files: Sequence[ResultFile], steps: set[str]) -> list[Sequence[ResultFile]]:
    """The eras, oldest first, of releases in which some gap was measured."""
    files = [file for file in files if RATIO in file.values]
    starts = [at for at, file in enumerate(files) if at == 0 or file.release in steps]
    return [files[start:end] for start, end in pairwise([*starts, len(files)])]


def cost(era: Sequence[ResultFile]) -> dict[str, list[float]]:
    """How many times as long each benchmark takes with unwind info, release by release."""
    ratios: dict[str, list[float]] = {}
    for file in era:
        for name, values in sorted(file.values.items()):
            for params, value in values.items():
                label = " ".join([name.split(".", 1)[1], *params[name != RATIO :]])
                off = values.get(("off", *params[1:]))
                if name == RATIO:
                    ratios.setdefault(label, []).append(value.value)
                elif off and params[0] == "on":
                    ratios.setdefault(label, []).append(value.value / off.value)
    return ratios


def cell(ratios: Sequence[float]) -> str:
    """The median, and the least and the most."""
    if not ratios:
        return "n/a"
    least_and_most = f" ({interval(min(ratios), max(ratios))})" if len(ratios) > 1 else ""
    return f"{times(median(ratios))}{least_and_most}"
