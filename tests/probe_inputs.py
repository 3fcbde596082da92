"""Shared by the tests of the probe: small modules, made-up builds, and the probe as a command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.cost.platforms import Platform
from scripts.probe.builds import WasmtimeBuild, install_release
from scripts.probe.cases import Case
from scripts.probe.compiling import Compiled
from scripts.probe.counting import UnwinderCounts
from scripts.probe.flow import Result
from scripts.probe.host_unwinders import HostUnwinder
from scripts.probe.inputs import Input
from scripts.probe.judging import judge
from scripts.probe.predicting import Prediction
from scripts.probe.timing import Times
from scripts.releases import pins

ROOT = Path(__file__).resolve().parent.parent
ONE, EIGHT, HUNDRED = (ROOT / f"fixtures/functions-{number}.wasm" for number in (1, 8, 100))
NEWEST = pins.load_pins(ROOT / pins.PINS)[-1].version
DEADLINE = 600  # seconds that a test waits for a command
EMPTY = b"\0asm\x01\0\0\0"  # a module without functions
# modules in text format that use a proposal, by its name
MODULES_BY_PROPOSAL = {
    "threads": "(module (memory 1 1 shared))",
    "tail-call": "(module (func $f return_call $f))",
    "relaxed-simd": (
        "(module (func (param v128 v128 v128) (result v128) "
        "local.get 0 local.get 1 local.get 2 f32x4.relaxed_madd))"
    ),
    "multi-memory": "(module (memory 1) (memory 1))",
    "memory64": "(module (memory i64 1))",
    "extended-const": "(module (global i32 (i32.add (i32.const 1) (i32.const 2))))",
    "exceptions": "(module (tag $e) (func (throw $e)))",
    "gc": (
        "(module (type $s (struct (field i32))) (func (result (ref $s)) (struct.new_default $s)))"
    ),
    "function-references": (
        "(module (type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0))))"
    ),
    "wide-arithmetic": (
        "(module (func (param i64 i64 i64 i64) (result i64 i64) "
        "local.get 0 local.get 1 local.get 2 local.get 3 i64.add128))"
    ),
    "custom-page-sizes": "(module (memory 1 (pagesize 1)))",
}

LIBGCC_12 = HostUnwinder("system", "libgcc 12", Platform.LIBGCC_LIST)
LIBGCC_14 = HostUnwinder("system", "libgcc 14", Platform.LIBGCC_TREE)
LIBUNWIND = HostUnwinder("libunwind", "LLVM libunwind 19.1.7", Platform.LIBUNWIND)
# the wasmtime of the tests' own environment, so that no wheel has to be installed
INSTALLED = WasmtimeBuild("installed", "", "50.0.1")

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows requires unwind info")
needs_valgrind = pytest.mark.usefixtures("valgrind")


def predict(fdes: int, release: str = "50.0.1", unwinder: HostUnwinder = LIBUNWIND) -> Prediction:
    """Return the model's prediction for a module under a release."""
    return Prediction(fdes, release, unwinder)


def make_counts(deregister: dict[int, float], prediction: Prediction) -> UnwinderCounts:
    """Return counts as if they had been counted."""
    return UnwinderCounts(deregister, dict.fromkeys(deregister, 7174.0), prediction)


def make_result(
    deregister: float | None,
    release: str = "50.0.1",
    *,
    unwinder: HostUnwinder = LIBUNWIND,
    times: Times | None = None,
    **others: Any,
) -> Result:
    """Return a result as if it had been counted with 1000 modules, or not counted."""
    prediction = predict(17, release, unwinder)
    counts = None if deregister is None else make_counts({1000: deregister}, prediction)
    case = Case(Input(EIGHT, EIGHT.name), WasmtimeBuild(release, "", release), unwinder)
    verdict = judge(prediction, 1000, counts, times)
    compiled = Compiled(fdes=17, portable_fdes=17)
    return Result(case, compiled, prediction, counts, times, verdict, **others)


def environment(cache: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a probe with its own cache, and its own lock for measuring."""
    cleared = ("ASV_", "UNWINDER", "LIBUNWIND", "BENCHMARKS_STRICT", "LD_PRELOAD")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(cleared)}
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    return {**inherited, "UV": uv, "XDG_CACHE_HOME": str(cache), "TMPDIR": str(cache), **variables}


def install_in_cache(version: str, cache: Path) -> Path:
    """Install a release in the probe's cache if it is not there yet; return its folder."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache)
    try:
        release = next(release for release in pins.load_pins() if release.version == version)
        return Path(install_release(release).path)
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def without_valgrind(cache: Path) -> dict[str, str]:
    """Install the newest release, and return variables that hide valgrind, and with it uv."""
    install_in_cache(NEWEST, cache)
    return {"PATH": ""}


def run_probe(
    cache: Path, *arguments: str | Path, valgrind: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the probe as a command."""
    variables |= {} if valgrind else without_valgrind(cache)
    return subprocess.run(
        [sys.executable, "-m", "scripts.probe", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE,
        env=environment(cache, **variables),
    )  # fmt: skip


def run_probe_json(
    cache: Path, *arguments: str | Path, code: int = 0, valgrind: bool = True
) -> list[dict[str, Any]]:
    """Run the probe and return its JSON; fail on NaN and Infinity, which JSON does not have."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    completed = run_probe(cache, *arguments, "--json", valgrind=valgrind)
    assert completed.returncode == code, completed.stdout + completed.stderr
    results: list[dict[str, Any]] = json.loads(completed.stdout, parse_constant=refuse)
    return results
