"""Child processes that measure: their progress, their limits, and how they end.

Each child leads a process group, so that everything it starts is killed with it. A child exits when
the pipe to its standard input closes: the operating system closes it even if the probe is killed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import psutil

from scripts.probe.builds import WasmtimeBuild

CLEAR_LINE = "\r\x1b[K"  # on a terminal
PROGRESS_INTERVAL = 5.0  # seconds between two progress lines, if standard error is not a terminal
FREE_MEMORY_SHARE = 0.05  # of all memory; with less, the kernel soon kills any process
SIGNAL_CAUSES = {
    signal.SIGKILL: "most likely the system ran out of memory",
    signal.SIGABRT: "wasmtime aborted",
    signal.SIGSEGV: "the library crashed",
    signal.SIGBUS: "the library crashed, or its file changed",
    signal.SIGILL: "the library uses instructions that this processor lacks",
}
Answer = dict[str, Any]  # the JSON that a child prints: an `error`, or the results of its job


class Progress:
    """Progress lines on standard error; on a terminal, each line replaces the previous one.

    Args:
        activity: the text before the elapsed seconds.
        estimate: how many seconds the activity takes, or 0 if that is unknown.
    """

    def __init__(self, activity: str, estimate: float = 0) -> None:
        self.activity, self.estimate = activity, estimate
        self.started = self.printed = time.monotonic()
        self.is_terminal = sys.stderr.isatty()
        if not self.is_terminal and estimate > PROGRESS_INTERVAL:
            print(f"{activity}: about {estimate:,.0f} s", file=sys.stderr, flush=True)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def show(self) -> None:
        """Print a line every PROGRESS_INTERVAL seconds at most, on a terminal every second."""
        if time.monotonic() - self.printed < (1 if self.is_terminal else PROGRESS_INTERVAL):
            return
        self.printed = time.monotonic()
        duration = f"{self.elapsed:,.0f} s"
        if self.elapsed < self.estimate:
            duration = f"{self.elapsed:,.0f} of about {self.estimate:,.0f} s"
        elif self.estimate:
            duration += f" (estimated: {self.estimate:,.0f} s)"
        start, end = (CLEAR_LINE, "") if self.is_terminal else ("", "\n")
        print(f"{start}{self.activity}: {duration}", end=end, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the progress line from a terminal."""
        if self.is_terminal:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)


def run_job(
    build: WasmtimeBuild,
    job: dict[str, Any],
    *,
    files: Sequence[int],
    variables: dict[str, str],
    progress: Progress,
    limit: float | None = None,
) -> Answer:
    """Run a job of `benchmarks._one_module` and return its answer.

    Args:
        build: the wasmtime to import.
        job: the name of the job under the key `job`, and its arguments.
        files: file descriptors that the job uses.
        variables: additional environment variables, such as UNWINDER.
        progress: printed while the job runs.
        limit: seconds of CPU time after which the child is killed. CPU time, because elapsed time
            is longer on a busy machine.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ASV_")}
    environment = inherited | {"PYTHONPATH": build.path, "BENCHMARKS_STRICT": "1"} | variables
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._one_module"], env=environment, pass_fds=files,
            stdin=subprocess.PIPE, stdout=answer, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            with suppress(BrokenPipeError):  # the child has died; read_answer returns the reason
                assert process.stdin is not None  # noqa: S101
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            problem = wait_for_child(process, progress, limit)
        finally:
            end_child(process)
            progress.clear()
        if problem:
            return {"error": problem}
        return read_answer(process.returncode, answer, output)


def wait_for_child(
    process: subprocess.Popen[bytes], progress: Progress, limit: float | None
) -> str:
    """Wait for a child and return an empty string, or return early with a reason to kill it."""
    last_check = 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            return ""
        progress.show()
        if progress.elapsed - last_check > 0.5:
            last_check, memory = progress.elapsed, psutil.virtual_memory()
            if limit and used_seconds(process.pid) > limit:
                return f"stopped after {limit:,.0f} s of CPU time, longer than estimated"
            if memory.available < FREE_MEMORY_SHARE * memory.total:
                used = f"{used_memory(process.pid):.1f} GB"
                return f"stopped because memory ran low: the process used {used}"


def process_tree(process_id: int) -> list[psutil.Process]:
    """Return a process and its descendants; nothing if it has ended."""
    with suppress(psutil.Error):
        process = psutil.Process(process_id)
        return [process, *process.children(recursive=True)]
    return []


def used_memory(process_id: int) -> float:
    """Return the resident memory of a process and its descendants, in units of 2**30 bytes."""
    total = 0
    for process in process_tree(process_id):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**30


def used_seconds(process_id: int) -> float:
    """Return the CPU seconds of a process and its descendants, including ended ones."""
    total = 0.0
    for process in process_tree(process_id):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def end_child(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and its process group if it still runs, and close its standard input."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def read_answer(code: int, answer: IO[bytes], output: IO[bytes]) -> Answer:
    """Return the answer that a child printed, or an error with its exit code and last output."""
    answer.seek(0)
    lines = answer.read().splitlines()
    if code == 0 and lines:
        parsed: Answer = json.loads(lines[-1])
        return parsed
    output.seek(0)
    last_line = [b"", *output.read().strip().splitlines()][-1].decode(errors="replace")
    return {"error": f"{describe_exit(code)}: {last_line}" if last_line else describe_exit(code)}


def describe_exit(code: int) -> str:
    """Return how a process ended, with the likely cause if a signal killed it."""
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        number = signal.Signals(-code)
    except ValueError:
        return f"the process was killed by signal {-code}"
    cause = f" ({SIGNAL_CAUSES[number]})" if number in SIGNAL_CAUSES else ""
    return f"the process was killed by {number.name}{cause}"
