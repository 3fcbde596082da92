"""How `asv run` measures here, and what the benchmark workflow measures."""
