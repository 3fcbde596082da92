"""`python -m scripts.history.dev_build FOLDER`: record the newest counts of Wasmtime's dev release.

Wasmtime publishes a build of its main branch as the release `dev`. `upstream.yml` counts it every
week beside the newest pinned release. asv's history has no commit for it: `results/dev.json` holds
the newest counts only, until a release of the same version is pinned. FOLDER holds `upstream.json`,
the probe's JSON, and `build.json`, which names the build.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from asv.util import UserError
from msgspec import Meta, Struct
from packaging.version import Version

from scripts.base.files import write_atomically
from scripts.base.schema import Commit, Day, ReleaseName, T, Text, read_json
from scripts.history.benchmarks import DEREGISTER
from scripts.history.rows import Row, SeriesKey
from scripts.releases import pins
from scripts.releases.pins import Release

DEV = "dev"  # its name among releases
RECORDED = Path("dev.json")  # in the results folder
COUNTED_WITH = "libunwind"  # the unwinder of upstream.yml, as UNWINDER names it
REMEDY = "See the log of the job that wrote it."
MODULES = {f"functions-{functions}.wasm": functions for functions in (1, 8, 100)}  # it counts these
SAME_UNWINDER = 0.01  # relative difference of counts up to which the unwinder is the same
REMOVE, REGISTER = "instructions_to_remove", "instructions_to_register"  # in the probe's JSON

Count = Annotated[float, Meta(ge=0, lt=1e15)]


class ProbeOutputError(UserError):
    """A file of the job that ran the downloaded library is not what that job should write."""


class Build(Struct, frozen=True):
    """The counts of one module under one build, from the probe's JSON.

    The downloaded library ran in the process that wrote the JSON, so the content is not trusted.
    """

    build: str
    module: str
    modules: Annotated[int, Meta(gt=0, lt=10**6)]  # modules loaded
    counts: dict[str, dict[str, Count]]

    def __post_init__(self) -> None:
        """Raise ValueError if a count is missing."""
        if not all(str(self.modules) in self.counts.get(name, ()) for name in (REMOVE, REGISTER)):
            raise ValueError(f"no count with {self.modules} modules loaded")

    def count(self, name: str) -> float:
        """Return REMOVE or REGISTER with all modules loaded."""
        return self.counts[name][str(self.modules)]


Builds = Annotated[list[Build], Meta(min_length=2, max_length=100)]


class BuildName(Struct, frozen=True):
    """What a dev build is: the version that it will be released as, and Wasmtime's commit."""

    version: ReleaseName
    commit: Commit


class ShapeCounts(Struct, frozen=True):
    """Instructions per module of one shape.

    Attributes:
        deregister, register: under the dev build.
        pinned: to deregister under the pinned release, counted beside it with the same unwinder.
    """

    deregister: Count
    register: Count
    pinned: Count


class DevBuild(Struct, frozen=True):
    """The content of `results/dev.json`.

    Attributes:
        date: the day on which it was counted.
        version: the version that it will be released as.
        commit: Wasmtime's commit.
        against: the pinned release that was counted beside it.
        counts: by unwinder, as UNWINDER names it, and by shape.
    """

    date: Day
    version: ReleaseName
    commit: Commit
    against: ReleaseName
    counts: dict[Text, dict[Text, ShapeCounts]]

    def __post_init__(self) -> None:
        """Raise ValueError if there is no such day."""
        date.fromisoformat(self.date)


def read_untrusted(path: Path, kind: type[T]) -> T:
    """Read a file of the job that ran the library.

    Raises:
        ProbeOutputError: it is missing or invalid.
    """
    try:
        return read_json(path, kind, REMEDY)
    except UserError as error:
        raise ProbeOutputError(str(error)) from error


def read_builds(path: Path) -> list[tuple[Build, Build]]:
    """Return each module's counts under a pinned release and under the dev build.

    Raises:
        ProbeOutputError: the file does not list each module under a pinned release and a library.
    """
    builds = read_untrusted(path, Builds)
    try:
        return list(pair_builds(builds))
    except ValueError as error:
        raise ProbeOutputError(f"{path} is not the probe's JSON: {error}. {REMEDY}") from error


def pair_builds(builds: Sequence[Build]) -> Iterator[tuple[Build, Build]]:
    """Yield the two builds of each module.

    Raises:
        ValueError: the list does not alternate between a release and a library, module by module.
    """
    release = builds[0].build
    if len(builds) % 2 or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){2}", release):
        raise ValueError("it does not have two builds for each module, the first one a release")
    for before, after in zip(builds[::2], builds[1::2], strict=True):
        key = before.build, before.module, before.modules
        if key != (release, after.module, after.modules):
            raise ValueError("the builds of a module do not belong together")
        yield before, after


def build_record(folder: Path, day: str) -> DevBuild:
    """Return what to record of a dev build.

    Raises:
        ProbeOutputError: a file of the folder is missing or invalid.
    """
    name = read_untrusted(folder / "build.json", BuildName)
    pairs = read_builds(folder / "upstream.json")
    counts: dict[str, ShapeCounts] = {}
    for before, after in pairs:
        if after.module not in MODULES:
            raise ProbeOutputError(
                f"{folder / 'upstream.json'} has a module that is not of fixtures/. {REMEDY}"
            )
        shape = f"{after.modules}x{MODULES[after.module]}"
        if shape in counts:
            raise ProbeOutputError(f"{folder / 'upstream.json'} has {shape} twice. {REMEDY}")
        counts[shape] = ShapeCounts(
            after.count(REMOVE), after.count(REGISTER), before.count(REMOVE)
        )
    return DevBuild(day, name.version, name.commit, pairs[0][0].build, {COUNTED_WITH: counts})


def read_dev_build(results: Path, releases: Sequence[Release]) -> DevBuild | None:
    """Return the recorded dev build, or None without one, or if a release has replaced it.

    Raises:
        UserError: the file is damaged.
    """
    path = results / RECORDED
    if not path.exists():
        return None
    remedy = "Delete it: upstream.yml writes it again."
    if not path.is_file():
        raise UserError(f"{path} is not a regular file. {remedy}")
    recorded = read_json(path, DevBuild, remedy)
    newest = max((Version(release.version) for release in releases), default=Version("0"))
    return recorded if Version(recorded.version) > newest else None


def find_count(build: DevBuild, series: SeriesKey, shape: str, rows: Iterable[Row]) -> float | None:
    """Return the instructions to deregister a module that belong to a recorded series.

    Args:
        build: the dev build.
        series: the series.
        shape: its shape.
        rows: the recorded values.

    Returns:
        None if it was not counted, or if the count of the pinned release beside it shows that it
        was counted with another build of the unwinder or on another processor than the series.
    """
    counts = build.counts.get(series.unwinder.option, {}).get(shape)
    key = (series, build.against, DEREGISTER, shape)
    recorded = next((row.value for row in rows if row[:4] == key), None)
    if counts is None or recorded is None:
        return None
    is_same = abs(counts.pinned - recorded) <= SAME_UNWINDER * recorded
    return counts.deregister if is_same else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write results/dev.json; return 2 if a file of the folder is invalid, 1 on another error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.history.dev_build",
                                     description=__doc__)  # fmt: skip
    parser.add_argument("folder", type=Path, help="contains upstream.json and build.json")
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: results")
    options = parser.parse_args(arguments)
    try:
        record = build_record(options.folder, str(datetime.now(UTC).date()))
        newest = pins.load_pins()[-1].version
        if Version(record.version) <= Version(newest):
            print(f"Nothing to record: {newest} is pinned, so {record.version} is released.")
            return 0
        content = msgspec.json.format(msgspec.json.encode(record), indent=1).decode()
        write_atomically(options.results / RECORDED, f"{content}\n")
    except OSError as error:
        print(f"{options.results / RECORDED} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, ProbeOutputError) else 1
    print(f"Record the dev build of Wasmtime {record.version} at {record.commit[:8]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
