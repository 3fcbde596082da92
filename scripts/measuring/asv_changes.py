"""All that is changed in asv itself, each change with its reason.

Most replace one function of asv by one that calls it. They were written for the version below and
rely on its internals, so another version is refused.
"""

import functools
import math
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asv
from asv import runner, util
from asv.benchmarks import Benchmarks
from asv.commands import compare
from asv.commands import run as run_command
from asv.commands.asv_profiling import Profile
from asv.commands.check import Check
from asv.commands.compare import Compare
from asv.commands.continuous import Continuous
from asv.commands.find import Find
from asv.commands.publish import Publish
from asv.commands.rm import Rm
from asv.commands.run import Run
from asv.commands.setup import Setup
from asv.commands.show import Show
from asv.console import log
from asv.environment import Environment
from asv.machine import Machine, MachineCollection
from asv.plugins.github import GithubPages
from asv.repo import get_repo
from asv.results import Results
from asv.util import ProcessError, UserError

from scripts.base.files import replacing
from scripts.history import read, results
from scripts.measuring import alone, interrupts, machines, rounds

ASV = "0.6.6"
HELPERS = Path("fixtures/helper-requirements.txt")

Function = Callable[..., Any]
CHANGES: list[tuple[Any, str, Function]] = []
TOLD: set[str] = set()  # reasons for n/a


def stands_before(name: str, *owners: Any) -> Callable[[Function], Function]:
    """Let a function stand before a function of asv, which is its first argument.

    Of several before the same function, the one that stands last here is called first.
    """

    def register(function: Function) -> Function:
        CHANGES.extend((owner, name, function) for owner in owners)
        return function

    return register


def apply() -> None:
    """Make the changes.

    Raises:
        UserError: this is not the asv that they were written for.
    """
    if asv.__version__ != ASV:
        raise UserError(
            f"{__name__} was written for asv {ASV}, this is {asv.__version__}. "
            "Start asv with `uv run asv`, or review the changes and the version there."
        )
    for owner, name, function in CHANGES:
        setattr(owner, name, before(getattr(owner, name), function))
    signal.signal(signal.SIGINT, interrupts.say_and_exit)
    Results.load = staticmethod(results.load)
    run_command.Results = rounds.Measured
    Environment.installed_commit_hash = property(name_installed_commit)
    # Ask no questions about the machine and leave the home folder alone. asv keeps machines in
    # ~/.asv-machine.json, and asks for an unknown one or fails without a terminal. Here every name
    # is known, `machines` describes the host it runs on, and there is nothing to keep.
    Machine.hardcoded_machine_name = machines.local_name()
    MachineCollection.get_machine_file_path = staticmethod(lambda: ".asv/machine.json")
    MachineCollection.load = staticmethod(lambda name, _path=None: machines.fields(name))
    MachineCollection.save = staticmethod(lambda name, fields, _path=None: None)


def before(original: Function, function: Function) -> Function:
    """The function that takes the place of the original."""

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(original, *args, **kwargs)

    return wrapped


@stands_before("save", Machine)
def save_machine(save: Function, machine: Machine, results_dir: str) -> None:
    """Keep a recorded machine what it is, and note the host beside the results.

    asv overwrites the description without a word, which would split every series of a recorded
    machine. A local one may change: its results are nobody's history.
    """
    fields = dict(vars(machine))
    name, folder = fields["machine"], Path(results_dir, fields["machine"])
    if not re.fullmatch(r"\w[\w.-]*", name):  # it becomes a folder of results/
        raise UserError(f"--machine '{name}': a name has letters, digits, '.', '_' and '-'.")
    if machines.system(name) not in ("", machines.system(fields["os"]) or "Linux"):
        raise UserError(
            f"--machine '{name}' names another system than this one, {fields['os']}: "
            "whoever reads its results would believe the name."
        )
    path = folder / "machine.json"
    if path.exists() and name != machines.local_name():
        recorded = util.load_json(str(path), Machine.api_version)
        if recorded != fields:
            raise UserError(
                f"{path} describes another kind of machine than this one: {recorded} there, "
                f"{fields} here. Choose another name with --machine."
            )
    save(machine, results_dir)
    machines.record_host(folder)
    results.set_aside(folder)


@stands_before("run", Run)
def take_turns(run: Function, conf: Any, **options: Any) -> Any:
    """Interleave the rounds of a few releases at a time, and store them when all are through.

    Samples are stored always: without them `asv compare` cannot tell a change from noise.
    """
    options["record_samples"] = True
    if options.get("quick"):  # one round
        return run(conf, **{**options, "interleave_rounds": False})
    options["interleave_rounds"] = None  # where possible: not with --dry-run
    try:
        with rounds.group(conf.results_dir):
            return run(conf, **options)
    except rounds.TooManyError as error:
        groups = list(util.iter_chunks(error.args, rounds.GROUP))
    options.update(steps=None, date_period=None, pull=False)
    codes = []
    for number, group in enumerate(groups, start=1):
        log.info(f"Group {number} of {len(groups)}")
        codes.append(take_turns(run, conf, **{**options, "range_spec": group}) or 0)
    return max(codes)


@stands_before("run_benchmark", runner)
def give_up(run: Function, benchmark: Any, spawner: Any, *args: Any, **kwargs: Any) -> Any:
    """Start nothing again that failed or was n/a in a round before, as asv within one call."""
    environment = spawner.env
    key = (environment.name, environment.installed_commit_hash, benchmark["name"])
    if key in rounds.GIVEN_UP:
        return rounds.GIVEN_UP[key]
    measured = run(benchmark, spawner, *args, **kwargs)
    if rounds.measuring() and all(map(util.is_na, measured.result)):
        rounds.GIVEN_UP[key] = measured
    return measured


@stands_before("iter_results_for_machine_and_hash", run_command)
def skip_complete_alone(results_for: Function, *args: Any) -> Iterator[Results]:
    """Let `--skip-existing-successful` take nothing for done that has fewer samples than rounds.

    Such are left by `--quick`, and by a round that failed.
    """
    needed = rounds.NEEDED if rounds.measuring() else {}  # more than --quick
    for stored in results_for(*args):
        for name in needed.keys() & stored.get_all_result_keys():
            stats = stored.get_result_stats(name, stored.get_result_params(name))
            if any(entry and entry["repeat"] < needed[name] for entry in stats):
                stored.remove_result(name)
        yield stored


@stands_before("run", Run, Continuous, Find, Profile, Setup, Check)
def measure_alone(run: Function, conf: Any, *args: Any, **kwargs: Any) -> Any:
    """Let one process at a time measure."""
    with interrupts.until_it_ends(), alone.measuring(Path(conf.env_dir)):
        return run(conf, *args, **kwargs)


@stands_before("run", Run)
def say_what_next(run: Function, *args: Any, **kwargs: Any) -> Any:
    """End on what the numbers mean and what to do with them."""
    code = run(*args, **kwargs)
    if not code and not kwargs.get("dry_run") and kwargs.get("bench") != ["just-discover"]:
        machine = kwargs.get("machine") or machines.local_name()
        log.info(
            "Times are for all modules that are dropped, 1000 where nothing else is said. What "
            f"unwind info costs: uv run python -m scripts.gap --machine {machine}"
        )
    return code


@stands_before("run", Run)
def refuse_traps(run: Function, *args: Any, **kwargs: Any) -> Any:
    """Refuse the options of `asv run` that would store or measure something else than asked."""
    if kwargs.get("range_spec") == "TAGS":
        # asv would store the names, cut to eight characters, in place of commit ids
        raise UserError("TAGS is not supported: write ALL, every release has a tag.")
    if kwargs.get("parallel", 1) != 1:
        # asv would install in other processes, and not learn what is installed
        raise UserError("--parallel is not supported: there is one environment to install in.")
    if kwargs.get("set_commit_hash") is not None:
        # asv would store whatever is installed under the name of that release
        raise UserError("--set-commit-hash is not supported: name the release to run.")
    return run(*args, **kwargs)


@stands_before("write_json", util)
def write_all_or_nothing(write: Function, path: str, *args: Any, **kwargs: Any) -> None:
    """Replace result files in one step.

    asv truncates and rewrites them in place; a process killed half way left a file that stops
    every later command.
    """
    with replacing(Path(path)) as scratch:
        write(str(scratch), *args, **kwargs)


@stands_before("run", Publish)
def tell_left_out(run: Function, conf: Any, *args: Any, **kwargs: Any) -> Any:
    """Fail, after everything sound is published, when there is nothing or something is unknown.

    asv prints a warning and draws nothing for a result of a commit it does not know.
    """
    answer = run(conf, *args, **kwargs)
    history = read.read(conf)
    if not history.files:
        reasons = ["There is nothing to publish: run `uv run asv run`.", *history.left_out]
        raise UserError("\n".join(reasons))
    if history.unpinned:
        raise UserError("\n".join(["Published without these:", *history.unpinned]))
    return answer


@stands_before("run", Publish, Show, Compare)
def require_machines(run: Function, conf: Any, *args: Any, **kwargs: Any) -> Any:
    """Stop before anything is read when results have no sound machine.json beside them.

    asv leaves such results out with a warning, or stops with a traceback.
    """
    results.descriptions(Path(conf.results_dir))
    return run(conf, *args, **kwargs)


@stands_before("run", Show, Compare)
def end_with_the_pipe(run: Function, *args: Any, **kwargs: Any) -> Any:
    """End quietly when nobody reads on, as in `asv compare … | head`."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return run(*args, **kwargs)


@stands_before("_is_result_better", compare)
def need_samples(better: Function, *args: Any, **kwargs: Any) -> Any:
    """Do not mark a difference of single samples (`--quick`): nothing is known of their noise."""
    _, _, *sides, _ = args  # statistics and samples of each side
    single = any(side and side[0] and side[0].get("repeat") == 1 for side in sides)
    return not single and better(*args, **kwargs)


@stands_before("human_value", util, compare)
def round_value(human_value: Function, value: Any, *args: Any, **kwargs: Any) -> Any:
    """Print 1.506 for 1.5059999999999998, and an exact count with every digit that it has."""
    if isinstance(value, float) and math.isfinite(value):
        value = float(f"{value:.12g}")
    return human_value(value, *args, **kwargs)


@stands_before("skip_benchmarks", run_command)
def store_no_failed_install(skip: Function, benchmarks: Any, env: Any, results: Any) -> Any:
    """Store nothing of a release that could not be installed: it was not measured."""
    skip(benchmarks, env, results=Results.unnamed())
    results.missed = True
    for name in benchmarks:  # so that asv ends with exit code 2
        results.errcode[name] = 1
    return results


@stands_before("discover", Benchmarks)
def discover_in_what_is_installed(
    discover: Function, conf: Any, repo: Any, environments: Any, commits: Any, **kwargs: Any
) -> Any:
    """Read the benchmarks with the release that is installed already: they are always the same.

    Only here asv has made its list of releases from its options: a long one is given back.
    """
    if rounds.measuring() and len(commits) > rounds.GROUP:
        raise rounds.TooManyError(*commits)
    installed = [environment._get_installed_commit_hash() for environment in environments]
    there = [commit for commit in installed if commit and repo.get_name_from_hash(commit)]
    found = discover(conf, repo, environments, [*there, *commits], **kwargs)
    rounds.NEEDED.update((name, int(found[name].get("rounds", 1))) for name in found)
    return found


@stands_before("run", Rm)
def remove_by_release(run: Function, conf: Any, patterns: list[str], *args: Any) -> Any:
    """Let `commit_hash=` name a release; asv compares it with commit ids alone."""
    repo = get_repo(conf)
    commits = [
        re.sub("(?<=^commit_hash=).*", lambda name: repo.get_hash_from_name(name[0]), pattern)
        for pattern in patterns
    ]
    return run(conf, commits, *args)


def name_installed_commit(environment: Environment) -> str | None:
    """Let every environment name, in ASV_COMMIT, the release that is installed in its folder.

    Environments that differ in UNWINDER only share a folder, and asv tells of a new release only
    the one that installed it; the other would name the release before.
    """
    commit: str | None = environment._get_installed_commit_hash()
    environment._set_commit_hash(commit)
    return commit


@stands_before("_get_install_checksum", Environment)
def count_helpers(checksum: Function, environment: Environment) -> list[Any]:
    """Install again when the helper packages have changed.

    asv does so when its own settings change, and knows of no other file.
    """
    return [*checksum(environment), HELPERS.read_text(encoding="utf-8")]


@stands_before("log_benchmark_result", runner)
def tell_reasons(
    log_result: Function, measured: Results, benchmark: dict[str, Any], *args: Any, **kwargs: Any
) -> None:
    """Say once a run why something is n/a.

    asv keeps the reason to itself without --show-stderr, and stores none.
    """
    log_result(measured, benchmark, *args, **kwargs)
    output = measured.stderr.get(benchmark["name"]) or ""
    for _, reason in re.findall(r"asv: skipped: NotImplementedError\((['\"])(.*)\1\)", output):
        if reason not in TOLD:
            TOLD.add(reason)
            log.info(f"n/a: {reason}", color="default")


@stands_before("run", Run, Continuous, Find, Profile, Setup, Check, Publish, GithubPages, Rm)
def end_with_a_sentence(run: Function, *args: Any, **kwargs: Any) -> Any:
    """Say in a sentence why a command cannot go on; asv has a traceback."""
    try:
        return run(*args, **kwargs)
    except ProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()[-1:]
        hint = " Is the package index there?" if "install" in error.args else ""
        raise UserError(f"{' '.join(error.args[:5])} … failed: {' '.join(said)}{hint}") from error
    except re.error as error:
        raise UserError(
            f"--bench is no regular expression: {error}. Write \\( for a parenthesis."
        ) from error
    except OSError as error:
        raise UserError(f"asv could not go on: {error}. What was finished is stored.") from error
    except (KeyboardInterrupt, UserError) as error:
        if isinstance(error, UserError) and str(error) != "Interrupted.":  # asv's own word
            raise
        raise UserError(f"Interrupted.{how_to_go_on(kwargs)}") from None


def how_to_go_on(options: dict[str, Any]) -> str:
    """What to do after an interruption of `asv run` that stores results."""
    if "skip_successful" not in options or options.get("dry_run"):
        return ""
    stored = " What was finished is stored, two releases at a time;"
    if any("(" in pattern for pattern in options.get("bench") or ()):
        # the option looks at benchmarks, and knows nothing of their parameters
        return f"{stored} name the others to go on."
    return f"{stored} the same command with --skip-existing-successful goes on from there."
