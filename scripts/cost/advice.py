"""The advice: the cost and the benefit of unwind info on a platform, and whether to keep it."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

from packaging.version import Version

from scripts.base.numbers import format_milliseconds_range
from scripts.base.schema import Day, Link, ReleaseName, Text, read_json, suggest_restore
from scripts.cost import benefit, model, rates
from scripts.cost.benefit import UNRECORDED, Backtrace, Benefit, Embedder, Finding
from scripts.cost.macos import Answer, registers_sections
from scripts.cost.platforms import Platform
from scripts.cost.rates import UNKNOWN_MACHINE, Curves, Unloading
from scripts.releases.pins import Registration

REPORTED = Path("fixtures/reported.json")
THRESHOLD = 0.1  # milliseconds per module unloaded; above it, unwind info should be turned off
# calculator.js uses these sentences too
UNDETECTED = "This release does not look for libunwind, so it registers as it does with libgcc."
UNDETECTED_BEFORE = (
    f"Releases before {model.DETECTS_SINCE} do not look for libunwind, "
    "so they register as with libgcc."
)
OLDER_MACOS = (
    "On macOS 11 and 12, whose libunwind cannot register sections, this release costs as much as "
    "49.0.0: {cost} per module. For macOS 13.0 to 13.2 it is not known for sure."
)
UNSURE_MACOS = (
    "It is not known for sure whether this version of macOS can register sections, so the range "
    "covers both."
)
WINDOWS_BENEFIT = (
    "Windows requires unwind info. In Rust, Engine::new returns an error without it; the C API and "
    "Python abort the process."
)
UNREGISTERED = (
    "Nothing is lost by turning it off: Wasmtime does not find a libunwind that is linked into the "
    "program, so it registers nothing, and libunwind prints a warning for each module "
    "(wasmtime#8897)."
)
UNREGISTERED_BEFORE = (
    f"From {model.DETECTS_SINCE} to 26, Wasmtime registers nothing there: turn it off, nothing is "
    "lost."
)
FORMER_STATIC = "Up to 18.0.2, musl programs register function by function (read in the source)."
# the two loads that have a rule: all modules are unloaded, or one is and the others stay
ALL_GO = "all go"
ONE_GOES = "one goes"


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
    EITHER = "too close to call"
    UNKNOWN = "unknown"
    FIXED = "cannot be turned off"


class Basis(Enum):
    """The source of a cost."""

    MEASURED = "measured"
    OWN_RATES = "estimated from this machine's own rates"
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
    curves: Curves = UNKNOWN_MACHINE,
    macos: str = "",
    embedder: Embedder = Embedder.RUST,
    backtrace: Backtrace = UNRECORDED,
) -> Advice:
    """Return the advice for a platform, a release and a load.

    Args:
        platform: where the process runs.
        release: the wasmtime-py release.
        load: the modules that are loaded.
        measured: milliseconds per module measured on that platform, if any. They take precedence.
        estimated: milliseconds per module estimated from counts, if any. Otherwise the model
            predicts the counts.
        curves: nanoseconds per table entry on the machine; by default those of known processors.
        macos: the version of macOS, such as `13.3`; by default a current one.
        embedder: who compiled Wasmtime.
        backtrace: how far native backtraces got in that release, as recorded.

    Raises:
        UserError: the macOS version is malformed.
    """
    finding = find_benefit(platform, release, embedder, backtrace)
    gives = describe_benefit(platform, release, finding)
    if platform is Platform.WINDOWS:
        return Advice(Decision.FIXED, None, Basis.NONE, gives)
    if platform is Platform.LIBUNWIND and Version(release) < model.DETECTS_SINCE:
        return Advice(Decision.UNKNOWN, None, Basis.NONE, gives, [UNDETECTED])
    if registers_nothing(platform, release):
        return Advice(Decision.TURN_OFF, Range(0, 0), Basis.ESTIMATED, gives)
    cost = measured or estimated or estimate(platform, release, load, macos=macos, curves=curves)
    basis = Basis.ESTIMATED if curves is UNKNOWN_MACHINE or not platform.scans else Basis.OWN_RATES
    if measured:
        basis = Basis.MEASURED
    is_lossless = finding.benefit is Benefit.NOTHING and platform.scans
    decision = Decision.TURN_OFF if is_lossless else decide(cost)
    return Advice(decision, cost, basis, gives, note_limits(platform, release, load, macos, curves))


def registers_nothing(platform: Platform, release: str) -> bool:
    """Return whether Wasmtime does not find the unwinder, and so registers nothing with it.

    It looks for a libunwind in shared libraries only until wasmtime#9479.
    """
    is_missed = model.DETECTS_SINCE <= Version(release) < model.DETECTS_STATIC_SINCE
    return platform is Platform.STATIC_LIBUNWIND and is_missed


def decide(cost: Range) -> Decision:
    """Compare a cost with the threshold. A range that spans the threshold is too close to call."""
    if cost.high <= THRESHOLD:
        return Decision.KEEP
    return Decision.TURN_OFF if cost.low > THRESHOLD else Decision.EITHER


def estimate(
    platform: Platform,
    release: str,
    load: Load,
    *,
    macos: str = "",
    curves: Curves = UNKNOWN_MACHINE,
) -> Range:
    """Estimate milliseconds per module unloaded from entries scanned or libgcc's instructions."""
    if platform.scans:
        ranges = [
            rates.estimate_ms(load.modules, load.fdes, load.residents, registration, curves)
            for registration in find_registrations(platform, release, macos)
        ]
        return Range(min(low for low, _ in ranges), max(high for _, high in ranges))
    low = high = model.LIBGCC_LIST
    if platform is Platform.LIBGCC_TREE:
        low = high = model.LIBGCC_TREE + model.LIBGCC_TREE_FDE * load.fdes
    else:  # the list is searched from the newest module to the oldest
        high += model.LIBGCC_LIST_STEP * (load.modules - 1)
    return Range(low * model.INSTRUCTION_NS[0] / 1e6, high * model.INSTRUCTION_NS[1] / 1e6)


def find_registrations(platform: Platform, release: str, macos: str = "") -> list[Registration]:
    """Return how a release registers on a platform: two ways if that is not known for sure."""
    answer = registers_sections(macos) if platform.is_mac and macos else Answer.YES
    possible = {Answer.YES: [True], Answer.NO: [False], Answer.UNKNOWN: [True, False]}[answer]
    found = (model.find_registration(release, sections=sections) for sections in possible)
    return list(dict.fromkeys(found))


def note_limits(
    platform: Platform, release: str, load: Load, macos: str, curves: Curves
) -> list[str]:
    """Return sentences about what the estimate leaves open."""
    if platform is Platform.STATIC_LIBUNWIND and Version(release) < model.DETECTS_SINCE:
        return [FORMER_STATIC]
    if not platform.is_mac or model.find_registration(release) is not Registration.SECTIONS:
        return []
    if not macos:
        older = estimate(platform, release, load, macos="12", curves=curves)
        return [OLDER_MACOS.format(cost=format_milliseconds_range(*older))]
    return [UNSURE_MACOS] if len(find_registrations(platform, release, macos)) > 1 else []


def find_benefit(
    platform: Platform,
    release: str,
    embedder: Embedder = Embedder.RUST,
    backtrace: Backtrace = UNRECORDED,
) -> Finding:
    """Return the benefit of unwind info on a platform."""
    apple_silicon = platform is Platform.APPLE_SILICON
    return benefit.find_benefit(embedder, release, backtrace, apple_silicon=apple_silicon)


def describe_benefit(platform: Platform, release: str, finding: Finding) -> str:
    """Return what is lost by turning unwind info off."""
    if platform is Platform.WINDOWS:
        return WINDOWS_BENEFIT
    if registers_nothing(platform, release):
        return UNREGISTERED
    return benefit.describe_loss(finding)


def read_reports() -> list[Reported]:
    """Return the measurements that others have published."""
    return read_json(REPORTED, ReportedFile, suggest_restore(REPORTED))["reported"]


class Rule(NamedTuple):
    """A rule of thumb for one kind of load in releases that register alike.

    Attributes:
        unloading: which modules are unloaded.
        registration: how the releases register.
        keep: keep unwind info below this limit, of f × T up to 49.0.0 and of T from 50.0.0 on.
        turn_off: turn it off above this one; measure in between.
    """

    unloading: Unloading
    registration: Registration
    keep: int
    turn_off: int

    @property
    def load(self) -> str:
        """Which modules are unloaded, in short."""
        return ALL_GO if self.unloading is Unloading.ALL else ONE_GOES

    @property
    def product(self) -> str:
        """What the limits are about: f × T or T."""
        return "f × T" if self.registration is Registration.FUNCTIONS else "T"

    @property
    def releases(self) -> str:
        """The releases that register this way."""
        is_old = self.registration is Registration.FUNCTIONS
        return "up to 49.0.0" if is_old else "from 50.0.0 on"

    @property
    def text(self) -> str:
        """The rule as a sentence."""
        return (
            f"{self.load[0].upper()}{self.load[1:]}, {self.releases}: keep below {self.product} = "
            f"{self.keep:,}, turn off above {self.turn_off:,}."
        )


def list_rules(curves: Curves = UNKNOWN_MACHINE) -> list[Rule]:
    """Return the rules of thumb for libunwind, derived from the model and a machine's rates.

    T is the number of FDEs of all loaded modules, f that of a module that is unloaded.
    """
    return [
        Rule(unloading, how, *rates.rule_limits(unloading, how, curves, THRESHOLD))
        for unloading in Unloading
        for how in (Registration.FUNCTIONS, Registration.SECTIONS)
    ]


def describe_rules(curves: Curves = UNKNOWN_MACHINE) -> list[str]:
    """Return the rules of thumb as sentences."""
    return [rule.text for rule in list_rules(curves)]


def libgcc_limits() -> tuple[int, int]:
    """Return how many FDEs per module (libgcc 13) and modules (libgcc 12) cost the threshold."""
    instructions = THRESHOLD * 1e6 / model.INSTRUCTION_NS[1]
    fdes = (instructions - model.LIBGCC_TREE) / model.LIBGCC_TREE_FDE
    modules = (instructions - model.LIBGCC_LIST) / model.LIBGCC_LIST_STEP
    return int(fdes // 100 * 100), int(modules // 1000 * 1000)


def describe_cost(advice: Advice) -> str:
    """Return the cost per module with its basis, such as `0.067 to 0.16 ms, estimated`."""
    if advice.cost is None:
        return "cost unknown"
    return f"{format_milliseconds_range(*advice.cost)}, {advice.basis.value}"
