"""Join what machines have measured into `results/`, and print the message of the commit.

What is joined are machine folders made by asv, as the benchmark workflow collects them. The
workflow commits and pushes.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.results import Results, get_filename
from asv.util import UserError
from packaging.version import Version

from scripts.base.files import write
from scripts.history import results
from scripts.history.machine import LOCAL, read_description
from scripts.releases import pins

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


def join(sources: Iterable[Path], *, partial: bool = False) -> Joined:
    """Take over what is new in the result files of machine folders.

    The later run of a benchmark counts, and no value is replaced by n/a or by a failure. Every
    sound file is taken whatever is wrong with others; `problems` names those: a damaged file, a
    commit that is not pinned, a folder that is not the machine's that it says, a description that
    contradicts the recorded one, a benchmark that failed, or is missing where no part of the suite
    was asked for (`partial`).
    """
    joined, benchmarks = Joined(), Benchmarks.load(Config.load("asv.conf.json"))
    versions = {release.commit: release.version for release in pins.load()}
    for folder in sorted(sources):
        machine, recorded = folder.name, RESULTS / folder.name
        try:
            described = read_description(folder)
            if machine.startswith(LOCAL):
                raise UserError(f"{folder}: results of local machines are not recorded")
            known = (recorded / "machine.json").exists()
            if known and read_description(recorded) != described:
                raise UserError(
                    f"{folder} contradicts {recorded}: {machine} is another kind of machine"
                )
        except UserError as error:
            joined.problems.append(str(error))
            continue
        for path in sorted(folder.glob("*-*.json")):
            try:
                measured = results.read_results(path, machine)
                if measured.commit_hash not in versions:
                    raise UserError(f"{path}: {measured.commit_hash[:8]} is no pinned release")
                expected = get_filename(machine, measured.commit_hash, measured.env_name)
                if path.name != Path(expected).name:
                    raise UserError(f"{path} holds what belongs into {expected}")
            except UserError as error:
                joined.problems.append(str(error))
                continue
            problems = list(incomplete(measured, benchmarks, partial))
            if store(measured, recorded / path.name):
                joined.problems += [f"{path}: {problem}" for problem in problems]
                joined.taken.setdefault(machine, set()).add(versions[measured.commit_hash])
        if machine in joined.taken:
            write(recorded / "machine.json", (folder / "machine.json").read_text(encoding="utf-8"))
            paths = [place / "hosts.jsonl" for place in (recorded, folder)]
            texts = [path.read_text(encoding="utf-8") for path in paths if path.exists()]
            hosts = sorted({line for text in texts for line in text.splitlines()})
            # by time: each line begins with it
            write(recorded / "hosts.jsonl", "".join(f"{line}\n" for line in hosts))
    return joined


def incomplete(measured: Results, benchmarks: Any, partial: bool) -> Iterator[str]:
    """The benchmarks that failed, or are missing; n/a is an answer."""
    names = measured.get_result_keys(benchmarks)
    for name, benchmark in sorted(benchmarks.items()):
        if name in names:
            if None in (measured.get_result_value(name, benchmark["params"]) or [None]):
                yield f"{name} failed"
        elif not partial:
            yield f"{name} is missing"


def store(measured: Results, target: Path) -> bool:
    """Write a result file together with what is recorded; whether that changed anything."""
    newer = measured
    with suppress(OSError, UserError):  # nothing is recorded; damage is no better than nothing
        older, newer = sorted(
            (measured, results.read_results(target, target.parent.name)), key=results.started
        )
        results.keep(newer, older)
    with tempfile.TemporaryDirectory(dir=RESULTS, suffix=".tmp") as scratch:
        newer.save(scratch)
        written = Path(scratch, newer._filename)
        if target.exists() and target.read_bytes() == written.read_bytes():
            return False
        target.parent.mkdir(exist_ok=True)
        written.replace(target)
    return True


def machine_folders(root: Path) -> list[Path]:
    """The machine folders of artefacts that bear the machine's name.

    One artefact alone is unpacked without a folder of its own. What lies elsewhere is nobody's: no
    machine may deliver for another.
    """
    folders = {path.parent for path in root.rglob("*-*.json")}
    return sorted(
        folder for folder in folders if set(folder.relative_to(root).parts) == {folder.name}
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Join; 1 when something could not be joined, though all that is sound was."""
    parser = argparse.ArgumentParser(prog="python -m scripts.history.record", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds MACHINE/ or MACHINE/MACHINE/ for each")
    parser.add_argument("--partial", action="store_true", help="a part of the suite was measured")
    options = parser.parse_args(arguments)
    sources = machine_folders(options.folder)
    try:
        if not sources:
            raise UserError(f"Nothing has arrived in {options.folder}.")
        joined = join(sources, partial=options.partial)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(joined.message if joined.taken else "Nothing to record.")
    print(*(f"error: {line}" for line in joined.problems), sep="\n", file=sys.stderr)
    return 1 if joined.problems else 0


if __name__ == "__main__":
    sys.exit(main())
