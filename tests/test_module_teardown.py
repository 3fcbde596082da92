"""The headline benchmark, on wheels from before and after each change of the wasmtime-py API."""

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
from benchmarks._shapes import HEADLINE

from .conftest import COMMITS, DEADLINE, ROOT

# the last release before each change of the API, and the first release after it
ERAS = ("13.0.0", "17.0.1", "18.0.2", "25.0.0", "39.0.0", "44.0.0", "45.0.0", list(COMMITS)[-1])


@pytest.fixture(autouse=True)
def _clear_engines() -> None:
    _modules.make_engine.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("version", ERAS)
def test_timed_call_unloads_all_modules(version: str, install: Callable[[str], Path]) -> None:
    process = subprocess.run(
        [sys.executable, ROOT / "tests/teardown_probe.py"],
        capture_output=True, text=True, check=True, timeout=DEADLINE,
        env={**os.environ, "PYTHONPATH": str(install(version))},
    )  # fmt: skip
    report = json.loads(process.stdout)
    assert report["version"] == version
    assert report["has tables"] == {"on": True, "off": False}
    assert len(report["samples"]) == 6
    for sample in report["samples"].values():
        before, loaded, after = (sample[moment] for moment in ("before", "loaded", "after"))
        assert loaded["modules"] - before["modules"] == 1000
        assert loaded["code"] - before["code"] >= 1000 * 4096  # at least a page of code each
        assert after == before
        assert sample["second call"] == "0 modules are loaded, not 1000"


@pytest.mark.skipif(sys.platform == "win32", reason="unwind info cannot be turned off on Windows")
@pytest.mark.parametrize(
    ("setting", "compiled", "message"),
    [
        ("off", "on", "native_unwind_info is off, but the compiled module has an .eh_frame"),
        ("on", "off", "native_unwind_info is on, but the compiled module has no .eh_frame"),
    ],
)
def test_setup_rejects_modules_with_the_wrong_unwind_info(
    setting: Any, compiled: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_engine = _modules.make_engine(compiled)
    monkeypatch.setattr(_modules, "make_engine", lambda _: wrong_engine)
    with pytest.raises(AssertionError, match=message):
        module_teardown.ModuleTeardown().setup(setting, "100x100")
    with pytest.raises(AssertionError, match=message):
        module_teardown.ModuleTeardownMemory().setup(setting)


@pytest.mark.parametrize(("strict", "error"), [("0", NotImplementedError), ("1", RuntimeError)])
def test_missing_real_program_is_na_or_an_error_in_strict_mode(
    strict: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHMARKS_STRICT", strict)
    monkeypatch.setattr(_program, "PACKAGE", "itkwasm_compress_stringify_wasl")
    with pytest.raises(error, match="itkwasm_compress_stringify_wasl is not installed"):
        _program.require_program()


def test_timed_call_fails_if_a_module_is_missing() -> None:
    benchmark = module_teardown.ModuleTeardown()
    benchmark.setup("on", "100x100")
    assert len(benchmark.modules) == HEADLINE["100x100"].modules
    benchmark.modules.pop()
    with pytest.raises(AssertionError, match="99 modules are loaded, not 100"):
        benchmark.time_teardown("on", "100x100")
    benchmark.modules.clear()


def test_unwind_info_off_is_na_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def abort() -> None:
        pytest.fail("called the library, which would abort the process on Windows")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(_modules, "Config", abort)
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        module_teardown.ModuleTeardown().setup("off", "1000x8")
    with pytest.raises(NotImplementedError, match="Windows requires unwind info"):
        module_teardown.ModuleTeardownMemory().setup("off")


def test_unwind_info_is_set_through_the_c_api_if_the_property_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    class OldConfig:
        _ptr = "the pointer"

    monkeypatch.setattr(_modules, "Config", OldConfig)
    monkeypatch.setattr(_modules, "Engine", lambda config: config)
    monkeypatch.setattr(
        wasmtime._bindings,
        "wasmtime_config_native_unwind_info_set",
        lambda pointer, enable: calls.append((pointer, enable)),
    )
    config: Any = _modules.make_engine("off")
    _modules.make_engine.cache_clear()
    assert calls == [("the pointer", False)]
    assert not vars(config)


def test_release_that_asv_does_not_name_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASV_COMMIT", raising=False)
    _release.check_release()
    monkeypatch.setenv("ASV_COMMIT", COMMITS[metadata.version("wasmtime")])
    _release.check_release()
    monkeypatch.setattr(_release, "find_spec", lambda _: SimpleNamespace(origin=__file__))
    with pytest.raises(RuntimeError, match="Python imports another wasmtime instead of"):
        _release.check_release()
    monkeypatch.setenv("ASV_COMMIT", COMMITS["49.0.0"])
    with pytest.raises(RuntimeError, match=r"is 49\.0\.0 .* but wasmtime [\d.]+ is installed"):
        _release.check_release()
    monkeypatch.setenv("ASV_COMMIT", "0" * 40)
    with pytest.raises(RuntimeError, match="is not pinned"):
        _release.check_release()


def test_importing_benchmarks_checks_the_release() -> None:
    process = subprocess.run(
        [sys.executable, "-c", "import benchmarks"],
        capture_output=True, text=True, timeout=DEADLINE,
        env={**os.environ, "ASV_COMMIT": "0" * 40},
    )  # fmt: skip
    assert process.returncode == 1
    assert "is not pinned" in process.stderr
