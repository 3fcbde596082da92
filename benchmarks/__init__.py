"""The benchmarks: one subject per file; files with a leading underscore are shared helpers.

asv imports this package in an environment that holds one wasmtime-py release and little else, so
nothing here imports from `scripts/`.
"""

from ._release import check_release
from ._unwinder import preload_unwinder

check_release()
preload_unwinder()  # before any benchmark imports wasmtime
