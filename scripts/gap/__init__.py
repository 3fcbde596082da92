"""The report: when did the cost of unwind info change, why, and what to do."""
