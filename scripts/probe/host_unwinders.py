"""The unwinders of this machine that a module can be measured under."""

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass

from asv.util import UserError
from packaging.version import Version

from benchmarks._axis import APPLE, LIBGCC, LLVM
from scripts.cost.model import DETECTS_SINCE, SCANS, Scan
from scripts.cost.platforms import Platform
from scripts.measuring import unwinders
from scripts.releases.environment import find_missing_library

SYSTEM, LIBUNWIND = LIBGCC.option, LLVM.option
X86, ARM = "Debian 12, x86-64", "Debian 13, arm64"  # names in `SCANS`
SCANS_BY_PROCESSOR = {"x86_64": X86, "AMD64": X86, "arm64": ARM, "aarch64": ARM}
LAST_LIST_MAJOR = 12  # last major version of libgcc that keeps modules in a list


@dataclass(frozen=True)
class HostUnwinder:
    """An unwinder on this machine.

    Attributes:
        option: the value of the variable UNWINDER: `system` or `libunwind`.
        title: its name in the report, such as `libgcc 12`.
        platform: the platform that the advice is for.
        package: its package with the version, or an empty string if that is unknown.
    """

    option: str
    title: str
    platform: Platform
    package: str = ""

    @property
    def is_stand_in(self) -> bool:
        """Whether it stands in for Apple's libunwind."""
        return self.platform is Platform.LIBUNWIND

    @property
    def audience(self) -> str:
        """The processes that its results are for, as in `For macOS: keep it`."""
        if self.is_stand_in:
            return LLVM.stand_in
        return "this Mac" if self.platform.is_mac else f"Linux with {self.title}"

    @property
    def scan(self) -> Scan:
        """Instructions of a scan, in the recorded build of libunwind that is most like this one."""
        return SCANS[SCANS_BY_PROCESSOR.get(platform.machine(), X86)]

    @property
    def has_known_scan(self) -> bool:
        """Whether a build of libunwind for this processor was recorded."""
        return platform.machine() in SCANS_BY_PROCESSOR

    def supports(self, release: str) -> bool:
        """Whether a release registers unwind tables with this unwinder."""
        return not self.is_stand_in or Version(release) >= DETECTS_SINCE


def choose_unwinders(option: str | None) -> list[HostUnwinder]:
    """Return the unwinders to measure under: the requested one, or all that are installed.

    LLVM's libunwind comes first, because macOS is where unwind info costs most.

    Raises:
        UserError: this is Windows, where unwind info cannot be turned off, or libunwind is
            requested and cannot be used.
    """
    if sys.platform == "win32":
        raise UserError("Windows requires unwind info: there is nothing to compare.")
    if option == SYSTEM:
        return [find_system_unwinder()]
    problem = find_libunwind_problem()
    if option == LIBUNWIND:
        if problem:
            raise UserError(f"--unwinder libunwind: {problem}")
        return [find_libunwind()]
    return [*([] if problem else [find_libunwind()]), find_system_unwinder()]


def find_libunwind_problem() -> str:
    """Return why LLVM's libunwind cannot be used on this machine, or an empty string."""
    if sys.platform != "linux":
        return "only available on Linux. On macOS, omit it to measure Apple's libunwind."
    if platform.libc_ver()[0] != "glibc":
        return "only available on Linux with glibc."
    return find_missing_library(os.environ | {"UNWINDER": LIBUNWIND})


def find_system_unwinder() -> HostUnwinder:
    """Return the system's unwinder: Apple libunwind or libgcc."""
    if sys.platform == "darwin":
        mac = Platform.APPLE_SILICON if platform.machine() == "arm64" else Platform.INTEL_MAC
        return HostUnwinder(SYSTEM, APPLE.name, mac)
    major = unwinders.libgcc_major()
    library = unwinders.find_library(unwinders.LIBGCC)
    is_list = major.isdigit() and int(major) <= LAST_LIST_MAJOR
    linux = Platform.LIBGCC_LIST if is_list else Platform.LIBGCC_TREE
    package = unwinders.package_name(library) if library else ""
    return HostUnwinder(SYSTEM, f"{LIBGCC.name} {major}".strip(), linux, package)


def find_libunwind() -> HostUnwinder:
    """Return LLVM's libunwind, with its version if the package is known."""
    library = unwinders.find_library(os.environ.get("LIBUNWIND") or unwinders.LIBUNWIND)
    package = unwinders.package_name(library) if library else ""
    version = re.search(r"\d+\.\d+\.\d+", package)
    title = f"{LLVM.name} {version[0]}" if version else LLVM.name
    return HostUnwinder(LIBUNWIND, title, Platform.LIBUNWIND, package)


def find_counting_problem() -> str:
    """Return why instructions cannot be counted on this machine, or an empty string."""
    if sys.platform != "linux":
        return "valgrind counts instructions on Linux only"
    if shutil.which("valgrind") is None:
        return "valgrind, which counts instructions, is not installed (apt install valgrind)"
    return ""
