"""Add what new macOS SDKs say about libunwind to `fixtures/macos_libunwind.json`.

    python -m scripts.releases.update_sdks

reads the `ziglang` wheels that are not in the file yet, adds their new SDKs, and prints them. It
never changes or removes an SDK. It writes nothing if there is nothing new or if there is an error.
"""

import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import get_args

import msgspec
from packaging.version import Version
from pypi_simple import DistributionPackage, PyPISimple
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scripts.base.schema import parse_json
from scripts.releases.index import list_packages, open_wheel, read_members, run_update
from scripts.releases.sdks import (
    Function,
    Numbers,
    Processor,
    Sdk,
    Source,
    Wheel,
    list_sdks,
    load_wheels,
    save_wheels,
)

FIRST_WHEEL = Version("0.9.0")  # older ones do not list what libSystem exports
PLATFORM = re.compile(r"-manylinux\w*_x86_64\b")  # the wheels of all platforms have the same lists
# Wheels before 0.12.0 have a list for each major version of macOS, later ones one for the newest.
LIST = re.compile(r"ziglang/lib/libc/darwin/libSystem(?P<major>\.\d+)?\.tbd")
SETTINGS = "ziglang/lib/libc/darwin/SDKSettings.json"
# The folder is x86_64-macos.10-gnu, any-macos.13-any, any-macos-any or any-darwin-any, for example.
HEADER = re.compile(
    r"ziglang/lib/libc/include/\w+-(macos|darwin)(?P<major>\.\d+)?-\w+/"
    r"(?P<source>Availability(Versions)?\.h)"
)
TARGETS: dict[Processor, tuple[str, ...]] = {  # the first that a list has counts
    "x86_64": ("x86_64-macos",),
    # System libraries of Apple silicon are built for arm64e, and programs for arm64 use them. Lists
    # before that of 26.4 name both, later ones only arm64e.
    "arm64": ("arm64-macos", "arm64e-macos"),
}
LIBSYSTEM, LIBUNWIND = "/usr/lib/libSystem.B.dylib", "/usr/lib/system/libunwind.dylib"


class Settings(msgspec.Struct):
    """What is read of SDKSettings.json, which Zig reduces to one of these keys."""

    version: str = msgspec.field(name="Version", default="")
    display_name: str = msgspec.field(name="MinimalDisplayName", default="")


class Export(msgspec.Struct):
    """Symbols that a library exports for the targets, such as `arm64-macos`."""

    targets: list[str]
    symbols: list[str] = []


class Library(msgspec.Struct, rename="kebab"):
    """A library in a list: a YAML document of a .tbd file."""

    install_name: str
    targets: list[str]
    current_version: Numbers = "1"  # as linkers take it if a library states none
    exports: list[Export] = []


def read_sdks(archive: zipfile.ZipFile, known: Sequence[Sdk]) -> Iterator[Sdk]:
    """Yield the SDKs of a wheel that are not known.

    Raises:
        ValueError: a file is missing, malformed or too large, or contradicts another.
    """
    lists = [match for name in archive.namelist() if (match := LIST.fullmatch(name))]
    if not lists:
        raise ValueError("it does not list what libSystem exports")
    # The libraries' versions tell lists apart. The macOS version does not: ziglang 0.10 has a
    # header of 12.1 beside the list of 11.3, which older wheels have with a header of 11.3.
    known_libraries = {(sdk.libsystem, sdk.libunwind) for sdk in known}
    for match in lists:
        libraries = read_list(archive, match[0])
        libsystem, libunwind = libraries[LIBSYSTEM], libraries[LIBUNWIND]
        if (libsystem.current_version, libunwind.current_version) in known_libraries:
            continue
        macos, source = read_macos_version(archive, match["major"] or "")
        yield Sdk(
            macos, source, libsystem.current_version, libunwind.current_version,
            list_functions(libunwind),
        )  # fmt: skip


def read_list(archive: zipfile.ZipFile, name: str) -> dict[str, Library]:
    """Return the libraries in a list of exported symbols, by install name.

    Raises:
        ValueError: the list is malformed or too large, or has no libSystem or no libunwind.
    """
    try:
        documents = list(YAML(typ="base").load_all(read_members(archive, [name])[0].decode()))
    except YAMLError as error:
        raise ValueError(f"{name} is malformed") from error
    libraries = {
        library.install_name: library for library in msgspec.convert(documents, list[Library])
    }
    if missing := {LIBSYSTEM, LIBUNWIND} - libraries.keys():
        raise ValueError(f"{name} lacks {missing.pop()}")
    return libraries


def read_macos_version(archive: zipfile.ZipFile, major: str) -> tuple[str, Source]:
    """Return the macOS version of an SDK, and the file that states it.

    `major` is the suffix of the list's name: `.13`, or empty if the wheel has one list.

    Raises:
        ValueError: no file states a version, or it contradicts `major`.
    """
    if SETTINGS in archive.namelist():
        settings = parse_json(read_members(archive, [SETTINGS])[0], Settings)
        return settings.version or settings.display_name, "SDKSettings.json"
    headers = [match for name in archive.namelist() if (match := HEADER.fullmatch(name))]
    for source in ("AvailabilityVersions.h", "Availability.h"):
        names = [
            match[0]
            for match in headers
            if (match["major"] or "", match["source"]) == (major, source)
        ]
        text = b"\n".join(read_members(archive, names)).decode(errors="replace")
        versions = [
            [int(number) for number in version.split("_")]
            for version in re.findall(r"^ *# *define +__MAC_(\d+(?:_\d+)+) ", text, re.MULTILINE)
        ]
        if versions:
            macos = ".".join(map(str, max(versions)))
            if major and not f".{macos}.".startswith(f"{major}."):
                raise ValueError(f"{names[0]} names macOS {macos}")
            return macos, source
    raise ValueError(f"no file states the macOS version of libSystem{major}.tbd")


def list_functions(library: Library) -> dict[Processor, dict[Function, bool]]:
    """Return whether a library has each function, by processor.

    Raises:
        ValueError: the library is for no known processor.
    """
    functions: dict[Processor, dict[Function, bool]] = {}
    for processor, targets in TARGETS.items():
        for target in targets:
            if target in library.targets:
                exported = list_symbols(library, target)
                functions[processor] = {
                    # symbols of macOS have a further underscore
                    name: f"_{name}" in exported
                    for name in get_args(Function)
                }
                break
    if not functions:
        raise ValueError(f"{library.install_name} is for no known processor")
    return functions


def list_symbols(library: Library, target: str) -> set[str]:
    """Return the symbols that a library exports for a target."""
    return {
        symbol
        for export in library.exports
        if target in export.targets
        for symbol in export.symbols
    }


def find_new_wheels(client: PyPISimple, wheels: Sequence[Wheel]) -> list[DistributionPackage]:
    """Return a wheel of each version of ziglang that was not read yet, oldest version first.

    Raises:
        UserError: see `list_packages`.
    """
    read_versions = {Version(wheel.version) for wheel in wheels}
    new = {}
    packages, _ = list_packages(client, "ziglang")
    for package in packages:
        version = Version(str(package.version))
        is_usable = PLATFORM.search(package.filename) and not package.is_yanked
        if is_usable and version >= FIRST_WHEEL and not version.is_prerelease:
            new[version] = package
    return [new[version] for version in sorted(new.keys() - read_versions)]


def update_sdks(client: PyPISimple) -> None:
    """Add the SDKs of new wheels to the file, and print them."""
    before = wheels = load_wheels()
    for package in find_new_wheels(client, before):
        with open_wheel(client, package) as archive:
            sdks = list(read_sdks(archive, list_sdks(wheels)))
            new = Wheel(
                package.filename, str(package.version), package.digests.get("sha256", ""), sdks
            )
            wheels = [*wheels, msgspec.convert(asdict(new), Wheel)]
        names = [f"macOS {sdk.macos} (libunwind {sdk.libunwind})" for sdk in sdks]
        print(f"read {package.filename}: {', '.join(names) or 'no new SDK'}", flush=True)
    if wheels != before:
        save_wheels(wheels)
    known, added = len(list_sdks(wheels)), len(list_sdks(wheels)) - len(list_sdks(before))
    print(f"{known} SDKs known, {added} of them new")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if the SDKs are up to date, or 1 on an error."""
    return run_update(
        update_sdks,
        arguments,
        prog="python -m scripts.releases.update_sdks",
        description="Add what new macOS SDKs say to fixtures/macos_libunwind.json.",
    )


if __name__ == "__main__":
    sys.exit(main())
