"""The benchmarks that scripts read, by the names that asv stores; a test finds each of them.

A row of the history names its benchmark by the short name.
"""

DEREGISTER, REGISTER = "deregister", "register"  # instructions of the unwinder per module
FUNCTION = "function"  # those to deregister, by function of the unwinder
LIBRARY = "library"  # the start of the counted unwinder's build id
FDES = "fdes"  # FDEs per module
TIME_ON, TIME_OFF = "time on", "time off"  # seconds to drop all modules of a shape
# derived from the times
GAP = "gap"  # time with unwind info / time without
EXTRA = "extra"  # time with unwind info - time without, in milliseconds per 1000 modules

TIME = "module_teardown.ModuleTeardown.time_teardown"
TRACKED = {  # benchmarks of one parameter, or none
    "unwinder_instructions.UnwinderInstructions.track_removal": DEREGISTER,
    "unwinder_instructions.UnwinderInstructions.track_registration": REGISTER,
    "unwinder_instructions.UnwinderInstructions.track_function": FUNCTION,
    "unwinder_instructions.UnwinderInstructions.track_library": LIBRARY,
    "unwind_tables.UnwindTables.track_fde_count": FDES,
}
MAIN_SHAPE = "1000x8"  # the one that stands for all in headlines and charts
