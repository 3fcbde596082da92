"""The unwinders of this machine that a module can be measured under."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from asv.util import UserError
from packaging.version import Version

from scripts.cost.model import DETECTS_SINCE, SCANS, Scan
from scripts.cost.platforms import Platform
from scripts.measuring import unwinders

SYSTEM, LIBUNWIND = "system", "libunwind"
# a program that prints why LLVM's libunwind cannot be used, or an empty line
PRINT_PROBLEM = "from benchmarks._unwinder import missing_library; print(missing_library())"
LAST_LIST_MAJOR = 12  # last major version of libgcc that keeps modules in a list


@dataclass(frozen=True)
class Unwinder:
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
    def scan(self) -> Scan:
        """Instructions of a scan, in the recorded build of libunwind that is most like this one."""
        arm = platform.machine() in ("arm64", "aarch64")
        return SCANS["Debian 13, arm64" if arm else "Debian 12, x86-64"]

    def supports(self, release: str) -> bool:
        """Whether a release registers unwind tables with this unwinder."""
        return not self.is_stand_in or Version(release) >= DETECTS_SINCE


def choose_unwinders(option: str | None, *, both: bool) -> list[Unwinder]:
    """Return the unwinders to measure under: the requested one, or the system's by default.

    Args:
        option: the value of --unwinder, if given.
        both: whether LLVM's libunwind is added if it is installed and no option is given.

    Raises:
        UserError: this is Windows, where unwind info cannot be turned off, or libunwind is
            requested and cannot be used.
    """
    if sys.platform == "win32":
        raise UserError("Windows requires unwind info: there is nothing to compare.")
    if option == LIBUNWIND:
        if problem := find_libunwind_problem():
            raise UserError(f"--unwinder libunwind: {problem}")
        return [find_libunwind()]
    chosen = [find_system_unwinder()]
    if both and option is None and not find_libunwind_problem():
        chosen.append(find_libunwind())
    return chosen


def find_libunwind_problem() -> str:
    """Return why LLVM's libunwind cannot be used on this machine, or an empty string."""
    if sys.platform != "linux":
        return "only available on Linux. On macOS, omit it to measure Apple's libunwind."
    answer = subprocess.run(
        [sys.executable, "-c", PRINT_PROBLEM], env=os.environ | {"UNWINDER": LIBUNWIND},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return answer.stdout.strip()


def find_system_unwinder() -> Unwinder:
    """Return the system's unwinder: Apple libunwind or libgcc."""
    if sys.platform == "darwin":
        mac = Platform.APPLE_SILICON if platform.machine() == "arm64" else Platform.INTEL_MAC
        return Unwinder(SYSTEM, "Apple libunwind", mac)
    major = unwinders.libgcc_major()
    library = unwinders.find_library(unwinders.LIBGCC)
    is_list = major.isdigit() and int(major) <= LAST_LIST_MAJOR
    linux = Platform.LIBGCC_LIST if is_list else Platform.LIBGCC_TREE
    package = unwinders.package_name(library) if library else ""
    return Unwinder(SYSTEM, f"libgcc {major}".strip(), linux, package)


def find_libunwind() -> Unwinder:
    """Return LLVM's libunwind, with its version if the package is known."""
    library = unwinders.find_library(os.environ.get("LIBUNWIND") or unwinders.LIBUNWIND)
    package = unwinders.package_name(library) if library else ""
    version = re.search(r"\d+\.\d+\.\d+", package)
    title = f"LLVM libunwind {version[0]}" if version else "LLVM libunwind"
    return Unwinder(LIBUNWIND, title, Platform.LIBUNWIND, package)


def find_counting_problem() -> str:
    """Return why instructions cannot be counted on this machine, or an empty string."""
    if sys.platform != "linux":
        return "valgrind counts instructions on Linux only"
    if shutil.which("valgrind") is None:
        return "valgrind, which counts instructions, is not installed (apt install valgrind)"
    return ""
