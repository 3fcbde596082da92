"""Which macOS versions can register whole sections: what Apple's SDKs say.

Wasmtime 50.0.0 and later registers a module's section with one call if libunwind can, and function
by function otherwise.
"""

from collections.abc import Sequence
from enum import StrEnum

from asv.util import UserError

from scripts.releases.sdks import Function, MacosVersion, Sdk, list_sdks, load_wheels

SECTIONS: Function = "__unw_add_dynamic_eh_frame_section"
LATER = 1 << 20  # a number after those of all versions
# Python programs built for old versions of macOS see this in place of 11 and later.
COMPATIBILITY_VERSION = (10, 16)


class Answer(StrEnum):
    """Whether a macOS version has a function."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def registers_sections(macos_version: str, sdks: Sequence[Sdk] | None = None) -> Answer:
    """Return whether libunwind of a macOS version can register sections.

    The answer for a major version alone, such as `13`, is unknown unless all its minor versions
    have the same. A version newer than the newest SDK is expected to keep the function: that is
    inferred, see `is_inferred`.

    Args:
        macos_version: such as `13.3`, `13.3.1` or `26`.
        sdks: what the SDKs say; those of `fixtures/macos_libunwind.json` if omitted.

    Raises:
        UserError: the version is malformed, or the file is damaged.
    """
    version = parse_macos(macos_version)
    if version[:2] == COMPATIBILITY_VERSION:
        return Answer.UNKNOWN
    lacking, having = find_boundaries(list_sdks(load_wheels()) if sdks is None else sdks)
    if len(version) > 1:
        return answer(version, lacking, having)
    first, last = (answer((*version, minor), lacking, having) for minor in (0, LATER))
    return first if first == last else Answer.UNKNOWN


def answer(version: MacosVersion, lacking: MacosVersion, having: MacosVersion) -> Answer:
    """Return whether a version can register sections; see `find_boundaries`."""
    if version >= having:
        return Answer.YES
    if version < lacking:
        return Answer.NO
    # The SDK of an x.0 may be that of a beta: the list of 13.0 was first taken from one
    # (ziglang/zig#11820).
    is_listed = version[: len(lacking)] == lacking
    return Answer.NO if is_listed and lacking[1:] not in ((), (0,)) else Answer.UNKNOWN


def find_boundaries(sdks: Sequence[Sdk]) -> tuple[MacosVersion, MacosVersion]:
    """Return the newest macOS that cannot register sections, and the oldest that can.

    Raises:
        UserError: an SDK lacks the function, although an older one has it.
    """
    lacking = max((sdk.version for sdk in sdks if sdk.has_function(SECTIONS) is False), default=())
    having = min((sdk.version for sdk in sdks if sdk.has_function(SECTIONS)), default=(LATER,))
    if lacking >= having:
        newer, older = (".".join(map(str, version)) for version in (lacking, having))
        raise UserError(
            f"The SDK of macOS {newer} lacks {SECTIONS}, which that of {older} has. Such a history "
            "needs a new rule in scripts/cost/macos.py."
        )
    return lacking, having


def is_inferred(macos_version: str, sdks: Sequence[Sdk] | None = None) -> bool:
    """Return whether a version is newer than the newest SDK, so that answers are inferred.

    Raises:
        UserError: see `registers_sections`.
    """
    known = list_sdks(load_wheels()) if sdks is None else sdks
    newest = max(sdk.version for sdk in known)
    return parse_macos(macos_version)[: len(newest)] > newest


def parse_macos(text: str) -> MacosVersion:
    """Parse a macOS version.

    Raises:
        UserError: the version is malformed.
    """
    numbers = text.strip().split(".")
    if not 1 <= len(numbers) <= 3 or not all(
        number.isascii() and number.isdigit() and len(number) <= 4 for number in numbers
    ):
        raise UserError(f"{text!r} is not a macOS version. Write it as 13.3 or 26.")
    return tuple(int(number) for number in numbers)
