"""The platforms and unwinders that differ in cost or benefit, with their display names."""

from enum import Enum

from scripts.history.machine import Machine


class Platform(Enum):
    """A platform with its own cost or benefit; the value is its display name."""

    APPLE_SILICON = "macOS on Apple silicon"
    INTEL_MAC = "macOS on Intel"
    LIBUNWIND = "Linux with LLVM libunwind"
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
        return self.is_mac or self is Platform.LIBUNWIND


def is_libunwind(machine: Machine, unwinder: str) -> bool:
    """Return whether the unwinder of a series is LLVM's or Apple's libunwind."""
    return unwinder == "libunwind" or machine.is_mac


def platform_of(machine: Machine, unwinder: str) -> Platform | None:
    """Return the platform that a series was measured on, or None if the matrix has none for it."""
    if machine.is_mac:
        return Platform.APPLE_SILICON if machine.arch == "arm64" else Platform.INTEL_MAC
    if machine.system == "Windows":
        return Platform.WINDOWS
    if unwinder == "libunwind":
        return Platform.LIBUNWIND
    if machine.libgcc is None:
        return None
    return Platform.LIBGCC_TREE if machine.libgcc >= 13 else Platform.LIBGCC_LIST


def name_unwinder(machine: Machine, unwinder: str) -> str:
    """Return the display name of the unwinder of a series."""
    if machine.is_mac:
        return "Apple libunwind"
    if unwinder == "libunwind":
        emulated = ", emulated arm64" if machine.emulated else ""
        return f"LLVM libunwind (macOS path{emulated})"
    if machine.system == "Windows":
        return "Windows"
    return f"libgcc {machine.libgcc}" if machine.libgcc else "the system's unwinder"
