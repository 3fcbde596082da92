"""What surrounds the benchmarks, in rooms by who uses them: CONTRIBUTING.md prints the tree."""
