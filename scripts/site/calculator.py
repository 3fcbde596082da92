"""Data for the calculator of the page: constants and sentences of the model and the advice.

`calculator.js` computes the same as `scripts.cost.advice.advise`; a test compares both.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.cost import advice, model
from scripts.cost.advice import Decision, Load
from scripts.cost.platforms import Platform
from scripts.releases.pins import Registration
from scripts.report.words import format_span
from scripts.site.verdicts import DECISIONS, Verdict, build_verdict

# Which macOS has a libunwind that registers sections: read in Apple's SDKs, by libSystem's exports.
# The key is that of a link.
MACOS = {"13.3": ("13.3 or later", True), "12": ("12 or earlier", False)}
KINDS = {  # CSS classes by decision; one that depends on the load has the class "either"
    Decision.KEEP: "keep",
    Decision.TURN_OFF: "off",
    Decision.UNKNOWN: "unknown",
    Decision.FIXED: "unknown",
}


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
        exported = model.estimate_fdes(0, release, exported=1)
        detects = Version(release) >= model.DETECTS_SINCE
        benefit = advice.has_benefit(Platform.APPLE_SILICON, release)
        return model.find_registration(release), exported, detects, benefit

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


def build_calculator_data(releases: Sequence[str]) -> dict[str, Any]:
    """Return the data of `calculator.js`, in types that JSON has."""
    return {
        "threshold": advice.THRESHOLD,
        "entryNs": model.ENTRY_NS,
        "cachedEntries": model.CACHED_ENTRIES,
        "instructionNs": model.INSTRUCTION_NS,
        "list": [model.LIBGCC_LIST, model.LIBGCC_LIST_STEP],
        "tree": [model.LIBGCC_TREE, model.LIBGCC_TREE_FDE],
        "kinds": {decision.value: kind_of(decision) for decision in Decision},
        "words": {decision.value: DECISIONS[decision] for decision in Decision},
        "decisions": {decision.name: decision.value for decision in Decision},
        "bases": {basis.name: basis.value for basis in advice.Basis},
        "uncached": advice.UNCACHED,
        "olderMacos": advice.OLDER_MACOS,
        "newest": major_of(releases[-1]),
        "macos": [
            {"key": key, "name": name, "sections": sections}
            for key, (name, sections) in MACOS.items()
        ],
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


def kind_of(decision: Decision | None) -> str:
    """Return the CSS class of a decision; None is one that depends on the load."""
    return KINDS.get(decision, "either") if decision else "either"


def name_decision(decision: Decision) -> str:
    """Return a decision in a table."""
    return "too close to call" if decision is Decision.EITHER else decision.value


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

    The decision is None if it depends on the load.
    """
    answer = advice.advise(platform, release, Load(1, 1))
    has_cost = answer.cost is not None
    is_fixed = not has_cost or not advice.has_benefit(platform, release)
    return {
        "decision": answer.decision.name if is_fixed else None,
        "hasCost": has_cost,
        "gives": answer.gives,
        "notes": [] if has_cost else answer.notes,
        "verdicts": [verdict_data(verdict) for verdict in build_verdicts(platform, release)],
    }


def build_verdicts(platform: Platform, release: str) -> list[Verdict]:
    """Return the verdict for each macOS of MACOS, or one if all are the same."""
    verdicts = [
        build_verdict(platform, release, sections=sections) for _, sections in MACOS.values()
    ]
    differ = platform.is_mac and any(verdict != verdicts[0] for verdict in verdicts)
    return verdicts if differ else verdicts[:1]


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as the page shows it."""
    return {
        "kind": kind_of(verdict.decision),
        "answer": verdict.answer,
        "conditions": [*verdict.conditions, *verdict.notes],
        "examples": [
            [example.load, example.cost, name_decision(example.decision)]
            for example in verdict.examples
        ],
    }


class PlatformVerdicts(NamedTuple):
    """The verdicts on a platform for a table: before the newest era, and in it."""

    platform: Platform
    verdicts: list[Verdict]


def build_verdict_table(releases: Sequence[str]) -> tuple[list[str], list[PlatformVerdicts]]:
    """Return the heads and rows of the table that the page has without JavaScript."""
    eras = model_eras(releases)
    heads = [f"Up to {eras[-2].last}", eras[-1].label] if len(eras) > 1 else [eras[-1].label]
    chosen = [era.last for era in eras[-2:]]
    return heads, [
        PlatformVerdicts(platform, [build_verdict(platform, release) for release in chosen])
        for platform in Platform
    ]


def libgcc_limits() -> tuple[int, int]:
    """Return how many FDEs per module (libgcc 13) and modules (libgcc 12) cost the threshold."""
    instructions = advice.THRESHOLD * 1e6 / model.INSTRUCTION_NS[1]
    fdes = (instructions - model.LIBGCC_TREE) / model.LIBGCC_TREE_FDE
    modules = (instructions - model.LIBGCC_LIST) / model.LIBGCC_LIST_STEP
    return int(fdes // 100 * 100), int(modules // 1000 * 1000)
