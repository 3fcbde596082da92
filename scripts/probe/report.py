"""The report of one module: the verdict first, then a table; as text, Markdown or JSON."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scripts.base.numbers import format_count, format_milliseconds_range
from scripts.cost.advice import (
    Advice,
    Basis,
    Decision,
    describe_benefit,
    has_benefit,
)
from scripts.cost.platforms import Platform
from scripts.measuring import machines
from scripts.probe.measuring import Result, contradicts_model
from scripts.probe.verdict import USUAL_MODULES

STEPS = {"deregister": "instructions_to_remove", "register": "instructions_to_register"}
Rows = list[list[str]]


def describe_machine() -> str:
    """Return the system and processor architecture of this machine."""
    system = machines.name_operating_system().split(", libgcc")[0]
    return f"{system}, {machines.name_architecture()}"


def print_module(results: Sequence[Result], console: Console) -> None:
    """Print the results of a module: for each unwinder the verdict, a table and notes."""
    for title, group in group_by_unwinder(results):
        console.print(title, style="bold", soft_wrap=True)
        for line in describe_verdicts(group):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
        rows = build_rows(group)
        if rows:
            table = Table(box=SIMPLE)
            table.add_column("")
            for result in group:
                table.add_column(result.build.name, justify="right", overflow="fold")
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for note in list_notes(group):
            console.print(note, highlight=False, soft_wrap=True)
        console.print()


def format_markdown(results: Sequence[Result]) -> str:
    """Return the results of a module as Markdown, for a pull request."""
    lines = []
    for title, group in group_by_unwinder(results):
        lines += [f"### {title}", "", *(f"- {line}" for line in describe_verdicts(group)), ""]
        if rows := build_rows(group):
            header = ["", *(result.build.name for result in group)]
            delimiter = ["---", *["--:"] * len(group)]
            lines += [*(f"| {' | '.join(row)} |" for row in (header, delimiter, *rows)), ""]
        lines += [*(f"{note}\n" for note in list_notes(group))]
    return "\n".join(lines)


def group_by_unwinder(results: Sequence[Result]) -> Iterable[tuple[str, list[Result]]]:
    """Yield the title and the results of each unwinder."""
    for unwinder, group in groupby(results, key=lambda result: result.unwinder):
        members = list(group)
        stand_in = ", which stands in for macOS" if unwinder.is_stand_in else ""
        name = members[0].module.name
        yield f"{name}, {unwinder.title}{stand_in} ({describe_machine()})", members


def describe_verdicts(results: Sequence[Result]) -> list[str]:
    """Return a line for each build: the advice for the requested number of modules, 20 and 1000."""
    lines = []
    for result in results:
        if result.verdict:
            requested = result.verdict.requested
            advice = result.verdict.advice[requested]
            decision = f"{describe_decision(advice)} with {requested:,} modules loaded"
            cost = f"{format_cost(advice)} per module unloaded, {describe_basis(result, advice)}"
            usual = "; ".join(
                f"with {number:,} loaded, {describe_advice(result.verdict.advice[number])}"
                for number in USUAL_MODULES
                if number != requested
            )
            lines.append(
                f"{result.build.name}: {decision}. Unwind info costs {cost}. {usual.capitalize()}."
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
    """Return whether the cost was measured, estimated or predicted."""
    if advice.basis is Basis.MEASURED:
        return "measured"
    return "estimated from exact counts" if result.counted else "predicted by the model"


def describe_advice(advice: Advice) -> str:
    """Return the decision and the cost, such as `keep it (0.0017 to 0.0032 ms)`."""
    return f"{describe_decision(advice)} ({format_cost(advice)})"


def build_rows(results: Sequence[Result]) -> Rows:
    """Return at most 15 rows with a cell for each build, without rows that have no value."""
    first = next((result for result in results if result.verdict), None)
    if first is None or first.verdict is None:
        return []
    numbers = sorted(first.verdict.advice)
    fdes = [format_count(result.run.fdes if result.run else None) for result in results]
    rows = [["functions in the unwind table (FDEs)", *fdes]]
    rows += build_count_rows(results, numbers)
    for number in numbers:
        verdicts = [result.verdict for result in results]
        cells = [describe_advice(each.advice[number]) if each else "" for each in verdicts]
        rows.append([f"advice with {number:,} loaded (ms per module)", *cells])
    rows += build_time_rows(results)
    return [
        [label, *(cell or "n/a" for cell in cells)] for label, *cells in rows if has_value(cells)
    ]


def build_count_rows(results: Sequence[Result], numbers: Sequence[int]) -> Rows:
    """Return rows of counts, their growth, and predictions for numbers that were not counted."""
    rows = []
    counted = next((result.counted for result in results if result.counted), 0)
    for step in STEPS:
        counts = [format_count(getattr(each.counts, step).get(counted)) for each in results]
        growth = [format_growth(result.growth, step) for result in results]
        rows.append([f"instructions to {step} a module, {counted:,} loaded", *counts])
        rows.append([f"  change against {results[0].build.name}", *growth])
    for number in numbers:
        if number != counted:
            predictions = [format_prediction(result, number) for result in results]
            rows.append(
                [f"instructions to deregister, predicted with {number:,} loaded", *predictions]
            )
    return rows


def build_time_rows(results: Sequence[Result]) -> Rows:
    """Return rows of times with and without unwind info, their difference and its range."""
    timed = next((result.times.modules for result in results if result.times), 0)
    labels = (
        f"ms to unload a module, {timed:,} loaded",
        "  without unwind info",
        "  extra",
        "  extra, range",
    )
    columns = [format_times(result) for result in results]
    return [[label, *cells] for label, *cells in zip(labels, *columns, strict=True)]


def has_value(cells: Sequence[str]) -> bool:
    """Whether any cell of a row has a value."""
    return any(cell not in ("", "n/a") for cell in cells)


def format_prediction(result: Result, modules: int) -> str:
    """Return the instructions that are predicted with that many modules loaded."""
    return format_count(result.counts.instructions(modules, result.run)) if result.run else ""


def format_growth(growth: dict[str, float | None], step: str) -> str:
    """Return the growth of a count, such as `+49,230 %`, or an empty string."""
    return format_percent(growth[step]) if step in growth else ""


def format_percent(value: float | None) -> str:
    """Return a signed percentage; None means growth from 0."""
    if value is None:
        return "up from 0"
    if not value:
        return "0 %"
    return f"{value:+,.0f} %" if abs(value) >= 100 else f"{value:+.3g} %"


def format_times(result: Result) -> list[str]:
    """Return the four times of a result: with unwind info, without, difference and its range."""
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


def list_notes(results: Sequence[Result]) -> list[str]:
    """Return what else the reader should know, without repetitions."""
    notes = list[str]()
    for result in results:
        build, run, verdict = result.build.name, result.run, result.verdict
        if run is None or verdict is None:
            continue
        advice = verdict.advice[verdict.requested]
        notes += [advice.gives, *advice.notes]
        mac, release = Platform.APPLE_SILICON, run.build.release
        if result.unwinder.is_stand_in and not has_benefit(mac, release):
            notes.append(f"{build} on Apple silicon: {describe_benefit(mac, release)}")
        if result.reduced:
            notes.append(f"Only {result.counted:,} modules were counted: {result.reduced}.")
        if result.not_counted and not result.error:
            notes.append(f"{build} was not counted: {result.not_counted}.")
        if result.not_timed and not result.error:
            notes.append(f"{build} was not timed: {result.not_timed}.")
        if result.not_compared:
            notes.append(f"{build} is not compared: {result.not_compared}.")
        if run.fdes_counted and run.fdes_counted != run.fdes:
            notes.append(
                f"{build}: the counted code has {run.fdes_counted:,} FDEs. It is compiled for any "
                "processor of this architecture, so the number of helper functions may differ."
            )
        if contradicts_model(result):
            notes.append(
                f"{build}: the counts differ from the model by more than 1 %. "
                "This build may register its unwind tables differently."
            )
        if verdict.unconfirmed:
            notes.append(f"{build}: {verdict.unconfirmed}")
    return list(dict.fromkeys(notes))


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as a JSON object; `docs/using.md` describes the keys."""
    entry: dict[str, Any] = {
        "module": result.module.name,
        "path": str(result.module.path),
        "build": result.build.name,
        "unwinder": result.unwinder.option,
        "unwinder_library": result.unwinder.package or result.unwinder.title,
        "machine": describe_machine(),
    }
    run, verdict, times = result.run, result.verdict, result.times
    if run:
        entry["fdes"] = run.fdes
        if run.fdes_counted:
            entry["fdes_counted"] = run.fdes_counted
    if result.counted:
        entry["counted"] = result.counted
        entry["counts"] = {
            key: {str(number): value for number, value in getattr(result.counts, step).items()}
            for step, key in STEPS.items()
        }
    if verdict and run:
        entry["instructions_to_remove_predicted"] = {
            str(number): round(result.counts.instructions(number, run), 3)
            for number in verdict.advice
        }
        entry["predicted_from"] = "counts" if result.counted else "model"
        entry["modules"] = verdict.requested
        entry["advice"] = {
            str(number): {
                "decision": advice.decision.value,
                "cost_ms": [round(limit, 9) for limit in advice.cost] if advice.cost else None,
                "basis": advice.basis.value,
            }
            for number, advice in verdict.advice.items()
        }
    if times:
        entry |= {
            "timed": times.modules, "on_ms": times.on, "off_ms": times.off,
            "extra_ms": times.extra, "extra_ms_range": [round(limit, 6) for limit in times.range],
        }  # fmt: skip
    if result.growth:
        entry["growth_in_percent"] = {STEPS[step]: value for step, value in result.growth.items()}
    reasons = ("reduced", "not_counted", "not_timed", "not_compared", "error")
    return entry | {key: getattr(result, key) for key in reasons if getattr(result, key)}
