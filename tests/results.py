"""Write result files with known costs, in the format of asv."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._shapes import COUNTED, HEADLINE
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
BUILD = 0x80AAA6B01F4C  # build id of the counted library
FDES_OF = {"1": 3, "8": 17, "100": 108}  # by functions, from 22.0.0 on
# Simulations draw the same numbers, whatever is pinned later.
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
    """Copy what a report needs beside results; return the results folder, which has none yet."""
    for name in ("asv.conf.json", "fixtures"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "results").mkdir()
    know_benchmarks(folder / "results")
    return folder / "results"


def know_benchmarks(results: Path) -> None:
    """Copy the list of benchmarks."""
    shutil.copy(ROOT / "results/benchmarks.json", results)


def write_results(
    results: Path,
    gaps: Mapping[str, Mapping[str, float]],
    machine: str = "linux-x86_64",
    unwinder: str = "libunwind",
    started: int = SESSION,
    noise: float = 0.005,
    counts: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    registered: Mapping[str, Mapping[str, float]] | None = None,
    build: int = BUILD,
) -> None:
    """Write what asv would store after measuring these gaps, by release and shape, in one session.

    `noise` is that of each process. `counts` and `registered` are instructions per module to
    deregister and to register, by release and shape; `build` identifies the counted library.
    """
    describe_machine(results, machine)
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
            FDES: ([list(FDES_OF)], list(FDES_OF.values())),
        }
        if counts:
            removal = counts.get(release, {})
            by_section = release.startswith("50")
            scan = f"__unw_remove_dynamic_{'eh_frame_section' if by_section else 'fde'}"
            (functions,) = known_params(FUNCTION)
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
    """Return the time to drop the modules of a shape without unwind info."""
    return OFF * HEADLINE[shape].modules


def describe_machine(results: Path, machine: str) -> dict[str, str]:
    """Write the description of a machine; return it."""
    systems = {"macos": "macOS 15", "windows": "Windows 2025"}
    described = {
        "arch": "arm64" if "arm64" in machine else "x86_64",
        "cpu": "x86-64, 2 cores", "machine": machine, "num_cpu": "2",
        "os": systems.get(machine.split("-")[0], "Debian 12, libgcc 12"),
        "ram": "24 GB",
    }  # fmt: skip
    (results / machine).mkdir(parents=True, exist_ok=True)
    path = results / machine / "machine.json"
    path.write_text(json.dumps({**described, "version": 1}))
    return described


def quote(names: Sequence[str]) -> list[str]:
    """Return parameters as asv writes them."""
    return list(map(repr, names))


def known_params(benchmark: str) -> list[list[str]]:
    """Return the parameters of a benchmark of the checkout."""
    known = json.loads((ROOT / "results/benchmarks.json").read_text())
    params: list[list[str]] = known[benchmark]["params"]
    return params


def draw_samples(center: float, noise: float, random: np.random.Generator) -> list[float]:
    """Return samples around a value."""
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
    """Write the result file of one release.

    `stored` holds, by benchmark, the parameters and an entry for each combination of them: a list
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
    statistics: list[list[Any]] = [
        [one and min(one) for one in sampled], [one and max(one) for one in sampled],
        [one and float(np.quantile(one, 0.25)) for one in sampled],
        [one and float(np.quantile(one, 0.75)) for one in sampled],
        [one and 1 for one in sampled], [one and len(one) for one in sampled],
    ]  # fmt: skip
    if not any(sampled):
        return [values, params, version, started, 1.0]
    return [values, params, version, started, 1.0, *statistics, sampled]


def edit(results: Path, version: str, change: Any, unwinder: str = "libunwind") -> Path:
    """Change the content of the result file of a release."""
    path = next(results.glob(f"*/{COMMITS[version][:8]}-*{unwinder}.json"))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path
