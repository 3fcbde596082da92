"""To whom unwind info applies: the measured rows of "Does it apply to me?" in docs/using.md."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
import wasmtime
from wasmtime import Config, Engine, Module
from wasmtime.component import Component

from benchmarks._modules import count_image_fdes
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
    assert count_fdes(compile_with(lambda config: set_strategy(config.ptr(), WINCH))) == 17
    assert count_fdes(compile_with(lambda _: None)) == 17


def test_pulley_has_no_fdes() -> None:
    def choose_pulley(config: Config) -> None:
        config.target = "pulley64"

    assert count_fdes(compile_with(choose_pulley)) == 0


@pytest.mark.parametrize(("modules", "fdes"), [(1, 17), (3, 49)])
def test_core_modules_of_a_component_share_their_types(modules: int, fdes: int) -> None:
    core = EIGHT.with_suffix(".wat").read_text(encoding="utf-8").replace("(", "(core ", 1)
    assert count_fdes(Component(Engine(), f"(component {modules * core})")) == fdes


@pytest.mark.parametrize(("unwind_info", "fdes"), [(True, 17), (False, 0)])
def test_a_precompiled_module_keeps_its_own_setting(unwind_info: bool, fdes: int) -> None:
    def choose(config: Config) -> None:
        config.native_unwind_info = unwind_info

    image = bytes(compile_with(choose).serialize())
    loaded = Module.deserialize(Engine(), image)
    assert count_fdes(loaded) == fdes
    assert read_wasm(image, "a.cwasm").counted == fdes
