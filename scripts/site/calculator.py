"""Data for the calculator of the page: constants and sentences of the model and the advice.

`calculator.js` computes the same as `scripts.cost.advice.advise`; a test compares both.
"""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.cost import advice, model, rates
from scripts.cost.advice import Decision, Load
from scripts.cost.macos import registers_sections
from scripts.cost.platforms import Platform
from scripts.cost.rates import UNKNOWN_MACHINE, Curve
from scripts.releases.pins import Registration
from scripts.report.words import format_span

KINDS = {  # CSS classes by decision; one that depends on the load has the class "either"
    Decision.KEEP: "keep",
    Decision.TURN_OFF: "off",
    Decision.UNKNOWN: "unknown",
    Decision.FIXED: "unknown",
}


# versions of macOS with the same answer: a label, and a version of each kind; "" is a current one
CURRENT_MACOS = "26"
MACOS = [
    {"label": "current", "version": "", "sections": registers_sections(CURRENT_MACOS)},
    {"label": "13.3 or later", "version": "13.3", "sections": registers_sections("13.3")},
    {"label": "13.0 to 13.2", "version": "13.0", "sections": registers_sections("13.0")},
    {"label": "11 or 12", "version": "12", "sections": registers_sections("12")},
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


def build_calculator_data(releases: Iterable[str]) -> dict[str, Any]:
    """Return the data of `calculator.js`, in types that JSON has."""
    return {
        "threshold": advice.THRESHOLD,
        "curves": [curve_data(curve) for curve in (UNKNOWN_MACHINE.low, UNKNOWN_MACHINE.high)],
        "steps": rates.STEPS,
        "instructionNs": model.INSTRUCTION_NS,
        "list": [model.LIBGCC_LIST, model.LIBGCC_LIST_STEP],
        "tree": [model.LIBGCC_TREE, model.LIBGCC_TREE_FDE],
        "kinds": {decision.value: KINDS.get(decision, "either") for decision in Decision},
        "decisions": {decision.name: decision.value for decision in Decision},
        "bases": {basis.name: basis.value for basis in advice.Basis},
        "olderMacos": advice.OLDER_MACOS,
        "unsureMacos": advice.UNSURE_MACOS,
        "macos": MACOS,
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


def curve_data(curve: Curve) -> dict[str, Any]:
    """Return a curve without its sources."""
    return {
        "first": [point[:2] for point in curve.first],
        "following": [point[:2] for point in curve.following],
        "moduleNs": curve.module_ns,
    }


def era_data(era: ModelEra) -> dict[str, Any]:
    """Return the data of an era, with its advice by platform."""
    release = era.last
    return {
        "label": era.label,
        "release": release,
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
    }
