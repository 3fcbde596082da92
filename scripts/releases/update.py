"""Pin the wasmtime-py releases that are newer than the newest pin.

    python -m scripts.releases.update

reads the package index, appends to `fixtures/releases.json` and says what it added and what it
left out and why. With a pin stands how its macOS libraries register unwind info; that is read here
where it is missing. Pins are never changed or removed, because results are stored under the ids
that follow from them. Nothing is written when there is nothing new or anything is wrong.
"""

import argparse
import re
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import requests
from asv.util import UserError
from packaging.version import Version
from pypi_simple import (
    PYPI_SIMPLE_ENDPOINT,
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedRepoVersionError,
)

from scripts.base.schema import describe_error
from scripts.releases import pins
from scripts.releases.pins import FUNCTION, NO_WAY, SECTION, Release

# the first whose C API has wasmtime_config_native_unwind_info_set (bytecodealliance/wasmtime#6896)
FIRST = Version("13.0.0")
# The wheels of a release arrive one after another, within a minute so far, and a pin is for ever.
SETTLING = timedelta(hours=1)
PLATFORMS = {  # a release is waited for until it has these wheels, but not for ever
    "Linux x86-64": r"-manylinux\w*_x86_64",
    "macOS arm64": r"-macosx_\w*_arm64",
    "Windows": r"-win_amd64",
}
PATIENCE = timedelta(days=2)
LARGEST = 200 << 20  # bytes of a download or a library; the largest so far has 30 MB
SLOWEST = timedelta(minutes=10)
# How the library of a macOS wheel registers unwind info is told from its bytes: no Mac is needed.
# Wasmtime registered with libunwind function by function, until 50.0.0 began to look up libunwind's
# calls for whole sections at run time (bytecodealliance/wasmtime#14304). A library makes only calls
# whose names it holds. That is evidence of the way it takes, and no measurement.
WAYS = {b"__unw_add_dynamic_eh_frame_section": SECTION, b"___register_frame": FUNCTION}


class BoundedSession(requests.Session):
    """A session that reads no more than LARGEST bytes, for no longer than SLOWEST."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request, and read its answer within the bounds.

        Raises:
            RequestException: the answer is too large or takes too long.
        """
        until = time.monotonic() + SLOWEST.total_seconds()
        response = super().send(request, **{**options, "stream": True})
        content = bytearray()
        for chunk in response.iter_content(1 << 16):
            content += chunk
            if len(content) > LARGEST or time.monotonic() > until:
                response.close()
                raise requests.RequestException(
                    f"{request.url} has more than {LARGEST:,} bytes, or takes more than {SLOWEST}"
                )
        response._content = bytes(content)  # as requests itself does when it does not stream
        return response


Found = dict[Version, list[DistributionPackage]]  # by release, its wheels that are measured


def fetch_releases(client: PyPISimple) -> Found:
    """The releases on the index from FIRST on, with their wheels for the measured platforms.

    Raises:
        UserError: the index cannot be reached or is not one, or has files with odd names.
    """
    found: Found = defaultdict(list)
    try:
        page = client.get_project_page("wasmtime", timeout=60)
        for package in sorted(page.packages, key=lambda package: package.filename):
            if package.version is not None and Version(package.version) >= FIRST:
                wheels = found[Version(package.version)]
                if package.package_type == "wheel" and pins.is_native(package.filename):
                    wheels.append(package)
    except (OSError, NoSuchProjectError, UnsupportedRepoVersionError, ValueError) as error:
        raise UserError(f"The package index did not list wasmtime: {error}") from error
    return found


def build_release(version: Version, wheels: Sequence[DistributionPackage]) -> Release:
    """The pin for a release.

    Raises:
        UserError: the index gives no hash or no upload time, or one that is none.
    """
    for wheel in wheels:
        if wheel.upload_time is None or "sha256" not in wheel.digests:
            raise UserError(
                f"The index gives no upload time or sha256 for {wheel.filename}; "
                "use one that serves the JSON form of the simple API."
            )
    first = min(wheel.upload_time for wheel in wheels if wheel.upload_time is not None)
    made = Release(
        version=str(version),
        time=first.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        wheels={wheel.filename: wheel.digests["sha256"] for wheel in wheels},
    )
    try:
        return msgspec.convert(asdict(made), Release)
    except ValueError as error:
        raise UserError(f"The index has an odd name or hash: {describe_error(error)}") from error


def check_pinned(releases: Sequence[Release], found: Found) -> Iterator[str]:
    """Compare the pins with the index and yield a line for each difference.

    Raises:
        UserError: a pinned wheel has other content.
    """
    for pinned in releases:
        wheels = found.get(Version(pinned.version), [])
        offered = {wheel.filename: wheel.digests.get("sha256") for wheel in wheels}
        for name, sha256 in pinned.wheels.items():
            if name not in offered:
                yield (
                    f"warning: {name} is gone from the index. While it is, {pinned.version} cannot "
                    "be measured on its platform; what is recorded stays."
                )
            elif offered[name] != sha256:
                raise UserError(
                    f"{name} has other content on the index than {pins.PINS} pins. Nothing was "
                    "written. Report it to the wasmtime-py maintainers before you change a pin."
                )
        for name in sorted(offered.keys() - pinned.wheels.keys()):
            yield f"ignored {name}: added after {pinned.version} was pinned"
        if any(wheel.is_yanked for wheel in wheels):
            yield f"kept {pinned.version}: yanked since it was pinned"


def reason_against(
    version: Version, wheels: Sequence[DistributionPackage], newest: Version
) -> str | None:
    """Why a release is not pinned, or None if it is to be."""
    if version.is_prerelease:
        return "a pre-release"
    if any(wheel.is_yanked for wheel in wheels):
        return "yanked"
    if not wheels:
        return "no wheel for a measured platform"
    if version < newest:
        return f"older than the newest pin, {newest}; the history only grows at its end"
    return None


def reason_to_wait(wheels: Sequence[DistributionPackage]) -> str | None:
    """Return why a release is not pinned yet, or None if it is to be."""
    now = datetime.now(UTC)
    uploads = [wheel.upload_time for wheel in wheels if wheel.upload_time is not None]
    if not uploads or now - min(uploads) > PATIENCE:
        return None
    names = " ".join(wheel.filename for wheel in wheels)
    missing = [name for name, pattern in PLATFORMS.items() if not re.search(pattern, names)]
    if missing:
        return f"it has no wheel for {' and '.join(missing)} yet"
    return "uploaded within the last hour" if now - max(uploads) < SETTLING else None


def read_macs(client: PyPISimple, releases: Sequence[Release], found: Found) -> list[Release]:
    """The releases, each with how its macOS libraries register unwind info."""
    read = []
    for pinned in releases:
        macs = {str(processor): str(way) for processor, way in pinned.macs.items()}
        for wheel in found[Version(pinned.version)]:
            mac = re.search(r"-macosx_\d+_\d+_(arm64|x86_64)\b", wheel.filename)
            if mac is None or mac[1] in macs or wheel.filename not in pinned.wheels:
                continue
            macs[mac[1]] = read_registration(client, wheel)
            print(f"read {wheel.filename}: registers {macs[mac[1]]}", flush=True)
        read.append(msgspec.convert({**asdict(pinned), "macs": macs}, Release))
    return read


def read_registration(client: PyPISimple, wheel: DistributionPackage) -> str:
    """Download a macOS wheel and tell from its library's bytes how that registers unwind info.

    Raises:
        UserError: it cannot be fetched, is not the one that is pinned, or is no wheel.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel.filename)
        try:
            client.download_package(wheel, path, timeout=60)
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".dylib")]
                if sum(archive.getinfo(name).file_size for name in names) > LARGEST:
                    raise ValueError("its library is too large")
                libraries = [archive.read(name) for name in names]
        except (OSError, ValueError) as error:
            raise UserError(f"{wheel.filename} cannot be read: {error}") from error
        except zipfile.BadZipFile as error:
            raise UserError(f"{wheel.filename} is no wheel: {error}") from error
    ways = (way for name, way in WAYS.items() if any(name in library for library in libraries))
    return next(ways, NO_WAY)


def update_pins(client: PyPISimple) -> None:
    """Append what is new to the pin file and say what was done."""
    before = releases = pins.load_pins()
    known = {Version(pinned.version) for pinned in releases}
    newest = max(known)
    found = fetch_releases(client)
    lines = list(check_pinned(releases, found))
    for version in sorted(found.keys() - known):
        if reason := reason_against(version, found[version], newest):
            lines.append(f"left out {version}: {reason}")
            continue
        if reason := reason_to_wait(found[version]):
            # and with newer ones, or it would be too old for the history next time
            lines.append(f"left {version} for later: {reason}")
            break
        releases = pins.append_release(releases, build_release(version, found[version]))
        lines.append(f"added {version}, {len(releases[-1].wheels)} wheels")
    lines.append(f"left out everything before {FIRST}: its C API cannot turn unwind info off")
    added = len(releases) - len(known)
    releases = read_macs(client, releases, found)
    if releases != before:
        pins.save_pins(releases)
    print(*lines, f"{len(releases)} releases pinned, {added} of them new", sep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the pins are up to date, 1 on an error."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.releases.update", description="Pin new wasmtime-py releases."
    )
    parser.add_argument(
        "--index", default=PYPI_SIMPLE_ENDPOINT, help="a package index with the simple API"
    )
    try:
        with PyPISimple(parser.parse_args(arguments).index, session=BoundedSession()) as client:
            update_pins(client)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
