"""Format numbers for people."""


def format_number(value: float | None) -> str:
    """Return a number with three significant digits, or n/a."""
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_count(value: float | None) -> str:
    """Return a count as a whole number, or n/a."""
    return "n/a" if value is None else f"{value:,.0f}"


def format_interval(low: float | None, high: float | None) -> str:
    """Return a range, such as `6.44–10.1` or `-0.2 to 0.3`, or n/a."""
    if low is None or high is None:
        return "n/a"
    separator = " to " if low < 0 else "–"
    return f"{format_number(low)}{separator}{format_number(high)}"


def format_milliseconds(value: float) -> str:
    """Return milliseconds with two significant digits, such as `0.082 ms`."""
    if value >= 9.95:
        return f"{value:,.0f} ms"
    digits = f"{value:.2g}"
    return f"{digits if 'e' not in digits else f'{value:.5f}'} ms"


def format_milliseconds_range(low: float, high: float) -> str:
    """Return a range of milliseconds, such as `0.067 to 0.16 ms`."""
    first, last = format_milliseconds(low), format_milliseconds(high)
    return first if first == last else f"{first.removesuffix(' ms')} to {last}"


def format_ratio(ratio: float) -> str:
    """Return a ratio, such as `9.31×`."""
    return f"{format_number(ratio)}×"
