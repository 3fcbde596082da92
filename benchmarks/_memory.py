"""The memory that the operating system charges to this process.

Resident memory would include pages of shared libraries, which appear when code first runs and say
nothing about what was given back. So each system's number of private memory is read:

- Linux: `Anonymous` and `Swap` of `/proc/self/smaps_rollup` (proc(5)). `Rss` and `Pss` include file
  pages. `Private_Dirty` excludes pages that a forked process still shares with its parent, and so
  grows when the process only touches them.
- macOS: `phys_footprint` of `task_info`, as Activity Monitor shows it. Resident memory there
  includes pages that the allocator has given back and the system has not reclaimed yet.
- Windows: `PrivateUsage` of `GetProcessMemoryInfo`, the private bytes.
"""

import ctypes
import gc
import sys
from pathlib import Path
from typing import Any

SMAPS = Path("/proc/self/smaps_rollup")  # Linux 4.14 and later
SMAPS_FIELDS = ("Anonymous:", "Swap:")
TASK_VM_INFO = 22  # <mach/task_info.h>


class TaskVmInfo(ctypes.Structure):
    """`struct task_vm_info` of <mach/task_info.h>, up to `phys_footprint` (revision 1)."""

    _fields_ = (
        ("virtual_size", ctypes.c_uint64),
        ("region_count", ctypes.c_int32),
        ("page_size", ctypes.c_int32),
        # resident_size to compressed_lifetime
        ("others", ctypes.c_uint64 * 16),
        ("phys_footprint", ctypes.c_uint64),
    )


class ProcessMemoryCounters(ctypes.Structure):
    """`PROCESS_MEMORY_COUNTERS_EX` of <psapi.h>."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        # PeakWorkingSetSize to PeakPagefileUsage
        ("others", ctypes.c_size_t * 8),
        ("private_usage", ctypes.c_size_t),
    )


def read_memory() -> int:
    """Return the private memory of this process in bytes.

    Raises:
        NotImplementedError: the system does not tell it.
    """
    if sys.platform == "darwin":
        return _read_footprint(ctypes.CDLL(None))
    if sys.platform == "win32":
        return _read_private_bytes(_kernel32())
    return _read_smaps()


def return_free_memory() -> None:
    """Ask the allocator to give all memory that it can to the operating system.

    musl has no such call, and gives memory back when it is freed.
    """
    gc.collect()
    if sys.platform == "win32":
        kernel32 = _kernel32()
        kernel32.GetProcessHeap.restype = ctypes.c_void_p
        kernel32.HeapCompact(ctypes.c_void_p(kernel32.GetProcessHeap()), 0)
        return
    libc = ctypes.CDLL(None)
    if sys.platform == "darwin":
        libc.malloc_zone_pressure_relief(None, ctypes.c_size_t(0))  # all zones, as much as possible
    elif hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)


def _read_smaps() -> int:
    try:
        lines = SMAPS.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise NotImplementedError(f"this system does not tell a process' memory: {error}") from None
    kilobytes = {line.split()[0]: line.split()[1] for line in lines[1:]}
    return 1024 * sum(int(kilobytes[field]) for field in SMAPS_FIELDS)


def _read_footprint(system: Any) -> int:
    info = TaskVmInfo()
    count = ctypes.c_uint32(ctypes.sizeof(info) // 4)  # in units of natural_t
    task = ctypes.c_uint32.in_dll(system, "mach_task_self_")
    status = system.task_info(task, TASK_VM_INFO, ctypes.byref(info), ctypes.byref(count))
    if status:
        raise NotImplementedError(f"task_info ended with error {status}")
    return int(info.phys_footprint)


def _kernel32() -> Any:
    return ctypes.CDLL("kernel32")


def _read_private_bytes(kernel32: Any) -> int:
    counters = ProcessMemoryCounters(size=ctypes.sizeof(ProcessMemoryCounters))
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel32.GetCurrentProcess())
    if not kernel32.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size):
        raise NotImplementedError("GetProcessMemoryInfo failed")
    return int(counters.private_usage)
