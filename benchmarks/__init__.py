"""What is measured: one subject a file; files with a leading underscore are shared helpers.

asv runs this package in an environment that holds one wasmtime-py release and little else, so
nothing here imports from `scripts/`.
"""

from ._release import check_release
from ._unwinder import select

check_release()
select()
