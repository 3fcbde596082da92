"""The benefit of unwind info: how far a native backtrace from a host function gets.

Only unwinders inside the process use unwind info: for Rust's and C++'s backtraces and exceptions,
and in profilers that run inside the process. Debuggers and profilers outside do not.
"""

from enum import Enum
from typing import NamedTuple

from packaging.version import Version

# the first release with wasmtime#14303, inferred from the branch points of the releases
SIGNED_SINCE = Version("50.0.0")
PROFILERS = (
    "A profiler inside the process that interrupts wasm code itself would lose the wasm frames."
)


class Benefit(Enum):
    """How far unwind info lets a native backtrace get that starts in a host function."""

    ALL = "all frames"
    WASM_FRAMES = "the wasm frames only"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


class Embedder(Enum):
    """Who compiled the Wasmtime that a program uses; the value names the program."""

    RUST = "Rust"
    C_API = "C, Python, Go or .NET"


class Evidence(Enum):
    """The source of a benefit."""

    MEASURED = "measured"
    INFERRED = "inferred"
    NONE = "not known"


class Backtrace(NamedTuple):
    """The two values of `NativeBacktrace` with unwind info on; None where one is n/a.

    Attributes:
        wasm_frames: how many wasm frames the unwinder passes.
        reaches_bottom: 1 if it reaches the program's outermost frame, 0 if not.
    """

    wasm_frames: float | None
    reaches_bottom: float | None


class Finding(NamedTuple):
    """A benefit and its source.

    Attributes:
        benefit: how far a backtrace from a host function gets.
        evidence: the source.
        serves_profilers: whether a profiler inside the process, which interrupts wasm code, gets
            through the wasm frames: it does not need to get through Wasmtime's library first.
    """

    benefit: Benefit
    evidence: Evidence
    serves_profilers: bool = True


UNRECORDED = Backtrace(None, None)
UNKNOWN = Finding(Benefit.UNKNOWN, Evidence.NONE)


def find_benefit(
    embedder: Embedder,
    release: str,
    backtrace: Backtrace = UNRECORDED,
    *,
    apple_silicon: bool = False,
) -> Finding:
    """Return the benefit of unwind info for an embedder of a release.

    Args:
        embedder: who compiled Wasmtime.
        release: the wasmtime-py release.
        backtrace: what was recorded with that release on that platform.
        apple_silicon: whether the platform is macOS on Apple silicon. Up to 49.0.0, a native
            backtrace stopped there at the first wasm frame (wasmtime#14303).
    """
    stops_at_wasm = apple_silicon and Version(release) < SIGNED_SINCE
    if None not in backtrace and embedder is Embedder.C_API:
        return Finding(_read_backtrace(backtrace), Evidence.MEASURED, not stops_at_wasm)
    if stops_at_wasm:
        return Finding(Benefit.NOTHING, Evidence.INFERRED, serves_profilers=False)
    # Cargo compiles Wasmtime with unwind tables unless the program sets panic=abort, so nothing
    # but wasm frames can stop a backtrace. The record is of the library in the wheels.
    return Finding(Benefit.ALL, Evidence.INFERRED) if embedder is Embedder.RUST else UNKNOWN


def _read_backtrace(backtrace: Backtrace) -> Benefit:
    """Return the benefit that a recorded backtrace shows."""
    if not backtrace.wasm_frames:
        return Benefit.NOTHING
    return Benefit.ALL if backtrace.reaches_bottom else Benefit.WASM_FRAMES


def describe_loss(finding: Finding) -> str:
    """Return what a program loses if it turns unwind info off, as sentences."""
    source = f" ({finding.evidence.value})"
    if finding.benefit is Benefit.UNKNOWN:
        return "It is unknown how far a native backtrace from a host function gets in this release."
    if finding.benefit is Benefit.NOTHING:
        loss = (
            "Nothing is lost for backtraces and exceptions from a host function: in this release "
            f"they stop before they have passed a wasm frame, with unwind info on too{source}."
        )
        return f"{loss} {PROFILERS}" if finding.serves_profilers else loss
    frames = "the wasm frames"
    if finding.benefit is Benefit.ALL:
        frames += " and all behind them"
    return (
        f"Without unwind info, native backtraces inside the process lose {frames}{source}; "
        "gdb, perf and Wasmtime's own backtraces do not need it."
    )
