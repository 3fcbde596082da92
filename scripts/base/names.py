"""Check names that users give, and suggest similar ones."""

import difflib
from collections.abc import Collection, Iterable

from asv.util import UserError
from packaging.version import InvalidVersion, Version


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean A or B?` with up to three similar names, or an empty string.

    Releases are compared by version, all other names by spelling.
    """
    try:
        version = Version(name)
        similar = sorted(names, key=lambda other: _version_distance(version, Version(other)))[:3]
    except InvalidVersion:
        similar = difflib.get_close_matches(name, names, cutoff=0.5)
    return f" Did you mean {' or '.join(similar)}?" if similar else ""


def _version_distance(left: Version, right: Version) -> list[int]:
    return [abs(getattr(left, part) - getattr(right, part)) for part in ("major", "minor", "micro")]


def check_known_name(name: str | None, names: Collection[str], kind: str) -> None:
    """Check that a name, if there is one, is among `names`.

    Raises:
        UserError: the name is unknown. The message suggests similar names, or lists all of them.
    """
    if name is not None and name not in names:
        hint = did_you_mean(name, names) or f" Choose one of: {', '.join(names)}."
        raise UserError(f"{name or 'An empty name'} is not a {kind}.{hint}")
