"""The advice is a claim about a stopwatch: predicted costs of real modules, measured directly.

The modules come from npm packages and are no fixtures. Run it on a quiet machine, for about seven
minutes: `uv run pytest -n0 -s -m slow tests/check_rates.py`. It is not part of the test suite,
because other tests at the same time would evict the tables that it times.
"""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import psutil
import pytest

from scripts.cost.advice import THRESHOLD
from scripts.cost.model import find_registration
from scripts.cost.rates import UNKNOWN_MACHINE, Busy, Curves, curves_from_busy, estimate_ms
from scripts.releases.pins import Registration

from .conftest import DEADLINE, run_release, skip_missing
from .test_busy_process import PROGRAM

PACKAGES = {  # package -> the module in it, and the SHA-256 of the module
    "tree-sitter-json@0.24.8": (
        "tree-sitter-json.wasm",
        "d2119fb98d5912719b13f9458574f8608d2d29dfbe45f6be1f860ea1fe2a2405",
    ),
    "undici@5.28.4": (
        "lib/llhttp/llhttp.wasm",
        "ee82b848a5ca8e9f99fda109e59bbc20193d049a7f6bff93f4130cba5b68261c",
    ),
    "web-tree-sitter@0.27.2": (
        "web-tree-sitter.wasm",
        "488beeff7adb7fd7e21e97cc29a43dc6d031977755eda892d6d96c7f456cfdec",
    ),
    "@tensorflow/tfjs-backend-wasm@4.22.0": (
        "dist/tfjs-backend-wasm.wasm",
        "70a5d516060464e5269f01c74bac1772d6b8ab6cb612acf16b5cdaf61f78d892",
    ),
    "sql.js@1.17.0": (
        "dist/sql-wasm.wasm",
        "6918fd54c1192011b85af0365a819411285bb5579b9ae6a7308778a1750a2765",
    ),
}
RELEASES = ("49.0.0", "50.0.1")
COUNTS = (20, 200, 1000)
SAMPLES = 9  # of each setting
DROP_MS = 500  # a sample unloads the last modules of a load if unloading all would take longer
MODULE_MB = 2.5  # memory of the largest module
# The range may be missed by this share, or by this many milliseconds.
RELATIVE, ABSOLUTE = 0.25, 0.01


class Measured(NamedTuple):
    """Extra milliseconds per module, and the estimates for them."""

    load: str
    low: float  # quartiles of the samples with unwind info on, less the median of those without
    extra: float
    high: float
    machine: tuple[float, float]
    unknown: tuple[float, float]

    def problems(self) -> list[str]:
        """Return what the estimates claim and the measurement contradicts."""
        found = []
        for name, (low, high) in (("machine", self.machine), ("unknown", self.unknown)):
            lowest = low - max(RELATIVE * low, ABSOLUTE)
            highest = high + max(RELATIVE * high, ABSOLUTE)
            if not lowest <= self.extra <= highest:
                found.append(f"{self.load}: {self.extra:.4f} ms is not in {name} {low} to {high}")
            if high <= THRESHOLD and self.extra > 0.13:
                found.append(f"{self.load}: {name} says keep it at {self.extra:.4f} ms")
            if low > THRESHOLD and self.extra < 0.07:
                found.append(f"{self.load}: {name} says turn it off at {self.extra:.4f} ms")
        return found


def estimate_last_ms(
    unloaded: int, modules: int, fdes: int, registration: Registration, curves: Curves
) -> tuple[float, float]:
    """Return the estimate per module if only the last of some modules are unloaded."""
    return estimate_ms(unloaded, fdes, (modules - unloaded) * fdes, registration, curves)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Download the modules with npm, and check their hashes."""
    if shutil.which("npm") is None:
        skip_missing("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    files = {}
    for package, (name, sha256) in PACKAGES.items():
        process = subprocess.run(
            ["npm", "pack", "--silent", package],
            cwd=folder, capture_output=True, text=True, timeout=DEADLINE,
        )  # fmt: skip
        if process.returncode:
            pytest.skip(f"the npm registry did not answer: {process.stderr[:200]}")
        archive = (folder / process.stdout.split()[-1]).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = tar.extractfile(f"package/{name}")
            content = member.read() if member else b""
        assert hashlib.sha256(content).hexdigest() == sha256, package
        files[package] = folder / Path(name).name
        files[package].write_bytes(content)
    return files


@pytest.fixture(scope="module")
def run(install: Callable[[str], Path]) -> Callable[..., Any]:
    """Return a function that runs Python with a release and LLVM libunwind, and parses its JSON."""

    def run_python(version: str, *arguments: str) -> Any:
        return run_release(install(version), *arguments, unwinder="libunwind")

    return run_python


@pytest.fixture(scope="module")
def curves(run: Callable[..., Any]) -> Curves:
    """Return the curves of this machine, from its own samples of a busy process."""
    samples = {}
    for version in RELEASES:
        cells = run(version, "-c", PROGRAM)
        on, off = (
            {int(key.partition("/")[2]): cells[key] for key in cells if key.startswith(setting)}
            for setting in ("on/", "off/")
        )
        samples[version] = Busy(17, on, off)
    return curves_from_busy(*samples.values())


def plan_unloaded(modules: int, fdes: int, registration: Registration, curves: Curves) -> int:
    """Return how many modules a sample unloads."""
    unloaded = modules
    while unloaded > 1:
        high = estimate_last_ms(unloaded, modules, fdes, registration, curves)[0]
        if unloaded * high <= DROP_MS:
            break
        unloaded = unloaded * 2 // 3
    return unloaded


@pytest.mark.usefixtures("libunwind")
def test_measured_costs_of_real_modules_are_in_the_estimated_ranges(
    packages: dict[str, Path], run: Callable[..., Any], curves: Curves
) -> None:
    if psutil.virtual_memory().available < 2 * max(COUNTS) * MODULE_MB * 1e6:
        skip_missing(f"{2 * max(COUNTS) * MODULE_MB / 1e3:.0f} GB of free memory are needed")
    results = []
    for version in RELEASES:
        registration = find_registration(version)
        for package, wasm in packages.items():
            job = {"wasm": str(wasm), "loaded": 1, "unloaded": 1, "samples": 1}
            fdes = run(version, "tests/unload_probe.py", json.dumps(job))["fdes"]
            for count in COUNTS:
                unloaded = plan_unloaded(count, fdes, registration, curves)
                job |= {"loaded": count, "unloaded": unloaded, "samples": SAMPLES}
                times = run(version, "tests/unload_probe.py", json.dumps(job))
                low, middle, high = (
                    value - median(times["off"]) for value in quantiles(times["on"])
                )
                machine, unknown = (
                    estimate_last_ms(unloaded, count, fdes, registration, of)
                    for of in (curves, UNKNOWN_MACHINE)
                )
                name = f"{version}, {package}: {unloaded} of {count} × {fdes} FDEs"
                results.append(Measured(name, low, middle, high, machine, unknown))
                print(  # a table for the reader of `pytest -s`
                    f"{name:68} {middle:9.4f} [{low:.4f} {high:.4f}]"
                    f" machine {machine[0]:.4f}–{machine[1]:.4f}"
                    f" unknown {unknown[0]:.4f}–{unknown[1]:.4f}",
                    flush=True,
                )
    problems = [problem for result in results for problem in result.problems()]
    assert not problems, "\n".join(problems)
