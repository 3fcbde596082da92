"""The advice: the cost and the benefit of unwind info on a platform, and whether to keep it."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

from packaging.version import Version

from scripts.base.numbers import format_milliseconds_range
from scripts.base.schema import Day, Link, ReleaseName, Text, read_json, suggest_restore
from scripts.cost import model
from scripts.cost.model import Drop
from scripts.cost.platforms import Platform
from scripts.releases.pins import Registration

REPORTED = Path("fixtures/reported.json")
THRESHOLD = 0.1  # milliseconds per module unloaded; above it, unwind info should be turned off
# the first release with #14303, inferred from the branch points of the releases
SIGNED_SINCE = Version("50.0.0")
# calculator.js uses these sentences too
UNDETECTED = "This release does not look for libunwind, so it registers as it does with libgcc."
UNDETECTED_BEFORE = (
    f"Releases before {model.DETECTS_SINCE} do not look for libunwind, "
    "so they register as with libgcc."
)
UNCACHED = (
    f"The table has {{entries}} entries. Beyond about {model.CACHED_ENTRIES:,} it does not fit the "
    "processor's caches, and an entry may cost several times as much "
    "(wasmCloud#5555 implies 1.5 to 4.6 ns)."
)
OLDER_MACOS = (
    "On an older macOS whose libunwind cannot register sections, this release costs as much as "
    "49.0.0: {cost} per module."
)


class Reported(TypedDict):
    """A measurement published by others: an entry of `fixtures/reported.json`."""

    name: Text
    url: Link
    date: Day
    release: ReleaseName | None
    machine: Text
    platforms: list[Text]
    what: Text
    numbers: Text
    entry_ns: NotRequired[tuple[float, float]]
    derivation: NotRequired[Text]


class ReportedFile(TypedDict):
    """The content of `fixtures/reported.json`."""

    reported: list[Reported]


class Decision(Enum):
    """A recommendation about unwind info."""

    KEEP = "keep it"
    TURN_OFF = "turn it off"
    EITHER = "either"  # too close to call
    UNKNOWN = "unknown"
    FIXED = "cannot be turned off"


class Basis(Enum):
    """The source of a cost."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    NONE = "not known"


class Range(NamedTuple):
    """Milliseconds per module unloaded, from the least to the most."""

    low: float
    high: float


class Load(NamedTuple):
    """The modules that a process loads and unloads.

    Attributes:
        modules: number of modules that are loaded and then unloaded, last loaded first.
        fdes: FDEs per module.
        residents: FDEs of other modules, which stay loaded.
    """

    modules: int
    fdes: int
    residents: int = 0


@dataclass(frozen=True)
class Advice:
    """The advice for one platform, release and load.

    Attributes:
        decision: the recommendation.
        cost: milliseconds per module unloaded, or None if unknown.
        basis: the source of the cost.
        gives: the benefit of unwind info on that platform and release, as a sentence.
        notes: limits of the estimate, as sentences.
    """

    decision: Decision
    cost: Range | None
    basis: Basis
    gives: str
    notes: list[str] = field(default_factory=list)


def advise(
    platform: Platform,
    release: str,
    load: Load,
    *,
    measured: Range | None = None,
    estimated: Range | None = None,
    sections: bool = True,
) -> Advice:
    """Return the advice for a platform, a release and a load.

    Args:
        platform: where the process runs.
        release: the wasmtime-py release.
        load: the modules that are loaded.
        measured: milliseconds per module measured on that platform, if any. They take precedence.
        estimated: milliseconds per module estimated from counts, if any. Otherwise the model
            predicts the counts.
        sections: whether the host's libunwind can register a section at a time.
    """
    gives = describe_benefit(platform, release)
    if platform is Platform.WINDOWS:
        return Advice(Decision.FIXED, None, Basis.NONE, gives)
    if platform is Platform.LIBUNWIND and Version(release) < model.DETECTS_SINCE:
        return Advice(Decision.UNKNOWN, None, Basis.NONE, gives, [UNDETECTED])
    cost = measured or estimated or estimate(platform, release, load, sections=sections)
    basis = Basis.MEASURED if measured else Basis.ESTIMATED
    decision = decide(cost) if has_benefit(platform, release) else Decision.TURN_OFF
    return Advice(decision, cost, basis, gives, note_limits(platform, release, load))


def decide(cost: Range) -> Decision:
    """Compare a cost with the threshold. A range that spans the threshold is too close to call."""
    if cost.high <= THRESHOLD:
        return Decision.KEEP
    return Decision.TURN_OFF if cost.low > THRESHOLD else Decision.EITHER


def estimate(platform: Platform, release: str, load: Load, *, sections: bool = True) -> Range:
    """Estimate milliseconds per module unloaded from entries scanned or libgcc's instructions."""
    if platform.scans:
        registration = model.find_registration(release, sections=sections)
        deregistration = model.unload(
            load.modules, load.fdes, registration, Drop.ALL_NEWEST_FIRST, load.residents
        )
        entries = deregistration.entries
        return Range(*(entries * nanoseconds / 1e6 for nanoseconds in model.ENTRY_NS))
    low = high = model.LIBGCC_LIST
    if platform is Platform.LIBGCC_TREE:
        low = high = model.LIBGCC_TREE + model.LIBGCC_TREE_FDE * load.fdes
    else:  # the list is searched from the newest module to the oldest
        high += model.LIBGCC_LIST_STEP * (load.modules - 1)
    return Range(low * model.INSTRUCTION_NS[0] / 1e6, high * model.INSTRUCTION_NS[1] / 1e6)


def note_limits(platform: Platform, release: str, load: Load) -> list[str]:
    """Return sentences about effects that the estimate leaves out."""
    notes: list[str] = []
    if not platform.scans:
        return notes
    table = load.residents + load.modules * load.fdes
    if table > model.CACHED_ENTRIES:
        notes.append(UNCACHED.format(entries=f"{table:,}"))
    if platform.is_mac and model.find_registration(release) is Registration.SECTIONS:
        older = estimate(platform, release, load, sections=False)
        notes.append(OLDER_MACOS.format(cost=format_milliseconds_range(*older)))
    return notes


def has_benefit(platform: Platform, release: str) -> bool:
    """Return whether unwind info enables native backtraces through wasm frames.

    On Apple silicon, they stopped at the first wasm frame until wasmtime#14303.
    """
    return platform is not Platform.APPLE_SILICON or Version(release) >= SIGNED_SINCE


def describe_benefit(platform: Platform, release: str) -> str:
    """Return the benefit of unwind info, which is lost by turning it off."""
    if platform is Platform.WINDOWS:
        return "Windows requires unwind info: creating an Engine without it aborts the process."
    if not has_benefit(platform, release):
        return (
            "Nothing is lost by turning it off: native backtraces stop at wasm frames anyway "
            "(until wasmtime#14303; inferred: 50.0.0 is the first release with it)."
        )
    return (
        "Without it, debuggers and profilers have no native backtraces through wasm frames. "
        "Wasmtime's own backtraces never need it."
    )


def read_reports() -> list[Reported]:
    """Return the measurements that others have published."""
    return read_json(REPORTED, ReportedFile, suggest_restore(REPORTED))["reported"]


def describe_rules() -> list[str]:
    """Return the rules of thumb for N modules of f FDEs each, derived from the model."""
    low, middle, high = rule_limits()
    return [
        f"Up to 49.0.0, turn unwind info off if f² × N is above about {middle:,}.",
        f"From 50.0.0 on, turn it off if f × N is above about {middle:,}.",
        f"The limit is {low:,} on a slow processor and {high:,} on a fast one.",
    ]


def rule_limits() -> tuple[int, int, int]:
    """Return f² × N, or f × N, at the threshold for a slow, a typical and a fast processor.

    A scan passes half of the table on average, so each limit is twice the number of entries that
    can be scanned in 0.1 ms.
    """
    fast, slow = model.ENTRY_NS
    typical = 0.5  # nanoseconds per entry

    def limit(nanoseconds: float, step: int) -> int:
        return round(2 * THRESHOLD * 1e6 / nanoseconds / step) * step

    return limit(slow, 100_000), limit(typical, 100_000), limit(fast, 50_000)


def describe_cost(advice: Advice) -> str:
    """Return the cost per module with its basis, such as `0.067 to 0.16 ms, estimated`."""
    if advice.cost is None:
        return "cost unknown"
    return f"{format_milliseconds_range(*advice.cost)}, {advice.basis.value}"
