"""Result files with known costs, written by asv itself."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from asv.results import Results

from scripts.history.benchmarks import EXTRA, FDES, FUNCTION, RATIO, REMOVAL

from .conftest import COMMITS, ROOT

OFF = 14  # milliseconds per 1000 modules without unwind info
# simulations draw the same numbers, whatever is pinned later
RELEASES = list(COMMITS)[: list(COMMITS).index("50.0.1") + 1]
SESSION = 1_790_000_000_000  # milliseconds since the epoch
HOUR = 3_600_000
TIMED = ("1000x1", "1000x8", "250x100")
SHAPES = (
    "1000x1", "250x8", "1000x8", "100x100", "250x8 fifo", "250x8 random", "1x2000",
    "1x2000 beside 10,000 FDEs", "4x real program", "1000x8 off",
)  # fmt: skip

MACHINE = (
    '{{"arch": "x86_64", "cpu": "x86-64, 2 cores", "machine": "{name}", "num_cpu": "2", '
    '"os": "{os}", "ram": "24 GB", "version": 1}}'
)


def repository(folder: Path) -> Path:
    """What a report needs beside results, which it names."""
    for name in ("asv.conf.json", "fixtures"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "results").mkdir()
    know_benchmarks(folder / "results")
    return folder / "results"


def know_benchmarks(results: Path) -> None:
    """The benchmarks of the checkout, and those that it may not have yet."""
    known = json.loads((ROOT / "results/benchmarks.json").read_text())
    for name, shapes, unit in ((REMOVAL, SHAPES, "instructions"), (EXTRA, TIMED, "ms")):
        like = known[RATIO] | {"name": name, "params": [list(map(repr, shapes))], "unit": unit}
        known.setdefault(name, {**like, "version": "1"})
    (results / "benchmarks.json").write_text(json.dumps(known))


def write_results(
    results: Path,
    gaps: Mapping[str, Mapping[str, float]],
    machine: str = "linux-x86_64",
    unwinder: str = "libunwind",
    started: int = SESSION,
    noise: float = 0.005,
    counts: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
) -> None:
    """Write what asv would after measuring these gaps, by release and size, in one session.

    `noise` is that between processes; extra times follow from the gaps; `counts` are by shape.
    """
    system = "macOS 15" if machine.startswith("macos") else "Debian 12, libgcc 12"
    (results / machine).mkdir(parents=True, exist_ok=True)
    (results / machine / "machine.json").write_text(MACHINE.format(name=machine, os=system))
    benchmarks = json.loads((ROOT / "results/benchmarks.json").read_text())
    random = np.random.default_rng(seed)
    for release, by_size in gaps.items():
        file = Results(
            {"machine": machine, "python": "3.11", "os": system}, {},
            COMMITS[release], 0, "3.11", f"virtualenv-py3.11-UNWINDER{unwinder}",
            {"UNWINDER": unwinder},
        )  # fmt: skip
        ratios = [
            [by_size[size] * factor for factor in np.exp(random.normal(0, noise, 8)).tolist()]
            if size in by_size else None
            for size in TIMED
        ]  # fmt: skip
        extras = [one and [OFF * (ratio - 1) for ratio in one] for one in ratios]
        for name, params, samples in (
            (RATIO, list(map(repr, TIMED)), ratios),
            (EXTRA, list(map(repr, TIMED)), extras),
            (FDES, ["1", "8", "100"], [[3.0], [17.0], [108.0]]),
        ):
            version = benchmarks.get(name, {"version": "1"})["version"]
            _add(file, name, [params], samples, version, started)
        if counts:
            by_shape = counts.get(release, {})
            part = "eh_frame_section" if release.startswith("50") else "fde"
            by_function = {f"__unw_remove_dynamic_{part}": by_shape.get("1000x8")}
            for name, values, none in ((REMOVAL, by_shape, None), (FUNCTION, by_function, 0)):
                (params,) = benchmarks[name]["params"]
                _add(
                    file, name, [params], [None] * len(params), benchmarks[name]["version"], started
                )
                file._results[name] = [values.get(param.strip("'"), none) for param in params]
        file.save(str(results))


def _add(
    file: Results, name: str, params: list[list[str]], samples: list[Any], version: str, at: int
) -> None:
    file._results[name] = [None if one is None else float(np.median(one)) for one in samples]
    file._samples[name] = samples
    file._stats[name] = [
        None if one is None else {"ci_99_a": min(one), "ci_99_b": max(one), "number": 1}
        for one in samples
    ]
    file._benchmark_params[name] = params
    file._benchmark_version[name] = version
    file._started_at[name] = at
    file._duration[name] = 1.0


def edit(results: Path, version: str, change: Any, unwinder: str = "libunwind") -> Path:
    """Change the content of the result file of a release."""
    path = next(results.glob(f"*/{COMMITS[version][:8]}-*{unwinder}.json"))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path
