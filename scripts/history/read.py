"""What `results/` says of the cost of unwind info, read through asv, release by release."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from asv import util
from asv.benchmarks import Benchmarks
from asv.results import Results, iter_results_paths
from asv.util import UserError
from packaging.version import Version

from scripts.history import benchmarks, results
from scripts.releases import pins

SESSION = 6 * 3600  # seconds: the longest a job of a hosted runner can take


@dataclass(frozen=True)
class Value:
    """A value that asv has stored: the median of its samples, and their range if it has any."""

    value: float
    low: float | None = None
    high: float | None = None
    samples: int = 0


@dataclass(frozen=True)
class Point:
    """What unwind info costs on one machine, with one unwinder, at one size, in one release.

    `size` is functions per module, or the name of what else is counted, `instructions` those of the
    unwinder per module, `gap` time with unwind info over time without, `extra` what it adds, in ms
    per 1000 modules. `library` is what was counted, and `functions` has the instructions of its
    functions, at the headline size.
    """

    machine: str
    unwinder: str
    size: str
    release: str
    instructions: float | None = None
    gap: Value | None = None
    extra: Value | None = None
    fdes: int | None = None
    started: float = 0
    library: str = ""
    functions: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What changes together."""
        return self.machine, self.unwinder


class ResultFile(NamedTuple):
    """The values of one release in one environment, by benchmark and parameter."""

    machine: str
    unwinder: str
    release: str
    started: float  # seconds since the epoch
    values: dict[str, dict[str, Value]]

    @property
    def key(self) -> tuple[str, str, str]:
        """There is one file for each."""
        return self[:3]


@dataclass
class History:
    """All that was read or left out; `newest` is a machine's newest release of any file.

    `on_macs` says of every pinned release how its macOS libraries register unwind info.
    """

    machines: dict[str, dict[str, str]] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    files: list[ResultFile] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unpinned: list[str] = field(default_factory=list)
    on_macs: dict[str, str] = field(default_factory=dict)


@functools.lru_cache(maxsize=1)  # every page that asv publishes asks for it
def read(conf: Any) -> History:
    """Read every result file below the results folder of an asv configuration.

    What cannot be used is named in `left_out`, and commits that are not pinned in `unpinned` too.

    Raises:
        UserError: benchmarks.json, the pins or the description of a machine are missing or damaged.
    """
    root = Path(conf.results_dir)
    history = History(machines=results.descriptions(root))
    known = Benchmarks.load(conf)
    pinned = pins.load()
    releases = {release.commit: release.version for release in pinned}
    history.on_macs = {release.version: release.on_macs for release in pinned}
    hosts = {}
    for machine in history.machines:
        # by the names of files: damaged ones have those too
        names = {path.name[:8] for path in (root / machine).glob("*-*.json*")}
        seen = [release for commit, release in releases.items() if commit[:8] in names]
        history.newest[machine] = max(seen, key=Version, default="")
        try:
            hosts[machine] = results.hosts(root / machine)
        except UserError as error:
            history.left_out.append(str(error))
    files: dict[tuple[str, str, str], ResultFile] = {}
    for folder, name, machine in sorted(iter_results_paths(conf.results_dir)):
        path = Path(folder, name)
        try:
            stored = results.load(str(path), machine_name=machine)
        except UserError as error:
            history.left_out.append(str(error))
            continue
        if stored.commit_hash not in releases:
            history.unpinned.append(f"{path}: {stored.commit_hash[:8]} is no pinned release")
            continue
        file = _result_file(stored, known, machine, releases[stored.commit_hash])
        if files.setdefault(file.key, file) is not file:
            history.left_out.append(f"{path}: {' '.join(file.key)} has another file")
    history.left_out += history.unpinned
    history.files = sorted(files.values(), key=lambda file: (*file.key[:2], Version(file.release)))
    for file in history.files:
        library = results.library(hosts.get(file.machine, []), file.unwinder, file.started)
        history.points += _points(file, library)
    return history


def _result_file(stored: Results, known: Benchmarks, machine: str, release: str) -> ResultFile:
    started = stored.started_at.get(benchmarks.RATIO) or results.started(stored)
    names = [name for name in benchmarks.READ if name in stored.get_result_keys(known)]
    values = {name: values for name in names if (values := dict(_values(stored, name)))}
    unwinder = stored.env_vars.get("UNWINDER", "system")
    return ResultFile(machine, unwinder, release, started / 1000, values)


def _values(stored: Results, name: str) -> Iterator[tuple[str, Value]]:
    params = stored.get_result_params(name)
    values, samples = stored.get_result_value(name, params), stored.get_result_samples(name, params)
    for (param,), value, taken in zip(itertools.product(*params), values, samples, strict=True):
        if not util.is_na(value):
            several = taken if taken and len(taken) > 1 else [None]
            yield param.strip("'"), Value(value, min(several), max(several), len(taken or ()))


def _points(file: ResultFile, library: str) -> Iterator[Point]:
    """One for each size of which something is known."""
    counts, gaps, extras, fdes, functions = (
        {sizes.get(param, param): value for param, value in file.values.get(name, {}).items()}
        for name, sizes in benchmarks.READ.items()
    )
    for size in dict.fromkeys((*benchmarks.SIZES, *counts)):
        if size in {*counts, *gaps, *extras} and not size.endswith(benchmarks.OFF):
            by_function = functions if size == benchmarks.HEADLINE else {}
            yield Point(
                *(file.machine, file.unwinder, size, file.release),
                instructions=counts[size].value if size in counts else None,
                gap=gaps.get(size),
                extra=extras.get(size),
                fdes=int(fdes[size].value) if size in fdes else None,
                started=file.started,
                library=library,
                functions={name: value.value for name, value in by_function.items()},
            )
