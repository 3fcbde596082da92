"""What unwind info must not move, so that a machine that drifts is not taken for a change."""

from typing import ClassVar

from wasmtime import Instance, Store

from ._modules import UnwindInfo, engine, fixture, load_image
from ._sampling import Destructive
from ._shown import shown

INSTANCES = 1000


class Control(Destructive):
    """Time to drop a store with 1000 instances of one module, which stays loaded.

    Unmapping the memories of the instances is work of the kind that dropping modules is, and no
    unwind tables are touched: `on` and `off` have to agree, and both to stay where they are.
    """

    params: ClassVar = [["on", "off"]]
    param_names: ClassVar = ["unwind_info"]
    repeat = (2, 12, 1.0)  # at least, at most, seconds with the instantiation in between

    def setup(self, unwind_info: UnwindInfo) -> None:
        """Instantiate the module 1000 times in a new store."""
        (self.module,) = load_image(1, fixture(8), unwind_info)
        store = Store(engine(unwind_info))
        for _ in range(INSTANCES):
            Instance(store, self.module, [])
        self.stores = [store]

    @shown("Control: drop a store of 1000 instances")
    def time_drop_store(self, unwind_info: UnwindInfo) -> None:
        """Seconds per store of 1000 instances."""
        if len(self.stores) != 1:
            raise AssertionError("the store is gone already")
        self.stores.clear()
