"""What asv records of a machine: coarse classes that survive a new kernel or a like host.

asv makes every one of these fields part of a series' identity, so a kernel version or an exact
memory size would break a line of the graph in two. The exact facts of a host go beside the
results instead (`record_host`), where they break nothing.
"""

import json
import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import psutil
from asv import util
from asv.console import log
from asv.util import UserError
from packaging.tags import platform_tags

from scripts.base.files import replace_atomically
from scripts.history.machine import (
    LOCAL,
    Description,
    describe_contradiction,
    read_description,
)
from scripts.measuring import unwinders
from scripts.measuring.unwinders import best_effort
from scripts.releases import pins

SYSTEMS = {"darwin": "macos", "win32": "windows"}
CPUINFO = Path("/proc/cpuinfo")
ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64"}


def local_name() -> str:
    """The name for measurements nobody asked to record: git ignores `results/local-*`."""
    return f"{LOCAL}{SYSTEMS.get(sys.platform, sys.platform)}-{name_architecture()}"


def describe_machine(name: str) -> dict[str, str]:
    """The six fields that asv keeps of the machine of that name."""
    cores = str(os.cpu_count())
    return {
        "machine": name,
        "os": name_operating_system(),
        "arch": name_architecture(),
        "cpu": f"{name_architecture().replace('_', '-')}, {cores} cores",
        "num_cpu": cores,
        "ram": memory_class(psutil.virtual_memory().total),
    }


def name_architecture() -> str:
    """The processor architecture, under one name on every system."""
    machine = platform.machine().lower()
    return ARCHITECTURES.get(machine, machine)


def name_operating_system() -> str:
    """System and release, and on Linux what unwinds there, such as `Debian 12, libgcc 12`."""
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0].split('.')[0]}"
    if sys.platform == "win32":
        return f"Windows {platform.release()}"
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # the file is optional
        release = {"NAME": "Linux"}
    number = ".".join(release.get("VERSION_ID", "").split(".")[:2])
    name = release["NAME"].replace(" GNU/Linux", "").replace(" Linux", "")
    system = f"{name} {number}".strip()
    if platform.libc_ver()[0] != "glibc":
        return f"{system}, musl"
    libgcc = best_effort("The version of libgcc", unwinders.libgcc_major, "")
    return f"{system}, libgcc {libgcc}".strip()


def memory_class(size: int) -> str:
    """Memory in whole GB, above 8 GB rounded up to even: firmware and kernel take some away."""
    gigabytes = -(-size // 2**30)
    if gigabytes > 8:
        gigabytes += gigabytes % 2
    return f"{gigabytes} GB"


def check_machine(name: str, results: Path) -> None:
    """Refuse a machine name that does not fit this host, or that another kind of machine has.

    asv overwrites the description without a word, which would split every series of a recorded
    machine. A local one may change: its results are nobody's history.

    Raises:
        UserError: it says which name or file contradicts what.
    """
    described = describe_machine(name)
    if problem := describe_contradiction(name, described["os"], described["arch"]):
        raise UserError(f"--machine {problem}.")
    path = results / name / "machine.json"
    if path.exists() and name != local_name():
        recorded = read_description(path.parent)
        if recorded != msgspec.convert({**described, "version": 1}, Description):
            raise UserError(
                f"{path} describes another kind of machine: {recorded} there, {described} here. "
                "Choose another name with --machine."
            )


def record_host(folder: Path) -> None:
    """Note in `hosts.jsonl` on which host, with which software, the results there are measured.

    A line is added when the facts differ from the last line's; results hold the time they
    started at, so each belongs to the line before it. A fact that cannot be told is left out.
    """
    find: dict[str, Callable[[], Any]] = {
        "platform": platform.platform,
        "libc": lambda: " ".join(platform.libc_ver()),
        "cpu": name_processor,
        "memory": lambda: psutil.virtual_memory().total,
        "image": name_hosted_image,
        "unwinders": unwinders.collect_facts,
        **({"sections": unwinders.has_sections} if sys.platform == "darwin" else {}),
        "wheel": lambda: pins.load_pins()[-1].wheel_for(list(platform_tags())) or "",
        "python": platform.python_version,
        "asv": lambda: version("asv"),
    }
    told = {
        name: best_effort(f"The fact {name!r} of this host", each, None)
        for name, each in find.items()
    }
    facts = {name: fact for name, fact in told.items() if fact is not None}
    warn_of_change(facts.get("unwinders", {}))
    best_effort(f"{folder / 'hosts.jsonl'}", lambda: append_host(folder, facts), None)


COUNTED: dict[str, str] = {}  # build ids of the unwinders that this process has recorded first


def warn_of_change(libraries: dict[str, Any]) -> None:
    """Warn if an unwinder was updated during this run: its counts may differ from then on."""
    for name, library in libraries.items():
        build = library["build_id"] if isinstance(library, dict) else ""
        before = COUNTED.setdefault(name, build)
        if build != before:
            log.warning(
                f"{name} changed during this run: {before} before, {build} now. "
                "Measure all releases again that are to be compared."
            )


def name_processor() -> str:
    """Return the name of the processor; on arm64 Linux, the numbers that /proc/cpuinfo gives it."""
    if name := str(util.get_cpu_info()):
        return name
    lines = CPUINFO.read_text(encoding="ascii").splitlines() if CPUINFO.exists() else []
    values = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    parts = ("implementer", "part", "variant", "revision")
    return " ".join(values.get(f"CPU {part}", "") for part in parts).strip()


def name_hosted_image() -> str:
    """Return what a hosted runner says of its image."""
    return " ".join(os.environ.get(name, "") for name in ("ImageOS", "ImageVersion")).strip()


def append_host(folder: Path, facts: dict[str, Any]) -> None:
    """Append facts to `hosts.jsonl`, all or nothing, unless the last line has them."""
    path = folder / "hosts.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    if lines and json.dumps(facts).encode() in lines[-1]:
        return
    since = datetime.now(UTC).isoformat(timespec="seconds")
    lines.append(json.dumps({"since": since, "facts": facts}).encode())
    folder.mkdir(parents=True, exist_ok=True)
    with replace_atomically(path) as scratch:
        scratch.write_bytes(b"\n".join(lines) + b"\n")
