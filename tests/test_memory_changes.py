"""Changes of the memory that is left after modules are dropped."""

import pytest

from scripts.history.memory import MemoryChange, find_memory_changes, is_memory_change

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.3, 0.7, False),  # more than twice as much, but few bytes
        (0.3, 1.0, True),
        (1.0, 0.3, True),
        (10, 11, False),  # a megabyte, but few percent
        (10, 14, True),
        (0, 1, True),
        (0, 0.1, False),
        (1, 1, False),
    ],
)
def test_change_is_large_in_bytes_and_in_percent(
    before: float, after: float, expected: bool
) -> None:
    assert is_memory_change(before * MEGABYTE, after * MEGABYTE) is expected


def test_step_up_and_step_down_are_changes_with_their_releases() -> None:
    values = [("47.0.1", 9e5), ("48.0.0", 24e5), ("48.0.1", 24.1e5), ("49.0.0", 5e5)]
    up, down = find_memory_changes(values)
    assert up == MemoryChange("47.0.1", "48.0.0", 9e5, 24e5)
    assert down == MemoryChange("48.0.1", "49.0.0", 24.1e5, 5e5)
    assert (up.is_worse, down.is_worse) == (True, False)


def test_slow_growth_is_one_change() -> None:
    values = [(f"{major}.0.0", 4e5 + 1e5 * major) for major in range(8)]
    (change,) = find_memory_changes(values)
    assert (change.previous, change.release) == ("0.0.0", "6.0.0")
    assert (change.before, change.after) == (4e5, 10e5)


def test_few_values_have_no_change() -> None:
    assert find_memory_changes([]) == []
    assert find_memory_changes([("47.0.1", 9e9)]) == []
