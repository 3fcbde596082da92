"""Time the unloading of the last modules of a load; print CPU milliseconds per module as JSON.

Tests start this program with a release on PYTHONPATH and a job as JSON: `wasm`, the path of a
module; `loaded`, how many are loaded; `unloaded`, how many of them are dropped; `samples`.
Each sample has a forked process of its own, which ends without dropping the others.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._busy import SETTINGS
from benchmarks._destructive import CLOCK
from benchmarks._modules import check_unwind_info, compile_image, load_image
from benchmarks._shapes import UnwindInfo
from benchmarks.unwind_tables import count_fdes


def sample(image: bytearray, setting: UnwindInfo, loaded: int, unloaded: int) -> float:
    """Load modules and drop the last ones, in a forked process; return ms per dropped module."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            gc.disable()
            modules = load_image(loaded, image, setting)
            before = CLOCK()
            del modules[loaded - unloaded :]
            seconds = CLOCK() - before
            os.write(writer, repr(1e3 * seconds / unloaded).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return float(answer)


def main() -> None:
    """Print the FDEs of the module, and its samples with unwind info on and off, alternately."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    wasm = Path(job["wasm"])
    images = {setting: compile_image(wasm, setting) for setting in SETTINGS}
    times: dict[str, list[float]] = {}
    for setting, image in images.items():
        check_unwind_info(image, setting)
        times[setting] = []
    for number in range(job["samples"]):
        for setting in SETTINGS[:: (-1) ** number]:
            milliseconds = sample(images[setting], setting, job["loaded"], job["unloaded"])
            times[setting].append(milliseconds)
    print(json.dumps({"fdes": count_fdes(wasm), **times}))


if __name__ == "__main__":
    main()
