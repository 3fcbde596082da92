"""Describe machines for asv in coarse classes, which stay the same on a new kernel or similar host.

To asv every field of the description is part of a series' identity, so a kernel version or an exact
memory size would split a line of the graph. `record_host` stores the exact facts of a host beside
the results instead.
"""

import ctypes
import json
import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from asv import util
from asv.console import log
from asv.util import UserError
from packaging.tags import platform_tags

from scripts.base.files import replace_atomically
from scripts.base.schema import clean_text, parse_json
from scripts.history.machine import (
    LOCAL,
    MAX_LINE_BYTES,
    Facts,
    describe_contradiction,
    describe_other_processor,
    parse_system,
    read_description,
    read_processors,
)
from scripts.measuring import unwinders
from scripts.measuring.unwinders import best_effort
from scripts.releases import pins

SYSTEMS = {"darwin": "macos", "win32": "windows"}
CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MAX_FACT_BYTES = MAX_LINE_BYTES // 10  # there are at most 10 facts
ARCHITECTURES = {"amd64": "x86_64", "aarch64": "arm64"}
WINDOWS_SERVERS = {14_393: "2016", 17_763: "2019", 20_348: "2022", 26_100: "2025"}  # by build
ADDR_NO_RANDOMIZE, ASK = 0x0040000, 0xFFFFFFFF  # arguments of personality()


def local_name() -> str:
    """Return the default machine name, such as `local-linux-x86_64`; git ignores its results."""
    return f"{LOCAL}{SYSTEMS.get(sys.platform, sys.platform)}-{name_architecture()}"


def describe_machine(name: str) -> dict[str, str]:
    """Return the six fields of this machine that asv stores, under a machine name."""
    cores = str(os.cpu_count())
    return {
        "machine": name,
        "os": name_operating_system(),
        "arch": name_architecture(),
        "cpu": f"{name_architecture().replace('_', '-')}, {cores} cores",
        "num_cpu": cores,
        "ram": classify_memory(psutil.virtual_memory().total),
    }


def name_architecture() -> str:
    """Return the processor architecture, by the same name on every system."""
    machine = re.sub(r"[^\w.-]", "_", platform.machine().lower(), flags=re.ASCII) or "unknown"
    return ARCHITECTURES.get(machine, machine)


def name_operating_system() -> str:
    """Return the system and its release, and on Linux the unwinder: `Debian 12, libgcc 12`."""
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0].split('.')[0]}"
    if sys.platform == "win32":
        return name_windows(platform.version(), platform.win32_edition() or "")
    try:
        release = platform.freedesktop_os_release()
    except (OSError, ValueError):  # the file is optional, and may not be UTF-8
        release = {"NAME": "Linux"}
    number = ".".join(release.get("VERSION_ID", "").split(".")[:2])
    name = release["NAME"].replace(" GNU/Linux", "").replace(" Linux", "")
    name = clean_text(name, "Linux", 80)
    if parse_system(name) not in ("", "Linux"):  # readers would take it for another system
        name = "Linux"
    system = f"{name} {clean_text(number, length=20)}".strip()
    if platform.libc_ver()[0] != "glibc":
        return f"{system}, musl"
    libgcc = best_effort("read the version of libgcc", unwinders.libgcc_major, "")
    return f"{system}, libgcc {libgcc}".strip()


def name_windows(version: str, edition: str) -> str:
    """Return the name of a Windows from its version, such as `10.0.26100`, and its edition.

    Newer versions of Python know more names of `platform.release()`, but builds keep their number.
    """
    numbers = re.match(r"\d+\.\d+\.(\d+)", version)
    if numbers is None:
        return "Windows"
    build = int(numbers[1])
    if not edition.startswith("Server"):
        return f"Windows {11 if build >= 22_000 else 10}"
    return f"Windows Server {WINDOWS_SERVERS.get(build, f'build {build}')}"


def classify_memory(size: int) -> str:
    """Return memory in whole GB, above 8 GB rounded up to an even number.

    Firmware and kernel reserve some, so a machine of 16 GB reports less.
    """
    gigabytes = -(-size // 2**30)
    if gigabytes > 8:
        gigabytes += gigabytes % 2
    return f"{gigabytes} GB"


def check_machine(name: str, results: Path) -> None:
    """Refuse a machine name that contradicts this host or its recorded description.

    asv overwrites a description silently, which would split every series of a recorded machine.
    The description of a local machine may change.

    Raises:
        UserError: the name or the recorded description contradicts this host.
    """
    described = describe_machine(name)
    if problem := describe_contradiction(name, described["os"], described["arch"]):
        raise UserError(f"--machine {problem}.")
    known = read_processors(results / name) if name != local_name() else set()
    processor = best_effort("identify the processor", identify_processor, None)
    if problem := describe_other_processor(known, processor):
        raise UserError(f"{results / name}: {problem}")
    path = results / name / "machine.json"
    if path.exists() and name != local_name():
        recorded = read_description(path.parent)
        differences = [
            f"{field} is '{getattr(recorded, field)}' there and '{value}' here"
            for field, value in described.items()
            if getattr(recorded, field) != value
        ]
        if differences:
            raise UserError(
                f"{path} describes another kind of machine: {', '.join(differences)}. "
                "Choose another name with --machine."
            )


def record_host(folder: Path) -> None:
    """Record in `hosts.jsonl` the host and the software that results in `folder` come from.

    A line is added if the facts differ from those of the last line. A result stores the time when
    it was started, and belongs to the last line before that time. Unknown facts are left out.
    """
    readers: dict[str, Callable[[], Any]] = {
        "platform": platform.platform,
        "libc": lambda: " ".join(platform.libc_ver()),
        "cpu": name_processor,
        "processor": identify_processor,
        "caches": read_caches,
        "memory": lambda: psutil.virtual_memory().total,
        "image": name_hosted_image,
        "unwinders": unwinders.collect_facts,
        **({"sections": unwinders.can_register_sections} if sys.platform == "darwin" else {}),
        **({"randomized": is_always_randomized} if sys.platform == "linux" else {}),
        "wheel": lambda: pins.load_pins()[-1].wheel_for(list(platform_tags())) or "",
        "python": platform.python_version,
        "asv": lambda: version("asv"),
    }
    values = {
        name: best_effort(
            f"record the fact {name!r} of this host", partial(read_fact, name, reader), None
        )
        for name, reader in readers.items()
    }
    facts = {name: value for name, value in values.items() if value is not None}
    warn_of_library_change(facts.get("unwinders", {}))
    best_effort(f"write {folder / 'hosts.jsonl'}", lambda: append_host(folder, facts), None)


def read_fact(name: str, reader: Callable[[], Any]) -> Any:
    """Return a fact about this host.

    Raises:
        ValueError: those who read `hosts.jsonl` would refuse the fact.
    """
    value = reader()
    value = clean_text(value) if isinstance(value, str) else value
    content = json.dumps({name: value}).encode()
    if len(content) > MAX_FACT_BYTES:
        raise ValueError(f"longer than {MAX_FACT_BYTES:,} bytes")
    parse_json(content, Facts)
    return value


FIRST_BUILD_IDS: dict[str, str] = {}  # by unwinder: the build id that this process saw first


def warn_of_library_change(libraries: dict[str, Any]) -> None:
    """Warn if an unwinder was updated during this run, because its counts may differ now."""
    for name, library in libraries.items():
        build = library["build_id"] if isinstance(library, dict) else ""
        before = FIRST_BUILD_IDS.setdefault(name, build)
        if build != before:
            log.warning(
                f"{name} changed during this run: {before} before, {build} now. "
                "Measure again all releases that you want to compare."
            )


def name_processor() -> str:
    """Return the name of the processor, or on arm64 Linux its numbers in /proc/cpuinfo."""
    if name := str(util.get_cpu_info()):
        return name
    lines = CPUINFO.read_text(encoding="ascii").splitlines() if CPUINFO.exists() else []
    values = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    parts = ("implementer", "part", "variant", "revision")
    return " ".join(values.get(f"CPU {part}", "") for part in parts).strip()


def is_always_randomized() -> bool | None:
    """Return True if this Linux refuses to switch off address randomization, otherwise None.

    Containers may refuse it, and counting goes on without it. Counts were the same so far.
    """
    personality = ctypes.CDLL(None, use_errno=True).personality
    personality.argtypes = [ctypes.c_ulong]
    before = personality(ASK)
    refused = personality(before | ADDR_NO_RANDOMIZE) == -1
    personality(before)  # it would be passed on to the processes that measure times
    return refused or None


def identify_processor() -> str | None:
    """Return vendor, family, model and stepping of an x86-64 processor, or else its name.

    Hosts call different processors by one name, such as "Intel(R) Xeon(R) Processor".
    """
    lines = CPUINFO.read_text(encoding="ascii").splitlines() if CPUINFO.exists() else []
    values = dict(re.split(r"\s*:\s*", line, maxsplit=1) for line in lines if ":" in line)
    fields = {"cpu family": "family", "model": "model", "stepping": "stepping"}
    if "vendor_id" not in values:
        return name_processor() or None
    numbers = [f"{short} {values[name]}" for name, short in fields.items() if name in values]
    return " ".join([values["vendor_id"], *numbers])


def read_caches() -> dict[str, str] | None:
    """Return the sizes of the caches as the system states them; a virtual machine may be wrong."""
    if sys.platform == "darwin":
        names = ("hw.perflevel0.l2cachesize", "hw.l2cachesize", "hw.l3cachesize")
        sizes = {name: unwinders.run_program("sysctl", ["-n", name]).strip() for name in names}
        return {name: size for name, size in sizes.items() if size} or None
    caches = {}
    for folder in sorted(CACHES.glob("index*")):
        if not (folder / "size").exists():  # qemu does not state it
            continue
        names = ("level", "type", "size")
        level, kind, size = ((folder / name).read_text("ascii").strip() for name in names)
        caches[f"L{level} {kind}"] = size
    return caches or None


def name_hosted_image() -> str:
    """Return name and version of the image of a GitHub-hosted runner, or an empty string."""
    return " ".join(os.environ.get(name, "") for name in ("ImageOS", "ImageVersion")).strip()


def append_host(folder: Path, facts: dict[str, Any]) -> None:
    """Append facts to `hosts.jsonl` atomically, unless the last line has the same."""
    path = folder / "hosts.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    if lines and json.dumps(facts).encode() in lines[-1]:
        return
    since = datetime.now(UTC).isoformat(timespec="seconds")
    lines.append(json.dumps({"since": since, "facts": facts}).encode())
    folder.mkdir(parents=True, exist_ok=True)
    with replace_atomically(path) as scratch:
        scratch.write_bytes(b"\n".join(lines) + b"\n")
