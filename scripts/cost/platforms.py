"""The platforms and unwinders that differ in cost or benefit, with their display names."""

from enum import Enum

from benchmarks._axis import APPLE, LIBGCC, LLVM, WINDOWS, Unwinder
from scripts.history.machine import Machine


class Platform(Enum):
    """A platform with its own cost or benefit; the value is its display name."""

    APPLE_SILICON = "macOS on Apple silicon"
    INTEL_MAC = "macOS on Intel"
    LIBUNWIND = "Linux with LLVM libunwind"
    STATIC_LIBUNWIND = "Linux, LLVM libunwind linked into the program"
    LIBGCC_TREE = "Linux with libgcc 13 or later"
    LIBGCC_LIST = "Linux with libgcc 12 or older"
    WINDOWS = "Windows"

    @property
    def is_mac(self) -> bool:
        """Whether its unwinder is Apple's libunwind."""
        return self in (Platform.APPLE_SILICON, Platform.INTEL_MAC)

    @property
    def scans(self) -> bool:
        """Whether its unwinder scans one table, so that the cost grows with the modules loaded."""
        return self.is_mac or self in (Platform.LIBUNWIND, Platform.STATIC_LIBUNWIND)


def platform_of(machine: Machine, unwinder: Unwinder) -> Platform | None:
    """Return the platform that a series was measured on, or None if the matrix has none for it."""
    if unwinder == APPLE:
        return Platform.APPLE_SILICON if machine.arch == "arm64" else Platform.INTEL_MAC
    if unwinder == WINDOWS:
        return Platform.WINDOWS
    if unwinder == LLVM:
        return Platform.LIBUNWIND
    if unwinder != LIBGCC or machine.libgcc is None:
        return None
    return Platform.LIBGCC_TREE if machine.libgcc >= 13 else Platform.LIBGCC_LIST


def name_unwinder(machine: Machine, unwinder: Unwinder) -> str:
    """Return the display name of the unwinder of a series."""
    if unwinder.stand_in:
        emulated = ", emulated arm64" if machine.emulated else ""
        return f"{unwinder.name} ({unwinder.stand_in} path{emulated})"
    if unwinder.family == "libgcc":
        return f"{unwinder.name} {machine.libgcc}" if machine.libgcc else "the system's unwinder"
    return unwinder.name
