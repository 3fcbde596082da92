"""Record machines and results of `asv run`, and run it for the benchmark workflow."""
