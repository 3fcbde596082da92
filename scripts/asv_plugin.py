"""The main plugin of `asv.conf.json`: what this repository adds to asv and changes in it.

asv finds `ReleaseRepo`, `ReleaseEnvironment` and `GapPage` among the subclasses of its own classes,
once they are imported. The functions that `setup` replaces are those for which asv has no extension
point; each says why it is replaced.
"""

import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from asv import util
from asv.commands import compare, show
from asv.commands import publish as publish_module
from asv.commands import run as run_module
from asv.commands.publish import Publish
from asv.commands.run import Run
from asv.console import log
from asv.machine import Machine, MachineCollection, iter_machine_files
from asv.util import ProcessError, UserError

from scripts.base.files import replace_atomically
from scripts.base.schema import printable
from scripts.history.machine import read_description
from scripts.history.results import read_known, read_results
from scripts.measuring import machines
from scripts.measuring.results import MeasuredResults, print_reasons
from scripts.releases import repo
from scripts.releases.environment import ReleaseEnvironment
from scripts.site.publisher import GapPage

__all__ = ["repo", "setup"]

run_benchmarks, publish = Run.run, Publish.run  # asv's own
load_json, write_json = util.load_json, util.write_json


def setup() -> None:
    """Change asv; asv calls this when it has loaded the plugin.

    scripts/dependencies.py has checked before that this is the version of asv that was reviewed.
    """
    Run.run = run_and_explain
    Publish.run = publish_and_check
    run_module.Results = MeasuredResults  # a value is never replaced by n/a or a failure
    util.load_json, util.write_json = load_checked_json, write_json_atomically
    for module in (compare, publish_module, show):
        module.iter_machine_files = sound_machine_files
    # asv keeps machines in ~/.asv-machine.json, asks about an unknown one, and fails without a
    # terminal. Here the description follows from the host, so there is nothing to ask or to keep.
    Machine.hardcoded_machine_name = machines.local_name()
    MachineCollection.load = staticmethod(lambda name, _path=None: machines.describe_machine(name))
    MachineCollection.save = staticmethod(lambda name, fields, _path=None: None)
    sys.excepthook = print_exception
    sys.unraisablehook = repeat_lost_interrupt
    for name in ("SIGTERM", "SIGHUP"):  # so that asv ends its children before it ends itself
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def run_and_explain(conf: Any, **options: Any) -> Any:
    """Replace `asv run`: store samples, and end with reasons for n/a and the next command.

    Without samples, `asv compare` cannot tell a change from noise, and no configuration key of asv
    stores them.
    """
    machine = options.get("machine")
    machine = machines.local_name() if machine is None else machine  # an empty name is refused
    machines.check_machine(machine, Path(conf.results_dir))
    if options.get("set_commit_hash") is not None:
        # asv would store whatever is installed under the name of that release
        raise UserError("--set-commit-hash is not supported: name the release to run.")
    code = run_benchmarks(conf, **{**options, "record_samples": True})
    print_reasons([*ReleaseEnvironment.missing.values(), *MeasuredResults.reasons])
    if not code and not options.get("dry_run") and options.get("bench") != ["just-discover"]:
        log.info(
            "Times are totals for all modules of a shape. To see what unwind info costs: "
            f"uv run python -m scripts.gap --machine {machine}"
        )
    return code


def publish_and_check(conf: Any, *args: Any, **options: Any) -> None:
    """Replace `asv publish`: end with where the site is, and fail after all of it is written.

    asv writes index.json last, so a publisher that raised an error would leave a broken site.
    """
    publish(conf, *args, **options)
    log.info(f"The site is in {conf.html_dir}. To see it: uv run asv preview")
    if GapPage.problems:
        raise UserError("\n".join(GapPage.problems))


def load_checked_json(path: str, *args: Any, **options: Any) -> Any:
    """Replace `asv.util.load_json`: refuse damaged files of results in a sentence.

    asv takes them as they come: a wrong type ends in a traceback, and a file under the name of
    another one in a false comparison. asv leaves out what a `UserError` refuses.
    """
    file = Path(path)
    if file.name == "benchmarks.json":
        read_known(file.parent)
    elif file.name == "machine.json" and file.exists():
        read_description(file.parent)
    elif re.match(r"[0-9a-f]{8}-", file.name):
        read_results(file)
    try:
        return load_json(path, *args, **options)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({printable(str(error), 150)}).") from error


def sound_machine_files(results: str) -> Iterator[str]:
    """Replace `asv.machine.iter_machine_files`: leave out damaged descriptions.

    asv would end with the first of them.
    """
    for path in iter_machine_files(results):
        try:
            read_description(Path(path).parent)
        except UserError as error:
            log.warning(str(error))
        else:
            yield path


def write_json_atomically(path: str, *args: Any, **options: Any) -> None:
    """Replace `asv.util.write_json`: write JSON files all or nothing.

    asv rewrites result files in place; a killed process would leave half a file that stops every
    later command.
    """
    with replace_atomically(Path(path)) as scratch:
        write_json(str(scratch), *args, **options)


def print_exception(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print one sentence for what ended a command, instead of a traceback, where it helps."""
    if sentence := describe(error):
        print(sentence, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def repeat_lost_interrupt(unraisable: Any) -> None:
    """Interrupt once more if Python has dropped an interrupt.

    It drops what is raised in a callback, as of `os.fork`, and asv forks for every benchmark.
    """
    if unraisable.exc_type is KeyboardInterrupt and hasattr(signal, "pthread_kill"):
        # to the main thread, which may be waiting in a system call
        again = [threading.main_thread().ident, signal.SIGTERM]
        threading.Timer(0.1, signal.pthread_kill, again).start()
    else:
        sys.__unraisablehook__(unraisable)


def describe(error: BaseException) -> str:
    """Return what happened and what to do, or nothing for an error of the code."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted. Releases that were finished are stored."
    if isinstance(error, ProcessError):
        output = (error.stderr or error.stdout).strip().splitlines()[-1:]
        hint = " Is the package index reachable?" if "install" in error.args else ""
        return f"{' '.join(map(str, error.args[:5]))} … failed: {' '.join(output)}{hint}"
    if isinstance(error, re.error):
        return f"--bench is no regular expression: {error}. Write \\( for a parenthesis."
    if isinstance(error, OSError):
        return f"asv stopped: {error}. Releases that were finished are stored."
    return ""
