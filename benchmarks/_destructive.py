"""How a benchmark is sampled whose timed call destroys what `setup` made."""

import sys
import time

# CPU time of the thread that drops the modules: it does not advance while the machine does other
# work. The CPU clock of Windows advances in steps of 16 ms, which is too coarse.
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time


class Destructive:
    """asv's settings for such a benchmark, each with its reason. Its benchmarks inherit them."""

    timer = CLOCK
    number = 1  # a second call would find nothing left to drop
    warmup_time = 0  # nothing to warm up: each call needs a setup of its own, which is expensive
    rounds = 8  # processes: each is fast or slow as a whole; asv's rank test needs 7 a side
    repeat = 1  # samples of one process agree with each other, but the rank test does not know
    min_run_count = 1  # `repeat` alone decides how many samples are taken
    timeout = 300  # seconds per process, setup included; macOS before 50.0.0 is the slowest
