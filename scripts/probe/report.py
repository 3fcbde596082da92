"""The report of one module: the verdict first, then a table; as text, Markdown or JSON."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.base.numbers import format_count, format_milliseconds_range
from scripts.gap.advice import (
    Advice,
    Basis,
    Decision,
    describe_benefit,
    has_benefit,
)
from scripts.gap.platforms import Platform
from scripts.measuring import machines
from scripts.probe.measuring import Result, law_differs
from scripts.probe.verdict import USUAL

STEPS = {"deregister": "instructions_to_remove", "register": "instructions_to_register"}
Rows = list[list[str]]


def describe_machine() -> str:
    """Return the system and processor architecture of this machine."""
    return (
        f"{machines.name_operating_system().split(', libgcc')[0]}, {machines.name_architecture()}"
    )


def print_module(results: Sequence[Result], console: Console) -> None:
    """Print a module: for each unwinder the verdict, a table and notes."""
    for title, group in by_unwinder(results):
        console.print(title, style="bold", soft_wrap=True)
        for line in verdict_lines(group):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
        rows = table_rows(group)
        if rows:
            table = Table(box=SIMPLE)
            table.add_column("")
            for result in group:
                table.add_column(result.build.name, justify="right", overflow="fold")
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for note in notes(group):
            console.print(note, highlight=False, soft_wrap=True)
        console.print()


def format_markdown(results: Sequence[Result]) -> str:
    """Return a module for a pull request."""
    lines = []
    for title, group in by_unwinder(results):
        lines += [f"### {title}", "", *(f"- {line}" for line in verdict_lines(group)), ""]
        if rows := table_rows(group):
            head = ["", *(result.build.name for result in group)]
            ruled = [head, ["---", *["--:"] * len(group)], *rows]
            lines += [*(f"| {' | '.join(row)} |" for row in ruled), ""]
        lines += [*(f"{note}\n" for note in notes(group))]
    return "\n".join(lines)


def by_unwinder(results: Sequence[Result]) -> Iterable[tuple[str, list[Result]]]:
    """Yield a title and the results of each unwinder."""
    for unwinder, group in groupby(results, key=lambda result: result.unwinder):
        members = list(group)
        stand_in = ", which stands in for macOS" if unwinder.stands_in else ""
        name = members[0].module.name
        yield f"{name}, {unwinder.title}{stand_in} ({describe_machine()})", members


def verdict_lines(results: Sequence[Result]) -> list[str]:
    """Return what to do, for each build: with as many modules as asked for and the usual ones."""
    lines = []
    for result in results:
        if result.verdict:
            wanted = result.verdict.wanted
            advice = result.verdict.advice[wanted]
            others = [number for number in USUAL if number != wanted]
            usual = "; ".join(
                f"with {number:,} loaded, {describe_advice(result.verdict.advice[number])}"
                for number in others
            )
            lines.append(
                f"{result.build.name}: {describe_decision(advice)} with {wanted:,} modules loaded. "
                f"Unwind info costs {format_cost(advice)} for each module unloaded, "
                f"{describe_basis(result, advice)}. {usual.capitalize()}."
            )
        if result.error:
            lines.append(f"{result.build.name}: error: {result.error}")
    return lines


def describe_decision(advice: Advice) -> str:
    """Return what to do about unwind info."""
    too_close = advice.decision is Decision.EITHER
    return "too close to call" if too_close else advice.decision.value


def format_cost(advice: Advice) -> str:
    """Return milliseconds per module, as a range."""
    if advice.cost is None:
        return "an unknown time"
    if advice.cost.high < 0.0001:
        return "less than 0.0001 ms"
    return format_milliseconds_range(*advice.cost)


def describe_basis(result: Result, advice: Advice) -> str:
    """Return how the cost is known."""
    if advice.basis is Basis.MEASURED:
        return "measured"
    return "estimated from exact counts" if result.counted else "predicted by the model"


def describe_advice(advice: Advice) -> str:
    """Return decision and cost in a cell."""
    return f"{describe_decision(advice)} ({format_cost(advice)})"


def table_rows(results: Sequence[Result]) -> Rows:
    """Return at most 15 rows, a cell for each build; rows without any value are left out."""
    first = next((result for result in results if result.verdict), None)
    if first is None or first.verdict is None:
        return []
    counted = next((result.counted for result in results if result.counted), 0)
    timed = next((result.times.modules for result in results if result.times), 0)
    against = f"change against {results[0].build.name}"
    rows = [["functions in the unwind table (FDEs)", *(
        format_count(result.run.fdes if result.run else None) for result in results
    )]]  # fmt: skip
    for step in STEPS:
        label = f"instructions to {step} a module, {counted:,} loaded"
        rows.append(
            [label, *(format_count(getattr(one.counts, step).get(counted)) for one in results)]
        )
        rows.append([f"  {against}", *(describe_growth(one.growth, step) for one in results)])
    for number in sorted(first.verdict.advice):
        if number != counted:
            label = f"instructions to deregister, predicted with {number:,} loaded"
            rows.append([label, *(predict(result, number) for result in results)])
    for number in sorted(first.verdict.advice):
        verdicts = [one.verdict for one in results]
        cells = [describe_advice(each.advice[number]) if each else "" for each in verdicts]
        rows.append([f"advice with {number:,} loaded (ms a module)", *cells])
    cells_of_times = [time_cells(result) for result in results]
    labels = ("ms to unload a module", "  without unwind info", "  extra", "  extra, range")
    for index, label in enumerate(labels):
        title = f"{label}, {timed:,} loaded" if not index else label
        rows.append([title, *(cells[index] for cells in cells_of_times)])
    return [[row[0], *(cell or "n/a" for cell in row[1:])] for row in rows if any_value(row)]


def any_value(row: Sequence[str]) -> bool:
    """Whether a row has anything to show."""
    return any(cell not in ("", "n/a") for cell in row[1:])


def predict(result: Result, modules: int) -> str:
    """Return the instructions that are predicted with that many modules loaded."""
    return format_count(result.counts.at(modules, result.run)) if result.run else ""


def describe_growth(growth: dict[str, float | None], step: str) -> str:
    """Return a change in percent, such as `+49,230 %`."""
    return percent(growth[step]) if step in growth else ""


def percent(value: float | None) -> str:
    """Return a signed percentage; None is a rise from 0."""
    if value is None:
        return "up from 0"
    if not value:
        return "0 %"
    return f"{value:+,.0f} %" if abs(value) >= 100 else f"{value:+.3g} %"


def time_cells(result: Result) -> list[str]:
    """Return milliseconds with unwind info, without, their difference and its range."""
    if result.times is None:
        return [""] * 4
    times = result.times
    digits = 6 if times.on <= 0 else min(max(2 - math.floor(math.log10(times.on)), 0), 6)
    on, off = round(times.on, digits), round(times.off, digits)
    low, high = (f"{limit:,.{digits}f}" for limit in times.range)
    return [
        f"{on:,.{digits}f}",
        f"{off:,.{digits}f}",
        f"{on - off:,.{digits}f}",
        f"{low} to {high}",
    ]


def notes(results: Sequence[Result]) -> list[str]:
    """Return what else the reader should know, once each."""
    found = list[str]()
    for result in results:
        build, run, verdict = result.build.name, result.run, result.verdict
        if run is None or verdict is None:
            continue
        advice = verdict.advice[verdict.wanted]
        found += [advice.gives, *advice.notes]
        if result.unwinder.stands_in and not has_benefit(Platform.APPLE_SILICON, run.build.release):
            apple = describe_benefit(Platform.APPLE_SILICON, run.build.release)
            found.append(f"{build} on Apple silicon: {apple}")
        if result.reduced:
            found.append(f"{result.counted:,} modules were counted: {result.reduced}.")
        if result.not_counted and not result.error:
            found.append(f"{build} was not counted: {result.not_counted}.")
        if result.not_timed and not result.error:
            found.append(f"{build} was not timed: {result.not_timed}.")
        if result.not_compared:
            found.append(f"{build} is not compared: {result.not_compared}.")
        if run.fdes_counted and run.fdes_counted != run.fdes:
            found.append(
                f"{build}: the counted code has {run.fdes_counted:,} FDEs. It is compiled for any "
                "processor of this architecture, which takes a few helper functions more or less."
            )
        if law_differs(result):
            found.append(
                f"{build}: the counts differ from the model of its releases by more than 1 %. "
                "Does it register in another way?"
            )
        if verdict.unconfirmed:
            found.append(f"{build}: {verdict.unconfirmed}")
    return list(dict.fromkeys(found))


def to_json(result: Result) -> dict[str, Any]:
    """Return every number of a result; `docs/using.md` describes the keys."""
    found: dict[str, Any] = {
        "module": result.module.name,
        "path": str(result.module.path),
        "build": result.build.name,
        "unwinder": result.unwinder.option,
        "unwinder_library": result.unwinder.package or result.unwinder.title,
        "machine": describe_machine(),
    }
    run, verdict, times = result.run, result.verdict, result.times
    if run:
        found["fdes"] = run.fdes
        if run.fdes_counted:
            found["fdes_counted"] = run.fdes_counted
    if result.counted:
        found["counted"] = result.counted
        found["counts"] = {
            key: {str(number): value for number, value in getattr(result.counts, step).items()}
            for step, key in STEPS.items()
        }
    if verdict and run:
        found["instructions_to_remove_predicted"] = {
            str(number): round(result.counts.at(number, run), 3) for number in verdict.advice
        }
        found["predicted_from"] = "counts" if result.counted else "model"
        found["modules"] = verdict.wanted
        found["advice"] = {
            str(number): {
                "decision": advice.decision.value,
                "cost_ms": [round(limit, 9) for limit in advice.cost] if advice.cost else None,
                "basis": advice.basis.value,
            }
            for number, advice in verdict.advice.items()
        }
    if times:
        found |= {
            "timed": times.modules, "on_ms": times.on, "off_ms": times.off,
            "extra_ms": times.extra, "extra_ms_range": [round(limit, 6) for limit in times.range],
        }  # fmt: skip
    if result.growth:
        found["growth_in_percent"] = {STEPS[step]: value for step, value in result.growth.items()}
    others = ("reduced", "not_counted", "not_timed", "not_compared", "error")
    return found | {key: getattr(result, key) for key in others if getattr(result, key)}
