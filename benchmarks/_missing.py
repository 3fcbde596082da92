"""Missing optional tools."""

import os


def missing_tool(reason: str) -> Exception:
    """Return the exception that asv shows as n/a, or as a failure under BENCHMARKS_STRICT=1.

    `reason` says what is missing and how to install it.
    """
    strict = os.environ.get("BENCHMARKS_STRICT") == "1"
    return RuntimeError(reason) if strict else NotImplementedError(reason)
