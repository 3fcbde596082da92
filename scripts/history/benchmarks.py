"""The benchmarks and parameters that scripts rely on; a test finds each in `benchmarks.json`."""

REMOVAL = "unwinder_instructions.UnwinderInstructions.track_removal"
FUNCTION = "unwinder_instructions.UnwinderInstructions.track_function"
RATIO = "teardown_gap.TeardownGap.track_ratio"
EXTRA = "teardown_gap.TeardownGap.track_extra"
FDES = "unwind_tables.UnwindTables.track_fde_count"

# A size is a number of functions per module. Counting is cheap with few modules and timing is not
# exact with few, so that the modules × functions of 100 differ.
COUNTED = {"1000x1": "1", "1000x8": "8", "100x100": "100"}
TIMED = {"1000x1": "1", "1000x8": "8", "250x100": "100"}
SIZES = ("1", "8", "100")
HEADLINE = "8"
# What is read, with the sizes that its parameters stand for.
READ: dict[str, dict[str, str]] = {
    REMOVAL: COUNTED, RATIO: TIMED, EXTRA: TIMED, FDES: {}, FUNCTION: {}
}  # fmt: skip
# What else is counted is a size by its own name; these are found by how the name ends.
OFF, BESIDE, ORDERS = " off", " FDEs", (" fifo", " random")
FEWER, MORE = "250x8", "1000x8"  # modules of one kind, to see growth
