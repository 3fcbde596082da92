"""asv plugin: all that is changed in asv itself, each change with its reason.

Every wrap replaces one function of asv by one that calls it. They were written for the version
below and rely on its internals, so another version is refused.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asv
from asv import util
from asv.commands.asv_profiling import Profile
from asv.commands.check import Check
from asv.commands.continuous import Continuous
from asv.commands.find import Find
from asv.commands.run import Run
from asv.commands.setup import Setup
from asv.console import log
from asv.machine import Machine, MachineCollection
from asv.results import Results
from asv.util import UserError
from filelock import FileLock, Timeout

from scripts import machines

ASV = "0.6.6"
MEASURING = FileLock(".asv/measuring.lock", poll_interval=1)


def setup() -> None:
    """Apply the wraps; asv calls this when it loads the plugin.

    Raises:
        UserError: this is not the asv the wraps were written for.
    """
    if asv.__version__ != ASV:
        raise UserError(
            f"scripts/asv_wraps.py was written for asv {ASV}, this is {asv.__version__}. "
            "Start asv with `uv run asv`, or review the wraps and change the version there."
        )
    name_machines()
    for command in (Run, Continuous, Find, Profile, Setup, Check):
        command.run = measure_alone(command.run)
    Machine.save = save_machine(Machine.save)
    util.write_json = write_all_or_nothing(util.write_json)
    Results.add_result = keep_values(Results.add_result)


def name_machines() -> None:
    """Ask no questions about the machine and leave the home folder alone.

    asv keeps machines in `~/.asv-machine.json`, and asks for an unknown one or fails without a
    terminal. Here every name is known: `machines` describes the host it runs on.
    """
    Machine.hardcoded_machine_name = machines.local_name()
    MachineCollection.get_machine_file_path = staticmethod(lambda: ".asv/machine.json")
    MachineCollection.load = staticmethod(lambda name, _path=None: machines.fields(name))


def save_machine(save: Callable[[Machine, str], None]) -> Callable[[Machine, str], None]:
    """Keep a recorded machine what it is, and note the host beside the results.

    asv overwrites the description without a word, which would split every series of a recorded
    machine. A local one may change: its results are nobody's history.
    """

    @functools.wraps(save)
    def wrapped(machine: Machine, results_dir: str) -> None:
        fields = dict(vars(machine))
        folder = Path(results_dir, fields["machine"])
        path = folder / "machine.json"
        if path.exists() and fields["machine"] != machines.local_name():
            recorded = util.load_json(str(path), Machine.api_version)
            if recorded != fields:
                raise UserError(
                    f"{path} describes another kind of machine than this one: {recorded} there, "
                    f"{fields} here. Choose another name with --machine."
                )
        save(machine, results_dir)
        machines.record_host(folder)

    return wrapped


def measure_alone(run: Callable[..., Any]) -> Callable[..., Any]:
    """Let one process at a time use the environments, and end on Ctrl-C without a traceback.

    asv processes share `.asv/env` with no lock: a second run would install another release under
    the first. The operating system frees the lock when its holder ends, however it ends.
    """

    @functools.wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("range_spec") == "TAGS":
            # asv would store the names, cut to eight characters, in place of commit ids
            raise UserError("TAGS is not supported: write ALL, every release has a tag.")
        try:
            with _measuring():
                return run(*args, **kwargs)
        except (KeyboardInterrupt, UserError) as error:
            if isinstance(error, UserError) and str(error) != "Interrupted.":  # asv's own word
                raise
            raise UserError(
                "Interrupted. Every release that was finished is stored; the same command with "
                "--skip-existing-successful goes on from there."
            ) from None

    return wrapped


def _measuring() -> Any:
    Path(MEASURING.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        return MEASURING.acquire(blocking=False)
    except Timeout:
        log.info("Another asv is measuring here; waiting until it has finished (Ctrl-C to stop)")
        log.flush()
        return MEASURING.acquire()


def write_all_or_nothing(write: Callable[..., None]) -> Callable[..., None]:
    """Replace result files in one step.

    asv truncates and rewrites them in place; a process killed half way left a file that stops
    every later command.
    """

    @functools.wraps(write)
    def wrapped(path: str, *args: Any, **kwargs: Any) -> None:
        scratch = Path(f"{path}.{os.getpid()}.tmp")
        try:
            write(str(scratch), *args, **kwargs)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    return wrapped


def keep_values(add_result: Callable[..., None]) -> Callable[..., None]:
    """Never replace a stored value by n/a or by a failure.

    asv does, so that one run without a library or a wheel would erase what took hours to
    measure. A failure still shows in the output and in the exit code.
    """

    @functools.wraps(add_result)
    def wrapped(
        results: Results, benchmark: dict[str, Any], result: Any, *args: Any, **kwargs: Any
    ) -> None:
        name = benchmark["name"]
        if results.benchmark_version.get(name) == benchmark["version"]:
            stored = results.get_result_value(name, benchmark["params"])
            selected = kwargs.get("selected_idx")
            measured = set(range(len(stored)) if selected is None else selected)
            kept = {
                index
                for index in measured
                if util.is_na(result.result[index]) and not util.is_na(stored[index])
            }
            if kept:
                kwargs["selected_idx"] = measured - kept
                kwargs["record_samples"] = True
        add_result(results, benchmark, result, *args, **kwargs)

    return wrapped
