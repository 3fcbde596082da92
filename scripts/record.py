"""Join what machines have measured into `results/`, commit it and push it.

What is joined are machine folders made by asv, as the benchmark workflow collects them. Nothing
that is recorded is replaced by something older or poorer.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asv.benchmarks import Benchmarks
from asv.config import Config
from asv.results import Results, get_filename
from asv.util import UserError, is_na
from packaging.version import Version

from scripts import machines, pins
from scripts.asv_wraps import load_results
from scripts.files import replacing

RESULTS = Path("results")
ATTEMPTS = 5  # a push that loses a race is tried again on top of the other


@dataclass
class Joined:
    """What came of a join: the releases taken, by machine, and what was wrong."""

    taken: dict[str, set[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

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
    """Take over the result files of machine folders that are new, or newer and as rich.

    Every sound file is taken whatever is wrong with others; `problems` names those: a damaged file,
    a commit that is not pinned, a folder that is not the machine's that it says, a description that
    contradicts the recorded one, a benchmark that failed, or is missing where no part of the suite
    was asked for (`partial`).
    """
    joined, conf = Joined(), Config.load("asv.conf.json")
    known = Benchmarks.load(conf)
    versions = {release.commit: release.version for release in pins.load()}
    for folder in sorted(sources):
        try:
            machine = _machine(folder)
        except UserError as error:
            joined.problems.append(str(error))
            continue
        for path in sorted(folder.glob("*-*.json")):
            try:
                measured = load_results(str(path), machine_name=machine)
                if measured.commit_hash not in versions:
                    raise UserError(f"{path}: {measured.commit_hash[:8]} is no pinned release")
                expected = get_filename(machine, measured.commit_hash, measured.env_name)
                if path.name != Path(expected).name:
                    raise UserError(f"{path} holds what belongs into {expected}")
                reason = reason_to_keep(RESULTS / machine / path.name, measured, known)
            except UserError as error:
                joined.problems.append(str(error))
                continue
            if reason:
                joined.kept.append(f"{path}: {reason}")
                continue
            joined.problems += [
                f"{path}: {problem}" for problem in incomplete(measured, known, partial)
            ]
            _copy(path, RESULTS / machine / path.name)
            joined.taken.setdefault(machine, set()).add(versions[measured.commit_hash])
        if machine in joined.taken:
            _copy(folder / "machine.json", RESULTS / machine / "machine.json")
            _join_hosts(folder, RESULTS / machine)
    return joined


def _machine(folder: Path) -> str:
    """The name of a machine folder that may be joined.

    Raises:
        UserError: it may not.
    """
    fields, recorded = machines.description(folder), RESULTS / folder.name
    if folder.name.startswith("local-"):
        raise UserError(f"{folder}: results of local machines are not recorded")
    if (recorded / "machine.json").exists() and machines.description(recorded) != fields:
        raise UserError(
            f"{folder} contradicts {recorded}: {folder.name} is another kind of machine"
        )
    return folder.name


def reason_to_keep(path: Path, measured: Results, known: Any) -> str:
    """Why a recorded file is better than the new one, or nothing.

    A damaged file is no better than anything.
    """
    if not path.exists():
        return ""
    try:
        recorded = load_results(str(path))
    except UserError:
        return ""
    if _latest(measured) <= _latest(recorded):
        return "what is recorded is as new"
    lost = values(recorded, known) - values(measured, known)
    return f"what is recorded has {', '.join(sorted(lost)[:3])} as well" if lost else ""


def values(results: Results, known: Any) -> set[str]:
    """The names of all values of the suite as it is, not of what a benchmark was before."""
    return {
        f"{name} #{index}"
        for name in results.get_result_keys(known)
        for index, value in enumerate(results.get_result_value(name, known[name]["params"]) or ())
        if not is_na(value)
    }


def incomplete(results: Results, known: Any, partial: bool) -> Iterator[str]:
    """The benchmarks that failed, or are missing; n/a is an answer."""
    there = results.get_result_keys(known)
    for name, benchmark in sorted(known.items()):
        if name in there:
            if None in (results.get_result_value(name, benchmark["params"]) or [None]):
                yield f"{name} failed"
        elif not partial:
            yield f"{name} is missing"


def _latest(results: Results) -> int:
    return max((started or 0 for started in results.started_at.values()), default=0)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as scratch:
        shutil.copyfile(source, scratch)


def _join_hosts(folder: Path, target: Path) -> None:
    """The lines of both lists of hosts, once each, by time."""
    paths = [place / "hosts.jsonl" for place in (target, folder)]
    lines = {line for path in paths if path.exists() for line in path.read_text().splitlines()}
    with replacing(target / "hosts.jsonl") as scratch:
        # each begins with its time
        scratch.write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8", newline="\n")


def record(sources: Sequence[Path], *, partial: bool = False) -> Joined:
    """Join, commit and push; when another push came first, start again from what it left.

    Raises:
        UserError: the push was refused again and again.
    """
    for _ in range(ATTEMPTS):
        joined = join(sources, partial=partial)
        if not joined.taken:
            return joined
        _git("add", "--", str(RESULTS))
        _git("commit", "--quiet", "--message", joined.message)
        pushed = _git("push", "--quiet", "origin", "HEAD", check=False)
        if pushed.returncode == 0:
            return joined
        _git("fetch", "--quiet", "origin")
        _git("reset", "--quiet", "--hard", "@{upstream}")
    raise UserError(f"git push was refused {ATTEMPTS} times: {pushed.stderr.strip()}")


def _git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if check and answer.returncode != 0:
        raise UserError(f"git {arguments[0]} failed: {answer.stderr.strip()}")
    return answer


def machine_folders(root: Path) -> list[Path]:
    """The machine folders of artefacts that bear the machine's name.

    One artefact alone is unpacked without a folder of its own. What lies elsewhere is nobody's: no
    machine may deliver for another.
    """
    folders = {path.parent for path in root.rglob("*-*.json")}
    return sorted(one for one in folders if set(one.relative_to(root).parts) == {one.name})


def main(arguments: Sequence[str] | None = None) -> int:
    """Record; 1 when something could not be joined, though all that is sound was."""
    parser = argparse.ArgumentParser(prog="python -m scripts.record", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds MACHINE/ or MACHINE/MACHINE/ for each")
    parser.add_argument("--partial", action="store_true", help="a part of the suite was measured")
    options = parser.parse_args(arguments)
    sources = machine_folders(options.folder)
    if not sources:
        print(f"Nothing has arrived in {options.folder}.", file=sys.stderr)
        return 1
    try:
        joined = record(sources, partial=options.partial)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(joined.message if joined.taken else "Nothing to record.")
    print(*(f"kept: {line}" for line in joined.kept), sep="\n")
    print(*(f"error: {line}" for line in joined.problems), sep="\n", file=sys.stderr)
    return 1 if joined.problems else 0


if __name__ == "__main__":
    sys.exit(main())
