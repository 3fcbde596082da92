"""The second stage: what unloading a module costs by the model, from its FDEs alone.

Only this file asks `scripts.cost` for an estimate.
"""

from dataclasses import dataclass

from scripts.cost import model
from scripts.cost.advice import Load, Range, estimate
from scripts.cost.platforms import Platform
from scripts.probe.host_unwinders import HostUnwinder
from scripts.releases.pins import Registration


@dataclass(frozen=True)
class Prediction:
    """The model's prediction for a module under a release and an unwinder.

    Attributes:
        fdes: FDEs that the module registers.
        release: the release that registers unwind tables as the build does.
        unwinder: the unwinder that the build registers them with.
    """

    fdes: int
    release: str
    unwinder: HostUnwinder

    @property
    def registration(self) -> Registration:
        """How the build registers its unwind tables with libunwind."""
        return model.find_registration(self.release)

    def entries(self, modules: int) -> float:
        """Return the table entries that libunwind scans to deregister a module; 0 for libgcc."""
        if not self.unwinder.platform.scans:
            return 0
        return model.unload(modules, self.fdes, self.registration).entries

    def instructions(self, modules: int) -> float:
        """Return the unwinder's instructions to deregister a module, with that many loaded."""
        if not self.fdes:
            return 0
        if self.unwinder.platform.scans:
            cost = model.unload(modules, self.fdes, self.registration)
            return cost.instructions(self.unwinder.scan, self.registration)
        if self.unwinder.platform is Platform.LIBGCC_LIST:
            return model.LIBGCC_LIST
        return model.LIBGCC_TREE + model.LIBGCC_TREE_FDE * self.fdes

    def cost(self, modules: int) -> Range:
        """Return the milliseconds to unload a module, with that many loaded."""
        if not self.fdes:
            return Range(0, 0)
        return estimate(self.unwinder.platform, self.release, Load(modules, self.fdes))
