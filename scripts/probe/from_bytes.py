"""The first answer: what a file costs by its bytes, without compiling or running anything.

It needs neither valgrind nor another tool, and works on every system, for every platform.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv.util import UserError

from scripts.base.numbers import format_milliseconds_range
from scripts.cost.advice import Advice, Decision, Load, Range, advise, decide
from scripts.cost.platforms import Platform
from scripts.cost.wasm import Contents, Kind, WasmError, read_wasm
from scripts.cost.wasm import Range as Fdes

RELEASES = {"up to 49.0.0": "49.0.0", "from 50.0.0 on": "50.0.0"}
LINKED = (
    "Its parts call each other. The functions that adapt these calls are not predicted, so "
    "measure it."
)
PLATFORMS = (
    Platform.APPLE_SILICON,
    Platform.INTEL_MAC,
    Platform.LIBUNWIND,
    Platform.LIBGCC_TREE,
    Platform.LIBGCC_LIST,
)


@dataclass(frozen=True)
class Answer:
    """The advice for one platform and one span of releases.

    Attributes:
        platform: where the process runs.
        releases: the span, a key of RELEASES.
        fdes: FDEs of the module in these releases.
        decision: the recommendation; it may be unknown if the number of FDEs has no upper limit.
        cost: milliseconds per module unloaded, or None.
        advice: the advice for the fewest FDEs, for its other parts.
    """

    platform: Platform
    releases: str
    fdes: Fdes
    decision: Decision
    cost: Range | None
    advice: Advice


def read_contents(path: Path) -> Contents:
    """Read a .wasm, .cwasm or .wat file.

    Raises:
        UserError: the file cannot be read, or is no WebAssembly; with the remedy.
    """
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".wat":
            content = translate(path, content)
        return read_wasm(content, str(path))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except WasmError as error:
        raise UserError(str(error)) from error


def translate(path: Path, content: bytes) -> bytes:
    """Translate a module in text format.

    Raises:
        UserError: the text is invalid, or wasmtime is not installed here.
    """
    try:
        from wasmtime import WasmtimeError, wat2wasm
    except ImportError as error:
        raise UserError(
            f"{path} is text: to translate it, install wasmtime, or pass the .wasm file."
        ) from error
    try:
        return bytes(wat2wasm(content))
    except (WasmtimeError, UnicodeDecodeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise UserError(f"{path} is not valid WebAssembly text: {first_line}") from error


def answer(contents: Contents, modules: int) -> Iterator[Answer]:
    """Yield the advice for a number of loaded modules, all unloaded, by platform and releases."""
    for platform in PLATFORMS:
        for span, release in RELEASES.items():
            fdes = contents.predict(int(release.split(".")[0]))
            least = advise(platform, release, Load(modules, fdes.low))
            if fdes.high == 0:
                yield Answer(platform, span, fdes, Decision.KEEP, Range(0, 0), least)
                continue
            if fdes.high is None:
                # with more FDEs it costs more, so a cost that is too high already decides
                is_clear = least.decision is Decision.TURN_OFF
                decision = Decision.TURN_OFF if is_clear else Decision.UNKNOWN
                yield Answer(platform, span, fdes, decision, None, least)
                continue
            most = advise(platform, release, Load(modules, fdes.high))
            cost, decision = None, least.decision
            if least.cost and most.cost:
                cost = Range(least.cost.low, most.cost.high)
                is_lossless = least.decision is Decision.TURN_OFF and decide(cost) is not decision
                decision = decision if is_lossless else decide(cost)
            yield Answer(platform, span, fdes, decision, cost, least)


def describe_fdes(contents: Contents) -> str:
    """Return the FDEs from 22.0.0 on with their parts, and those before."""
    new, old = contents.fdes_from_22, contents.fdes_up_to_21
    if contents.kind is Kind.PRECOMPILED:
        return f"{new.low:,} FDEs, counted in the image"
    parts = (
        f"{count_things(contents.functions, 'function')} + {contents.escaping:,} exported or in "
        f"tables + {count_things(contents.types, 'function type')} + helpers"
    )
    return f"{format_fdes(new)} FDEs ({parts}); up to 21.0.0 {format_fdes(old)}"


def count_things(number: int, name: str) -> str:
    """Return a number with its noun, such as `1 function` or `1,970 functions`."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def format_fdes(fdes: Fdes) -> str:
    """Return a number of FDEs with its uncertainty, such as `491 to 503`."""
    if fdes.high is None:
        return f"at least {fdes.low:,}"
    return f"{fdes.low:,}" if fdes.low == fdes.high else f"{fdes.low:,} to {fdes.high:,}"


def describe(path: Path, contents: Contents, modules: int) -> list[str]:
    """Return the prediction as lines of text."""
    lines = [f"{path.name}, by its bytes: {describe_fdes(contents)}"]
    if contents.linked:
        lines.append(f"  {LINKED}")
    lines.append(f"  {modules:,} loaded and all unloaded, estimated milliseconds per module:")
    for each in answer(contents, modules):
        cost = f" ({format_milliseconds_range(*each.cost)})" if each.cost else ""
        lines.append(f"  {each.platform.value}, {each.releases}: {each.decision.value}{cost}")
    return lines


def build_entry(path: Path, contents: Contents, modules: int) -> dict[str, Any]:
    """Return the prediction in types that JSON has."""
    return {
        "module": path.name,
        "kind": contents.kind.value,
        "functions": contents.functions,
        "escaping": contents.escaping,
        "types": contents.types,
        "fdes_up_to_21": list(contents.fdes_up_to_21),
        "fdes_from_22": list(contents.fdes_from_22),
        "modules": modules,
        "answers": [
            {
                "platform": each.platform.value,
                "releases": each.releases,
                "fdes": list(each.fdes),
                "decision": each.decision.value,
                "cost_ms": list(each.cost) if each.cost else None,
                "basis": each.advice.basis.value,
                "gives": each.advice.gives,
                "notes": each.advice.notes,
            }
            for each in answer(contents, modules)
        ],
    }


def list_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and those with a suffix of WebAssembly in the folders."""
    suffixes = (".wasm", ".wat", ".cwasm")
    files = []
    for path in paths:
        if path.is_dir():
            files += sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes)
        else:
            files.append(path)
    return files
