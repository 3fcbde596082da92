"""Pin the wasmtime-py releases that are newer than the newest pin.

    python -m scripts.releases.update

reads the package index, appends to `fixtures/releases.json`, and prints what it added and what it
skipped and why. It also adds to each pin how the macOS libraries register unwind info, if that is
missing. It never changes or removes a pin otherwise, because results are stored under ids computed
from the pins. It writes nothing if there is nothing new or if there is an error.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import msgspec
from asv.util import UserError
from packaging.version import Version
from pypi_simple import DistributionPackage, PyPISimple

from scripts.base.schema import ReleaseName, describe_error
from scripts.releases import pins
from scripts.releases.index import list_packages, open_wheel, read_members, run_update
from scripts.releases.pins import Registration, Release

# the first whose C API has wasmtime_config_native_unwind_info_set (bytecodealliance/wasmtime#6896)
FIRST_RELEASE = Version("13.0.0")
# The wheels of a release are uploaded one by one, so far within a minute, and a pin cannot change.
SETTLING_TIME = timedelta(hours=1)
PLATFORMS = {  # a release is pinned once it has these wheels, or after MAX_WAIT
    "Linux x86-64": r"-manylinux\w*_x86_64",
    "macOS arm64": r"-macosx_\w*_arm64",
    "Windows": r"-win_amd64",
}
MAX_WAIT = timedelta(days=2)
# The bytes of a macOS library show how it registers unwind info, so no Mac is needed. Wasmtime
# registered each function with libunwind until 50.0.0, which looks up libunwind's functions for
# whole sections at run time (bytecodealliance/wasmtime#14304). A library can only call functions
# whose names it contains. Such names are evidence, not a measurement.
REGISTRATION_SYMBOLS = {
    b"__unw_add_dynamic_eh_frame_section": Registration.SECTIONS,
    b"___register_frame": Registration.FUNCTIONS,
}

WheelsByRelease = dict[Version, list[DistributionPackage]]  # native wheels only


def fetch_releases(client: PyPISimple) -> tuple[WheelsByRelease, list[str]]:
    """Return the releases on the index since FIRST_RELEASE, with their native wheels.

    Also return a line for each file that is skipped because of its version.

    Raises:
        UserError: the index cannot be reached, is not a package index, or lists a malformed name or
            no native wheel.
    """
    wheels_by_release: WheelsByRelease = defaultdict(list)
    packages, skipped = list_packages(client, "wasmtime")
    for package in packages:
        version = Version(str(package.version))
        if version >= FIRST_RELEASE and package.filename.startswith("wasmtime-"):
            wheels = wheels_by_release[version]
            if package.package_type == "wheel" and pins.is_native(package.filename):
                wheels.append(package)
    if not any(wheels_by_release.values()):
        raise UserError(
            "The package index did not list wasmtime: there is no wheel on its page. "
            "Is it a package index, or the login page of a network?"
        )
    return wheels_by_release, skipped


def read_upload_time(wheel: DistributionPackage) -> datetime | None:
    """Return when a wheel was uploaded, or None if that or the time zone is unknown."""
    time = wheel.upload_time
    return None if time is None or time.tzinfo is None else time


def build_pin(version: Version, wheels: Sequence[DistributionPackage]) -> Release:
    """Build the pin of a release, without its commit id.

    Raises:
        UserError: the index gives no upload time or no hash, or a malformed one.
    """
    uploads = []
    for wheel in wheels:
        upload = read_upload_time(wheel)
        if upload is None or "sha256" not in wheel.digests:
            raise UserError(
                f"The index gives no upload time or sha256 for {wheel.filename}. "
                "Use an index that serves the JSON form of the simple API."
            )
        uploads.append(upload)
    try:
        pin = Release(
            version=str(version),
            time=min(uploads).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            wheels={wheel.filename: wheel.digests["sha256"] for wheel in wheels},
        )
        return msgspec.convert(asdict(pin), Release)
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"The index has a malformed name, time or hash of {version}: {describe_error(error)}"
        ) from error


def compare_with_index(releases: Sequence[Release], index: WheelsByRelease) -> Iterator[str]:
    """Compare the pins with the index and yield a line for each difference.

    Raises:
        UserError: a pinned wheel has another hash on the index.
    """
    for pinned in releases:
        wheels = index.get(Version(pinned.version), [])
        hashes = {wheel.filename: wheel.digests.get("sha256") for wheel in wheels}
        for name, sha256 in pinned.wheels.items():
            if name not in hashes:
                yield (
                    f"warning: {name} is gone from the index. Until it is back, {pinned.version} "
                    "cannot be measured on that platform. Recorded results stay."
                )
            elif hashes[name] != sha256:
                raise UserError(
                    f"{name} has a different hash on the index than in {pins.PINS}. Nothing was "
                    "written. Report it to the wasmtime-py maintainers before you change a pin."
                )
        for name in sorted(hashes.keys() - pinned.wheels.keys()):
            yield f"ignored {name}: added after {pinned.version} was pinned"
        if any(wheel.is_yanked for wheel in wheels):
            yield f"kept {pinned.version}, although it was yanked after it was pinned"


def find_reason_to_skip(
    version: Version, wheels: Sequence[DistributionPackage], newest: Version
) -> str | None:
    """Return why a release is not pinned, or None if it may be."""
    if version.is_prerelease:
        return "a pre-release"
    try:
        msgspec.convert(str(version), ReleaseName)
    except ValueError:
        return "only versions such as 51.0.0 can be pinned"
    if any(wheel.is_yanked for wheel in wheels):
        return "yanked"
    if not wheels:
        return "no wheel for a measured platform"
    if version < newest:
        return f"older than the newest pin, {newest}; the history only grows at its end"
    return None


def find_reason_to_wait(wheels: Sequence[DistributionPackage]) -> str | None:
    """Return why a release is not pinned yet, or None if it can be pinned now."""
    now = datetime.now(UTC)
    uploads = [time for wheel in wheels if (time := read_upload_time(wheel))]
    if not uploads or now - min(uploads) > MAX_WAIT:
        return None
    names = " ".join(wheel.filename for wheel in wheels)
    missing = [name for name, pattern in PLATFORMS.items() if not re.search(pattern, names)]
    if missing:
        return f"it has no wheel for {' and '.join(missing)} yet"
    return "uploaded within the last hour" if now - max(uploads) < SETTLING_TIME else None


def add_registrations(
    client: PyPISimple, releases: Sequence[Release], index: WheelsByRelease
) -> list[Release]:
    """Return the releases, each with how its macOS libraries register unwind info."""
    completed = []
    for pinned in releases:
        macs = {str(processor): str(known) for processor, known in pinned.macs.items()}
        for wheel in index[Version(pinned.version)]:
            match = re.search(r"-macosx_\d+_\d+_(arm64|x86_64)\b", wheel.filename)
            if match is None or match[1] in macs or wheel.filename not in pinned.wheels:
                continue
            macs[match[1]] = read_registration(client, wheel)
            print(f"read {wheel.filename}: registers {macs[match[1]]}", flush=True)
        completed.append(msgspec.convert({**asdict(pinned), "macs": macs}, Release))
    return completed


def read_registration(client: PyPISimple, wheel: DistributionPackage) -> Registration:
    """Download a macOS wheel and return how its library registers unwind info.

    Raises:
        UserError: the wheel cannot be downloaded, has another hash than the index gives, or is
            damaged.
    """
    with open_wheel(client, wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dylib")]
        libraries = read_members(archive, names)
    for symbol, registration in REGISTRATION_SYMBOLS.items():
        if any(symbol in library for library in libraries):
            return registration
    return Registration.UNKNOWN


def update_pins(client: PyPISimple) -> None:
    """Append new releases to the pin file, and print what was added and skipped."""
    before = releases = pins.load_pins()
    pinned_versions = {Version(pinned.version) for pinned in releases}
    newest = max(pinned_versions)
    index, lines = fetch_releases(client)
    lines += compare_with_index(releases, index)
    for version in sorted(index.keys() - pinned_versions):
        if reason := find_reason_to_skip(version, index[version], newest):
            lines.append(f"skipped {version}: {reason}")
            continue
        if reason := find_reason_to_wait(index[version]):
            # newer releases have to wait too: pins can only be appended
            lines.append(f"postponed {version}: {reason}")
            break
        releases = pins.append_release(releases, build_pin(version, index[version]))
        lines.append(f"added {version}, {len(releases[-1].wheels)} wheels")
    lines.append(
        f"skipped releases before {FIRST_RELEASE}: their C API cannot turn unwind info off"
    )
    added = len(releases) - len(pinned_versions)
    releases = add_registrations(client, releases, index)
    if releases != before:
        pins.save_pins(releases)
    print(*lines, f"{len(releases)} releases pinned, {added} of them new", sep="\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if the pins are up to date, or 1 on an error."""
    return run_update(
        update_pins,
        arguments,
        prog="python -m scripts.releases.update",
        description="Append new wasmtime-py releases to fixtures/releases.json.",
    )


if __name__ == "__main__":
    sys.exit(main())
