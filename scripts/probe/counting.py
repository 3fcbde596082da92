"""The third stage: count the unwinder's instructions, and derive counts with any number of modules.

Under libunwind, the instructions to deregister a module grow linearly with the number of modules
loaded, to the digit. So two small counts give the count with any other number. Under libgcc 12 they
are constant; under libgcc 13 and later they grow by a tenth from 250 to 1000 modules, a little less
than linearly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scripts.probe.cases import Case
from scripts.probe.compiling import PORTABLE, Compiled
from scripts.probe.predicting import Prediction
from scripts.probe.sizes import Budget, choose_number, describe_duration, fits_in_memory

# Seconds of a counting process on a machine with two cores of 2.6 GHz.
START_SECONDS = 6.5  # to start Python and wasmtime under valgrind
INSTRUCTIONS_PER_SECOND = 5e7  # of the unwinder
LOAD_SECONDS_PER_MB = 0.03  # to load an image
SECONDS_PER_MODULE = 0.001  # to load and drop a module, without the other costs
REGISTER_FDE = 422  # instructions of libunwind to register an FDE; libgcc takes less
# Loaded at the same time, for each of the n modules: `benchmarks._counted` counts with n and n / 4
# modules side by side, and on arm64 twice each.
COPIES = 2.5
FEW = 3  # modules: the most with which counting may take longer than usual
TOLERATED_INSTRUCTIONS = 40  # per module, by which builds of libunwind differ, see `SCANS`


@dataclass(frozen=True)
class UnwinderCounts:
    """Exact instructions of the unwinder per module, by how many modules are loaded.

    Attributes:
        deregister, register: what was counted.
        prediction: the model's prediction for the counted code.
    """

    deregister: dict[int, float]
    register: dict[int, float]
    prediction: Prediction

    @property
    def modules(self) -> int:
        """The largest number of modules that was counted."""
        return max(self.deregister)

    def deregister_with(self, modules: int) -> float:
        """Return the instructions to deregister a module with any number of modules loaded.

        With a single count, the model's prediction is scaled to it.
        """
        if modules in self.deregister:
            return self.deregister[modules]
        most, fewest = max(self.deregister), min(self.deregister)
        at_most, at_fewest = self.deregister[most], self.deregister[fewest]
        if most == fewest:
            predicted = self.prediction.instructions(most)
            scale = at_most / predicted if predicted else 1
            return round(self.prediction.instructions(modules) * scale, 3)
        slope = (at_most - at_fewest) / (most - fewest)
        return round(max(at_most + slope * (modules - most), 0), 3)

    def register_with(self, modules: int) -> float:
        """Return the instructions to register a module with any number of modules loaded.

        Registering costs the same for each module, and now and then the table grows.
        """
        if modules in self.register:
            return self.register[modules]
        most, fewest = max(self.register), min(self.register)
        if most == fewest:
            return self.register[most]
        in_all = {number: number * self.register[number] for number in (most, fewest)}
        each = (in_all[most] - in_all[fewest]) / (most - fewest)
        return round((in_all[most] + each * (modules - most)) / modules, 3)

    def differ_from_model(self) -> bool:
        """Return whether the count under libunwind differs from the model by over one percent."""
        if not self.prediction.unwinder.platform.scans:
            return False
        if not self.prediction.unwinder.has_known_scan:
            return False
        counted = self.deregister[self.modules]
        predicted = self.prediction.instructions(self.modules)
        return abs(counted - predicted) > 0.01 * predicted + TOLERATED_INSTRUCTIONS


@dataclass(frozen=True)
class CountingPlan:
    """Numbers of modules to count with, or why none is.

    Attributes:
        numbers: the numbers; empty if nothing is counted.
        seconds: the estimated duration.
        prediction: the model's prediction for the code that is counted.
        problem: why nothing is counted, or an empty string.
    """

    numbers: Sequence[int]
    seconds: float
    prediction: Prediction
    problem: str = ""


def plan_counting(
    compiled: Compiled, prediction: Prediction, requested: int, budget: Budget
) -> CountingPlan:
    """Choose n so that counting with n modules and with a quarter of them takes seconds."""
    prediction = replace(prediction, fdes=compiled.portable_fdes)

    def fits(number: int) -> bool:
        in_memory = fits_in_memory(number, compiled.memory_mb, copies=COPIES)
        seconds = estimate_seconds(prediction, compiled.image_mb, list_numbers(number))
        # Two numbers show how the count grows, which is worth a few seconds more than one number.
        limit = budget.count if number > FEW else max(budget.count, budget.limit / 12)
        return in_memory and seconds <= limit

    numbers = list_numbers(choose_number(requested, fits))
    seconds = START_SECONDS + estimate_seconds(prediction, compiled.image_mb, numbers)
    if seconds > max(budget.limit, budget.count):
        problem = f"counting one module would take {describe_duration(seconds)}"
        return CountingPlan([], 0, prediction, problem)
    return CountingPlan(numbers, seconds, prediction)


def list_numbers(modules: int) -> list[int]:
    """Return the numbers of modules to count with: all, and a quarter of them."""
    return [modules, max(modules // 4, 1)] if modules > 1 else [modules]


def estimate_seconds(prediction: Prediction, image_mb: float, numbers: Sequence[int]) -> float:
    """Estimate the seconds to count with these numbers of modules, without the start."""
    seconds = LOAD_SECONDS_PER_MB * image_mb
    for number in numbers:
        instructions = prediction.instructions(number) + REGISTER_FDE * prediction.fdes
        per_module = instructions / INSTRUCTIONS_PER_SECOND + LOAD_SECONDS_PER_MB * image_mb
        seconds += number * (per_module + SECONDS_PER_MODULE)
    return seconds


def count_instructions(
    case: Case, compiled: Compiled, plan: CountingPlan
) -> tuple[UnwinderCounts | None, str]:
    """Count as planned. Return the counts, or None and the error."""
    image = {PORTABLE: compiled.images[PORTABLE]}
    job = {
        "job": "count",
        "image": image[PORTABLE],
        "fdes": compiled.portable_fdes,
        "modules": plan.numbers,
    }
    label = f"counting with {' and '.join(f'{number:,}' for number in plan.numbers)} loaded"
    answer = case.run(job, image, label, plan.seconds)
    if "error" in answer:
        return None, answer["error"]
    deregister, register = (
        {int(number): value for number, value in answer[f"instructions_to_{step}"].items()}
        for step in ("remove", "register")
    )
    return UnwinderCounts(deregister, register, plan.prediction), ""
