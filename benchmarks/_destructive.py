"""asv settings for benchmarks whose timed call destroys what `setup` made."""

import sys
import time

# CPU time of the thread that drops the modules: it does not advance while the machine does other
# work. The CPU clock of Windows advances in steps of 16 ms, which is too coarse.
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time


class Destructive:
    """Base class of benchmarks that need a new `setup` for every sample."""

    timer = CLOCK
    number = 1  # a second call would find nothing left to drop
    warmup_time = 0  # each warm-up call would need its own setup, which is expensive
    rounds = 8  # processes: each is fast or slow as a whole; asv's rank test needs 7 per release
    repeat = 1  # one per process, because samples of one process are not independent
    min_run_count = 1  # only `repeat` decides how many samples are taken
    timeout = 300  # seconds per process, setup included; macOS before 50.0.0 is the slowest
