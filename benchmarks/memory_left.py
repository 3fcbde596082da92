"""The memory that a process does not get back when it drops its modules.

Sources: bytecodealliance/wasmtime-go#295, where 48.0.0 held far more memory than 47.0.1, and
bytecodealliance/wasmtime#14314, the fix in 49.0.0. In between, an engine kept the register
allocator's working memory after it had compiled a module (#13912).
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ClassVar

from wasmtime import Engine, Module

from ._memory import read_memory, return_free_memory
from ._modules import check_unwind_info, drop_all, fixture, new_engine, require_unwind_setting
from ._shapes import UnwindInfo
from ._shown import shown

SAMPLES = 8  # processes; asv's rank test needs 7 per release


def load_in_one_engine(unwind_info: UnwindInfo) -> list[Engine]:
    """Load 1000 modules of 8 functions from one compiled image and drop them; keep the engine."""
    engine = new_engine(unwind_info, parallel=False)
    image = Module(engine, fixture(8).read_bytes()).serialize()
    check_unwind_info(image, unwind_info)
    modules = [Module.deserialize(engine, image) for _ in range(1000)]
    drop_all(modules, 1000)
    return [engine]


def load_in_engines(unwind_info: UnwindInfo, count: int = 30) -> list[Engine]:
    """Compile a module of 100 functions in each of `count` engines; drop modules, keep engines."""
    binary = fixture(100).read_bytes()
    engines = [new_engine(unwind_info, parallel=False) for _ in range(count)]
    modules = [Module(engine, binary) for engine in engines]
    check_unwind_info(modules[0].serialize(), unwind_info)
    drop_all(modules, count)
    return engines


def load_in_cycles(unwind_info: UnwindInfo) -> list[Engine]:
    """Compile a module in each of 2 engines and drop everything, 10 times; keep no engine."""
    for _ in range(10):
        load_in_engines(unwind_info, 2)
    return []


# Each loads modules and drops them, and returns the engines that stay alive.
LOADS: dict[str, Callable[[UnwindInfo], list[Engine]]] = {
    "1000x8 in one engine": load_in_one_engine,
    "30x100 in 30 engines": load_in_engines,
    "10 cycles of 2x100": load_in_cycles,
}


def memory_left(load: str, unwind_info: UnwindInfo) -> int:
    """Return how many bytes of private memory the process has gained by a load and its drop.

    A process that has less memory than before has gained none.
    """
    return_free_memory()
    before = read_memory()
    _engines = LOADS[load](unwind_info)  # keep them alive until memory is read
    return_free_memory()
    return max(read_memory() - before, 0)


def send_memory_left(sender: Connection, load: str, unwind_info: UnwindInfo) -> None:
    """Send the memory left to the process that forked this one."""
    sender.send(memory_left(load, unwind_info))


def sample_memory_left(load: str, unwind_info: UnwindInfo) -> list[int]:
    """Return the memory left in several new processes; in this one where it cannot fork.

    A process inherits wasmtime's library, loaded, but no engine.

    Raises:
        EOFError: a process failed; it has printed why.
    """
    if "fork" not in multiprocessing.get_all_start_methods():  # Windows
        return [memory_left(load, unwind_info)]
    context: Any = multiprocessing.get_context("fork")
    samples = []
    for _ in range(SAMPLES):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=send_memory_left, args=(sender, load, unwind_info))
        process.start()
        sender.close()  # so that a process that fails ends the wait
        samples.append(receiver.recv())
        process.join()
    return samples


class MemoryLeft:
    """Memory that a process has gained after it loaded modules and dropped them.

    `unwind_info` is the `native_unwind_info` setting. `load` says how many modules are loaded and
    how many functions each has. 1000 modules come from one compiled image, and 30 modules are
    compiled in an engine each: these engines stay alive, as a server's engines do. The cycles drop
    their engines too.

    Modules are compiled in one thread: each thread that compiles may leave memory, and how many
    there are depends on the processor. wasmtime initializes itself with its first engine, so a few
    hundred kilobytes are left by every release.
    """

    params: ClassVar = [["on", "off"], list(LOADS)]
    param_names: ClassVar = ["unwind_info", "load"]
    version = "1"  # raise it when the measured work or its sampling changes
    timeout = 300

    def setup(self, unwind_info: UnwindInfo, load: str) -> None:
        """Raise here what asv shows as n/a."""
        require_unwind_setting(unwind_info)
        read_memory()

    @shown("Memory left after dropping modules", unit="bytes")
    def track_memory_left(self, unwind_info: UnwindInfo, load: str) -> dict[str, Any]:
        """Bytes after the drop minus before loading, after the allocator gave back what it can."""
        return {"samples": sample_memory_left(load, unwind_info), "number": 1}
