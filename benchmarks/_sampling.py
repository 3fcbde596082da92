"""How a benchmark is sampled whose timed call destroys what its setup has made."""

import sys
import time

# Of the CPU, for the thread that drops: while the machine does something else this clock stands
# still. That of Windows goes in steps of 16 ms.
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time


class Destructive:
    """asv's settings for such a benchmark, each with its reason; all classes inherit them."""

    timer = CLOCK
    number = 1  # a second call would find nothing left
    warmup_time = 0  # nothing to warm up: each call needs a setup of its own, which is costly
    rounds = 8  # processes: one is fast or slow as a whole; asv's rank test needs 7 a side
    repeat = 1  # samples of one process agree with each other, which the rank test does not know
    min_run_count = 1  # `repeat` alone says how many samples are taken
    timeout = 300  # seconds of a process, setup included; macOS before 50.0.1 is the slowest
    version = "2"  # by hand: new when what is measured, or how it is sampled, changes
