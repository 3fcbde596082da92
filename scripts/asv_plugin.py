"""The main plugin named in `asv.conf.json`: it extends asv and replaces some of its functions.

asv discovers `ReleaseRepo`, `ReleaseEnvironment` and `GapPage` as subclasses of its own classes
once this module has imported them. `setup` replaces functions where asv has no extension point;
docstrings and comments give the reasons.
"""

import io
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import TracebackType
from typing import Any

from asv import util
from asv.commands import compare, show
from asv.commands import machine as machine_module
from asv.commands import publish as publish_module
from asv.commands import run as run_module
from asv.commands.publish import Publish
from asv.commands.rm import Rm
from asv.commands.run import Run
from asv.console import log
from asv.environment import get_environments
from asv.machine import Machine, MachineCollection, iter_machine_files
from asv.repo import get_repo
from asv.util import ProcessError, UserError

from benchmarks._axis import OPTIONS
from scripts.base.files import replace_atomically
from scripts.base.names import check_known_name
from scripts.base.schema import describe_error, parse_json, printable, read_bytes
from scripts.history.machine import Description, read_description
from scripts.history.results import BenchmarkFile, ResultFile, read_benchmarks, read_results
from scripts.measuring import machines
from scripts.measuring.stored import MeasuredResults, print_reasons
from scripts.releases import repo
from scripts.releases.environment import HELPERS, ReleaseEnvironment
from scripts.site.publisher import GapPage

__all__ = ["repo", "setup"]

# asv's originals, which the replacements call
asv_run, asv_publish, asv_rm = Run.run, Publish.run, Rm.run
asv_load_json, asv_write_json = util.load_json, util.write_json
IMPORTS = "import asv_runner, elftools, wasmtime; print('imported')"
# what `asv rm` can select results by, beside commit_hash
REMOVABLE = ("benchmark", *(field for field, _ in Machine.fields))


def setup() -> None:
    """Replace functions of asv. asv calls this after it has loaded the plugin.

    scripts/dependencies.py has checked before that the version of asv is the pinned one.

    Raises:
        SystemExit: standard output is closed.
    """
    if sys.stdout is None:
        sys.stdout = io.StringIO()  # asv flushes it before it exits
        sys.exit("Standard output is closed. To discard it, redirect it to /dev/null.")
    Run.run = run_and_explain
    Publish.run = publish_and_check
    Rm.run = resolve_and_remove
    run_module.Results = MeasuredResults  # never replaces a value with n/a or a failure
    util.load_json, util.write_json = load_checked_json, write_json_atomically
    # asv detects steps in a pool of forked processes, which inherit the signal handlers below.
    # If one of them is interrupted while it holds a lock of the pool, the pool waits forever.
    util.get_multiprocessing_pool = ThreadPool
    for module in (compare, publish_module, show):
        module.iter_machine_files = iter_valid_machine_files
    # asv stores machines in ~/.asv-machine.json and prompts for a new one, which fails without a
    # terminal. This plugin derives the description from the host instead and stores nothing there.
    Machine.hardcoded_machine_name = machines.local_name()
    MachineCollection.load = staticmethod(lambda name, _path=None: machines.describe_machine(name))
    MachineCollection.save = staticmethod(lambda name, fields, _path=None: None)
    # asv writes machine.json before it measures; MeasuredResults writes it with the first result
    Machine.save = lambda self, results: None
    machine_module.Machine.run = describe_this_machine
    sys.excepthook = print_exception
    sys.unraisablehook = repeat_lost_interrupt
    for name in ("SIGTERM", "SIGHUP"):  # as on Ctrl-C, asv then ends its children before it exits
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)


def run_and_explain(conf: Any, **options: Any) -> Any:
    """Replace `asv run`: store samples, then print the reasons for n/a and the next command.

    `asv compare` needs samples to tell a change from noise, and asv has no configuration key that
    makes it store them.
    """
    machine = options.get("machine")
    machine = machines.local_name() if machine is None else machine  # check_machine rejects ""
    machines.check_machine(machine, Path(conf.results_dir))
    if options.get("set_commit_hash") is not None:
        # asv would measure whatever is installed and store it as results of that release
        raise UserError("--set-commit-hash is not supported. Name the release to run instead.")
    if option := os.environ.get("UNWINDER"):
        select_unwinder(conf, option)
    if options.get("parallel", 1) != 1:
        raise UserError(
            "--parallel (-j) is not supported: both environments share a folder, and processes "
            "that run at the same time disturb each other's times."
        )
    environments = options.get("env_spec") or []
    existing = [name for name in environments if re.match(r"existing(:|$)|:same$", name)]
    check_existing_environments(conf, existing)
    exit_code = asv_run(conf, **{**options, "record_samples": True})
    print_reasons([*ReleaseEnvironment.missing.values(), *MeasuredResults.reasons])
    if not exit_code and existing:
        log.info(
            f"Nothing was stored for {' '.join(existing)}: asv does not know which release an "
            "existing environment has. To store results, name a release: uv run asv run 50.0.1"
        )
    elif not exit_code and not options.get("dry_run") and options.get("bench") != ["just-discover"]:
        log.info(
            "Times are totals for all modules of a shape. To see what unwind info costs: "
            f"uv run python -m scripts.gap --machine {machine}"
        )
    return exit_code


def select_unwinder(conf: Any, option: str) -> None:
    """Measure with one unwinder only: the one that the variable UNWINDER selects.

    Raises:
        UserError: there is no such unwinder.
    """
    check_known_name(option, OPTIONS, "value of UNWINDER")
    axis = {**conf.matrix["env_nobuild"], "UNWINDER": [option]}
    conf.matrix = {**conf.matrix, "env_nobuild": axis}


def check_existing_environments(conf: Any, names: Sequence[str]) -> None:
    """Check that existing environments can import what benchmarks import.

    Raises:
        UserError: there is no such Python, or it lacks a package. The message names the commands
            that install all of them.
    """
    for name in names:
        for env in get_environments(conf, [name], verbose=False):
            python, reason = env._executable, "it is not a Python interpreter"
            try:
                if env.run(["-c", IMPORTS], display_error=False).strip() == "imported":
                    break
            except ProcessError as error:
                reason = "".join(error.stderr.strip().splitlines()[-1:])
            install = f"uv pip install --python {python}"
            raise UserError(
                f"The suite cannot run in {python} ({printable(reason, 150)}). Try: {install} "
                f"asv_runner wasmtime && {install} --no-deps -r {HELPERS.as_posix()}"
            )
        else:
            raise UserError(f"-E {name}: there is no such Python.")


def resolve_and_remove(conf: Any, patterns: Sequence[str], *args: Any) -> None:
    """Replace `asv rm`: accept releases as `commit_hash`, and reject patterns that asv misreads.

    asv takes any text that is the beginning of a commit id, so an empty one removes all results,
    and a release none. With an unknown key it ends with a traceback.
    """
    resolved = []
    for pattern in patterns:
        key, _, value = pattern.partition("=")
        if key == "commit_hash":
            pattern = f"{key}={get_repo(conf).get_hash_from_name(value)}"
        elif key not in REMOVABLE:
            raise UserError(
                f"asv rm cannot select results by {key!r}. Choose one of: commit_hash, "
                f"{', '.join(REMOVABLE)}. For example: uv run asv rm commit_hash=50.0.1"
            )
        resolved.append(pattern)
    asv_rm(conf, resolved, *args)


def describe_this_machine(**_: Any) -> None:
    """Replace `asv machine`: print the description of this host, which needs no answers."""
    fields = machines.describe_machine(machines.local_name())
    description = ", ".join(f"{name}: {value}" for name, value in fields.items())
    log.info(
        f"This machine describes itself: {description}. Nothing is asked or stored. To record "
        "results under another name, use asv run --machine NAME."
    )


def publish_and_check(conf: Any, *args: Any, **options: Any) -> None:
    """Replace `asv publish`: print where the site is, then fail if the report had problems.

    asv writes index.json last. An error raised earlier, by a publisher, would leave a broken site.

    Raises:
        UserError: the report had problems, a release of the range is unknown, or asv would delete a
            folder that is no site.
    """
    if (releases := options.get("range_spec")) is not None:
        get_repo(conf).get_hashes_from_range(releases)  # asv checks it after deleting the site
    site = Path(conf.html_dir)
    if site.exists() and not (site / "asv.js").exists() and (site.is_file() or any(site.iterdir())):
        raise UserError(
            f"{site} is not a site that asv has published, and asv would delete it. "
            "Name another folder with --html-dir."
        )
    asv_publish(conf, *args, **options)
    preview = f"uv run asv preview --html-dir {shlex.quote(conf.html_dir)}"
    log.info(f"The site is in {conf.html_dir}. To see it: {preview}")
    if GapPage.problems:
        raise UserError("\n".join(GapPage.problems))


def load_checked_json(path: str, *args: Any, **options: Any) -> Any:
    """Replace `asv.util.load_json`: reject a damaged result file with a one-line error.

    asv does not validate these files: a wrong type ends in a traceback, and a misnamed file in a
    false comparison. asv skips files for which this raises `UserError`.
    """
    file = Path(path)
    if file.name == "benchmarks.json":
        read_benchmarks(file.parent)
    elif file.name == "machine.json" and file.exists():
        read_description(file.parent)
    elif re.match(r"[0-9a-f]{8}-", file.name):
        read_results(file)
    try:
        return asv_load_json(path, *args, **options)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({printable(str(error), 150)}).") from error


def iter_valid_machine_files(results: str) -> Iterator[str]:
    """Replace `asv.machine.iter_machine_files`: skip damaged descriptions with a warning.

    The first damaged description would stop asv.
    """
    for path in iter_machine_files(results):
        try:
            read_description(Path(path).parent)
        except UserError as error:
            log.warning(str(error))
        else:
            yield path


def write_json_atomically(path: str, *args: Any, **options: Any) -> None:
    """Replace `asv.util.write_json`: write JSON files all or nothing, and only if they are valid.

    asv rewrites result files in place. If it were killed, it would leave half a file, which stops
    every later command. A file that `load_checked_json` rejects would be measured in vain.
    """
    file = Path(path)
    with replace_atomically(file) as scratch:
        asv_write_json(str(scratch), *args, **options)
        if schema := find_schema(file):
            try:
                parse_json(read_bytes(scratch), schema)
            except ValueError as error:
                raise UserError(
                    f"{file} cannot be stored ({describe_error(error)}). Older results are kept. "
                    "Check the clock of this host, and options such as --attribute."
                ) from error


def find_schema(file: Path) -> Any:
    """Return the schema of a file of the results folder, or None for any other file."""
    if file.name == "benchmarks.json":
        return BenchmarkFile
    if file.name == "machine.json":
        return Description
    return ResultFile if re.match(r"[0-9a-f]{8}-", file.name) else None


def print_exception(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print a one-line explanation of an error, or the traceback if the error is a bug."""
    if explanation := explain_error(error):
        print(explanation, file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # Python would flush again at exit, fail, and exit with 120
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        sys.__excepthook__(kind, error, traceback)


def repeat_lost_interrupt(unraisable: Any) -> None:
    """Repeat an interrupt that Python has discarded.

    Python discards exceptions raised in callbacks such as those of `os.fork`, and asv forks for
    every benchmark.
    """
    if unraisable.exc_type is KeyboardInterrupt and hasattr(signal, "pthread_kill"):
        # signal the main thread, because it may be blocked in a system call
        arguments = [threading.main_thread().ident, signal.SIGTERM]
        threading.Timer(0.1, signal.pthread_kill, arguments).start()
    else:
        sys.__unraisablehook__(unraisable)


def explain_error(error: BaseException) -> str:
    """Return what happened and what to do, in one line; an empty string if the error is a bug."""
    stored = " Results of finished releases are stored." if "run" in sys.argv else ""
    if isinstance(error, KeyboardInterrupt):
        return f"Interrupted.{stored}"
    if isinstance(error, ProcessError):
        command = " ".join(map(str, error.args[:5]))
        last_line = "".join((error.stderr or error.stdout).strip().splitlines()[-1:])
        hint = (
            " Is the package index reachable? `pip config list` shows settings that may interfere."
            if "install" in error.args
            else ""
        )
        return f"{command} … failed: {last_line}{hint}"
    if isinstance(error, re.error):
        return f"--bench is not a regular expression: {error}. Write \\( for a parenthesis."
    if isinstance(error, FileNotFoundError) and "preview" in sys.argv:
        return f"{error.filename} is missing. Run `uv run asv publish` first."
    if isinstance(error, OverflowError) and "preview" in sys.argv:
        return f"--port is not a port: {error}"
    if isinstance(error, EOFError):
        return (
            "asv asked a question, but standard input has ended. Use -y, or run it in a terminal."
        )
    if isinstance(error, UnicodeDecodeError):
        return f"A file is not UTF-8: {error}."
    if isinstance(error, OSError):
        return f"asv stopped: {error}.{stored}"
    return ""
