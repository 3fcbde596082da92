"""The benchmarks: one subject per file; files with a leading underscore are shared helpers.

asv imports this package in an environment with one wasmtime-py release and few other packages, so
it imports nothing from `scripts/`.
"""

from ._release import check_release
from ._unwinder import preload_unwinder

check_release()
preload_unwinder()  # before any benchmark imports wasmtime
