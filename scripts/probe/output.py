"""The output of the probe: for each module the verdicts first, then a table; or JSON."""

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
    find_benefit,
)
from scripts.cost.benefit import Benefit
from scripts.cost.platforms import Platform
from scripts.measuring import machines
from scripts.probe.flow import ModuleResults, Result
from scripts.probe.from_bytes import format_fdes
from scripts.probe.judging import USUAL_MODULES

STEPS = {"deregister": "instructions_to_remove", "register": "instructions_to_register"}
Rows = list[list[str]]


class Output:
    """Prints the results of each module once they are complete, in the requested format."""

    def __init__(self, format_: str) -> None:
        self.format = format_
        self.console = Console(
            width=None if sys.stdout.isatty() else 160, markup=False, emoji=False
        )
        self.printed = 0

    def print_results(self, measured: ModuleResults) -> None:
        """Print the results of one module."""
        if self.format == "json":
            for entry in build_entries(measured):
                text = json.dumps(entry, indent=1, allow_nan=False)
                print(",\n" if self.printed else "[\n", text, sep="", end="", flush=True)
                self.printed += 1
        elif self.format == "markdown":
            print(format_markdown(measured), flush=True)
        else:
            print_module(measured, self.console)

    def print_message(self, line: str) -> None:
        """Print a message for people; on standard error if standard output is JSON."""
        print(line, file=sys.stderr if self.format == "json" else sys.stdout, flush=True)

    def close(self) -> None:
        """Close the JSON list, if the format is JSON."""
        if self.format == "json":
            print("\n]" if self.printed else "[]", flush=True)


@contextmanager
def open_output(format_: str) -> Iterator[Output]:
    """Yield an output, and close it even if measuring fails or is interrupted."""
    output = Output(format_)
    try:
        yield output
    finally:
        output.close()


def describe_machine() -> str:
    """Return the system and processor architecture of this machine."""
    system = machines.name_operating_system().split(", libgcc")[0]
    return f"{system}, {machines.name_architecture()}"


def print_module(measured: ModuleResults, console: Console) -> None:
    """Print the results of a module: errors, and for each unwinder verdicts, a table and notes."""
    for line in describe_errors(measured):
        console.print(line, highlight=False, soft_wrap=True)
    for title, group in group_by_unwinder(measured.results):
        console.print(title, style="bold", soft_wrap=True)
        for line in describe_verdicts(group):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
        rows = build_rows(group)
        if rows:
            table = Table(box=SIMPLE)
            table.add_column("")
            for result in group:
                table.add_column(result.case.build.name, justify="right", overflow="fold")
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for note in list_notes(group):
            console.print(note, highlight=False, soft_wrap=True)
        console.print()


def format_markdown(measured: ModuleResults) -> str:
    """Return the results of a module as Markdown, for a pull request."""
    lines = [f"- {line}" for line in describe_errors(measured)]
    lines += [""] if lines else []
    for title, group in group_by_unwinder(measured.results):
        lines += [f"### {title}", "", *(f"- {line}" for line in describe_verdicts(group)), ""]
        if rows := build_rows(group):
            header = ["", *(result.case.build.name for result in group)]
            delimiter = ["---", *["--:"] * len(group)]
            lines += [*(f"| {' | '.join(row)} |" for row in (header, delimiter, *rows)), ""]
        lines += [*(f"{note}\n" for note in list_notes(group))]
    return "\n".join(lines)


def describe_errors(measured: ModuleResults) -> list[str]:
    """Return a line for each error, with the builds that have it."""
    if measured.module.problem:
        return [f"{measured.module.name}: error: {measured.module.problem}"]
    builds: dict[str, list[str]] = {}
    for result in measured.results:
        if result.error:
            builds.setdefault(result.error, []).append(result.case.build.name)
    return [
        f"{measured.module.name}, {', '.join(dict.fromkeys(names))}: error: {error}"
        for error, names in builds.items()
    ]


def group_by_unwinder(results: Sequence[Result]) -> Iterable[tuple[str, list[Result]]]:
    """Yield the title and the results of each unwinder that has a verdict or a note."""
    for unwinder, group in groupby(results, key=lambda result: result.case.unwinder):
        members = list(group)
        stand_in = ", which stands in for macOS" if unwinder.is_stand_in else ""
        name = members[0].case.module.name
        if any(result.verdict or not result.error for result in members):
            yield f"{name}, {unwinder.title}{stand_in} ({describe_machine()})", members


def describe_verdicts(results: Sequence[Result]) -> list[str]:
    """Return a line for each build: the advice for the requested number of modules, 20 and 1000."""
    lines = []
    for result in results:
        if result.verdict is None:
            continue
        requested = result.verdict.requested
        advice = result.verdict.advice[requested]
        loaded = f"{requested:,} {'module' if requested == 1 else 'modules'} loaded"
        decision = f"{describe_decision(advice)} with {loaded}"
        cost = f"{format_cost(advice)} per module unloaded, {describe_basis(result, advice)}"
        usual = "; ".join(
            f"with {number:,} loaded, {describe_advice(result.verdict.advice[number])}"
            for number in USUAL_MODULES
            if number != requested
        )
        lines.append(
            f"For {result.case.unwinder.audience}, {result.case.build.name}: {decision}. "
            f"Unwind info costs {cost}. {usual.capitalize()}."
        )
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
    return "estimated from exact counts" if result.counts else "predicted by the model"


def describe_advice(advice: Advice) -> str:
    """Return the decision and the cost, such as `keep it (0.0017 to 0.0032 ms)`."""
    return f"{describe_decision(advice)} ({format_cost(advice)})"


def build_rows(results: Sequence[Result]) -> Rows:
    """Return at most 17 rows with a cell for each build, without rows that have no value."""
    verdict = next((result.verdict for result in results if result.verdict), None)
    if verdict is None:
        return []
    numbers = sorted(verdict.advice)
    fdes = [format_count(result.compiled.fdes if result.compiled else None) for result in results]
    rows = [["functions in the unwind table (FDEs)", *fdes]]
    rows.append(["  by the file's bytes", *(compare_fdes(result) for result in results)])
    rows += build_count_rows(results, verdict.requested)
    for number in numbers:
        verdicts = [result.verdict for result in results]
        cells = [describe_advice(each.advice[number]) if each else "" for each in verdicts]
        rows.append([f"advice with {number:,} loaded (ms per module)", *cells])
    rows += build_time_rows(results)
    return [
        [label, *(cell or "n/a" for cell in cells)] for label, *cells in rows if has_value(cells)
    ]


def compare_fdes(result: Result) -> str:
    """Return the FDEs by the file's bytes, and whether those of the image are among them."""
    if result.fdes_by_bytes is None or result.compiled is None:
        return ""
    low, high = result.fdes_by_bytes
    is_inside = low <= result.compiled.fdes and (high is None or result.compiled.fdes <= high)
    return f"{format_fdes(result.fdes_by_bytes)} ({'agrees' if is_inside else 'differs'})"


def build_count_rows(results: Sequence[Result], modules: int) -> Rows:
    """Return rows of instructions with that many modules loaded, their sources and their growth."""
    deregister, register = (
        [format_count(count_with(result, step, modules)) for result in results] for step in STEPS
    )
    growth = {step: [format_growth(result.growth, step) for result in results] for step in STEPS}
    change = f"  change against {results[0].case.build.name}"
    return [
        [f"instructions to deregister a module, {modules:,} loaded", *deregister],
        ["  source", *(describe_source(result, modules) for result in results)],
        [change, *growth["deregister"]],
        [f"instructions to register a module, {modules:,} loaded", *register],
        [change, *growth["register"]],
    ]


def count_with(result: Result, step: str, modules: int) -> float | None:
    """Return a count with that many modules loaded; without counts, the model's prediction."""
    if result.counts:
        counts = result.counts
        value: float = getattr(counts, f"{step}_with")(modules)
        return value
    if result.prediction and step == "deregister":
        return result.prediction.instructions(modules)
    return None


def describe_source(result: Result, modules: int) -> str:
    """Return whether instructions are counted, extrapolated or predicted."""
    if result.counts is None:
        return "predicted by the model" if result.prediction else ""
    if modules in result.counts.deregister:
        return "counted"
    numbers = " and ".join(f"{number:,}" for number in sorted(result.counts.deregister))
    return f"extrapolated from {numbers} loaded"


def build_time_rows(results: Sequence[Result]) -> Rows:
    """Return rows of times with and without unwind info, their difference and its range."""
    labels = (
        "ms to unload a module",
        "  modules loaded",
        "  without unwind info",
        "  extra",
        "  extra, range",
        "  extra, estimated",
    )
    columns = [format_times(result) for result in results]
    return [[label, *cells] for label, *cells in zip(labels, *columns, strict=True)]


def has_value(cells: Sequence[str]) -> bool:
    """Whether any cell of a row has a value."""
    return any(cell not in ("", "n/a") for cell in cells)


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
    """Return the time with unwind info, how many modules were loaded, the others, the estimate."""
    if result.times is None:
        return [""] * 6
    times = result.times
    digits = 6 if times.on <= 0 else min(max(2 - math.floor(math.log10(times.on)), 0), 6)
    on, off = round(times.on, digits), round(times.off, digits)
    low, high = (f"{limit:,.{digits}f}" for limit in times.range)
    within_noise = times.likely.low <= 0 <= times.likely.high
    return [
        f"{on:,.{digits}f}",
        f"{times.modules:,}",
        f"{off:,.{digits}f}",
        "within noise" if within_noise else f"{on - off:,.{digits}f}",
        f"{low} to {high}",
        compare_times(result),
    ]


def compare_times(result: Result) -> str:
    """Return the estimate for the modules that were timed, and whether times confirm it."""
    verdict = result.verdict
    if verdict is None or verdict.estimated is None:
        return ""
    estimated = format_milliseconds_range(*verdict.estimated).removesuffix(" ms")
    return f"{estimated} ({'differs' if verdict.disagreement else 'agrees'})"


def list_notes(results: Sequence[Result]) -> list[str]:
    """Return what else the reader should know, without repetitions."""
    notes = list[str]()
    for result in results:
        build, unwinder, verdict = result.case.build, result.case.unwinder, result.verdict
        if not result.error:
            notes += describe_missing(result)
        if result.not_compared:
            notes.append(f"{build.name} is not compared: {result.not_compared}.")
        if verdict is None or result.compiled is None:
            continue
        advice = verdict.advice[verdict.requested]
        notes += [advice.gives, *advice.notes]
        if verdict.disagreement:
            notes.append(f"{build.name}: {verdict.disagreement}")
        mac = Platform.APPLE_SILICON
        finding = find_benefit(mac, build.release)
        if unwinder.is_stand_in and finding.benefit is Benefit.NOTHING:
            benefit = describe_benefit(mac, build.release, finding)
            notes.append(f"{build.name} on Apple silicon: {benefit}")
        portable = result.compiled.portable_fdes
        if portable and portable != result.compiled.fdes:
            notes.append(
                f"{build.name}: the counted code has {portable:,} FDEs. It is compiled for any "
                "processor of this architecture, so the number of helper functions may differ."
            )
        if result.counts and result.counts.differ_from_model():
            notes.append(
                f"{build.name}: the counts differ from the model by more than 1 %. "
                "This build may register its unwind tables differently."
            )
        if unwinder.platform.scans and not unwinder.has_known_scan:
            notes.append(
                "No instructions per entry are known for this processor. The model has those of "
                "x86-64, and counts are not checked against it."
            )
    return list(dict.fromkeys(notes))


def describe_missing(result: Result) -> list[str]:
    """Return why a result was not counted, not timed, or neither."""
    name, uncounted, untimed = result.case.build.name, result.not_counted, result.not_timed
    if uncounted and uncounted == untimed:
        return [f"{name} was not measured: {uncounted}."]
    reasons = {"counted": uncounted, "timed": untimed}
    return [f"{name} was not {step}: {reason}." for step, reason in reasons.items() if reason]


def build_entries(measured: ModuleResults) -> list[dict[str, Any]]:
    """Return the results of a module as JSON objects; one for a file that is refused."""
    module = measured.module
    if module.problem:
        return [{"module": module.name, "path": str(module.path), "error": module.problem}]
    return [to_json(result) for result in measured.results]


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as a JSON object; `docs/using.md` describes the keys."""
    case, counts, verdict, times = result.case, result.counts, result.verdict, result.times
    entry: dict[str, Any] = {
        "module": case.module.name,
        "path": str(case.module.path),
        "build": case.build.name,
        "unwinder": case.unwinder.option,
        "unwinder_library": case.unwinder.package or case.unwinder.title,
        "machine": describe_machine(),
    }
    if result.compiled:
        entry["fdes"] = result.compiled.fdes
        if result.compiled.portable_fdes:
            entry["fdes_counted"] = result.compiled.portable_fdes
    if result.fdes_by_bytes:
        entry["fdes_by_bytes"] = list(result.fdes_by_bytes)
    if counts and verdict:
        entry["counted"] = counts.modules
        entry["counts"] = {
            key: {
                str(number): getattr(counts, f"{step}_with")(number)
                for number in dict.fromkeys([*counts.deregister, verdict.requested])
            }
            for step, key in STEPS.items()
        }
        if verdict.requested not in counts.deregister:
            entry["extrapolated"] = [verdict.requested]
    if verdict:
        entry["instructions_to_remove_predicted"] = {
            str(number): round(count_with(result, "deregister", number) or 0, 3)
            for number in verdict.advice
        }
        entry["predicted_from"] = "counts" if counts else "model"
        entry["modules"] = verdict.requested
        entry["advice"] = {
            str(number): {
                "decision": advice.decision.value,
                "cost_ms": [round(limit, 9) for limit in advice.cost] if advice.cost else None,
                "basis": advice.basis.value,
            }
            for number, advice in verdict.advice.items()
        }
        if verdict.disagreement:
            entry["disagreement"] = verdict.disagreement
    if times:
        entry |= {
            "timed": times.modules, "on_ms": times.on, "off_ms": times.off,
            "extra_ms": times.extra, "extra_ms_range": [round(limit, 6) for limit in times.range],
        }  # fmt: skip
    if result.growth:
        entry["growth_in_percent"] = {STEPS[step]: value for step, value in result.growth.items()}
    reasons = ("not_counted", "not_timed", "not_compared", "error")
    return entry | {key: getattr(result, key) for key in reasons if getattr(result, key)}
