"""The machines of `results/`: their descriptions, parsed once, and the libraries of their hosts."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asv import util
from asv.machine import Machine as Description
from asv.util import UserError

LOCAL = "local-"  # how the names of folders begin that git ignores
SYSTEMS = {"macOS": r"mac(os|-|\b)", "Windows": "windows", "Linux": "linux|ubuntu|debian|alpine"}


@dataclass(frozen=True)
class Machine:
    """A machine with results.

    Attributes:
        name: its folder.
        os: as asv shows it, such as `Debian 12, libgcc 12`.
        arch: its processor architecture: x86_64 or arm64.
        system: Linux, macOS or Windows.
        libgcc: the major version of libgcc, if that is its unwinder.
        emulated: whether its processor is emulated, so that only counts mean something.
        packages: package and version of the unwinders its hosts had, by the first 48 bits of their
            build id.
        sections: whether a Mac's unwinder can register a section at a time, if that is known.
    """

    name: str
    os: str
    arch: str
    system: str
    libgcc: int | None = None
    emulated: bool = False
    packages: dict[str, str] = field(default_factory=dict)
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


def read_description(folder: Path) -> dict[str, str]:
    """Read what asv recorded of the machine of a folder of results.

    Raises:
        UserError: its machine.json is missing, damaged, or of another machine.
    """
    path = folder / "machine.json"
    local = folder.name.startswith(LOCAL)
    remedy = f"Delete {folder}" if local else "Restore it from git"
    try:
        described: dict[str, str] = util.load_json(str(path), Description.api_version)
        texts = [described[name] for name in ("machine", "os", "arch", "cpu")]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a field is no text")
    except OSError as error:
        raise UserError(f"{path} is missing. {remedy}.") from error
    except (UserError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). {remedy}.") from error
    if described["machine"] != folder.name:
        raise UserError(f"{path} describes another machine than {folder.name}. {remedy}.")
    return described


def read_machine(folder: Path) -> Machine:
    """Read the description of a machine and the libraries of its hosts.

    Raises:
        UserError: machine.json or hosts.jsonl is missing or damaged.
    """
    described = read_description(folder)
    hosts = read_hosts(folder / "hosts.jsonl")
    libgcc = re.search(r"libgcc (\d+)", described["os"])
    return Machine(
        name=folder.name,
        os=described["os"],
        arch=described["arch"],
        system=parse_system(described["os"]) or "Linux",
        libgcc=int(libgcc[1]) if libgcc else None,
        emulated="emulated" in described["cpu"],
        packages={
            library["build_id"][:12]: library["package"] or name
            for host in hosts
            for name, library in host.get("unwinders", {}).items()
            if isinstance(library, dict)  # a Mac has a list of files
        },
        sections=next((host["sections"] for host in hosts[::-1] if "sections" in host), None),
    )


def read_machines(root: Path) -> tuple[dict[str, Machine], list[str]]:
    """Read all machines with results, and what was wrong with the others."""
    machines, problems = {}, []
    for folder in sorted({path.parent for path in root.glob("*/*.json")}):
        try:
            machines[folder.name] = read_machine(folder)
        except UserError as error:
            problems.append(str(error))
    return machines, problems


def read_hosts(path: Path) -> list[dict[str, Any]]:
    """Read the facts of the hosts that a machine was measured on, oldest first.

    Raises:
        UserError: the file is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        facts: list[dict[str, Any]] = [json.loads(line)["facts"] for line in lines]
        for host in facts:
            for library in host.get("unwinders", {}).values():
                if isinstance(library, dict) and not {"build_id", "package"} <= library.keys():
                    raise ValueError("an unwinder has no build id")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). Restore it from git.") from error
    return facts
