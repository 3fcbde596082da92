"""Read the machines of `results/`: their descriptions, and the unwinders of their hosts."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from asv.util import UserError
from msgspec import Meta, Struct

from scripts.base.schema import MaybeText, Text, describe_error, parse_json, read_bytes, read_json

LOCAL = "local-"  # prefix of machine names whose results git ignores
SYSTEM_PATTERNS = {
    "macOS": r"mac(os|-|\b)",
    "Windows": "windows",
    "Linux": "linux|ubuntu|debian|alpine",
}
ARCHITECTURE_PATTERNS = {"x86_64": r"x86[_-]64|amd64", "arm64": "arm64|aarch64"}
CLOCK_TOLERANCE = timedelta(days=1)  # by which the clocks of two hosts may differ
MAX_LINE_BYTES = 10_000  # of a line of hosts.jsonl; a real line has 700


class Description(Struct, forbid_unknown_fields=True, frozen=True):
    """asv's description of a machine: `machine.json`."""

    machine: Text
    os: Text
    arch: Text
    cpu: Text
    num_cpu: Text
    ram: Text
    version: Literal[1] = 1

    def __post_init__(self) -> None:
        """Raise ValueError if the name contradicts the system or the architecture."""
        if problem := describe_contradiction(self.machine, self.os, self.arch):
            raise ValueError(problem)


class Library(Struct, frozen=True):
    """An unwinder library of a host."""

    file: Text
    package: MaybeText
    build_id: Annotated[str, Meta(pattern=r"\A([0-9a-f]{12,128})?\Z")]


class Facts(Struct, frozen=True):
    """The facts about a host that the report uses; `scripts.measuring.machines` writes them."""

    unwinders: dict[Text, Library | list[Text]] = {}  # on a Mac a list of files
    sections: bool | None = None
    processor: Text | None = None


class Host(Struct, frozen=True):
    """A line of `hosts.jsonl`: the facts about the host on which asv measured since a time."""

    since: datetime
    facts: Facts

    def __post_init__(self) -> None:
        """Raise ValueError if the time has no zone or is in the future."""
        if self.since.tzinfo is None or self.since > datetime.now(UTC) + CLOCK_TOLERANCE:
            raise ValueError("its time has no zone, or is in the future")


@dataclass(frozen=True)
class Machine:
    """A machine with results.

    Attributes:
        name: the name of its folder.
        os: the system as asv shows it, such as `Debian 12, libgcc 12`.
        arch: the processor architecture: x86_64 or arm64.
        system: Linux, macOS or Windows.
        libgcc: the major version of libgcc, if that is the unwinder.
        emulated: whether the processor is emulated, according to the name; times are then invalid.
        packages: package and version of each unwinder of its hosts, by the first 12 hexadecimal
            digits of the build id.
        unwinders: libgcc or libunwind, by the same digits.
        sections: whether a Mac's unwinder can register a section at a time; None if unknown.
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
        """Whether this is a visitor's own machine, whose results are not recorded."""
        return self.name.startswith(LOCAL)

    @property
    def is_mac(self) -> bool:
        """Whether the unwinder is Apple's libunwind."""
        return self.system == "macOS"


def parse_system(text: str) -> str:
    """Return the system named in a machine's name or description, or an empty string."""
    names = (name for name, pattern in SYSTEM_PATTERNS.items() if re.search(pattern, text.lower()))
    return next(names, "")


def describe_contradiction(name: str, system: str, arch: str) -> str:
    """Return why a machine with this system and architecture cannot have this name.

    Return an empty string if it can.
    """
    if not re.fullmatch(r"\w[\w.-]{0,99}", name, re.ASCII):  # the name of a folder in results/
        return f"{name!r}: a name has letters, digits, '.', '_' and '-'"
    host = parse_system(system) or "Linux"
    if parse_system(name) not in ("", host):
        return f"{name} implies {parse_system(name)}, but this host runs {host}"
    for implied, pattern in ARCHITECTURE_PATTERNS.items():
        if re.search(pattern, name.lower()) and arch != implied:
            return f"{name} implies {implied}, but this host is {arch}"
    return ""


def read_description(folder: Path) -> Description:
    """Read asv's description of a machine from its folder.

    Raises:
        UserError: machine.json is missing, damaged, or of another machine.
    """
    path = folder / "machine.json"
    is_local = folder.name.startswith(LOCAL)
    remedy = f"Delete {folder}." if is_local else "Restore it from git."
    description = read_json(path, Description, remedy)
    if description.machine != folder.name:
        raise UserError(f"{path} describes {description.machine}, not {folder.name}. {remedy}")
    return description


def read_machine(folder: Path) -> tuple[Machine, list[str]]:
    """Return a machine, and a message for each unreadable line about its hosts.

    Raises:
        UserError: machine.json is missing or damaged.
    """
    description = read_description(folder)
    hosts, problems = read_hosts(folder / "hosts.jsonl")
    libgcc = re.search(r"libgcc (\d{1,3})", description.os)
    libraries = {
        library.build_id[:12]: (name, library.package or name)
        for host in hosts.values()
        for name, library in host.facts.unwinders.items()
        if isinstance(library, Library)
    }
    sections = [host.facts.sections for host in hosts.values() if host.facts.sections is not None]
    machine = Machine(
        name=folder.name,
        os=description.os,
        arch=description.arch,
        system=parse_system(description.os) or "Linux",
        libgcc=int(libgcc[1]) if libgcc else None,
        emulated="emulated" in folder.name,
        packages={build: package for build, (_, package) in libraries.items()},
        unwinders={build: name for build, (name, _) in libraries.items()},
        sections=sections[-1] if sections else None,
    )
    return machine, problems


def read_machines(root: Path) -> tuple[dict[str, Machine], list[str]]:
    """Return the machines with results, by name, and a message for each unreadable file."""
    machines, problems = {}, []
    for folder in sorted({path.parent for path in root.glob("*/*.json")}):
        try:
            machines[folder.name], host_problems = read_machine(folder)
            problems += host_problems
        except UserError as error:
            problems.append(str(error))
    return machines, problems


def read_processors(folder: Path) -> set[str]:
    """Return the kinds of processor that the results of a machine come from, if they are known."""
    hosts, _ = read_hosts(folder / "hosts.jsonl")
    return {host.facts.processor for host in hosts.values() if host.facts.processor}


def describe_other_processor(known: set[str], processor: str | None) -> str:
    """Return why results of a processor do not belong beside others, or an empty string."""
    if not known or not processor or processor in known:
        return ""
    return (
        f"its times come from {' and '.join(sorted(known))}, but these are of {processor}. Times "
        "of two kinds of processor cannot be compared: use another machine name."
    )


def read_hosts(path: Path) -> tuple[dict[str, Host], list[str]]:
    """Return the hosts of a machine, by their lines, and a message for each unreadable line.

    A damaged line is no error: facts about hosts only explain results.
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
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"longer than {MAX_LINE_BYTES:,} bytes")
            hosts[line.decode("utf-8")] = parse_json(line, Host)
        except ValueError as error:
            problems.append(
                f"{path}: line {number} is damaged ({describe_error(error)}). Delete that line."
            )
    return hosts, problems
