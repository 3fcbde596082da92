"""SVG elements as text, and logarithmic scales."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import Markup


def element(name: str, *children: str, **attributes: object) -> Markup:
    """Return an element. `_` in attribute names becomes `-`; text and values are escaped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), _rounded(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup("").join(children))


def _rounded(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def text(x: float, y: float, content: str, **attributes: object) -> Markup:
    """Return a text element."""
    return element("text", content, x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Markup:
    """Return a straight line."""
    return element("path", d=path([(x1, y1), (x2, y2)]), **attributes)


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the `d` attribute of a path through points."""
    return "M" + "L".join(f"{_rounded(float(x))},{_rounded(float(y))}" for x, y in points)


@dataclass(frozen=True)
class LogScale:
    """A logarithmic scale from values to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value."""
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self) -> Iterator[float]:
        """Yield powers of ten, and on a short scale also 2 and 5 times these."""
        steps = (1,) if self.high / self.low > 500 else (1, 2, 5)
        for exponent in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))):
            for step in steps:
                if self.low <= (value := step * 10.0**exponent) <= self.high:
                    yield value


def format_tick(value: float) -> str:
    """Return the label of a tick, such as `10k` or `0.5`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
