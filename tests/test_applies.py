"""To whom unwind info applies: the measured rows of "Does it apply to me?" in docs/using.md."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
import wasmtime
from wasmtime import Config, Engine, Module
from wasmtime.component import Component

from benchmarks._counted import CountedLoad
from benchmarks._modules import compile_image, compile_portable_image, count_image_fdes
from benchmarks._shapes import UnwindInfo
from benchmarks.unwinder_instructions import count
from scripts.cost.wasm import read_wasm

from .conftest import ROOT

EIGHT = ROOT / "fixtures/functions-8.wasm"
WINCH = 2  # WASMTIME_STRATEGY_WINCH of the C API; the Python property refuses it

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="images for Windows have no .eh_frame"
)


def count_fdes(compiled: Any) -> int:
    """Return the FDEs of a compiled module or component."""
    return count_image_fdes(io.BytesIO(bytes(compiled.serialize())))


def compile_with(change: Callable[[Config], object]) -> Module:
    """Compile the module of 8 functions with another setting."""
    config = Config()
    change(config)
    return Module(Engine(config), EIGHT.read_bytes())


def test_winch_has_the_same_fdes_as_cranelift() -> None:
    set_strategy: Any = wasmtime._bindings.wasmtime_config_strategy_set
    winch = compile_with(lambda config: set_strategy(config.ptr(), WINCH))
    cranelift = compile_with(lambda _: None)
    assert bytes(winch.serialize()) != bytes(cranelift.serialize())
    assert count_fdes(winch) == count_fdes(cranelift) == 17


def test_pulley_has_no_fdes() -> None:
    def choose_pulley(config: Config) -> None:
        config.target = "pulley64"

    assert count_fdes(compile_with(choose_pulley)) == 0


@pytest.mark.parametrize(("modules", "fdes"), [(1, 17), (3, 49)])
def test_core_modules_of_a_component_share_their_types(modules: int, fdes: int) -> None:
    core = EIGHT.with_suffix(".wat").read_text(encoding="utf-8").replace("(", "(core ", 1)
    assert count_fdes(Component(Engine(), f"(component {modules * core})")) == fdes


def test_each_host_function_that_a_component_calls_adds_two() -> None:
    core = '(core module $m (import "" "f" (func)) (func (export "g") call 0))'
    alone = "(module" + core.removeprefix("(core module $m")
    component = f"""(component (import "f" (func $f)) (core func $lowered (canon lower (func $f)))
        {core} (core instance $host (export "f" (func $lowered)))
        (core instance (instantiate $m (with "" (instance $host)))))"""
    assert count_fdes(Component(Engine(), component)) == count_fdes(Module(Engine(), alone)) + 2


@pytest.mark.parametrize(("compiled", "fdes"), [("on", 17), ("off", 0)])
def test_the_probe_reads_the_setting_of_a_precompiled_module(
    compiled: UnwindInfo, fdes: int
) -> None:
    assert read_wasm(compile_image(EIGHT, compiled), "a.cwasm").counted == fdes


@pytest.mark.slow
@pytest.mark.usefixtures("valgrind")
@pytest.mark.skipif(sys.platform != "linux", reason="valgrind counts on Linux")
@pytest.mark.parametrize(
    ("compiled", "loaded", "executed"),
    [("on", "off", r"[1-9]\d* instructions"), ("off", "on", "0 instructions")],
)
def test_a_precompiled_module_keeps_its_own_setting(
    compiled: UnwindInfo, loaded: UnwindInfo, executed: str
) -> None:
    """What an image registers depends on how it was compiled, not on the engine that loads it.

    `count` refuses a load whose registration contradicts the setting of the engine.
    """
    image = bytes(compile_portable_image(EIGHT, compiled))
    with pytest.raises(
        AssertionError, match=f"unwind info is {loaded}, but .* executed {executed}"
    ):
        count({"load": CountedLoad(4, image, loaded)})
