"""Measures modules under all builds and unwinders of a call."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any

from scripts.probe.builds import Build
from scripts.probe.children import Answer, Progress, run_job
from scripts.probe.inputs import Input
from scripts.probe.plan import (
    DEFAULT_SECONDS,
    SAMPLES,
    Plan,
    Run,
    list_counted_numbers,
    make_plan,
)
from scripts.probe.proposals import explain_refusal
from scripts.probe.unwinders import Unwinder, find_counting_problem
from scripts.probe.verdict import Counts, Times, Verdict, judge

LIMIT_FACTOR = 8  # a job may take this many times its estimate in CPU seconds, and a minute
TOLERATED_INSTRUCTIONS = 40  # per module, by which builds of libunwind differ, see `SCANS`


@dataclass(frozen=True)
class Request:
    """The settings of a call, the same for every module.

    Attributes:
        builds: the builds to measure; first the one of --against, if given.
        unwinders: the unwinders to measure each build under.
        modules: the number of loaded modules for which advice is requested.
        minutes: time budget for all modules, or None for `DEFAULT_SECONDS` per measurement.
        times: whether dropping is timed.
        features: WebAssembly proposals to enable.
        against: whether the other builds are compared with the first one.
    """

    builds: Sequence[Build]
    unwinders: Sequence[Unwinder]
    modules: int = 1000
    minutes: float | None = None
    times: bool = True
    features: Sequence[str] = ()
    against: bool = False


@dataclass
class Result:
    """The results of a module under one build and one unwinder.

    Attributes:
        counted: how many modules were loaded while counting, or 0 if nothing was counted.
        growth: growth of each count over that of --against, in percent; None if that one is 0.
        reduced: why fewer modules than requested were counted, or an empty string.
        not_counted, not_timed, not_compared: the reason, or an empty string.
        error: what failed, or an empty string.
    """

    module: Input
    build: Build
    unwinder: Unwinder
    run: Run | None = None
    counted: int = 0
    counts: Counts = field(default_factory=Counts)
    times: Times | None = None
    verdict: Verdict | None = None
    growth: dict[str, float | None] = field(default_factory=dict)
    reduced: str = ""
    not_counted: str = ""
    not_timed: str = ""
    not_compared: str = ""
    error: str = ""

    def add_error(self, error: str) -> None:
        """Append an error to those that are recorded."""
        self.error = "; ".join(filter(None, (self.error, error)))


@dataclass
class Compiled:
    """A module compiled by a build.

    Attributes:
        files: descriptors of anonymous temporary files with the compiled images, by kind.
        facts: the child's answer.
    """

    files: dict[str, int]
    facts: Answer


def measure_modules(modules: Sequence[Input], request: Request) -> Iterator[list[Result]]:
    """Measure module by module, and yield the results of each module once they are complete.

    On an interruption, the results so far of the current module are yielded before the exception
    is raised again.
    """
    started = time.monotonic()
    for index, module in enumerate(modules):
        seconds = None
        if request.minutes is not None:
            remaining = 60 * request.minutes - (time.monotonic() - started)
            seconds = max(remaining, 0) / (len(modules) - index)
        results = [
            Result(module, build, unwinder, error=module.problem)
            for unwinder in request.unwinders
            for build in request.builds
        ]
        try:
            if not module.problem:
                measure_module(results, request, seconds)
        except KeyboardInterrupt:
            for result in results:
                if not result.verdict:
                    result.add_error("interrupted")
            if any(result.verdict for result in results):
                yield results
            raise
        if request.against:
            compare_builds(results, len(request.builds))
        yield results


def measure_module(results: Sequence[Result], request: Request, seconds: float | None) -> None:
    """Measure a module in about that many seconds, and fill in a result per unwinder and build."""
    module = results[0].module
    with ExitStack() as stack:
        started = time.monotonic()
        compiled = {
            build: compile_module(module, build, request, stack) for build in request.builds
        }
        spent = time.monotonic() - started
        for result in results:
            record_compilation(result, compiled[result.build].facts)
        runs = [result.run for result in results if result.run]
        if not runs:
            return
        default = DEFAULT_SECONDS * len(runs) + spent
        remaining = default if seconds is None else max(seconds - spent, 0)
        problem = find_counting_problem()
        plan = make_plan(runs, request.modules, remaining, count=not problem, time=request.times)
        for result in results:
            if result.run:
                measure_run(result, compiled[result.build], plan, request, problem)


def compile_module(module: Input, build: Build, request: Request, stack: ExitStack) -> Compiled:
    """Compile a module for this processor with and without unwind info, and once for counting."""
    kinds = [
        "on",
        *(["off"] if request.times else []),
        *([] if find_counting_problem() else ["portable"]),
    ]
    streams = {kind: stack.enter_context(TemporaryFile()) for kind in kinds}  # noqa: SIM115
    files = {kind: stream.fileno() for kind, stream in streams.items()}
    facts = run_job(
        build,
        {"job": "compile", "wasm": str(module.path), "images": files},
        files=list(files.values()),
        variables=make_child_variables(request.unwinders[0], build, request),
        progress=Progress(f"{module.name}, {build.name}: compiling"),
    )
    return Compiled(files, facts)


def make_child_variables(unwinder: Unwinder, build: Build, request: Request) -> dict[str, str]:
    """Return the environment variables that a child needs."""
    option = unwinder.option if unwinder.supports(build.release) else "system"
    return {"UNWINDER": option, "WASM_FEATURES": ",".join(request.features)}


def record_compilation(result: Result, facts: Answer) -> None:
    """Store the facts from compiling a module in a result, or the reason why it failed."""
    if not result.unwinder.supports(result.build.release):
        result.error = f"{result.build.name} does not look for libunwind (19.0.0 and later do)."
    elif "error" in facts:
        result.error = explain_refusal(facts["error"])
    else:
        result.run = Run(
            result.build, result.unwinder, facts["fdes"], facts.get("fdes_counted", 0),
            max(facts["loaded_bytes"], facts.get("portable_bytes", 0)) / 1e6,
            facts["load_seconds"], facts["drop_seconds"],
        )  # fmt: skip


def measure_run(
    result: Result, compiled: Compiled, plan: Plan, request: Request, counting_problem: str
) -> None:
    """Count and time a module as planned, and judge it; if one fails, keep the other."""
    run = result.run
    assert run is not None  # noqa: S101
    variables = make_child_variables(run.unwinder, run.build, request)
    if counting_problem:
        result.not_counted = counting_problem
        if not request.times:
            result.error = counting_problem
    elif run in plan.predicted:
        result.not_counted = f"counting one module would take {plan.predicted[run]}"
    else:
        count_run(result, run, compiled, plan, variables)
    result.not_timed = plan.not_timed
    if plan.timed:
        time_run(result, run, compiled, plan, variables)
    result.verdict = judge(run, request.modules, result.counts, result.times)


def count_run(
    result: Result, run: Run, compiled: Compiled, plan: Plan, variables: dict[str, str]
) -> None:
    """Count the unwinder's instructions, and store them in the result."""
    image = compiled.files["portable"]
    job = {
        "job": "count",
        "image": image,
        "fdes": run.fdes_counted,
        "modules": list_counted_numbers(plan.counted),
    }
    seconds = run.count_seconds(plan.counted)
    label = f"counting {plan.counted:,} modules"
    answer = run_step(result, job, [image], variables, label, seconds)
    if "error" in answer:
        result.not_counted = answer["error"]
        result.add_error(f"counting: {answer['error']}")
        return
    result.counted, result.reduced = plan.counted, plan.reduced
    deregister, register = (
        {int(number): value for number, value in answer[f"instructions_to_{step}"].items()}
        for step in ("remove", "register")
    )
    result.counts = Counts(deregister, register)


def time_run(
    result: Result, run: Run, compiled: Compiled, plan: Plan, variables: dict[str, str]
) -> None:
    """Time the drop with and without unwind info, and store the times in the result."""
    images = {kind: compiled.files[kind] for kind in ("on", "off")}
    job = {"job": "time", "modules": plan.timed, "samples": SAMPLES, **images}
    seconds = run.time_seconds(plan.timed)
    label = f"timing {plan.timed:,} modules"
    answer = run_step(result, job, list(images.values()), variables, label, seconds)
    if "error" in answer:
        result.not_timed = answer["error"]
        result.add_error(f"timing: {answer['error']}")
        return
    result.times = Times.from_samples(plan.timed, answer["on"], answer["off"])


def run_step(
    result: Result,
    job: dict[str, Any],
    files: Sequence[int],
    variables: dict[str, str],
    label: str,
    seconds: float,
) -> Answer:
    """Run a job of a measurement; kill it if it takes far longer than the estimated seconds."""
    name = f"{result.module.name}, {result.build.name}, {result.unwinder.title}"
    return run_job(
        result.build, job, files=files, variables=variables,
        progress=Progress(f"{name}: {label}", seconds), limit=60 + LIMIT_FACTOR * seconds,
    )  # fmt: skip


def compare_builds(results: Sequence[Result], builds: int) -> None:
    """Compare the counts of each build with those of the first build, under each unwinder.

    Args:
        results: the results of a module, ordered by unwinder, then by build.
        builds: how many builds there are.
    """
    for start in range(0, len(results), builds):
        baseline, *others = results[start : start + builds]
        for result in others:
            uncounted = [each.build.name for each in (baseline, result) if not each.counted]
            if uncounted:
                reason = (
                    baseline.not_counted or baseline.error or result.not_counted or result.error
                )
                result.not_compared = f"{' and '.join(uncounted)} not counted: {reason}"
                continue
            for step in ("deregister", "register"):
                before = getattr(baseline.counts, step)[baseline.counted]
                after = getattr(result.counts, step)[result.counted]
                result.growth[step] = compute_growth(after, before)


def compute_growth(after: float, before: float) -> float | None:
    """Return the growth of a count in percent, or None if it grew from 0."""
    if before:
        return round(100 * (after - before) / before, 3)
    return None if after else 0.0


def contradicts_model(result: Result) -> bool:
    """Whether a count under libunwind differs from the model by more than one percent."""
    if not result.run or not result.unwinder.platform.scans or not result.counted:
        return False
    counted = result.counts.deregister[result.counted]
    predicted = result.run.instructions(result.counted)
    return abs(counted - predicted) > 0.01 * predicted + TOLERATED_INSTRUCTIONS
