"""The pinned wasmtime-py releases: `fixtures/releases.json`, read, checked and written.

A release is a commit to asv (see `repo`), and results are stored under the commit's id: that of the
git commit which would hold just the release. All that enters it is fixed here, so that ids are the
same on every machine, for ever: an identity, a date taken from the release, and one file,
`requirements.txt`.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import msgspec
from asv.util import UserError
from msgspec import Meta
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from scripts.base.files import write_atomically
from scripts.base.schema import ReleaseName, describe_error, read_json, suggest_restore

PINS = Path("fixtures/releases.json")

COMMITTER = "wasmtime-py releases <releases@wasmtime-py.invalid>"
# `any` wheels hold the Windows library whatever they are installed on (manylinux1 is what
# wasmtime-py calls its glibc wheels); android is no platform that is measured.
NATIVE = re.compile(r"(manylinux|musllinux|macosx|win)")
# how a macOS library registers unwind info: see `update`
Way = Literal["function by function", "a section at a time", "in no known way"]
FUNCTION: Way = "function by function"
SECTION: Way = "a section at a time"
NO_WAY: Way = "in no known way"
Wheel = Annotated[str, Meta(pattern=r"\Awasmtime-[\w.]{1,30}-py3-none-[\w.]{1,150}\.whl\Z")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Commit = Annotated[str, Meta(pattern=r"\A([0-9a-f]{40})?\Z")]
Time = Annotated[str, Meta(pattern=r"\A20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]


@dataclass(frozen=True)
class Release:
    """One wasmtime-py release.

    Attributes:
        version: the release, such as `50.0.1`.
        time: when the first of its native wheels was uploaded, such as `2026-10-22T02:59:56Z`.
        wheels: sha256 by file name, for each native wheel.
        commit: id of the commit that stands for it.
        macs: how its macOS libraries register unwind info, by processor; not part of the commit.
    """

    version: ReleaseName
    time: Time
    wheels: dict[Wheel, Sha256]
    commit: Commit = ""  # until it is appended
    macs: dict[Literal["arm64", "x86_64"], Way] = field(default_factory=dict)

    @property
    def on_macs(self) -> str:
        """How its macOS libraries register unwind info, in words; nothing if they were not read."""
        ways = sorted(set(self.macs.values()))
        each = (f"{processor} {way}" for processor, way in self.macs.items())
        return ", ".join(ways if len(ways) == 1 else each)

    @property
    def timestamp(self) -> int:
        """Seconds since the epoch."""
        return int(datetime.fromisoformat(self.time).timestamp())

    @property
    def requirements(self) -> str:
        """The commit's one file: what pip's hash-checking mode needs to install the release."""
        hashes = (f"--hash=sha256:{sha256}" for _, sha256 in sorted(self.wheels.items()))
        return " \\\n    ".join([f"wasmtime=={self.version}", *hashes]) + "\n"

    def wheel_for(self, platforms: Sequence[str]) -> str | None:
        """The file name of the wheel that pip takes on those platforms, the best one first."""
        ranked = [
            (platforms.index(tag.platform), wheel)
            for wheel in self.wheels
            for tag in parse_wheel_filename(wheel)[3]
            if tag.platform in platforms
        ]
        return min(ranked, default=(0, None))[1]


class PinFile(TypedDict):
    """`fixtures/releases.json`."""

    releases: list[Release]


def newest_with_wheel(releases: Sequence[Release], platforms: Sequence[str]) -> Release:
    """Return the newest release with a wheel for those platforms; the newest if none has one."""
    for release in reversed(releases):
        if release.wheel_for(platforms):
            return release
    return releases[-1]


def is_native(wheel: str) -> bool:
    """Whether a wheel holds a library for one of the measured kinds of platform."""
    return all(NATIVE.match(tag.platform) for tag in parse_wheel_filename(wheel)[3])


def commit_id(release: Release, parent: str | None) -> str:
    """The id git gives to the commit that stands for a release."""
    blob = _object_id("blob", release.requirements.encode())
    tree = _object_id("tree", b"100644 requirements.txt\0" + bytes.fromhex(blob))
    identity = f"{COMMITTER} {release.timestamp} +0000"
    message = f"wasmtime-py {release.version}\n"
    lines = [f"tree {tree}", f"author {identity}", f"committer {identity}", "", message]
    if parent is not None:
        lines.insert(1, f"parent {parent}")
    return _object_id("commit", "\n".join(lines).encode())


def _object_id(kind: str, content: bytes) -> str:
    header = f"{kind} {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def append_release(releases: Sequence[Release], new: Release) -> list[Release]:
    """The releases with one more, newer than all of them, which gets its commit id here."""
    parent = releases[-1].commit if releases else None
    return [*releases, replace(new, commit=commit_id(new, parent))]


def load_pins(path: Path = PINS) -> list[Release]:
    """Read the pins, oldest release first.

    Raises:
        UserError: the file is missing, cut short or edited by hand.
    """
    releases = read_json(path, PinFile, suggest_restore(PINS))["releases"]
    try:
        check_order(releases)
    except ValueError as error:
        raise UserError(
            f"{path} is damaged ({describe_error(error)}). {suggest_restore(PINS)}"
        ) from error
    return releases


def check_order(releases: Sequence[Release]) -> None:
    """Raise ValueError for anything that `append` would not have written."""
    msgspec.convert([asdict(release) for release in releases], list[Release])
    if not releases:
        raise ValueError("it is empty")
    parent, newest = None, Version("0")
    for release in releases:
        version = Version(release.version)
        if version <= newest:
            raise ValueError(f"{release.version} stands after {newest}")
        if commit_id(release, parent) != release.commit:
            raise ValueError(
                f"{release.version} does not match its commit id: pins are append-only, and "
                "`python -m scripts.releases.update` appends"
            )
        parent, newest = release.commit, version


def save_pins(releases: Sequence[Release], path: Path = PINS) -> None:
    """Write the pins, all or nothing."""
    check_order(releases)
    text = json.dumps({"releases": [asdict(release) for release in releases]}, indent=1) + "\n"
    write_atomically(path, text)
