"""Measure a module under all builds and unwinders of a call."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile

from scripts.probe.builds import Build
from scripts.probe.children import Answer, Progress, run_job
from scripts.probe.inputs import Input
from scripts.probe.plan import (
    DEFAULT_SECONDS,
    SAMPLES,
    Plan,
    Run,
    counted_numbers,
    make_plan,
)
from scripts.probe.proposals import explain_refusal
from scripts.probe.unwinders import Unwinder, cannot_count
from scripts.probe.verdict import Counts, Times, Verdict, judge

PATIENCE = 8  # times the estimate: CPU seconds after which a measurement is stopped
CONSTANT = 40  # instructions a module by which builds of libunwind differ, see `SCANS`


@dataclass(frozen=True)
class Request:
    """What is asked for, for every module.

    Attributes:
        builds: first the one of `against`, if any.
        unwinders: each build is measured under each.
        modules: how many are loaded, which the advice is for.
        minutes: how long all modules may take, or None for some seconds each.
        times: whether dropping is timed.
        features: WebAssembly proposals to enable.
        against: whether the first build is what others are compared with.
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
    """A module under one build and one unwinder.

    Attributes:
        counted: how many modules were counted, or 0.
        growth: by how many percent counts are above those of --against; None is from nothing.
        not_counted, reduced, not_timed, not_compared: why, or nothing.
        error: what failed, or nothing.
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

    def fail(self, what: str, error: str) -> None:
        """Note a failure; there may be several."""
        self.error = "; ".join(filter(None, (self.error, f"{what}: {error}" if what else error)))


@dataclass
class Compiled:
    """A module compiled by a build.

    Attributes:
        files: images by kind, in file descriptors that leave no file behind.
        facts: what the child answered.
    """

    files: dict[str, int]
    facts: Answer


def measure_modules(modules: Sequence[Input], request: Request) -> Iterator[list[Result]]:
    """Measure module by module, and yield the results of each once it is done.

    An interruption yields what is measured of a module before it ends the generator.
    """
    started = time.monotonic()
    for done, module in enumerate(modules):
        seconds = None
        if request.minutes is not None:
            left = 60 * request.minutes - (time.monotonic() - started)
            seconds = max(left, 0) / (len(modules) - done)
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
                    result.fail("", "interrupted")
            if any(result.verdict for result in results):
                yield results
            raise
        if request.against:
            compare(results, len(request.builds))
        yield results


def measure_module(results: Sequence[Result], request: Request, seconds: float | None) -> None:
    """Measure a module in about that many seconds: a result for each unwinder and build."""
    module = results[0].module
    with ExitStack() as stack:
        started = time.monotonic()
        compiled = {
            build: compile_module(module, build, request, stack) for build in request.builds
        }
        spent = time.monotonic() - started
        for result in results:
            note_compiled(result, compiled[result.build].facts)
        runs = [result.run for result in results if result.run]
        if not runs:
            return
        default = DEFAULT_SECONDS * len(runs) + spent
        left = default if seconds is None else max(seconds - spent, 0)
        missing = cannot_count()
        plan = make_plan(runs, request.modules, left, count=not missing, time=request.times)
        for result in results:
            if result.run:
                measure_run(result, compiled[result.build], plan, request, missing)


def compile_module(module: Input, build: Build, request: Request, stack: ExitStack) -> Compiled:
    """Compile a module: for this processor, for counting, and without unwind info for timing."""
    kinds = ["on", *(["off"] if request.times else []), *([] if cannot_count() else ["portable"])]
    streams = {kind: stack.enter_context(TemporaryFile()) for kind in kinds}  # noqa: SIM115
    files = {kind: stream.fileno() for kind, stream in streams.items()}
    facts = run_job(
        build,
        {"job": "compile", "wasm": str(module.path), "images": files},
        files=list(files.values()),
        variables=variables(request.unwinders[0], build, request),
        progress=Progress(f"{module.name}, {build.name}: compiling"),
    )
    return Compiled(files, facts)


def variables(unwinder: Unwinder, build: Build, request: Request) -> dict[str, str]:
    """Return the environment variables of a child."""
    option = unwinder.option if unwinder.knows(build.release) else "system"
    return {"UNWINDER": option, "WASM_FEATURES": ",".join(request.features)}


def note_compiled(result: Result, facts: Answer) -> None:
    """Note what compiling has shown, or why it failed."""
    if not result.unwinder.knows(result.build.release):
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
    result: Result, compiled: Compiled, plan: Plan, request: Request, missing: str
) -> None:
    """Count and time what the plan says, and judge it. What fails leaves the rest."""
    run = result.run
    assert run is not None  # noqa: S101
    environment = variables(run.unwinder, run.build, request)
    if missing:
        result.not_counted = missing
        if not request.times:
            result.error = missing
    elif run in plan.predicted:
        result.not_counted = f"counting one module would take {plan.predicted[run]}"
    else:
        count_run(result, run, compiled, plan, environment)
    result.not_timed = plan.not_timed
    if plan.timed:
        time_run(result, run, compiled, plan, environment)
    result.verdict = judge(run, request.modules, result.counts, result.times)


def count_run(
    result: Result, run: Run, compiled: Compiled, plan: Plan, environment: dict[str, str]
) -> None:
    """Count instructions."""
    seconds = run.count_seconds(plan.counted)
    job = {
        "job": "count",
        "image": compiled.files["portable"],
        "fdes": run.fdes_counted,
        "modules": counted_numbers(plan.counted),
    }
    answer = run_job(
        run.build, job, files=[compiled.files["portable"]], variables=environment,
        progress=Progress(f"{describe(result)}: counting {plan.counted:,} modules", seconds),
        limit=60 + PATIENCE * seconds,
    )  # fmt: skip
    if "error" in answer:
        result.not_counted = answer["error"]
        result.fail("counting", answer["error"])
        return
    result.counted, result.reduced = plan.counted, plan.reduced
    deregister, register = (
        {int(number): value for number, value in answer[f"instructions_to_{step}"].items()}
        for step in ("remove", "register")
    )
    result.counts = Counts(deregister, register)


def time_run(
    result: Result, run: Run, compiled: Compiled, plan: Plan, environment: dict[str, str]
) -> None:
    """Time the drop, with unwind info and without."""
    seconds = run.time_seconds(plan.timed)
    files = {kind: compiled.files[kind] for kind in ("on", "off")}
    answer = run_job(
        run.build, {"job": "time", "modules": plan.timed, "samples": SAMPLES, **files},
        files=list(files.values()), variables=environment,
        progress=Progress(f"{describe(result)}: timing {plan.timed:,} modules", seconds),
        limit=60 + PATIENCE * seconds,
    )  # fmt: skip
    if "error" in answer:
        result.not_timed = answer["error"]
        result.fail("timing", answer["error"])
    else:
        result.times = Times.of(plan.timed, answer["on"], answer["off"])


def describe(result: Result) -> str:
    """Return what is measured, for a line of progress."""
    return f"{result.module.name}, {result.build.name}, {result.unwinder.title}"


def compare(results: Sequence[Result], builds: int) -> None:
    """Compare the counts of each build with those of the first one, under each unwinder."""
    for start in range(0, len(results), builds):
        before, *others = results[start : start + builds]
        for result in others:
            missing = [one.build.name for one in (before, result) if not one.counted]
            if missing:
                reason = before.not_counted or before.error or result.not_counted or result.error
                result.not_compared = f"{' and '.join(missing)} not counted: {reason}"
                continue
            for step in ("deregister", "register"):
                now, was = (getattr(one.counts, step)[one.counted] for one in (result, before))
                result.growth[step] = growth_in_percent(now, was)


def growth_in_percent(now: float, was: float) -> float | None:
    """Return by how many percent a count is above another; None if that one is 0."""
    if was:
        return round(100 * (now - was) / was, 3)
    return None if now else 0.0


def law_differs(result: Result) -> bool:
    """Whether counts under libunwind are not what the model predicts, within one percent."""
    if not result.run or not result.unwinder.platform.scans or not result.counted:
        return False
    counted = result.counts.deregister[result.counted]
    predicted = result.run.instructions(result.counted)
    return abs(counted - predicted) > 0.01 * predicted + CONSTANT
