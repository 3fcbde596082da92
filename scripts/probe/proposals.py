"""WebAssembly proposals that a module may need, and the releases that enable them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from asv.util import UserError

from scripts.base.names import did_you_mean


@dataclass(frozen=True)
class Proposal:
    """A WebAssembly proposal, as observed in the pinned releases.

    Attributes:
        error: a regular expression that finds wasmtime's errors for modules that use the proposal.
        on_since: the first release that enables it by default, or an empty string.
        settable_since: the first release whose C API can enable it, or an empty string.
        needs: another proposal that has to be enabled with it, or an empty string.
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
    "The module uses legacy exceptions, from before the standard, which Wasmtime does not support. "
    "Translate it with Binaryen: `wasm-opt --all-features --disable-compact-imports "
    "--translate-to-exnref {path} -o {output}`."
)


def explain_refusal(error: str, path: Path) -> str:
    """Return wasmtime's reason for refusing a module, and which release accepts it."""
    error = error.split("Stack backtrace:")[0]
    causes = " ".join(error.partition("Caused by:")[2].split()) or " ".join(error.split())
    if re.search(LEGACY, error):
        output = shlex.quote(str(path.with_suffix(".translated.wasm")))
        return f"{causes}. {TRANSLATE.format(path=shlex.quote(str(path)), output=output)}"
    for name, proposal in PROPOSALS.items():
        if re.search(proposal.error, error, re.MULTILINE):
            return f"{causes}. {describe_remedy(name, proposal)}"
    return causes


def describe_remedy(name: str, proposal: Proposal) -> str:
    """Return which release enables a proposal by default, and how to enable it in others."""
    remedy = f"{name} is off by default in every release"
    if proposal.on_since:
        remedy = f"{name} is on by default since {proposal.on_since} (--release)"
    if proposal.settable_since:
        remedy += f"; --wasm-features {name} enables it since {proposal.settable_since}"
    return f"{remedy}."


def require_features(text: str) -> list[str]:
    """Return the proposals in a comma-separated list, and the proposals that they need.

    Raises:
        UserError: a proposal is unknown, or no release has a C API that can enable it.
    """
    settable = [name for name in PROPOSALS if PROPOSALS[name].settable_since]
    features = list[str]()
    pending = [name.strip().replace("_", "-") for name in text.split(",") if name.strip()]
    for name in pending:
        if name not in settable:
            hint = did_you_mean(name, settable) or f" Choose one of: {', '.join(settable)}."
            raise UserError(f"--wasm-features: {name} is not a proposal that can be enabled.{hint}")
        if needed := PROPOSALS[name].needs:
            pending.append(needed)
        if name not in features:
            features.append(name)
    return features
