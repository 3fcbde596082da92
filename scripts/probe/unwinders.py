"""The unwinders that a module is measured under, as they are on this machine."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from asv.util import UserError
from packaging.version import Version

from scripts.gap.advice import DETECTS_SINCE
from scripts.gap.model import SCANS, Scan
from scripts.gap.platforms import Platform
from scripts.measuring import unwinders

SYSTEM, LIBUNWIND = "system", "libunwind"
# prints why LLVM's libunwind cannot be used here, or nothing
MISSING = "from benchmarks._unwinder import missing_library; print(missing_library())"
LISTS_UNTIL = 12  # the last major version of libgcc that keeps a list


@dataclass(frozen=True)
class Unwinder:
    """An unwinder.

    Attributes:
        option: what UNWINDER is set to: `system` or `libunwind`.
        title: as the report calls it, such as `libgcc 12`.
        platform: the platform that the advice is for.
        package: its package and version, or nothing if no package manager knows.
    """

    option: str
    title: str
    platform: Platform
    package: str = ""

    @property
    def stands_in(self) -> bool:
        """Whether it is here in place of Apple's libunwind."""
        return self.platform is Platform.LIBUNWIND

    @property
    def scan(self) -> Scan:
        """Instructions of a scan, by the build of libunwind that is nearest to this one."""
        arm = platform.machine() in ("arm64", "aarch64")
        return SCANS["Debian 13, arm64" if arm else "Debian 12, x86-64"]

    def knows(self, release: str) -> bool:
        """Whether a release registers with it."""
        return not self.stands_in or Version(release) >= DETECTS_SINCE


def choose_unwinders(option: str | None, *, both: bool) -> list[Unwinder]:
    """Return the unwinders to measure under: the one asked for, else the system's.

    Args:
        option: what --unwinder says.
        both: whether LLVM's libunwind is added where it is there and no option is given.

    Raises:
        UserError: Windows, where unwind info cannot be turned off; or there is no libunwind.
    """
    if sys.platform == "win32":
        raise UserError("Windows requires unwind info: there is nothing to compare.")
    missing = find_missing() if option == LIBUNWIND or (both and option is None) else "not needed"
    if option == LIBUNWIND and missing:
        raise UserError(f"--unwinder libunwind: {missing}")
    found = [] if option == LIBUNWIND else [describe_system()]
    return found if missing else [*found, describe_libunwind()]


def find_missing() -> str:
    """Return why LLVM's libunwind cannot be used on this machine, or nothing if it can."""
    if sys.platform != "linux":
        return "it is for Linux; on macOS the system's unwinder is measured."
    answer = subprocess.run(
        [sys.executable, "-c", MISSING], env=os.environ | {"UNWINDER": LIBUNWIND},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return answer.stdout.strip()


def describe_system() -> Unwinder:
    """Return the unwinder of the platform."""
    if sys.platform == "darwin":
        mac = Platform.APPLE_SILICON if platform.machine() == "arm64" else Platform.INTEL_MAC
        return Unwinder(SYSTEM, "Apple libunwind", mac)
    major = unwinders.libgcc_major()
    library = unwinders.find_library(unwinders.LIBGCC)
    is_list = major.isdigit() and int(major) <= LISTS_UNTIL
    where = Platform.LIBGCC_LIST if is_list else Platform.LIBGCC_TREE
    package = unwinders.package_name(library) if library else ""
    return Unwinder(SYSTEM, f"libgcc {major}".strip(), where, package)


def describe_libunwind() -> Unwinder:
    """Return LLVM's libunwind."""
    library = unwinders.find_library(os.environ.get("LIBUNWIND") or unwinders.LIBUNWIND)
    package = unwinders.package_name(library) if library else ""
    version = re.search(r"\d+\.\d+\.\d+", package)
    title = f"LLVM libunwind {version[0]}" if version else "LLVM libunwind"
    return Unwinder(LIBUNWIND, title, Platform.LIBUNWIND, package)


def cannot_count() -> str:
    """Return why instructions cannot be counted on this machine, or nothing if they can."""
    if sys.platform != "linux":
        return "valgrind counts instructions on Linux only"
    if shutil.which("valgrind") is None:
        return "valgrind, which counts instructions, is not installed (apt install valgrind)"
    return ""
