"""Numbers as people read them."""


def number(value: float | None) -> str:
    """Three digits, or n/a."""
    if value is None:
        return "n/a"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interval(low: float | None, high: float | None) -> str:
    """Its ends, or n/a."""
    return "n/a" if low is None or high is None else f"{number(low)}–{number(high)}"


def times(ratio: float) -> str:
    """A ratio, as in `9.31×`."""
    return f"{number(ratio)}×"
