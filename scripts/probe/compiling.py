"""The first stage: a build compiles a module, or refuses it."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from tempfile import TemporaryFile

from scripts.probe.cases import Case
from scripts.probe.proposals import explain_refusal

PORTABLE = "portable"  # an image for any processor of this architecture, which valgrind can run


@dataclass(frozen=True)
class Compiled:
    """A module compiled by a build.

    Attributes:
        images: descriptors of anonymous temporary files with the compiled images: `on` and `off`
            with and without unwind info, and `portable` for counting.
        fdes: FDEs that the module registers.
        portable_fdes: FDEs of the portable image, or 0 if there is none.
        image_mb: MB of the largest image.
        memory_mb: MB of memory that a loaded module uses.
        load_seconds, drop_seconds: time to load and to drop one module.
        error: why the build refuses the module, or an empty string.
    """

    images: dict[str, int] = field(default_factory=dict)
    fdes: int = 0
    portable_fdes: int = 0
    image_mb: float = 0
    memory_mb: float = 0
    load_seconds: float = 0
    drop_seconds: float = 0
    error: str = ""


def compile_module(case: Case, *, time: bool, count: bool, stack: ExitStack) -> Compiled:
    """Compile a module for timing and for counting; `stack` closes its images."""
    kinds = ["on", *(["off"] if time else []), *([PORTABLE] if count else [])]
    streams = {kind: stack.enter_context(TemporaryFile()) for kind in kinds}  # noqa: SIM115
    images = {kind: stream.fileno() for kind, stream in streams.items()}
    job = {"job": "compile", "wasm": str(case.module.path), "images": images}
    facts = case.run(job, images, "compiling", 0)
    if "error" in facts:
        return Compiled(error=explain_refusal(facts["error"], case.module.path))
    image_bytes = max(facts[f"{kind}_bytes"] for kind in kinds)
    return Compiled(
        images, facts["fdes"], facts.get("fdes_counted", 0), image_bytes / 1e6,
        max(facts["loaded_bytes"], image_bytes) / 1e6, facts["load_seconds"], facts["drop_seconds"],
    )  # fmt: skip
