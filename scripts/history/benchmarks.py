"""The benchmarks that scripts read: short names, used in rows of the history, and asv's names.

A test checks that asv knows each name.
"""

DEREGISTER, REGISTER = "deregister", "register"  # instructions of the unwinder per module
FUNCTION = "function"  # instructions to deregister, by function of the unwinder
LIBRARY = "library"  # first digits of the counted unwinder's build id, as a number
FDES = "fdes"  # FDEs per module
ON, OFF = " on", " off"  # suffixes of the benchmarks in PAIRED
TIME_ON, TIME_OFF = f"time{ON}", f"time{OFF}"  # seconds to drop all modules of a shape
# derived from the times
GAP = "gap"  # time with unwind info / time without
EXTRA = "extra"  # time with unwind info - time without, in milliseconds per 1000 modules

TIME = "module_teardown.ModuleTeardown.time_teardown"
# Benchmarks that are measured with unwind info on and off, which is their first parameter. A second
# parameter is the shape.
BUSY, MEMORY = "unload", "memory"  # seconds to unload a module, by FDEs that stay; bytes left
MEMORY_ON = f"{MEMORY}{ON}"
FRAMES, BOTTOM = "wasm frames", "bottom"  # how far a native backtrace gets
FRAMES_ON, BOTTOM_ON = f"{FRAMES}{ON}", f"{BOTTOM}{ON}"
PAIRED = {
    TIME: "time",
    "busy_process.UnloadFromBusyProcess.track_unload": BUSY,
    "memory_left.MemoryLeft.track_memory_left": MEMORY,
    "native_backtrace.NativeBacktrace.track_wasm_frames": FRAMES,
    "native_backtrace.NativeBacktrace.track_reaches_bottom": BOTTOM,
}
CLOCKED = {f"{name}{end}" for name in ("time", BUSY) for end in (ON, OFF)}  # need a real processor
TRACKED = {  # benchmarks with at most one parameter
    "unwinder_instructions.UnwinderInstructions.track_removal": DEREGISTER,
    "unwinder_instructions.UnwinderInstructions.track_registration": REGISTER,
    "unwinder_instructions.UnwinderInstructions.track_function": FUNCTION,
    "unwinder_instructions.UnwinderInstructions.track_library": LIBRARY,
    "unwind_tables.UnwindTables.track_fde_count": FDES,
}
MAIN_SHAPE = "1000x8"  # the shape that headlines and charts show
