"""The cost of unwind info: FDEs of a module, entries scanned, milliseconds, advice."""
