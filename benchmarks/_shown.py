"""Attributes with which asv shows a benchmark."""

from collections.abc import Callable
from typing import Any, TypeVar

Benchmark = TypeVar("Benchmark", bound=Callable[..., Any])


def shown(name: str, **attributes: object) -> Callable[[Benchmark], Benchmark]:
    """Set the name that asv displays for a benchmark, and other attributes such as `unit`."""

    def set_attributes(benchmark: Benchmark) -> Benchmark:
        benchmark.__dict__.update(pretty_name=name, **attributes)
        return benchmark

    return set_attributes
