"""The benefit of unwind info: how far a native backtrace gets that starts inside the process.

Rust's and C++'s backtraces, exceptions and profilers that run inside the process walk the stack
with the unwinder. They can pass a wasm frame only if it has unwind info, and they get to wasm
frames, and beyond them, only if Wasmtime's own library has unwind tables too. Debuggers and
profilers outside the process read files instead of what is registered with the unwinder.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, NamedTuple

from ._shapes import UnwindInfo
from ._shown import shown

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 240  # seconds for a walk; it takes less than one, except on emulated machines


class Walk(NamedTuple):
    """How far the unwinder walks, from the host function outwards.

    Attributes:
        wasm_frames: how many frames in the code of the module it passes.
        reaches_bottom: whether it gets to the outermost frame of the thread.
    """

    wasm_frames: int
    reaches_bottom: bool


def run_walk(unwind_info: UnwindInfo) -> Walk:
    """Walk the stack in a process of its own, because a crash of the unwinder ends the process.

    Raises:
        NotImplementedError: the walk cannot be measured with this release on this host.
        RuntimeError: the process failed, or a signal such as SIGSEGV ended it.
        subprocess.TimeoutExpired: the walk does not end.
    """
    if sys.platform == "win32":
        raise NotImplementedError(
            "Windows has no _Unwind_Backtrace, and its unwind info cannot be turned off"
        )
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks._walk", unwind_info],
        cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise RuntimeError(f"{name} ended the walk with unwind info {unwind_info}")
    if process.returncode:
        reason = " ".join(process.stderr.splitlines()[-1:])
        raise RuntimeError(f"the walk with unwind info {unwind_info} failed: {reason}")
    answer = json.loads(process.stdout)
    if "not_available" in answer:
        raise NotImplementedError(answer["not_available"])
    return Walk(answer["wasm_frames"], answer["reaches_bottom"])


class NativeBacktrace:
    """A native backtrace from a host function that wasm calls, three wasm functions deep.

    The backtrace is `_Unwind_Backtrace` of the unwinder with which Wasmtime registers. It starts
    in the host function. Behind it are Wasmtime's library, five wasm frames (two of them are
    trampolines), Wasmtime's library again and the program. `unwind_info` is the
    `native_unwind_info` setting. The answers are those of the library in the wheels, which users
    of the C API have too. Rust programs compile Wasmtime themselves, normally with unwind tables.
    """

    params: ClassVar = [["on", "off"]]
    param_names: ClassVar = ["unwind_info"]
    timeout = 300  # seconds
    version = "1"

    def setup(self, unwind_info: UnwindInfo) -> None:
        """Walk in setup, because asv shows n/a only for NotImplementedError in setup."""
        self.walk = run_walk(unwind_info)

    @shown("Wasm frames in a native backtrace", unit="frames")
    def track_wasm_frames(self, unwind_info: UnwindInfo) -> int:
        """Wasm frames that the unwinder passes: up to 14.0.0 at most 4, later at most 5.

        Up to 14.0.0, the trampoline to the host function is not in the module's code.
        """
        return self.walk.wasm_frames

    @shown("Native backtrace reaches the bottom of the stack", unit="1 = yes, 0 = no")
    def track_reaches_bottom(self, unwind_info: UnwindInfo) -> int:
        """1 if the unwinder gets through Wasmtime's library to the program's first function."""
        return int(self.walk.reaches_bottom)
