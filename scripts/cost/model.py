"""A model of the cost of unwind info when a module is unloaded: entries scanned and instructions.

LLVM libunwind, and Apple's, which descends from it, keeps one flat table of all registered FDEs.
Each deregistration scans the whole table (`DwarfFDECache::removeAllIn`). The instructions per entry
were read from Debian's builds of libunwind 19.1.7. They agree with every recorded count, and to the
digit with the counts of these builds; `tests/test_model.py` checks that.

Up to 49.0.0, wasmtime deregisters each FDE of a module with a scan of its own, last FDE first. From
50.0.0 on it deregisters a module with one scan if libunwind has the functions for that
(bytecodealliance/wasmtime#14304).
"""

from dataclasses import dataclass
from enum import Enum

from packaging.version import Version

from benchmarks._shapes import EXPORTED
from scripts.releases.pins import Registration

# The first releases with a change; `fixtures/upstream_changes.json` has the same.
DETECTS_SINCE = Version("19.0.0")  # looks for libunwind on Linux (#8028)
DETECTS_STATIC_SINCE = Version("27.0.0")  # finds a libunwind in the program itself (#9479)
ONE_TRAMPOLINE_SINCE = Version("22.0.0")  # one trampoline for each export instead of two (#8629)
SECTIONS_SINCE = Version("50.0.0")  # deregisters a module with one scan (#14304)

# Nanoseconds per instruction of libgcc. The recorded Debian 13 host needs 0.18 to 0.24; the wider
# range covers other processors.
INSTRUCTION_NS = (0.1, 0.4)

LIBGCC_LIST = 51  # instructions of libgcc 12 to deregister the module that was loaded last
# More for each other module, on average, if all are dropped first one first: the search of the list
# takes 8 for each module that was loaded later.
LIBGCC_LIST_STEP = 4
LIBGCC_TREE_FDE = 112  # instructions of libgcc 14 for each FDE of the module, whatever is loaded
LIBGCC_TREE = 1000  # and for the module itself


class Drop(Enum):
    """Which modules are unloaded, and in which order."""

    ALL_NEWEST_FIRST = "all modules, last loaded first"
    ALL_OLDEST_FIRST = "all modules, first loaded first"
    NEWEST = "the last loaded module; the others stay"
    OLDEST = "the first loaded module; the others stay"


def find_registration(release: str, *, sections: bool = True) -> Registration:
    """Return how a release registers, with a libunwind that has functions for sections or not."""
    if sections and Version(release) >= SECTIONS_SINCE:
        return Registration.SECTIONS
    return Registration.FUNCTIONS


@dataclass(frozen=True)
class Scan:
    """Instructions that a build of libunwind executes in one scan.

    Attributes:
        in_front: for each entry before the removed ones, which stays in place.
        removed: for each removed entry.
        behind: for each entry after the removed ones, which moves down.
        function, section: for the scan itself, by how the release registers.
        module: in addition for each module that is deregistered function by function.
    """

    in_front: int
    removed: int
    behind: int
    function: int
    section: int
    module: int = 0


# libunwind 19.1.7, by Debian release and processor. The arm64 builds were counted in emulated
# machines; LLVM 14, 16 and 18 differ in `function` and `section` only.
SCANS = {
    "Debian 12, x86-64": Scan(8, 5, 13, function=44, section=26),
    "Debian 13, x86-64": Scan(8, 5, 13, function=48, section=28),
    "Debian 12, arm64": Scan(9, 6, 12, function=69, section=36, module=1),
    "Debian 13, arm64": Scan(9, 6, 12, function=78, section=41, module=1),
}


# A libunwind without section functions: Apple's libunwind-201 (macOS 11 and 12), built on Linux,
# and LLVM's 13 have the same counts. They register by function in every release.
SCANS_BY_FUNCTION = {"libunwind-201, x86-64": Scan(8, 5, 13, function=18, section=0)}


@dataclass(frozen=True)
class Deregistration:
    """The cost of deregistering one module under libunwind.

    Attributes:
        scans: passes over the table.
        in_front, removed, behind: entries scanned before, among and after the removed ones.
    """

    scans: float
    in_front: float
    removed: float
    behind: float

    @property
    def entries(self) -> float:
        """Table entries scanned: the cost that does not depend on the processor."""
        return self.in_front + self.removed + self.behind

    def instructions(self, scan: Scan, registration: Registration) -> float:
        """Return the instructions that a build of libunwind executes for it."""
        constant: float = scan.section
        if registration is Registration.FUNCTIONS:
            constant = scan.function * self.scans + scan.module
        return (
            scan.in_front * self.in_front
            + scan.removed * self.removed
            + scan.behind * self.behind
            + constant
        )


def deregister(
    fdes: float, in_front: float, behind: float, registration: Registration
) -> Deregistration:
    """Return the cost of one module, with other entries in front of and behind its own FDEs."""
    if registration is Registration.SECTIONS:
        return Deregistration(1, in_front, fdes, behind)
    # the FDEs are removed last first, so the remaining ones precede the removed one
    own_in_front = fdes * (fdes - 1) / 2
    return Deregistration(fdes, fdes * in_front + own_in_front, fdes, fdes * behind)


def unload(
    modules: float,
    fdes: float,
    registration: Registration,
    drop: Drop = Drop.ALL_NEWEST_FIRST,
    residents: float = 0,
) -> Deregistration:
    """Return the cost per module unloaded, under libunwind.

    Args:
        modules: number of modules loaded, including the unloaded one.
        fdes: FDEs of each module.
        registration: how the release registers.
        drop: which modules are unloaded. If all are, the table is half full on average.
        residents: entries of other modules, which were loaded before these and stay loaded.
    """
    others = (modules - 1) * fdes
    if drop in (Drop.ALL_NEWEST_FIRST, Drop.ALL_OLDEST_FIRST):
        others /= 2
    if drop in (Drop.OLDEST, Drop.ALL_OLDEST_FIRST):
        return deregister(fdes, residents, others, registration)
    return deregister(fdes, residents + others, 0, registration)


def estimate_fixture_fdes(functions: int, release: str) -> int:
    """Return the FDEs of the fixture with that many functions, which has one function type.

    22.0.0 removed one for each exported function.
    """
    trampolines = 1 if Version(release) >= ONE_TRAMPOLINE_SINCE else 2
    return functions + trampolines * EXPORTED[functions] + 1
