"""The headline benchmark, on real wheels of every era of the wasmtime-py API."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wasmtime

from benchmarks import _modules, _program, _release, module_teardown
from benchmarks.teardown_gap import TeardownGap
from scripts.releases import pins

from .conftest import DEADLINE, ROOT

pytestmark = pytest.mark.slow

ERAS = ("13.0.0", "17.0.1", "18.0.2", "25.0.0", "39.0.0", "44.0.0", "45.0.0", "newest")


def probe(version: str, folder: Path, *arguments: str) -> Any:
    answer = subprocess.run(
        [sys.executable, ROOT / "tests/teardown_probe.py", *arguments],
        capture_output=True, text=True, check=True, timeout=DEADLINE,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    seen = json.loads(answer.stdout)
    assert seen["version"] == version
    assert seen["count"] == 1000
    assert seen["has tables"] == {"on": True, "off": False}
    return seen["samples"]


def assert_gone(sample: Any, count: int) -> None:
    before, loaded, left = (sample[moment] for moment in ("before", "loaded", "left"))
    assert loaded["modules"] - before["modules"] == count
    assert loaded["code"] - before["code"] >= count * 4096  # at least a page of code each
    assert (left["modules"], left["code"]) == (before["modules"], before["code"])
    assert sample["second"] == f"0 modules are loaded, not {count}"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("release", ERAS)
def test_modules_are_loaded_and_really_gone(release: str, install: Callable[[str], Path]) -> None:
    version = pins.load()[-1].version if release == "newest" else release
    samples = probe(version, install(version))
    assert len(samples) == 6
    for sample in samples.values():
        assert_gone(sample, 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("version", ["13.0.0", "50.0.1"])
def test_the_gap_leaves_nothing_behind(version: str, install: Callable[[str], Path]) -> None:
    gap = probe(version, install(version), "all")["gap"]
    assert gap["answer"].keys() == _modules.SHAPES.keys()
    assert all(shape["ratio"] > 0 for shape in gap["answer"].values())
    assert gap["left"]["modules"] == gap["before"]["modules"]
    assert gap["left"]["code"] == gap["before"]["code"]


@pytest.mark.parametrize(("strict", "error"), [("0", NotImplementedError), ("1", RuntimeError)])
def test_without_its_package_the_real_program_is_na(
    strict: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARKS_STRICT", strict)
    monkeypatch.setattr(_program, "PACKAGE", "itkwasm_compress_stringify_wasl")
    with pytest.raises(error, match="itkwasm_compress_stringify_wasl is not installed here"):
        _program.program()


def test_a_partly_emptied_list_is_no_sample() -> None:
    benchmark = module_teardown.ModuleTeardown()
    benchmark.setup("on", "1000x1")
    benchmark.modules.pop()
    with pytest.raises(AssertionError, match="999 modules"):
        benchmark.time_teardown("on", "1000x1")
    benchmark.modules.clear()


def test_windows_is_never_asked_to_turn_unwind_info_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def abort() -> None:
        pytest.fail("called into the library, which would abort the process on Windows")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_modules, "Config", abort)
    _modules.engine.cache_clear()
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        module_teardown.ModuleTeardown().setup("off", "1000x8")
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        module_teardown.ModuleTeardownMemory().setup("off")
    reason = TeardownGap().setup_cache()
    assert isinstance(reason, str)
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        TeardownGap().setup(reason, "1000x8")


def test_a_release_without_the_property_is_set_through_its_c_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_to = []

    class OldConfig:
        _ptr = "the pointer"

    monkeypatch.setattr(_modules, "Config", OldConfig)
    monkeypatch.setattr(_modules, "Engine", lambda config: config)
    monkeypatch.setattr(
        wasmtime._bindings,
        "wasmtime_config_native_unwind_info_set",
        lambda pointer, enable: set_to.append((pointer, enable)),
    )
    _modules.engine.cache_clear()
    config = _modules.engine("off")
    _modules.engine.cache_clear()
    assert set_to == [("the pointer", False)]
    assert not vars(config)


def test_another_release_than_the_one_asv_names_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commits = {release.version: release.commit for release in pins.load()}
    monkeypatch.delenv("ASV_COMMIT", raising=False)
    _release.check_release()
    monkeypatch.setenv("ASV_COMMIT", commits[metadata.version("wasmtime")])
    _release.check_release()
    monkeypatch.setattr(_release, "find_spec", lambda _: SimpleNamespace(origin=__file__))
    with pytest.raises(RuntimeError, match="Another wasmtime comes before"):
        _release.check_release()
    monkeypatch.setenv("ASV_COMMIT", commits["49.0.0"])
    with pytest.raises(RuntimeError, match=r"is 49\.0\.0 .* but wasmtime [\d.]+ is installed"):
        _release.check_release()
    monkeypatch.setenv("ASV_COMMIT", "0" * 40)
    with pytest.raises(RuntimeError, match="is no release"):
        _release.check_release()


def test_a_benchmark_process_checks_its_release() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import benchmarks"],
        capture_output=True, text=True, timeout=DEADLINE,
        env={**os.environ, "ASV_COMMIT": "0" * 40},
    )  # fmt: skip
    assert answer.returncode == 1
    assert "is no release" in answer.stderr
