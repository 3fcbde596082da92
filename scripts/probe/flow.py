"""The flow of a call: each module is compiled, predicted, counted, timed and judged, in this order.

See "The probe" in CONTRIBUTING.md.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from asv.util import UserError
from packaging.version import Version

from scripts.cost.wasm import Range as Fdes
from scripts.probe.builds import WasmtimeBuild, cache_folder
from scripts.probe.cases import Case
from scripts.probe.compiling import Compiled, compile_module
from scripts.probe.counting import UnwinderCounts, count_instructions, plan_counting
from scripts.probe.from_bytes import read_contents
from scripts.probe.host_unwinders import HostUnwinder, find_counting_problem
from scripts.probe.inputs import Input
from scripts.probe.judging import ModuleVerdict, judge
from scripts.probe.predicting import Prediction
from scripts.probe.sizes import Budget
from scripts.probe.timing import Times, choose_timed, time_drops
from scripts.releases.environment import hold_machine


@dataclass(frozen=True)
class Request:
    """The settings of a call, the same for every module.

    Attributes:
        builds: the builds to measure; first the one of --against, if given.
        unwinders: the unwinders to measure each build under.
        modules: the number of loaded modules for which advice is requested.
        minutes: time limit of the call, or None for the default of `Budget`.
        times: whether dropping is timed.
        features: WebAssembly proposals to enable.
        against: whether the other builds are compared with the first one.
        only_unwinder: whether the unwinder was requested, so that a build which does not look for
            it is an error.
    """

    builds: Sequence[WasmtimeBuild]
    unwinders: Sequence[HostUnwinder]
    modules: int = 1000
    minutes: float | None = None
    times: bool = True
    features: tuple[str, ...] = ()
    against: bool = False
    only_unwinder: bool = False


@dataclass
class Result:
    """The results of a module under one build and one unwinder.

    Attributes:
        case: what was measured.
        compiled: the facts from compiling, or None if the build refuses the module.
        prediction: the model's prediction.
        counts, times, verdict: what the stages return.
        growth: growth of each count over that of --against, in percent; None if that one is 0.
        fdes_by_bytes: FDEs by the file's bytes; None if the build is no release, or if the bytes
            cannot be read.
        not_counted, not_timed, not_compared: the reason, or an empty string.
        error: what failed, or an empty string.
    """

    case: Case
    compiled: Compiled | None = None
    prediction: Prediction | None = None
    counts: UnwinderCounts | None = None
    times: Times | None = None
    verdict: ModuleVerdict | None = None
    growth: dict[str, float | None] = field(default_factory=dict)
    fdes_by_bytes: Fdes | None = None
    not_counted: str = ""
    not_timed: str = ""
    not_compared: str = ""
    error: str = ""

    def add_error(self, error: str) -> None:
        """Append an error to those that are recorded."""
        self.error = "; ".join(filter(None, (self.error, error)))


@dataclass
class ModuleResults:
    """The results of a module.

    Attributes:
        module: the module.
        results: one for each unwinder and build, in this order; none for a file that is refused.
    """

    module: Input
    results: list[Result]

    @property
    def has_failed(self) -> bool:
        """Whether the file is refused, a step failed, or no build could measure it."""
        has_verdict = any(result.verdict for result in self.results)
        return not has_verdict or any(result.error for result in self.results)


def measure_modules(modules: Sequence[Input], request: Request) -> Iterator[ModuleResults]:
    """Measure module by module, and yield the results of each module once they are complete.

    On an interruption, the results so far of the current module are yielded before the exception
    is raised again.
    """
    probed = [module for module in modules if not module.problem]
    cases = len(probed) * len(request.builds) * len(request.unwinders)
    budget = Budget.share(request.minutes, cases)
    for module in modules:
        measured = ModuleResults(module, [])
        if module.problem:
            yield measured
            continue
        measured.results = [
            Result(Case(module, build, unwinder, request.features))
            for unwinder in request.unwinders
            for build in request.builds
        ]
        try:
            measure_module(measured.results, request, budget)
        except KeyboardInterrupt:
            for result in measured.results:
                if not result.verdict:
                    result.add_error("interrupted")
            if any(result.verdict for result in measured.results):
                yield measured
            raise
        if request.against:
            compare_builds(measured.results, len(request.builds), request.modules)
        yield measured


def measure_module(results: Sequence[Result], request: Request, budget: Budget) -> None:
    """Take a module through all stages, under each build and unwinder."""
    counting_problem = find_counting_problem()
    predict_from_bytes(results)
    with ExitStack() as stack:
        compiled = {
            # The last unwinder is the system's, if it is measured. With it, loading costs least.
            result.case.build: compile_module(
                result.case, time=request.times, count=not counting_problem, stack=stack
            )
            for result in results[-len(request.builds) :]
            if not result.case.find_problem()
        }
        for result in results:
            predict_result(result, compiled.get(result.case.build), request)
        for result in results:
            if result.compiled and result.prediction:
                prediction = result.prediction
                if counting_problem:
                    result.not_counted = counting_problem
                    if not request.times:
                        result.add_error(counting_problem)
                else:
                    count_result(result, result.compiled, prediction, request, budget)
                if request.times:
                    time_result(result, result.compiled, prediction, request, budget)
                result.verdict = judge(prediction, request.modules, result.counts, result.times)


def predict_from_bytes(results: Sequence[Result]) -> None:
    """Store the FDEs that the bytes of the module give in the results of pinned releases.

    A file that cannot be read this way is still measured.
    """
    with suppress(UserError):
        contents = read_contents(results[0].case.module.path)
        for result in results:
            build = result.case.build
            if build.is_release:
                result.fdes_by_bytes = contents.predict(Version(build.release).major)


def predict_result(result: Result, compiled: Compiled | None, request: Request) -> None:
    """Store the facts from compiling and the prediction in a result, or why there are none."""
    case = result.case
    problem = case.find_problem()
    if problem or compiled is None:
        result.not_counted = result.not_timed = problem
        if request.only_unwinder:
            result.error = f"{problem}."
    elif compiled.error:
        result.error = compiled.error
    else:
        result.compiled = compiled
        result.prediction = Prediction(compiled.fdes, case.build.release, case.unwinder)


def count_result(
    result: Result, compiled: Compiled, prediction: Prediction, request: Request, budget: Budget
) -> None:
    """Count, and store the counts in a result, or why there are none."""
    plan = plan_counting(compiled, prediction, request.modules, budget)
    if plan.problem:
        result.not_counted = plan.problem
        return
    hold_machine(cache_folder())
    result.counts, error = count_instructions(result.case, compiled, plan)
    if error:
        result.not_counted = error
        result.add_error(f"counting: {error}")


def time_result(
    result: Result, compiled: Compiled, prediction: Prediction, request: Request, budget: Budget
) -> None:
    """Time, and store the times in a result, or why there are none."""
    modules, result.not_timed = choose_timed(compiled, prediction, request.modules, budget)
    if not modules:
        return
    hold_machine(cache_folder())
    result.times, error = time_drops(result.case, compiled, prediction, modules)
    if error:
        result.not_timed = error
        result.add_error(f"timing: {error}")


def compare_builds(results: Sequence[Result], builds: int, modules: int) -> None:
    """Compare the counts of each build with those of the first build, under each unwinder.

    The counts are those with `modules` loaded, because those of different numbers of modules
    cannot be compared.

    Args:
        results: the results of a module, ordered by unwinder, then by build.
        builds: how many builds there are.
        modules: the number of modules loaded.
    """
    for start in range(0, len(results), builds):
        baseline, *others = results[start : start + builds]
        for result in others:
            if not baseline.counts or not result.counts:
                uncounted = [each for each in (baseline, result) if not each.counts]
                names = " and ".join(each.case.build.name for each in uncounted)
                reason = uncounted[0].not_counted or uncounted[0].error
                result.not_compared = f"{names} not counted: {reason}"
                continue
            result.growth = {
                step: compute_growth(getattr(result.counts, name)(modules),
                                     getattr(baseline.counts, name)(modules))
                for step, name in (("deregister", "deregister_with"), ("register", "register_with"))
            }  # fmt: skip


def compute_growth(after: float, before: float) -> float | None:
    """Return the growth of a count in percent, or None if it grew from 0."""
    if before:
        return round(100 * (after - before) / before, 3)
    return None if after else 0.0
