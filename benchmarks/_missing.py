"""What could be measured here if something were installed."""

import os


def missing(reason: str) -> Exception:
    """The exception for it: n/a, or a failure where numbers are recorded (BENCHMARKS_STRICT=1)."""
    strict = os.environ.get("BENCHMARKS_STRICT") == "1"
    return RuntimeError(reason) if strict else NotImplementedError(reason)
