"""Result files with known gaps, written by asv itself."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from asv.results import Results

from scripts.history.benchmarks import FDES, RATIO, TIME

from .conftest import COMMITS

OFF = 0.014  # seconds per 1000 modules without unwind info
# simulations draw the same numbers, whatever is pinned later
RELEASES = list(COMMITS)[: list(COMMITS).index("50.0.1") + 1]
SESSION = 1_790_000_000_000  # milliseconds since the epoch
HOUR = 3_600_000

MACHINE = (
    '{{"arch": "x86_64", "cpu": "x86-64, 2 cores", "machine": "{name}", "num_cpu": "2", '
    '"os": "{os}", "ram": "24 GB", "version": 1}}'
)


def write_results(
    results: Path,
    gaps: Mapping[str, Mapping[str, float]],
    machine: str = "linux-x86_64",
    unwinder: str = "libunwind",
    started: int = SESSION,
    noise: float = 0.005,
) -> None:
    """Write what asv would after measuring these gaps, by release and size, in one session."""
    system = "macOS 15" if machine.startswith("macos") else "Debian 12, libgcc 12"
    (results / machine).mkdir(parents=True, exist_ok=True)
    (results / machine / "machine.json").write_text(MACHINE.format(name=machine, os=system))
    random = np.random.default_rng(0)
    for release, by_size in gaps.items():
        file = Results(
            {"machine": machine, "python": "3.11", "os": system}, {},
            COMMITS[release], 0, "3.11", f"virtualenv-py3.11-UNWINDER{unwinder}",
            {"UNWINDER": unwinder},
        )  # fmt: skip
        paired = ("1000x1", "1000x8", "250x100")
        _add(
            file, RATIO, [[repr(size) for size in paired]],
            [
                [by_size[size] * factor for factor in 1 + random.normal(0, noise, 8)]
                if size in by_size else None
                for size in paired
            ],
            started,
        )  # fmt: skip
        on = [by_size.get(f"1000x{functions}") for functions in (1, 8, 100)]
        _add(
            file, TIME, [["'on'", "'off'"], ["1", "8", "100"]],
            [None if gap is None else [OFF * gap] for gap in on]
            + [None if gap is None else [OFF] for gap in on],
            started,
        )  # fmt: skip
        _add(file, FDES, [["1", "8", "100"]], [[3], [17], [108]], started)
        file.save(str(results))


def _add(
    file: Results, name: str, params: list[list[str]], samples: list[list[float] | None], at: int
) -> None:
    file._results[name] = [None if one is None else float(np.median(one)) for one in samples]
    file._samples[name] = samples
    file._stats[name] = [
        None if one is None else {"ci_99_a": min(one), "ci_99_b": max(one), "number": 1}
        for one in samples
    ]
    file._benchmark_params[name] = params
    file._benchmark_version[name] = "1"
    file._started_at[name] = at
    file._duration[name] = 1.0
