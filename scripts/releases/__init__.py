"""The pinned releases, and asv's view of them."""
