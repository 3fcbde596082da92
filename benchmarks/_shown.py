"""How asv shows a benchmark."""

from collections.abc import Callable
from typing import Any, TypeVar

Benchmark = TypeVar("Benchmark", bound=Callable[..., Any])


def shown(name: str, **attributes: object) -> Callable[[Benchmark], Benchmark]:
    """Give a benchmark the name that asv displays, and other attributes that asv reads (`unit`)."""

    def set_attributes(benchmark: Benchmark) -> Benchmark:
        benchmark.__dict__.update(pretty_name=name, **attributes)
        return benchmark

    return set_attributes
