"""The machines of `results/`: their descriptions, parsed once, and the libraries of their hosts."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from asv.util import UserError
from msgspec import Meta, Struct

from scripts.base.schema import MaybeText, Text, describe_error, parse_json, read_bytes, read_json

LOCAL = "local-"  # how the names of folders begin that git ignores
SYSTEMS = {"macOS": r"mac(os|-|\b)", "Windows": "windows", "Linux": "linux|ubuntu|debian|alpine"}


ARCHITECTURES = {"x86_64": r"x86[_-]64|amd64", "arm64": "arm64|aarch64"}
CLOCKS = timedelta(days=1)  # that the clocks of two hosts may differ
LONGEST = 10_000  # bytes of a line of hosts.jsonl; ours have 700


class Description(Struct, forbid_unknown_fields=True, frozen=True):
    """What asv records of a machine: `machine.json`."""

    machine: Text
    os: Text
    arch: Text
    cpu: Text
    num_cpu: Text
    ram: Text
    version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Raise ValueError for a name that contradicts the rest."""
        if problem := describe_contradiction(self.machine, self.os, self.arch):
            raise ValueError(problem)


class Library(Struct, frozen=True):
    """An unwinder of a host."""

    file: Text
    package: MaybeText
    build_id: Annotated[str, Meta(pattern=r"\A([0-9a-f]{12,128})?\Z")]


class Facts(Struct, frozen=True):
    """What is read of the facts of a host; `scripts.measuring.machines` writes them."""

    unwinders: dict[Text, Library | list[Text]] = {}  # a Mac has a list of files
    sections: bool | None = None


class Host(Struct, frozen=True):
    """A line of `hosts.jsonl`: the facts of the host that was measured on from a time on."""

    since: datetime
    facts: Facts

    def __post_init__(self) -> None:
        """Raise ValueError for a time without a zone, or in the future."""
        if self.since.tzinfo is None or self.since > datetime.now(UTC) + CLOCKS:
            raise ValueError("it has no time zone, or is in the future")


@dataclass(frozen=True)
class Machine:
    """A machine with results.

    Attributes:
        name: its folder.
        os: as asv shows it, such as `Debian 12, libgcc 12`.
        arch: its processor architecture: x86_64 or arm64.
        system: Linux, macOS or Windows.
        libgcc: the major version of libgcc, if that is its unwinder.
        emulated: whether its processor is emulated, as its name says: its times mean nothing.
        packages: package and version of the unwinders its hosts had, by the first 48 bits of their
            build id.
        unwinders: libgcc or libunwind, by the same.
        sections: whether a Mac's unwinder can register a section at a time, if that is known.
    """

    name: str
    os: str
    arch: str
    system: str
    libgcc: int | None = None
    emulated: bool = False
    packages: dict[str, str] = field(default_factory=dict)
    unwinders: dict[str, str] = field(default_factory=dict)
    sections: bool | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is a visitor's own machine, which is not recorded."""
        return self.name.startswith(LOCAL)

    @property
    def is_mac(self) -> bool:
        """Whether its unwinder is Apple's libunwind."""
        return self.system == "macOS"


def parse_system(text: str) -> str:
    """Return the system that a machine's name or description speaks of, or nothing."""
    return next((name for name, words in SYSTEMS.items() if re.search(words, text.lower())), "")


def describe_contradiction(name: str, system: str, arch: str) -> str:
    """Return why a machine of that system and architecture cannot have a name, or nothing."""
    if not re.fullmatch(r"\w[\w.-]{0,99}", name, re.ASCII):  # it is a folder of results/
        return f"{name!r}: a name has letters, digits, '.', '_' and '-'"
    host = parse_system(system) or "Linux"
    if parse_system(name) not in ("", host):
        return f"{name} implies {parse_system(name)}, but this host runs {host}"
    for implied, pattern in ARCHITECTURES.items():
        if re.search(pattern, name.lower()) and arch != implied:
            return f"{name} implies {implied}, but this host is {arch}"
    return ""


def read_description(folder: Path) -> Description:
    """Read what asv recorded of the machine of a folder of results.

    Raises:
        UserError: its machine.json is missing, damaged, or of another machine.
    """
    path = folder / "machine.json"
    local = folder.name.startswith(LOCAL)
    remedy = f"Delete {folder}." if local else "Restore it from git."
    described = read_json(path, Description, remedy)
    if described.machine != folder.name:
        raise UserError(f"{path} describes another machine than {folder.name}. {remedy}")
    return described


def read_machine(folder: Path) -> tuple[Machine, list[str]]:
    """Read the description of a machine and the libraries of its hosts, and what was left out.

    Raises:
        UserError: machine.json is missing or damaged.
    """
    described = read_description(folder)
    hosts, problems = read_hosts(folder / "hosts.jsonl")
    libgcc = re.search(r"libgcc (\d{1,3})", described.os)
    libraries = {
        library.build_id[:12]: (name, library.package or name)
        for host in hosts.values()
        for name, library in host.facts.unwinders.items()
        if isinstance(library, Library)
    }
    sections = [host.facts.sections for host in hosts.values() if host.facts.sections is not None]
    machine = Machine(
        name=folder.name,
        os=described.os,
        arch=described.arch,
        system=parse_system(described.os) or "Linux",
        libgcc=int(libgcc[1]) if libgcc else None,
        emulated="emulated" in folder.name,
        packages={build: package for build, (_, package) in libraries.items()},
        unwinders={build: name for build, (name, _) in libraries.items()},
        sections=sections[-1] if sections else None,
    )
    return machine, problems


def read_machines(root: Path) -> tuple[dict[str, Machine], list[str]]:
    """Read all machines with results, and what was wrong with the others."""
    machines, problems = {}, []
    for folder in sorted({path.parent for path in root.glob("*/*.json")}):
        try:
            machines[folder.name], some = read_machine(folder)
            problems += some
        except UserError as error:
            problems.append(str(error))
    return machines, problems


def read_hosts(path: Path) -> tuple[dict[str, Host], list[str]]:
    """Read the hosts that a machine was measured on, by their lines, and what was left out.

    Facts about hosts explain results, so a damaged line hides no result.
    """
    hosts, problems = {}, []
    try:
        lines = read_bytes(path).splitlines() if path.exists() else []
    except (OSError, ValueError) as error:
        return {}, [f"{path} cannot be read ({describe_error(error)}). Delete it."]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if len(line) > LONGEST:
                raise ValueError(f"longer than {LONGEST:,} bytes")
            hosts[line.decode("utf-8")] = parse_json(line, Host)
        except ValueError as error:
            said = f"line {number} is damaged ({describe_error(error)})"
            problems.append(f"{path}: {said}. Delete that line.")
    return hosts, problems
