"""Read, check and write the pinned wasmtime-py releases in `fixtures/releases.json`.

To asv a release is a commit (see `repo`), and asv stores results under the commit's id. git would
give this id to a commit with a fixed author, the time of the release as its date, and one file,
`requirements.txt`. The id therefore never changes and is the same on every machine.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
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
# `any` wheels contain the Windows library, and android is not measured. wasmtime-py tags its glibc
# wheels manylinux1.
NATIVE = re.compile(r"(manylinux|musllinux|macosx|win)")
Wheel = Annotated[str, Meta(pattern=r"\Awasmtime-[\w.]{1,30}-py3-none-[\w.]{1,150}\.whl\Z")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Commit = Annotated[str, Meta(pattern=r"\A([0-9a-f]{40})?\Z")]
Time = Annotated[str, Meta(pattern=r"\A20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]


class Registration(StrEnum):
    """How wasmtime registers and deregisters unwind info with libunwind."""

    FUNCTIONS = "function by function"
    SECTIONS = "a section at a time"
    UNKNOWN = "in no known way"


@dataclass(frozen=True)
class Release:
    """A pinned wasmtime-py release.

    Attributes:
        version: the version, such as `50.0.1`.
        time: when the first native wheel was uploaded, such as `2026-10-22T02:59:56Z`.
        wheels: sha256 of each native wheel, by file name.
        commit: id of the commit that represents the release; empty until it is appended.
        macs: how its macOS libraries register unwind info, by processor, according to symbols in
            the wheels, which `update` reads; not part of the commit.
    """

    version: ReleaseName
    time: Time
    wheels: dict[Wheel, Sha256]
    commit: Commit = ""
    macs: dict[Literal["arm64", "x86_64"], Registration] = field(default_factory=dict)

    @property
    def mac_registration(self) -> str:
        """How its macOS libraries register unwind info, as text; empty if they were not read."""
        registrations = set(self.macs.values())
        if len(registrations) == 1:
            return registrations.pop()
        return ", ".join(
            f"{processor} {registration}" for processor, registration in self.macs.items()
        )

    @property
    def timestamp(self) -> int:
        """The release's time in seconds since the epoch."""
        return int(datetime.fromisoformat(self.time).timestamp())

    @property
    def requirements(self) -> str:
        """The commit's only file: what pip's hash-checking mode needs to install the release."""
        hashes = (f"--hash=sha256:{sha256}" for _, sha256 in sorted(self.wheels.items()))
        return " \\\n    ".join([f"wasmtime=={self.version}", *hashes]) + "\n"

    def wheel_for(self, platforms: Sequence[str]) -> str | None:
        """Return the file name of the wheel that pip would install, or None if there is none.

        `platforms` are platform tags, the preferred one first.
        """
        ranked = [
            (platforms.index(tag.platform), wheel)
            for wheel in self.wheels
            for tag in parse_wheel_filename(wheel)[3]
            if tag.platform in platforms
        ]
        return min(ranked, default=(0, None))[1]


class PinFile(TypedDict):
    """Schema of `fixtures/releases.json`."""

    releases: list[Release]


def find_newest_with_wheel(releases: Sequence[Release], platforms: Sequence[str]) -> Release:
    """Return the newest release with a wheel for these platform tags, or else the newest one."""
    for release in reversed(releases):
        if release.wheel_for(platforms):
            return release
    return releases[-1]


def is_native(wheel: str) -> bool:
    """Return whether a wheel contains a library for a kind of platform that is measured."""
    return all(NATIVE.match(tag.platform) for tag in parse_wheel_filename(wheel)[3])


def compute_commit_id(release: Release, parent: str | None) -> str:
    """Return the id that git gives to the commit of a release."""
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
    """Compute the commit id of a newer release, and return the releases with it at the end."""
    parent = releases[-1].commit if releases else None
    return [*releases, replace(new, commit=compute_commit_id(new, parent))]


def load_pins(path: Path = PINS) -> list[Release]:
    """Read the pins, oldest release first.

    Raises:
        UserError: the file is missing, truncated or edited by hand.
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
    """Raise ValueError if `append_release` would not have built these releases."""
    msgspec.convert([asdict(release) for release in releases], list[Release])
    if not releases:
        raise ValueError("it is empty")
    parent, newest = None, Version("0")
    for release in releases:
        version = Version(release.version)
        if version <= newest:
            raise ValueError(f"{release.version} comes after {newest}")
        if compute_commit_id(release, parent) != release.commit:
            raise ValueError(
                f"{release.version} does not match its commit id: pins are append-only, and only "
                "`python -m scripts.releases.update` may append"
            )
        parent, newest = release.commit, version


def save_pins(releases: Sequence[Release], path: Path = PINS) -> None:
    """Write the pins atomically.

    Raises:
        ValueError: the releases are not in order, or a commit id is wrong.
    """
    check_order(releases)
    text = json.dumps({"releases": [asdict(release) for release in releases]}, indent=1) + "\n"
    write_atomically(path, text)
