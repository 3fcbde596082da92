"""The plugin that `asv.conf.json` names: registers what asv uses of the rooms beside it.

asv finds `ReleaseRepo` and `Publisher` among the subclasses of its own classes, once they are
imported.
"""

from scripts.measuring import asv_changes
from scripts.releases import repo
from scripts.site import publisher

__all__ = ["publisher", "repo", "setup"]

setup = asv_changes.apply  # asv calls it when it has loaded the plugin
