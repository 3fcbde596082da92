"""Data for the calculator of the page: constants and sentences of the model and the advice.

`calculator.js` computes the same as `scripts.cost.advice.advise`; a test compares both.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from packaging.version import Version

from scripts.cost import advice, model, rates
from scripts.cost.advice import Decision, Load
from scripts.cost.benefit import Embedder
from scripts.cost.macos import registers_sections
from scripts.cost.platforms import Platform
from scripts.cost.rates import UNKNOWN_MACHINE, Curve
from scripts.releases.pins import Registration
from scripts.report.words import format_span
from scripts.site.verdicts import DECISIONS, Verdict, build_verdict

FAMILIES = {"rust": Embedder.RUST, "c-api": Embedder.C_API}  # by name in the data
KINDS = {  # CSS classes by decision; one that depends on the load has the class "either"
    Decision.KEEP: "keep",
    Decision.TURN_OFF: "off",
    Decision.UNKNOWN: "unknown",
    Decision.FIXED: "unknown",
}


# versions of macOS with the same answer: a label, and a version of each kind; "" is a current one
CURRENT_MACOS = "26"
MACOS = [
    {
        "key": "current",
        "label": "current",
        "version": "",
        "sections": registers_sections(CURRENT_MACOS),
    },
    {
        "key": "13.3",
        "label": "13.3 or later",
        "version": "13.3",
        "sections": registers_sections("13.3"),
    },
    {
        "key": "13.0",
        "label": "13.0 to 13.2",
        "version": "13.0",
        "sections": registers_sections("13.0"),
    },
    {"key": "12", "label": "11 or 12", "version": "12", "sections": registers_sections("12")},
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


def kind_of(decision: Decision | None) -> str:
    """Return the CSS class of a decision; None is one that depends on the load."""
    return KINDS.get(decision, "either") if decision else "either"


def build_calculator_data(releases: Sequence[str]) -> dict[str, Any]:
    """Return the data of the page's scripts, in types that JSON has.

    The eras are those of a Rust program; `families` has the parts that differ by who compiled
    Wasmtime, in the same order. Texts that occur often are in a list, and named by their position.
    """
    texts, verdicts = dict[str, int](), dict[str, int]()
    eras = model_eras(releases)
    data = {
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
        "olderMacos": advice.OLDER_MACOS,
        "unsureMacos": advice.UNSURE_MACOS,
        "macos": MACOS,
        "newest": major_of(releases[-1]),
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
        "eras": [
            {
                "major": major_of(era.first),
                "label": era.label,
                "sections": model.find_registration(era.last) is Registration.SECTIONS,
            }
            for era in eras
        ],
        "families": {
            name: [
                [
                    platform_data(platform, era.last, embedder, texts, verdicts)
                    for platform in Platform
                ]
                for era in eras
            ]
            for name, embedder in FAMILIES.items()
        },
    }
    return {**data, "texts": list(texts), "verdicts": [json.loads(text) for text in verdicts]}


def curve_data(curve: Curve) -> dict[str, Any]:
    """Return a curve without its sources."""
    return {
        "first": [point[:2] for point in curve.first],
        "following": [point[:2] for point in curve.following],
    }


def platform_data(
    platform: Platform,
    release: str,
    embedder: Embedder,
    texts: dict[str, int],
    verdicts: dict[str, int],
) -> dict[str, Any]:
    """Return the parts of the advice that do not depend on the load.

    The decision is None if it depends on the load, and so is the cost. The benefit, and the
    verdicts are positions in `texts` and `verdicts`, which grow: one verdict for each entry of
    MACOS where it matters, or else only one.
    """
    small, large = (
        advice.advise(platform, release, load, macos=CURRENT_MACOS, embedder=embedder)
        for load in (Load(1, 1), Load(10**6, 10**6))
    )
    by_sections = model.find_registration(release) is Registration.SECTIONS
    versions = [macos["version"] for macos in MACOS] if platform.is_mac and by_sections else [""]
    shown = [
        json.dumps(verdict_data(build_verdict(platform, release, macos=macos, embedder=embedder)))
        for macos in versions
    ]
    return {
        "decision": small.decision.name if small.decision is large.decision else None,
        "hasCost": small.cost is not None,
        "cost": small.cost if small.cost == large.cost else None,
        "gives": texts.setdefault(small.gives, len(texts)),
        "notes": small.notes,
        "verdicts": [verdicts.setdefault(text, len(verdicts)) for text in shown],
    }


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
