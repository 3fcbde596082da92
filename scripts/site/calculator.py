"""Data for the calculator of the page: constants and sentences of the model and the advice.

`calculator.js` computes the same as `scripts.cost.advice.advise`; a test compares both.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.cost import advice, model, rates
from scripts.cost.advice import Decision, Load
from scripts.cost.benefit import Backtrace, Benefit, Embedder, Evidence, describe_loss, find_benefit
from scripts.cost.macos import registers_sections
from scripts.cost.platforms import Platform
from scripts.cost.rates import UNKNOWN_MACHINE, Curve
from scripts.releases.pins import Registration
from scripts.report.words import format_span
from scripts.site.verdicts import DECISIONS, Verdict, build_verdict

KINDS = {  # CSS classes by decision; one that depends on the load has the class "either"
    Decision.KEEP: "keep",
    Decision.TURN_OFF: "off",
    Decision.UNKNOWN: "unknown",
    Decision.FIXED: "unknown",
}


CURRENT_MACOS = "13.3"
# Versions of macOS with the same answer, by what Apple's SDKs say. The key is that of a link.
MACOS = [
    {"key": version, "name": name, "sections": registers_sections(version)}
    for version, name in (
        (CURRENT_MACOS, "13.3 or later"),
        ("13.0", "13.0 to 13.2"),
        ("12", "11 or 12"),
    )
]


class ModelEra(NamedTuple):
    """Releases for which the model and the advice are the same.

    Attributes:
        first, last: the oldest and the newest release.
        newest: whether it is the newest era, to which later releases are assumed to belong.
    """

    first: str
    last: str
    newest: bool

    @property
    def label(self) -> str:
        """The releases, such as `22.0.0 to 49.0.0` or `50.0.1 and later`."""
        return f"{self.first} and later" if self.newest else format_span(self.first, self.last)


def model_eras(releases: Iterable[str]) -> list[ModelEra]:
    """Return the eras of the model, oldest first."""

    def key(release: str) -> tuple[Any, ...]:
        """Return what the advice depends on, apart from the load."""
        detects = Version(release) >= model.DETECTS_SINCE
        misses = advice.registers_nothing(Platform.STATIC_LIBUNWIND, release)
        benefit = advice.find_benefit(Platform.APPLE_SILICON, release)
        return model.find_registration(release), detects, misses, benefit

    groups = [list(group) for _, group in itertools.groupby(releases, key)]
    return [ModelEra(group[0], group[-1], group is groups[-1]) for group in groups]


def major_of(release: str) -> int:
    """Return the major version of a release."""
    return Version(release).major


def first_of_major(releases: Sequence[str]) -> str:
    """Return the first release with the newest major version."""
    newest = major_of(releases[-1])
    return next(release for release in releases if major_of(release) == newest)


def key_of(platform: Platform) -> str:
    """Return the name of a platform in links."""
    return platform.name.lower().replace("_", "-")


def build_calculator_data(
    releases: Sequence[str], backtraces: Mapping[str, Backtrace] | None = None
) -> dict[str, Any]:
    """Return the data of `calculator.js`, in types that JSON has."""
    return {
        "threshold": advice.THRESHOLD,
        "curves": [curve_data(curve) for curve in (UNKNOWN_MACHINE.low, UNKNOWN_MACHINE.high)],
        "steps": rates.STEPS,
        "fdeNs": rates.FDE_NS,
        "instructionNs": model.INSTRUCTION_NS,
        "list": [model.LIBGCC_LIST, model.LIBGCC_LIST_STEP],
        "tree": [model.LIBGCC_TREE, model.LIBGCC_TREE_FDE],
        "kinds": {decision.value: kind_of(decision) for decision in Decision},
        "words": {decision.value: DECISIONS[decision] for decision in Decision},
        "decisions": {decision.name: decision.value for decision in Decision},
        "bases": {basis.name: basis.value for basis in advice.Basis},
        "unsureMacos": advice.UNSURE_MACOS,
        "newest": major_of(releases[-1]),
        "library": [benefit._asdict() for benefit in build_library_benefits(backtraces or {})],
        "macos": MACOS,
        "platforms": [
            {
                "key": key_of(platform),
                "name": platform.value,
                "isMac": platform.is_mac,
                "scans": platform.scans,
                "tree": platform is Platform.LIBGCC_TREE,
            }
            for platform in Platform
        ],
        "eras": [era_data(era) for era in model_eras(releases)],
    }


class LibraryBenefit(NamedTuple):
    """What unwind info gives to users of the released library, from one major release on.

    Attributes:
        first: the major release.
        is_nothing: whether turning unwind info off gives up nothing.
        linux, mac: what turning it off gives up, in words. On macOS that is inferred.
    """

    first: int
    is_nothing: bool
    linux: str
    mac: str


def build_library_benefits(backtraces: Mapping[str, Backtrace]) -> list[LibraryBenefit]:
    """Return the benefits by release, from recorded backtraces, oldest first."""
    benefits: list[LibraryBenefit] = []
    for release, backtrace in backtraces.items():
        found = find_benefit(Embedder.C_API, release, backtrace)
        entry = LibraryBenefit(
            major_of(release),
            found.benefit is Benefit.NOTHING,
            describe_loss(found),
            describe_loss(found._replace(evidence=Evidence.INFERRED)),
        )
        if not benefits or benefits[-1][1:] != entry[1:]:
            benefits.append(entry)
    return benefits


def curve_data(curve: Curve) -> dict[str, Any]:
    """Return a curve without its sources."""
    return {
        "first": [point[:2] for point in curve.first],
        "following": [point[:2] for point in curve.following],
    }


def kind_of(decision: Decision | None) -> str:
    """Return the CSS class of a decision; None is one that depends on the load."""
    return KINDS.get(decision, "either") if decision else "either"


def era_data(era: ModelEra) -> dict[str, Any]:
    """Return the data of an era, with its advice by platform."""
    release = era.last
    return {
        "major": major_of(era.first),
        "label": era.label,
        "sections": model.find_registration(release) is Registration.SECTIONS,
        "platforms": [platform_data(platform, release) for platform in Platform],
    }


def platform_data(platform: Platform, release: str) -> dict[str, Any]:
    """Return the parts of the advice that do not depend on the load.

    The decision is None if it depends on the load, and so is the cost.
    """
    small = advice.advise(platform, release, Load(1, 1), macos=CURRENT_MACOS)
    large = advice.advise(platform, release, Load(10**6, 10**6), macos=CURRENT_MACOS)
    return {
        "decision": small.decision.name if small.decision is large.decision else None,
        "hasCost": small.cost is not None,
        "cost": small.cost if small.cost == large.cost else None,
        "gives": small.gives,
        "notes": small.notes,
        "verdicts": [verdict_data(verdict) for verdict in build_verdicts(platform, release)],
    }


def build_verdicts(platform: Platform, release: str) -> list[Verdict]:
    """Return the verdict for each macOS of MACOS where it matters, or else only one."""
    by_sections = model.find_registration(release) is Registration.SECTIONS
    matters = platform.is_mac and by_sections
    versions = [version["key"] for version in MACOS] if matters else [""]
    return [build_verdict(platform, release, macos=version) for version in versions]


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the page shows it."""
    return {
        "kind": kind_of(verdict.decision),
        "answer": verdict.answer,
        "conditions": verdict.sentences,
        "examples": [
            [example.load, example.cost, example.decision.value] for example in verdict.examples
        ],
    }


class SpanVerdict(NamedTuple):
    """The verdict for a span of releases; the span is empty if a column has no other."""

    span: str
    verdict: Verdict


class PlatformVerdicts(NamedTuple):
    """The verdicts on a platform for a table, by column: before the newest era, and in it."""

    platform: Platform
    columns: list[list[SpanVerdict]]


def build_verdict_table(releases: Sequence[str]) -> tuple[list[str], list[PlatformVerdicts]]:
    """Return the heads and rows of the table that the page has without JavaScript."""
    eras = model_eras(releases)
    columns = {eras[-1].label: eras[-1:]}
    if len(eras) > 1:
        columns = {f"Up to {eras[-2].last}": eras[:-1], **columns}
    return list(columns), [
        PlatformVerdicts(platform, [judge_eras(platform, column) for column in columns.values()])
        for platform in Platform
    ]


def judge_eras(platform: Platform, eras: Sequence[ModelEra]) -> list[SpanVerdict]:
    """Return the verdicts on a platform, with neighbouring equal ones merged."""
    judged = [(era, build_verdict(platform, era.last)) for era in eras]
    groups = [
        list(group)
        for _, group in itertools.groupby(judged, lambda pair: (pair[1].answer, pair[1].sentences))
    ]
    return [
        SpanVerdict(
            format_span(group[0][0].first, group[-1][0].last) if len(groups) > 1 else "",
            group[-1][1],
        )
        for group in groups
    ]
