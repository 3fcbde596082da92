"""The cost of unwind info: entries scanned, and nanoseconds per entry."""
