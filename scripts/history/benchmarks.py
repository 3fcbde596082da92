"""The benchmarks and parameters that scripts rely on; a test finds each in `benchmarks.json`."""

RATIO = "teardown_gap.TeardownGap.track_ratio"
EXTRA = "teardown_gap.TeardownGap.track_extra"
TIME = "module_teardown.ModuleTeardown.time_teardown"
FDES = "unwind_tables.UnwindTables.track_fde_count"
REMOVAL = "unwinder_instructions.UnwinderInstructions.track_removal"

# modules × functions; the last is too slow to be measured in pairs: two series of the headline
SIZES = ("1000x1", "1000x8", "250x100", "1000x100")
PAIRED = SIZES[:3]
HEADLINE = "1000x8"
