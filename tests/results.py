"""Write result files with known costs, in asv's format."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._shapes import COUNTED, HEADLINE
from scripts.history.machine import parse_system
from scripts.releases import pins

from .conftest import COMMITS, ROOT

TEARDOWN = "module_teardown.ModuleTeardown.time_teardown"
FDES = "unwind_tables.UnwindTables.track_fde_count"
COUNTS = "unwinder_instructions.UnwinderInstructions."
REMOVAL, REGISTRATION, FUNCTION, LIBRARY = (
    f"{COUNTS}track_{name}" for name in ("removal", "registration", "function", "library")
)
DATES = {release.version: release.timestamp * 1000 for release in pins.load_pins(ROOT / pins.PINS)}
OFF = 14e-6  # seconds per module without unwind info
BUILD = 0x80AAA6B01F4C  # first digits of the build id of the counted library
FDES_BY_FUNCTIONS = {"1": 3, "8": 17, "100": 108}  # FDEs of a module since 22.0.0
# ends at 50.0.1, so that simulations draw the same numbers after new releases are pinned
RELEASES = list(COMMITS)[: list(COMMITS).index("50.0.1") + 1]
SESSION = 1_790_000_000_000  # milliseconds since the epoch
HOUR = 3_600_000
TIMED, SHAPES = tuple(HEADLINE), tuple(COUNTED)
COLUMNS = (
    "result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b",
    "stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile",
)  # fmt: skip
SAMPLES = 8


def repository(folder: Path) -> Path:
    """Create a repository without results, sufficient for a report; return its results folder."""
    shutil.copy(ROOT / "asv.conf.json", folder)
    shutil.copytree(ROOT / "fixtures", folder / "fixtures")
    pinned = pins.load_pins(ROOT / pins.PINS)[
        : len(RELEASES)
    ]  # the newest pin is that of the story
    pins.save_pins(pinned, folder / pins.PINS)
    (folder / "results").mkdir()
    copy_benchmarks(folder / "results")
    return folder / "results"


def copy_benchmarks(results: Path) -> None:
    """Copy `benchmarks.json` into a results folder."""
    shutil.copy(ROOT / "results/benchmarks.json", results)


def write_results(
    results: Path,
    gaps: Mapping[str, Mapping[str, float]],
    machine: str = "linux-x86_64",
    unwinder: str = "",
    started: int = SESSION,
    noise: float = 0.005,
    counts: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    registered: Mapping[str, Mapping[str, float]] | None = None,
    build: int = BUILD,
) -> None:
    """Write the results that asv would store in one session, with these gaps by release and shape.

    By default, the unwinder is the one that Wasmtime treats like Apple's on that machine. `noise`
    is the relative spread of samples. `counts` and `registered` are instructions per module
    to deregister and to register, by release and shape. `build` identifies the counted library.
    """
    describe_machine(results, machine)
    unwinder = unwinder or ("libunwind" if parse_system(machine) in ("", "Linux") else "system")
    random = np.random.default_rng(seed)
    for release, by_shape in gaps.items():
        times = [
            draw_samples(off_seconds(shape) * (by_shape[shape] if on else 1), noise, random)
            if shape in by_shape
            else None
            for on in (True, False)
            for shape in TIMED
        ]
        # parameters, and an entry for each of their combinations
        stored: dict[str, tuple[list[list[str]], list[Any]]] = {
            TEARDOWN: ([quote(("on", "off")), quote(TIMED)], times),
            FDES: ([list(FDES_BY_FUNCTIONS)], list(FDES_BY_FUNCTIONS.values())),
        }
        if counts:
            removal = counts.get(release, {})
            by_section = release.startswith("50")
            scan = f"__unw_remove_dynamic_{'eh_frame_section' if by_section else 'fde'}"
            (functions,) = read_params(FUNCTION)
            stored[REMOVAL] = [quote(SHAPES)], [removal.get(shape) for shape in SHAPES]
            stored[FUNCTION] = (
                [functions],
                [removal.get("1000x8") if name == repr(scan) else 0 for name in functions],
            )
            stored[LIBRARY] = [], [build]
        if registered:
            registration = registered.get(release, {})
            stored[REGISTRATION] = [quote(TIMED)], [registration.get(shape) for shape in TIMED]
        write_file(results, machine, unwinder, release, stored, started)


def off_seconds(shape: str) -> float:
    """Return the seconds to drop the modules of a shape without unwind info."""
    return OFF * HEADLINE[shape].modules


def describe_machine(results: Path, machine: str) -> dict[str, str]:
    """Write the `machine.json` of a machine, and return the fields."""
    systems = {"macos": "macOS 15", "windows": "Windows 2025"}
    description = {
        "arch": "arm64" if "arm64" in machine else "x86_64",
        "cpu": "x86-64, 2 cores", "machine": machine, "num_cpu": "2",
        "os": systems.get(machine.split("-")[0], "Debian 12, libgcc 12"),
        "ram": "24 GB",
    }  # fmt: skip
    (results / machine).mkdir(parents=True, exist_ok=True)
    path = results / machine / "machine.json"
    path.write_text(json.dumps({**description, "version": 1}))
    return description


def quote(names: Sequence[str]) -> list[str]:
    """Return parameters as asv stores them."""
    return list(map(repr, names))


def read_params(benchmark: str) -> list[list[str]]:
    """Return the parameters of a benchmark from the repository's `benchmarks.json`."""
    known = json.loads((ROOT / "results/benchmarks.json").read_text())
    params: list[list[str]] = known[benchmark]["params"]
    return params


def draw_samples(center: float, noise: float, random: np.random.Generator) -> list[float]:
    """Return random samples around a value; `noise` is their relative spread."""
    samples: list[float] = (center * np.exp(random.normal(0, noise, SAMPLES))).tolist()
    return samples


def write_file(
    results: Path,
    machine: str,
    unwinder: str,
    release: str,
    stored: Mapping[str, tuple[list[list[str]], list[Any]]],
    started: int = SESSION,
) -> Path:
    """Write the result file of a release, and return its path.

    `stored` maps each benchmark to its parameters and an entry for each combination of them: a list
    of samples, a value without samples, or None for a failure.
    """
    known = json.loads((ROOT / "results/benchmarks.json").read_text())
    rows = {
        name: make_row(params, entries, known.get(name, {"version": "1"})["version"], started)
        for name, (params, entries) in stored.items()
    }
    environment = f"virtualenv-py3.11-UNWINDER{unwinder}"
    description = json.loads((results / machine / "machine.json").read_text())
    del description["version"]
    path = results / machine / f"{COMMITS[release][:8]}-{environment}.json"
    content = {
        "commit_hash": COMMITS[release], "env_name": environment, "date": DATES[release],
        "params": {**description, "python": "3.11"}, "python": "3.11", "requirements": {},
        "env_vars": {"UNWINDER": unwinder}, "result_columns": COLUMNS, "results": rows,
        "durations": {}, "version": 2,
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def make_row(
    params: list[list[str]], entries: Sequence[Any], version: str, started: int
) -> list[Any]:
    """Return the columns of one benchmark."""
    sampled = [entry if isinstance(entry, list) else None for entry in entries]
    values = [
        float(np.median(entry)) if isinstance(entry, list) else entry for entry in entries
    ]  # fmt: skip
    if not any(sampled):
        return [values, params, version, started, 1.0]
    statistics: list[list[Any]] = [
        [samples and min(samples) for samples in sampled],
        [samples and max(samples) for samples in sampled],
        [samples and float(np.quantile(samples, 0.25)) for samples in sampled],
        [samples and float(np.quantile(samples, 0.75)) for samples in sampled],
        [samples and 1 for samples in sampled],
        [samples and len(samples) for samples in sampled],
    ]
    return [values, params, version, started, 1.0, *statistics, sampled]


def edit(results: Path, version: str, change: Any, unwinder: str = "libunwind") -> Path:
    """Apply a change to the content of a release's result file; return the file's path."""
    path = next(results.glob(f"*/{COMMITS[version][:8]}-*{unwinder}.json"))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path
