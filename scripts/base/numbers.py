"""Numbers as people read them."""


def number(value: float | None) -> str:
    """Return three digits, or n/a."""
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def count(value: float | None) -> str:
    """Return a count with every digit before the point, or n/a."""
    return "n/a" if value is None else f"{value:,.0f}"


def interval(low: float | None, high: float | None) -> str:
    """Return a range, such as `6.44–10.1`, or n/a."""
    if low is None or high is None:
        return "n/a"
    return f"{number(low)} to {number(high)}" if low < 0 else f"{number(low)}–{number(high)}"


def milliseconds(value: float) -> str:
    """Return milliseconds with two digits, such as `0.082 ms`."""
    if value >= 9.95:
        return f"{value:,.0f} ms"
    digits = f"{value:.2g}"
    return f"{digits if 'e' not in digits else f'{value:.5f}'} ms"


def milliseconds_range(low: float, high: float) -> str:
    """Return a range of milliseconds, such as `0.067 to 0.16 ms`."""
    first, last = milliseconds(low), milliseconds(high)
    return first if first == last else f"{first.removesuffix(' ms')} to {last}"


def times(ratio: float) -> str:
    """Return a ratio, such as `9.31×`."""
    return f"{number(ratio)}×"
