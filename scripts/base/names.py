"""Names that are given by hand: refused with those that were probably meant."""

import difflib
from collections.abc import Collection, Iterable

from asv.util import UserError
from packaging.version import InvalidVersion, Version


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The three names nearest to a name as a question, or nothing where none is near.

    Releases are near by version, all others by spelling.
    """
    try:
        wanted = Version(name)
        meant = sorted(names, key=lambda other: _version_distance(wanted, Version(other)))[:3]
    except InvalidVersion:
        meant = difflib.get_close_matches(name, names, cutoff=0.5)
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def _version_distance(left: Version, right: Version) -> list[int]:
    return [abs(getattr(left, part) - getattr(right, part)) for part in ("major", "minor", "micro")]


def check_known_name(name: str | None, names: Collection[str], kind: str) -> None:
    """Refuse a name that is none of the names.

    Raises:
        UserError: with the names that are near, or all of them where none is.
    """
    if name is not None and name not in names:
        hint = did_you_mean(name, names) or f" There are: {', '.join(names)}."
        raise UserError(f"{name} is no {kind}.{hint}")
