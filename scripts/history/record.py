"""Merge the results of machines into `results/`, and print a commit message.

The input is a folder of artifacts from the benchmark workflow, each with a machine folder that asv
wrote. The workflow commits and pushes.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from asv.results import Results
from asv.util import UserError
from msgspec import structs
from packaging.version import Version

from scripts.base.files import write_atomically
from scripts.base.schema import printable
from scripts.history.machine import (
    LOCAL,
    Machine,
    describe_other_processor,
    read_description,
    read_hosts,
    read_machine,
    read_processors,
)
from scripts.history.read import check_content, require_release, require_unwinder
from scripts.history.results import Benchmarks, keep_older_values, read_benchmarks, read_results
from scripts.releases import pins
from scripts.releases.pins import Release

RESULTS = Path("results")
LINK = "is a symbolic link, which is not followed"


@dataclass
class MergeSummary:
    """The outcome of a merge.

    Attributes:
        updated: the releases whose result files were added or changed, by machine.
        problems: a message for each file or benchmark that has a problem.
    """

    updated: dict[str, set[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """The commit message: releases by machine."""
        names = ", ".join(sorted(self.updated))
        lines = [
            f"{machine}: {' '.join(sorted(releases, key=Version)) or 'its description'}"
            for machine, releases in sorted(self.updated.items())
        ]
        return "\n".join([f"Record results of {names}", "", *lines])


def merge_results(sources: Iterable[Path], *, partial: bool = False) -> MergeSummary:
    """Merge the result files of machine folders into `results/`.

    The later run of a benchmark wins, but n/a and failures never replace a value. A problem with
    one file does not affect the others. Problems are: a damaged file, a symbolic link, a commit
    that is not pinned, a folder named after another machine, a description that contradicts the
    recorded one, a benchmark that failed, and, unless `partial`, a missing benchmark.

    Repeating a merge changes nothing, and completes one that was killed.

    Raises:
        UserError: benchmarks.json or the pins are missing or damaged.
    """
    summary, benchmarks = MergeSummary(), read_benchmarks(RESULTS)
    releases = {release.commit: release for release in pins.load_pins()}
    for folder in sorted(sources):
        with collect_problems(folder, summary.problems):
            machine, problems = check_folder(folder)
            summary.problems += problems
            recorded_folder = RESULTS / machine.name
            contents: dict[Path, str] = {}  # of the result files to write
            is_valid = False
            for path in sorted(folder.glob("*-*.json")):
                with collect_problems(path, summary.problems):
                    target = recorded_folder / path.name
                    measured = check_file(path, benchmarks, releases, machine)
                    is_valid = True
                    recorded = load_recorded(target)
                    problems = [
                        *drop_unknown_benchmarks(measured, benchmarks, recorded),
                        *find_missing_benchmarks(measured, benchmarks, partial),
                    ]
                    content = merge_with_recorded(measured, recorded)
                    if not target.exists() or target.read_bytes() != content.encode():
                        contents[target] = content
                        version = releases[measured.commit_hash].version
                        summary.updated.setdefault(machine.name, set()).add(version)
                        summary.problems += [f"{path}: {problem}" for problem in problems]
            if contents or (is_valid and not (recorded_folder / "machine.json").exists()):
                summary.updated.setdefault(machine.name, set())
                store_machine(folder, recorded_folder, contents)
    return summary


@contextmanager
def collect_problems(path: Path, problems: list[str]) -> Iterator[None]:
    """Catch an error about a folder or file, and add it to `problems`."""
    try:
        yield
    except UserError as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001 a bad artifact must never block the others
        problems.append(f"{path} cannot be read ({error!r})")


def check_folder(folder: Path) -> tuple[Machine, list[str]]:
    """Return the machine of a folder, and a message for each unreadable line about its hosts.

    Raises:
        UserError: the folder or a description in it is a symbolic link, or the folder is of a local
            machine, or contradicts the recorded machine of this name.
    """
    for path in (folder, folder / "machine.json", folder / "hosts.jsonl"):
        if path.is_symlink():
            raise UserError(f"No result in {folder} is recorded: {path.name} {LINK}")
    machine, problems = read_machine(folder)
    if machine.name.startswith(LOCAL):
        raise UserError(f"{folder}: results of local machines are not recorded")
    recorded = RESULTS / machine.name
    if (recorded / "machine.json").exists() and (
        read_description(recorded) != read_description(folder)
    ):
        raise UserError(
            f"{folder} contradicts {recorded}: {machine.name} is another kind of machine"
        )
    known = read_processors(recorded)
    for processor in sorted(read_processors(folder)):
        if problem := describe_other_processor(known, processor):
            raise UserError(f"{folder} contradicts {recorded}: {problem}")
    return machine, problems


def check_file(
    path: Path, benchmarks: Benchmarks, releases: Mapping[str, Release], machine: Machine
) -> Results:
    """Check a result file, and load it.

    Raises:
        UserError: it is damaged, a symbolic link, or of another machine, environment, or unpinned
            release.
    """
    if path.is_symlink():
        raise UserError(f"{path} {LINK}")
    stored = read_results(path)
    require_release(path, stored, releases)
    unwinder = require_unwinder(path, stored, machine)
    check_content(path, stored, benchmarks, machine, unwinder)
    description = structs.asdict(read_description(path.parent))
    del description["version"]
    if stored.params != {**description, "python": stored.python}:
        raise UserError(f"{path} was not measured on the machine that its folder describes")
    if stored.env_vars.keys() != {"UNWINDER"} or stored.requirements:
        raise UserError(f"{path} was measured in an environment that asv.conf.json does not have")
    return Results.load(str(path))


def load_recorded(path: Path) -> Results | None:
    """Load a recorded result file, or return None if it is missing or damaged."""
    try:
        read_results(path)
    except UserError:
        return None
    return Results.load(str(path))


def drop_unknown_benchmarks(
    measured: Results, benchmarks: Benchmarks, recorded: Results | None
) -> Iterator[str]:
    """Drop benchmarks that are not in the suite; yield a message for those not yet recorded."""
    recorded_names = recorded.get_all_result_keys() if recorded else ()
    for name in sorted(measured.get_all_result_keys()):
        benchmark, params = benchmarks.get(name), measured.get_result_params(name)
        if (
            benchmark is None
            or measured.benchmark_version[name] != benchmark.version
            or len(params) != len(benchmark.params)
            or not all(map(is_subset, params, benchmark.params))
        ):
            measured.remove_result(name)
            if name not in recorded_names:
                yield f"{name} is unknown, or has unknown parameters"


def is_subset(values: Iterable[str], known_values: Iterable[str]) -> bool:
    """Return whether all values of a parameter are known."""
    return {*values} <= {*known_values}


def find_missing_benchmarks(
    measured: Results, benchmarks: Benchmarks, partial: bool
) -> Iterator[str]:
    """Yield a message for each benchmark that failed or, unless `partial`, is missing."""
    for name, benchmark in sorted(benchmarks.items()):
        if name not in measured.get_all_result_keys():
            if not partial:
                yield f"{name} is missing"
        elif None in measured.get_result_value(name, benchmark.params):
            yield f"{name} failed"


def merge_with_recorded(measured: Results, recorded: Results | None) -> str:
    """Return the content of the result file that merges measured and recorded results.

    Raises:
        UserError: the file could not be read.
    """
    newer = measured
    if recorded is not None:
        older, newer = sorted((measured, recorded), key=start_time)
        keep_older_values(newer, older)
    with tempfile.TemporaryDirectory() as scratch:
        newer.save(scratch)
        written = Path(scratch, newer._filename)
        read_results(written)
        return written.read_text(encoding="utf-8")


def start_time(measured: Results) -> int:
    """Return when the last benchmark started, in milliseconds since the epoch."""
    return max((time or 0 for time in measured.started_at.values()), default=0)


def store_machine(folder: Path, recorded: Path, contents: Mapping[Path, str]) -> None:
    """Write the description of a machine, merge the lines about its hosts, and write its results.

    The results come last: a result that is already recorded does not bring its host again.
    """
    recorded.mkdir(exist_ok=True)
    hosts = read_hosts(recorded / "hosts.jsonl")[0] | read_hosts(folder / "hosts.jsonl")[0]
    lines = sorted(hosts, key=lambda line: hosts[line].since)
    write_atomically(recorded / "hosts.jsonl", "".join(f"{line}\n" for line in lines))
    write_atomically(
        recorded / "machine.json", (folder / "machine.json").read_text(encoding="utf-8")
    )
    for target, content in contents.items():
        write_atomically(target, content)


def find_machine_folders(root: Path) -> tuple[list[Path], list[str]]:
    """Return the machine folders of the artifacts, and a message for each folder to ignore.

    An artifact and the machine folder in it must have the same name, so that no machine delivers
    results for another. GitHub unpacks a single artifact without a folder of its own.
    """
    folders = sorted({path.parent for path in root.rglob("*-*.json")})
    own = [folder for folder in folders if {*folder.relative_to(root).parts} == {folder.name}]
    problems = [
        f"{folder} is in the artifact of another machine" for folder in folders if folder not in own
    ]
    return own, problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Merge all valid results; return 1 if there was a problem, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m scripts.history.record", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="contains MACHINE/ or MACHINE/MACHINE/ for each machine"
    )
    parser.add_argument(
        "--partial", action="store_true", help="accept results of a part of the suite"
    )
    options = parser.parse_args(arguments)
    sources, problems = find_machine_folders(options.folder)
    try:
        if not sources:
            raise UserError("\n".join([f"There are no results in {options.folder}.", *problems]))
        summary = merge_results(sources, partial=options.partial)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(summary.message if summary.updated else "Nothing to record.")
    for problem in [*summary.problems, *problems]:
        print(f"error: {printable(problem)}", file=sys.stderr)
    return 1 if summary.problems or problems else 0


if __name__ == "__main__":
    sys.exit(main())
