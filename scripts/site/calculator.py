"""Data for the calculator of the page: constants and sentences of the model and the advice.

`calculator.js` computes the same as `scripts.cost.advice.advise`; a test compares both.
"""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.cost import advice, model
from scripts.cost.advice import Decision, Load
from scripts.cost.platforms import Platform
from scripts.releases.pins import Registration
from scripts.report.words import format_span

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


def build_calculator_data(releases: Iterable[str]) -> dict[str, Any]:
    """Return the data of `calculator.js`, in types that JSON has."""
    return {
        "threshold": advice.THRESHOLD,
        "entryNs": model.ENTRY_NS,
        "cachedEntries": model.CACHED_ENTRIES,
        "instructionNs": model.INSTRUCTION_NS,
        "list": [model.LIBGCC_LIST, model.LIBGCC_LIST_STEP],
        "tree": [model.LIBGCC_TREE, model.LIBGCC_TREE_FDE],
        "kinds": {decision.value: KINDS.get(decision, "either") for decision in Decision},
        "decisions": {decision.name: decision.value for decision in Decision},
        "bases": {basis.name: basis.value for basis in advice.Basis},
        "uncached": advice.UNCACHED,
        "olderMacos": advice.OLDER_MACOS,
        "platforms": [
            {
                "name": platform.value,
                "isMac": platform.is_mac,
                "scans": platform.scans,
                "tree": platform is Platform.LIBGCC_TREE,
            }
            for platform in Platform
        ],
        "eras": [era_data(era) for era in model_eras(releases)],
    }


def era_data(era: ModelEra) -> dict[str, Any]:
    """Return the data of an era, with its advice by platform."""
    release = era.last
    return {
        "label": era.label,
        "release": release,
        "sections": model.find_registration(release) is Registration.SECTIONS,
        "exportedFdes": model.estimate_fdes(0, release, exported=1)
        - model.estimate_fdes(0, release),
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
    }


def libgcc_limits() -> tuple[int, int]:
    """Return how many FDEs per module (libgcc 13) and modules (libgcc 12) cost the threshold."""
    instructions = advice.THRESHOLD * 1e6 / model.INSTRUCTION_NS[1]
    fdes = (instructions - model.LIBGCC_TREE) / model.LIBGCC_TREE_FDE
    modules = (instructions - model.LIBGCC_LIST) / model.LIBGCC_LIST_STEP
    return int(fdes // 100 * 100), int(modules // 1000 * 1000)
