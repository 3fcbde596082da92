"""A model of what unwind info costs when a module is unloaded: entries scanned, instructions, time.

LLVM libunwind, and Apple's, which descends from it, keeps one flat table of all registered FDEs.
Each deregistration scans the whole table (`DwarfFDECache::removeAllIn`). The instructions per entry
were read in Debian's builds of libunwind 19.1.7 and agree with every recorded count, to the digit
for the build they were read in; `tests/test_model.py` holds that.

Up to 49.0.0, wasmtime deregisters each FDE of a module with a scan of its own, the last one first.
From 50.0.0 on it deregisters a module with one scan, where libunwind has the calls for it
(bytecodealliance/wasmtime#14304).
"""

from dataclasses import dataclass
from enum import Enum

from packaging.version import Version

SECTIONS_SINCE = Version("50.0.0")  # the first release that deregisters a module with one scan

# Nanoseconds to scan one entry, seen on different processors while the table fits the caches: from
# the 1.5 s of wasmtime#10287 to the 84 µs of wasmtime#6541 (`fixtures/reported.json` has both).
ENTRY_NS = (0.27, 0.63)
# From about that many entries on, 32 bytes each, the table leaves the caches: with 400,000 entries,
# wasmCloud#5555 implies 1.5 to 4.6 ns an entry.
CACHED_ENTRIES = 100_000
# Nanoseconds per instruction of libgcc: 0.18 to 0.24 on the recorded Debian 13 host, and room for
# other processors on either side.
INSTRUCTION_NS = (0.1, 0.4)

LIBGCC_LIST = 51  # instructions of libgcc 12 to deregister the module that was loaded last
# More for each other module, on average, if all are dropped first one first: the search of the list
# takes 8 for each module that was loaded later.
LIBGCC_LIST_STEP = 4
LIBGCC_TREE_FDE = 112  # instructions of libgcc 14 for each FDE of the module, whatever is loaded
LIBGCC_TREE = 1000  # and for the module itself


class Registration(Enum):
    """How a release registers and deregisters with libunwind."""

    FUNCTIONS = "function by function"
    SECTIONS = "a section at a time"


class Drop(Enum):
    """Which modules are unloaded, and in which order."""

    ALL_NEWEST_FIRST = "all, the last one first"
    ALL_OLDEST_FIRST = "all, the first one first"
    NEWEST = "the last one, while the others stay"
    OLDEST = "the first one, while the others stay"


def find_registration(release: str, *, sections: bool = True) -> Registration:
    """Return how a release registers, where libunwind has the calls for sections or lacks them."""
    if sections and Version(release) >= SECTIONS_SINCE:
        return Registration.SECTIONS
    return Registration.FUNCTIONS


@dataclass(frozen=True)
class Scan:
    """Instructions of a build of libunwind for one scan.

    Attributes:
        in_front: for each entry before the removed ones: it stays in place.
        removed: for each removed entry.
        behind: for each entry after the removed ones: it moves down.
        function, section: for the scan itself, by how the release registers.
        module: more for each module that is deregistered function by function.
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


@dataclass(frozen=True)
class Deregistration:
    """What deregistering one module costs under libunwind.

    Attributes:
        entries: table entries scanned.
        scans: passes over the table.
        in_front, removed, behind: of `entries`, those before, in and after the removed ones.
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
        """Return the instructions of a build of libunwind."""
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
    """Return the cost of one module of `fdes` FDEs, with other entries before and after its own."""
    if registration is Registration.SECTIONS:
        return Deregistration(1, in_front, fdes, behind)
    # the module's own FDEs go last first: those that are left stand in front of the removed one
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
        modules: how many are loaded, this one included.
        fdes: FDEs of each module.
        registration: how the release registers.
        drop: which modules are unloaded. While all go, the table is half full on average.
        residents: entries of other modules, loaded before these, which stay.
    """
    others = (modules - 1) * fdes
    if drop in (Drop.ALL_NEWEST_FIRST, Drop.ALL_OLDEST_FIRST):
        others /= 2
    if drop in (Drop.OLDEST, Drop.ALL_OLDEST_FIRST):
        return deregister(fdes, residents, others, registration)
    return deregister(fdes, residents + others, 0, registration)


def estimate_fdes(functions: int, release: str, exported: int = 0) -> int:
    """Return the FDEs of a module: wasmtime 22.0.0 removed one per exported function (#8629)."""
    trampolines = 1 if Version(release) >= Version("22.0.0") else 2
    return functions + trampolines * exported + 1
