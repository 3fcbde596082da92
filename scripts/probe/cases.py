"""A case: a module under one build and one unwinder."""

from dataclasses import dataclass
from typing import Any

from scripts.probe.builds import WasmtimeBuild
from scripts.probe.children import Answer, Progress, run_job
from scripts.probe.host_unwinders import HostUnwinder
from scripts.probe.inputs import Input

LIMIT_FACTOR = 8  # a job may take this many times its estimate in CPU seconds, and a minute


@dataclass(frozen=True)
class Case:
    """A module under one build and one unwinder.

    Attributes:
        module: the module.
        build: the wasmtime that compiles, loads and unloads it.
        unwinder: the unwinder that the build registers unwind tables with.
        features: WebAssembly proposals to enable.
    """

    module: Input
    build: WasmtimeBuild
    unwinder: HostUnwinder
    features: tuple[str, ...] = ()

    def find_problem(self) -> str:
        """Return why the case cannot be measured on any machine, or an empty string."""
        if self.module.is_component and not self.build.has_components:
            return "its Python package cannot compile components (39.0.0 and later can)"
        if not self.unwinder.supports(self.build.release):
            return "it does not look for libunwind (19.0.0 and later do)"
        return ""

    def run(self, job: dict[str, Any], files: dict[str, int], label: str, seconds: float) -> Answer:
        """Run a job in a child process; kill it if it takes far longer than estimated.

        Args:
            job: see `benchmarks._one_module`.
            files: descriptors of the files that the job uses.
            label: what the job does, for the progress line.
            seconds: the estimate, or 0 if there is none; then nothing limits the job.
        """
        name = f"{self.module.name}, {self.build.name}, {self.unwinder.title}"
        variables = {"UNWINDER": self.unwinder.option, "WASM_FEATURES": ",".join(self.features)}
        return run_job(
            self.build, job, files=list(files.values()), variables=variables,
            progress=Progress(f"{name}: {label}", seconds),
            limit=60 + LIMIT_FACTOR * seconds if seconds else None,
        )  # fmt: skip
