"""Join what machines have measured into `results/`, and print the message of the commit.

What is joined are machine folders made by asv, as the benchmark workflow collects them. The
workflow commits and pushes.
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
from scripts.history.machine import LOCAL, Machine, read_description, read_hosts, read_machine
from scripts.history.read import check_content, require_release
from scripts.history.results import Known, keep_older_values, read_known, read_results
from scripts.releases import pins
from scripts.releases.pins import Release

RESULTS = Path("results")


@dataclass
class Joined:
    """What came of a join: the releases taken, by machine, and what was wrong."""

    taken: dict[str, set[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """The message of the commit: releases by machine."""
        names = ", ".join(sorted(self.taken))
        lines = [
            f"{machine}: {' '.join(sorted(releases, key=Version))}"
            for machine, releases in sorted(self.taken.items())
        ]
        return "\n".join([f"Record results of {names}", "", *lines])


def join_results(sources: Iterable[Path], *, partial: bool = False) -> Joined:
    """Take over what is new in the result files of machine folders.

    The later run of a benchmark counts, and no value is replaced by n/a or by a failure. Every
    sound file is taken whatever is wrong with others; `problems` names those: a damaged file, a
    commit that is not pinned, a folder that is not the machine's that it says, a description that
    contradicts the recorded one, a benchmark that failed, or is missing where no part of the suite
    was asked for (`partial`).

    Raises:
        UserError: benchmarks.json or the pins are missing or damaged.
    """
    joined, known = Joined(), read_known(RESULTS)
    releases = {release.commit: release for release in pins.load_pins()}
    for folder in sorted(sources):
        with note_problems(folder, joined.problems):
            machine, problems = check_folder(folder)
            joined.problems += problems
            for path in sorted(folder.glob("*-*.json")):
                with note_problems(path, joined.problems):
                    measured = check_file(path, known, releases, machine)
                    recorded = load_recorded(RESULTS / machine.name / path.name)
                    problems = [
                        *drop_unknown(measured, known, recorded),
                        *find_gaps(measured, known, partial),
                    ]
                    if store_results(measured, recorded, RESULTS / machine.name / path.name):
                        version = releases[measured.commit_hash].version
                        joined.taken.setdefault(machine.name, set()).add(version)
                        joined.problems += [f"{path}: {problem}" for problem in problems]
            if machine.name in joined.taken:
                copy_description(folder, RESULTS / machine.name)
    return joined


@contextmanager
def note_problems(path: Path, problems: list[str]) -> Iterator[None]:
    """Note what is wrong with a folder or file, and go on: it must not block the others."""
    try:
        yield
    except UserError as error:
        problems.append(str(error))
    except Exception as error:  # noqa: BLE001 what others send may be wrong in any way
        problems.append(f"{path} cannot be read ({error!r})")


def check_folder(folder: Path) -> tuple[Machine, list[str]]:
    """Return the machine of a folder, and what is left out of its hosts.

    Raises:
        UserError: the folder has links, or is not that of the recorded machine of this name.
    """
    if any(path.is_symlink() for path in (folder, *folder.iterdir())):
        raise UserError(f"{folder} has symbolic links, which are not followed")
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
    return machine, problems


def check_file(
    path: Path, known: Known, releases: Mapping[str, Release], machine: Machine
) -> Results:
    """Load a result file.

    Raises:
        UserError: it is damaged, or not of a pinned release, this machine and this suite.
    """
    stored = read_results(path)
    require_release(path, stored, releases)
    check_content(path, stored, known, machine)
    described = structs.asdict(read_description(path.parent))
    del described["version"]
    if stored.params != {**described, "python": stored.python}:
        raise UserError(f"{path} was measured on another machine than its folder describes")
    if stored.env_vars.keys() != {"UNWINDER"} or stored.requirements:
        raise UserError(f"{path} was measured in an environment that asv.conf.json does not have")
    return Results.load(str(path))


def load_recorded(path: Path) -> Results | None:
    """Load the recorded result file, if it is sound: damage is no better than nothing."""
    try:
        read_results(path)
    except UserError:
        return None
    return Results.load(str(path))


def drop_unknown(measured: Results, known: Known, recorded: Results | None) -> Iterator[str]:
    """Drop benchmarks that the suite does not have; yield those that are not recorded either."""
    names = recorded.get_all_result_keys() if recorded else ()
    for name in sorted(measured.get_all_result_keys()):
        benchmark, params = known.get(name), measured.get_result_params(name)
        if (
            benchmark is None
            or measured.benchmark_version[name] != benchmark.version
            or len(params) != len(benchmark.params)
            or not all(
                {*some} <= {*every} for some, every in zip(params, benchmark.params, strict=True)
            )
        ):
            measured.remove_result(name)
            if name not in names:
                yield f"{name} is unknown, or has unknown parameters"


def find_gaps(measured: Results, known: Known, partial: bool) -> Iterator[str]:
    """Yield the benchmarks that failed, or are missing from the whole suite; n/a is an answer."""
    for name, benchmark in sorted(known.items()):
        if name not in measured.get_all_result_keys():
            if not partial:
                yield f"{name} is missing"
        elif None in measured.get_result_value(name, benchmark.params):
            yield f"{name} failed"


def store_results(measured: Results, recorded: Results | None, target: Path) -> bool:
    """Write a result file together with what is recorded; return whether that changed anything."""
    newer = measured
    if recorded is not None:
        older, newer = sorted((measured, recorded), key=start_time)
        keep_older_values(newer, older)
    with tempfile.TemporaryDirectory(dir=RESULTS, suffix=".tmp") as scratch:
        newer.save(scratch)
        written = Path(scratch, newer._filename)
        if target.exists() and target.read_bytes() == written.read_bytes():
            return False
        target.parent.mkdir(exist_ok=True)
        written.replace(target)
    return True


def start_time(measured: Results) -> int:
    """Return when the last of its benchmarks started, in milliseconds since the epoch."""
    return max((time or 0 for time in measured.started_at.values()), default=0)


def copy_description(folder: Path, recorded: Path) -> None:
    """Store the description of a machine, and join the lines about its hosts by time."""
    write_atomically(
        recorded / "machine.json", (folder / "machine.json").read_text(encoding="utf-8")
    )
    hosts = read_hosts(recorded / "hosts.jsonl")[0] | read_hosts(folder / "hosts.jsonl")[0]
    lines = sorted(hosts, key=lambda line: hosts[line].since)
    write_atomically(recorded / "hosts.jsonl", "".join(f"{line}\n" for line in lines))


def machine_folders(root: Path) -> tuple[list[Path], list[str]]:
    """Return the machine folders of artefacts that bear the machine's name; and what else is there.

    One artefact alone is unpacked without a folder of its own. No machine may deliver for another.
    """
    folders = sorted({path.parent for path in root.rglob("*-*.json")})
    own = [folder for folder in folders if {*folder.relative_to(root).parts} == {folder.name}]
    others = [f"{folder} is not the machine of its artefact" for folder in folders]
    return own, [other for folder, other in zip(folders, others, strict=True) if folder not in own]


def main(arguments: Sequence[str] | None = None) -> int:
    """Join; 1 when something could not be joined, though all that is sound was."""
    parser = argparse.ArgumentParser(prog="python -m scripts.history.record", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds MACHINE/ or MACHINE/MACHINE/ for each")
    parser.add_argument("--partial", action="store_true", help="a part of the suite was measured")
    options = parser.parse_args(arguments)
    sources, problems = machine_folders(options.folder)
    try:
        if not sources:
            raise UserError("\n".join([f"Nothing has arrived in {options.folder}.", *problems]))
        joined = join_results(sources, partial=options.partial)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(joined.message if joined.taken else "Nothing to record.")
    joined.problems += problems
    for line in joined.problems:
        print(f"error: {printable(line)}", file=sys.stderr)
    return 1 if joined.problems else 0


if __name__ == "__main__":
    sys.exit(main())
