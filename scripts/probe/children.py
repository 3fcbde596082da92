"""Child processes that measure: their progress, their limits, and how they end.

Each child leads a process group, so that everything it starts is killed with it. It ends itself
when the pipe to its standard input closes, which happens however this process ends.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import psutil

from scripts.probe.builds import Build

INTERVAL = 5.0  # seconds between two lines of progress
SPARE = 0.05  # of the memory: with less left, the kernel would soon kill processes at random
CAUSES = {
    signal.SIGKILL: "most likely the system ran out of memory",
    signal.SIGABRT: "wasmtime aborted",
    signal.SIGSEGV: "the library crashed",
    signal.SIGBUS: "the library crashed, or its file changed",
    signal.SIGILL: "the library uses instructions that this processor lacks",
}
Answer = dict[str, Any]  # what a child prints: an `error`, or what its job describes


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which end the probe as Ctrl-C does."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise Interrupted, unless they are ignored."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    caught = {
        number: handler
        for name in ("SIGTERM", "SIGHUP")
        if (number := getattr(signal, name, None)) is not None
        and (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in caught:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)


class Progress:
    """A line of progress every few seconds: on a terminal it replaces the one before."""

    def __init__(self, what: str, seconds: float = 0) -> None:
        self.what, self.seconds = what, seconds
        self.started = self.printed = time.monotonic()
        self.terminal = sys.stderr.isatty()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def show(self) -> None:
        """Print a line if it is time to."""
        if time.monotonic() - self.printed < (1 if self.terminal else INTERVAL):
            return
        self.printed = time.monotonic()
        late = f" s (estimated: {self.seconds:,.0f} s)" if self.seconds else " s"
        about = f" of about {self.seconds:,.0f} s" if self.elapsed < self.seconds else late
        start, end = ("\r\x1b[K", "") if self.terminal else ("", "\n")
        print(
            f"{start}{self.what}: {self.elapsed:,.0f}{about}", end=end, file=sys.stderr, flush=True
        )

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run_job(
    build: Build,
    job: dict[str, Any],
    *,
    files: Sequence[int],
    variables: dict[str, str],
    progress: Progress,
    limit: float | None = None,
) -> Answer:
    """Run a job of `benchmarks._one_module` and return its answer.

    Args:
        build: the wasmtime that is imported.
        job: its name as `job`, and its arguments.
        files: file descriptors that the job uses.
        variables: more environment variables, such as UNWINDER.
        progress: what is printed meanwhile.
        limit: seconds of CPU time after which the child is killed: a busy machine is no reason.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ASV_")}
    environment = kept | {"PYTHONPATH": build.path, "BENCHMARKS_STRICT": "1"} | variables
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._one_module"], env=environment, pass_fds=files,
            stdin=subprocess.PIPE, stdout=answer, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            with suppress(BrokenPipeError):  # a child that dies says why
                assert process.stdin is not None  # noqa: S101
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            problem = wait(process, progress, limit)
        finally:
            end(process)
            progress.clear()
        return {"error": problem} if problem else read_answer(process.returncode, answer, output)


def wait(process: subprocess.Popen[bytes], progress: Progress, limit: float | None) -> str:
    """Wait for a child; return why it has to be ended, or nothing if it ended."""
    checked = 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            return ""
        progress.show()
        if progress.elapsed - checked > 0.5:
            checked, memory = progress.elapsed, psutil.virtual_memory()
            if limit and used_seconds(process.pid) > limit:
                return f"stopped after {limit:,.0f} s of CPU time, longer than estimated"
            if memory.available < SPARE * memory.total:
                return f"stopped: it used {used_memory(process.pid):.1f} GB and little is left"


def process_tree(process_id: int) -> list[psutil.Process]:
    """Return a process and all that it started."""
    with suppress(psutil.Error):
        process = psutil.Process(process_id)
        return [process, *process.children(recursive=True)]
    return []


def used_memory(process_id: int) -> float:
    """Return the GB that a process and its children hold."""
    total = 0
    for process in process_tree(process_id):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**30


def used_seconds(process_id: int) -> float:
    """Return the CPU seconds that a process and its children took, ended ones included."""
    total = 0.0
    for process in process_tree(process_id):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a child that still runs, and all that it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def read_answer(code: int, answer: IO[bytes], output: IO[bytes]) -> Answer:
    """Return what a child printed, or why it printed nothing."""
    answer.seek(0)
    lines = answer.read().splitlines()
    if code == 0 and lines:
        found: Answer = json.loads(lines[-1])
        if "error" in found:
            found["error"] = name_signals(found["error"])
        return found
    output.seek(0)
    last = [b"", *output.read().strip().splitlines()][-1].decode(errors="replace")
    return {"error": f"{describe_end(code)}{f': {last}' if last else ''}"}


def describe_end(code: int) -> str:
    """Return how a process ended, and the likely cause if a signal killed it."""
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"the process was killed by signal {-code}"
    cause = f" ({CAUSES[number]})" if number in CAUSES else ""
    return f"the process was killed by {number.name}{cause}"


def name_signals(error: str) -> str:
    """Name the signal in the message of a process that saw another one die."""
    start, found, rest = error.partition("ended with exit code -")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if not found or not digits:
        return error
    return f"{start}was killed: {describe_end(-int(digits))}{rest[len(digits) :].rstrip(': ')}"
