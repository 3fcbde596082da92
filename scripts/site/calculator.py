"""What the calculator of the page knows: the constants and sentences of the model and the advice.

`calculator.js` computes what `scripts.gap.advice.advise` does; a test compares both.
"""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.gap import advice, model
from scripts.gap.advice import Decision, Load
from scripts.gap.platforms import Platform
from scripts.gap.words import format_span


class ModelEra(NamedTuple):
    """Releases for which the model and the advice are the same.

    Attributes:
        first, last: the releases at its ends.
        newest: whether later releases belong to it, as far as is known.
    """

    first: str
    last: str
    newest: bool

    @property
    def label(self) -> str:
        """The era in words."""
        return f"{self.first} and later" if self.newest else format_span(self.first, self.last)


# FDEs per module: 8 functions, the module of wasmtime#10287, a parser, 2,000 functions
COMMON_LOADS = [
    (Load(100, 17), "100 modules of 8 functions"),
    (Load(1000, 17), "1000 modules of 8 functions"),
    (Load(10_000, 17), "10,000 modules of 8 functions"),
    (Load(10, 106), "10 modules of 50 functions"),
    (Load(1000, 106), "1000 modules of 50 functions (wasmtime#10287)"),
    (Load(20, 497), "20 parsers of 210 KB"),
    (Load(1000, 497), "1000 parsers of 210 KB"),
    (Load(10, 2008), "10 modules of 2,000 functions"),
    (Load(1, 2008, 100_000), "1 module of 2,000 functions beside 100,000 FDEs of others"),
    (Load(1, 20_000), "1 module of 20,000 functions"),
]


def model_eras(releases: Iterable[str]) -> list[ModelEra]:
    """Return the eras of the model, oldest first."""

    def key(release: str) -> tuple[Any, ...]:
        exported = model.estimate_fdes(0, release, exported=1)
        detects = Version(release) >= advice.DETECTS_SINCE
        benefit = advice.has_benefit(Platform.APPLE_SILICON, release)
        return model.find_registration(release), exported, detects, benefit

    groups = [list(group) for _, group in itertools.groupby(releases, key)]
    return [ModelEra(group[0], group[-1], group is groups[-1]) for group in groups]


def build_calculator_data(releases: Iterable[str]) -> dict[str, Any]:
    """Return what `calculator.js` needs, as JSON knows it."""
    return {
        "worth": advice.THRESHOLD,
        "entryNs": model.ENTRY_NS,
        "cachedEntries": model.CACHED_ENTRIES,
        "instructionNs": model.INSTRUCTION_NS,
        "list": [model.LIBGCC_LIST, model.LIBGCC_LIST_STEP],
        "tree": [model.LIBGCC_TREE, model.LIBGCC_TREE_FDE],
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
    """Return an era, and what the advice says of it by platform."""
    release = era.last
    return {
        "label": era.label,
        "release": release,
        "sections": model.find_registration(release) is model.Registration.SECTIONS,
        "exportedFdes": model.estimate_fdes(0, release, exported=1)
        - model.estimate_fdes(0, release),
        "platforms": [platform_data(platform, release) for platform in Platform],
    }


def platform_data(platform: Platform, release: str) -> dict[str, Any]:
    """Return what does not depend on the load: a decision, if it does not either, and sentences."""
    said = advice.advise(platform, release, Load(1, 1))
    fixed = said.cost is None or not advice.has_benefit(platform, release)
    return {
        "decision": said.decision.name if fixed else None,
        "isCosted": said.cost is not None,
        "gives": said.gives,
        "notes": said.notes if said.cost is None else [],
    }


def libgcc_limits() -> tuple[int, int]:
    """Return the FDEs of a module (libgcc 13), and the modules (libgcc 12), that cost 0.1 ms."""
    instructions = advice.THRESHOLD * 1e6 / model.INSTRUCTION_NS[1]
    fdes = (instructions - model.LIBGCC_TREE) / model.LIBGCC_TREE_FDE
    modules = (instructions - model.LIBGCC_LIST) / model.LIBGCC_LIST_STEP
    return int(fdes // 100 * 100), int(modules // 1000 * 1000)


def build_common_rows(columns: list[str]) -> list[list[Any]]:
    """Return the advice for common loads, by release: where unwind info gives something."""
    return [
        [name, load, [advice.advise(Platform.INTEL_MAC, release, load) for release in columns]]
        for load, name in COMMON_LOADS
    ]
