"""Instructions by library: a program runs under valgrind, and what callgrind writes is read.

Nothing goes to disk, so that nothing stays there however a measurement ends: a process puts a slot,
a file in memory, in the place of the one that callgrind writes to when the process exits.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from ._missing import missing

ROOT = Path(__file__).resolve().parent.parent
KEPT = {  # of the environment, which decides what is loaded
    "ASV_COMMIT", "BENCHMARKS_STRICT", "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBUNWIND", "PATH",
    "PYTHONPATH", "TMPDIR", "UNWINDER",
}  # fmt: skip

# (file of a library, "instructions", "calls" from another, or a function with its instructions)
Counts = Counter[tuple[str, str]]


def read(lines: Iterable[str]) -> Counts:
    """Read what callgrind has written.

    Raises:
        ValueError: it is cut off, or its lines do not add up to the total it states.
    """
    *body, last = [*lines] or [""]
    if not last.startswith("totals:"):
        raise ValueError(f"what callgrind has written is cut off after {len(body)} lines")
    counts, names, rest = Counts(), dict[tuple[str, str], str](), iter(body)
    library = called = function = ""
    total = 0
    for line in rest:
        if line[0] in "0123456789+-*":  # where, and how many instructions
            instructions = int(line.split()[-1])
            counts[library, "instructions"] += instructions
            counts[library, function] += instructions
            total += instructions
        elif line.startswith(("ob=", "cob=", "fn=", "cfn=")):  # `(1) name` at first, `(1)` later
            kind, _, named = line.strip().partition("=")
            number, _, name = named.partition(" ")
            name = names.setdefault((kind[-2:], number), name or number)
            library = name if kind == "ob" else library
            called = name if kind in ("ob", "cob") else called
            function = name if kind == "fn" else function
        elif line.startswith("calls="):
            if called != library:
                counts[called, "calls"] += int(line[6:].split()[0])
            called = library
            next(rest)  # what the callee executes, which has lines of its own
        elif line.startswith(("jump=", "jcnd=")):
            next(rest)  # where from
    if last.strip() != f"totals: {total}":
        raise ValueError(f"callgrind's lines add up to {total}, but it has written {last.strip()}")
    return counts


def run(module: str, slots: int, data: bytes) -> list[Counts]:
    """Run `python -m module OUT SLOT...` under callgrind, and read the slots.

    The module finds `data` on its standard input. A process of it that is to be counted ends with
    `os.dup2(SLOT, OUT)`.

    Raises:
        NotImplementedError: valgrind is not there or fails; RuntimeError with BENCHMARKS_STRICT=1.
        ValueError: as `read`.
    """
    if shutil.which("valgrind") is None:
        raise missing(
            "instructions are counted with valgrind, which is not installed (Debian, Ubuntu: apt "
            "install valgrind; Alpine: apk add valgrind; Fedora: dnf install valgrind)"
        )
    with ExitStack() as stack:
        memory = [os.fdopen(os.memfd_create("callgrind")) for _ in range(1 + slots)]
        numbers = [stack.enter_context(file).fileno() for file in memory]
        done = subprocess.run(
            [
                "valgrind", "-q", "--vgdb=no", "--tool=callgrind",
                f"--callgrind-out-file=/proc/self/fd/{numbers[0]}",
                sys.executable, "-m", module, *map(str, numbers),
            ],
            input=data, capture_output=True, pass_fds=numbers, preexec_fn=settle, cwd=ROOT,
            env={"PYTHONHASHSEED": "0"} | {k: v for k, v in os.environ.items() if k in KEPT},
        )  # fmt: skip
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").splitlines()[-3:])
            raise missing(f"valgrind ended with {done.returncode}: {said}")
        return [read(file) for file in memory[1:]]


def settle() -> None:
    """In a new process: what it starts has fixed addresses, and it dies with its parent."""
    ctypes.CDLL(None).personality(0x0040000)  # ADDR_NO_RANDOMIZE, as `setarch -R`
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
