"""The other half of the cost: what it takes to register 1000 modules."""

from typing import ClassVar

from wasmtime import Module

from ._modules import MODULES, UnwindInfo, fixture, image, load_image
from ._sampling import Destructive
from ._shown import shown

WASM = fixture(8)


class ModuleLoad(Destructive):
    """Time to load 1000 modules of 8 functions from their compiled image."""

    params: ClassVar = [["on", "off"]]
    param_names: ClassVar = ["unwind_info"]

    def setup(self, unwind_info: UnwindInfo) -> None:
        """Compile the module once, and drop what the sample before has loaded."""
        image(WASM, unwind_info)
        self.modules: list[Module] = []

    @shown("Load 1000 modules")
    def time_load(self, unwind_info: UnwindInfo) -> None:
        """Seconds per 1000 modules."""
        if self.modules:
            raise AssertionError(f"{len(self.modules)} modules are loaded already")
        self.modules = load_image(MODULES, WASM, unwind_info)
