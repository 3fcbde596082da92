"""Run a program under valgrind, and parse callgrind's profiles of instructions by library.

Profiles go to memory files, so an aborted run leaves nothing behind. Each forked process redirects
callgrind's output file to a memory file of its own before it exits.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from ._missing import missing_tool

ROOT = Path(__file__).resolve().parent.parent
# Environment variables that the program inherits: they decide which libraries and Python modules
# it loads, and where a relocated valgrind finds its tools. The others would move addresses.
KEPT_VARIABLES = {
    "ASV_COMMIT", "BENCHMARKS_STRICT", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBUNWIND", "PATH",
    "PYTHONPATH", "TMPDIR", "UNWINDER", "VALGRIND_LIB", "WASM_FEATURES",
}  # fmt: skip

# how valgrind reports an instruction that it cannot emulate, and _counted a process killed by one
ILLEGAL_INSTRUCTION = re.compile(r"Unrecognised instruction|unhandled instruction|SIGILL")
# Instructions by (file of the library, function). The function ALL is the sum of its functions.
Profile = Counter[tuple[str, str]]
ALL = ""


def parse_profile(lines: Iterable[str]) -> Profile:
    """Parse one profile that callgrind wrote.

    Raises:
        ValueError: the profile is cut off, or its lines do not add up to its total.
    """
    *body, last = [*lines] or [""]
    if not last.startswith("totals:"):
        raise ValueError(f"callgrind's profile is cut off after {len(body)} lines")
    profile, names, lines_left = Profile(), dict[tuple[str, str], str](), iter(body)
    library = function = ""
    total = 0
    for line in lines_left:
        if line[0] in "0123456789+-*":  # a position, then the instructions executed there
            instructions = int(line.split()[-1])
            profile[library, ALL] += instructions
            profile[library, function] += instructions
            total += instructions
        elif line.startswith(("ob=", "cob=", "fn=", "cfn=")):  # first `(1) name`, then `(1)`
            kind, _, reference = line.strip().partition("=")
            number, _, name = reference.partition(" ")
            name = names.setdefault((kind[-2:], number), name or number)
            library = name if kind == "ob" else library
            function = name if kind == "fn" else function
        elif line.startswith(("calls=", "jump=", "jcnd=")):
            # skip the callee's instructions, which have their own lines, or the target of a jump
            next(lines_left)
    if last.strip() != f"totals: {total}":
        raise ValueError(f"callgrind's lines add up to {total}, but it states {last.strip()}")
    return profile


def run_profiled(module: str, profiles: int, data: bytes) -> list[Profile]:
    """Run `python -m module OUT SLOT...` under callgrind and return the profile of each slot.

    OUT and each SLOT are file descriptors. The module reads `data` from standard input. To fill a
    slot, a forked process of the module calls `os.dup2(SLOT, OUT)` before it exits.

    Raises:
        NotImplementedError: valgrind is missing or fails; a RuntimeError under
            BENCHMARKS_STRICT=1.
        ValueError: a profile is damaged; see `parse_profile`.
    """
    if shutil.which("valgrind") is None:
        raise missing_tool(
            "Instructions are counted with valgrind, which is not installed (Debian, Ubuntu: apt "
            "install valgrind; Alpine: apk add valgrind; Fedora: dnf install valgrind)."
        )
    with ExitStack() as stack:
        files = [os.fdopen(os.memfd_create("callgrind")) for _ in range(1 + profiles)]
        descriptors = [stack.enter_context(file).fileno() for file in files]
        process = subprocess.run(
            [
                "valgrind", "-q", "--vgdb=no", "--tool=callgrind",
                f"--callgrind-out-file=/proc/self/fd/{descriptors[0]}",
                sys.executable, "-m", module, *map(str, descriptors),
            ],
            input=data, capture_output=True, cwd=ROOT,
            pass_fds=descriptors, preexec_fn=prepare_child,
            env={"PYTHONHASHSEED": "0"}
            | {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES},
        )  # fmt: skip
        if process.returncode:
            output = process.stderr.decode(errors="replace")
            raise missing_tool(describe_failure(process.returncode, output))
        return [parse_profile(file) for file in files[1:]]


def describe_failure(code: int, output: str) -> str:
    """Return why valgrind failed, from its exit code and its output."""
    if code == -signal.SIGILL or ILLEGAL_INSTRUCTION.search(output):
        return (
            "valgrind does not know an instruction of this processor's libraries. Install a newer "
            "valgrind, or count on another machine."
        )
    last_lines = " ".join(output.splitlines()[-3:])
    reason = f"valgrind {describe_exit(code)}"
    return f"{reason}: {last_lines}" if last_lines else reason


def describe_exit(code: int) -> str:
    """Return how a process ended, with the likely cause if a signal killed it."""
    if code >= 0:
        return f"ended with exit code {code}"
    number = signal.Signals(-code)
    cause = " (most likely the system ran out of memory)" if number == signal.SIGKILL else ""
    return f"was killed by {number.name}{cause}"


def prepare_child() -> None:
    """Disable address space randomization, and make this process die with its parent."""
    ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE, as `setarch -R`
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
