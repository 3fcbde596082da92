"""WebAssembly proposals that a module may need, and the releases that have them on."""

import re
from dataclasses import dataclass

from asv.util import UserError

from scripts.base.names import did_you_mean


@dataclass(frozen=True)
class Proposal:
    """A proposal, by what was seen in the pinned releases.

    Attributes:
        error: how the error begins with which wasmtime refuses a module that uses it.
        on_since: the first release that has it on, or nothing.
        settable_since: the first release whose C API can enable it, or nothing.
        needs: another proposal that has to be enabled with it.
    """

    error: str
    on_since: str = ""
    settable_since: str = ""
    needs: str = ""


PROPOSALS = {
    "threads": Proposal("threads must be enabled|threads support", "15.0.0", "13.0.0"),
    "tail-call": Proposal("tail calls support", "22.0.0", "18.0.0"),
    "relaxed-simd": Proposal("relaxed SIMD support", "15.0.0", "13.0.0"),
    "multi-memory": Proposal("multiple memories|multi-memory", "15.0.0", "13.0.0"),
    "memory64": Proposal("memory64 must be enabled", "30.0.0", "13.0.0"),
    "extended-const": Proposal(
        r"constant expression required: non-constant operator(: i\d\d\.(add|sub|mul)|$)", "25.0.0"
    ),
    "exceptions": Proposal(
        "(?<!legacy )exceptions (proposal|support)|exceptions proposal", "47.0.1", "39.0.0", "gc"
    ),
    "gc": Proposal(
        "without the gc feature|requires `gc`|gc support|gc proposal|requires gc",
        "47.0.1",
        "20.0.0",
        "function-references",
    ),
    "function-references": Proposal(
        "function references required|function.references support", "47.0.1", "20.0.0"
    ),
    "wide-arithmetic": Proposal("wide arithmetic support", "49.0.0", "27.0.1"),
    "custom-page-sizes": Proposal("custom page sizes proposal", "", "39.0.0"),
    "stack-switching": Proposal("stack switching", "", "35.0.0"),
    "shared-everything-threads": Proposal("shared-everything-threads"),
}
LEGACY = "legacy_exceptions feature|legacy exceptions"
TRANSLATE = (
    "The module uses the exceptions that browsers had before the standard. Wasmtime has no support "
    "for them. Translate it with Binaryen: wasm-opt --all-features --translate-to-exnref."
)


def explain_refusal(error: str) -> str:
    """Return the reason wasmtime gives for refusing a module, and the release that takes it."""
    error = error.split("Stack backtrace:")[0]
    causes = " ".join(error.partition("Caused by:")[2].split()) or " ".join(error.split())
    if re.search(LEGACY, error):
        return f"{causes}. {TRANSLATE}"
    for name, proposal in PROPOSALS.items():
        if re.search(proposal.error, error, re.MULTILINE):
            return f"{causes}. {describe_remedy(name, proposal)}"
    return causes


def describe_remedy(name: str, proposal: Proposal) -> str:
    """Return which release has a proposal on, and how to enable it in others."""
    said = f"{name} is off in every release"
    if proposal.on_since:
        said = f"{name} is on from {proposal.on_since} on (--release)"
    if proposal.settable_since:
        said += f"; --wasm-features {name} enables it from {proposal.settable_since} on"
    return f"{said}."


def require_features(text: str) -> list[str]:
    """Return the proposals to enable that a comma-separated list names, with what they need.

    Raises:
        UserError: no such proposal, or no C API that enables it.
    """
    settable = {name: one for name, one in PROPOSALS.items() if one.settable_since}
    features = list[str]()
    pending = [name.strip().replace("_", "-") for name in text.split(",") if name.strip()]
    for name in pending:
        if name not in settable:
            hint = did_you_mean(name, settable) or f" There are: {', '.join(settable)}."
            raise UserError(f"--wasm-features: {name} is not a proposal to enable.{hint}")
        if settable[name].needs:
            pending.append(settable[name].needs)
        if name not in features:
            features.append(name)
    return features
