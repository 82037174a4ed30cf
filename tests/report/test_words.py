"""Numbers and values in words."""

from __future__ import annotations

from math import inf

import pytest

from ckpt_tools.text import changed_value, percent, value


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.0, "0 %"),
        (0.01234, "1.2 %"),
        (0.9949, "99 %"),
        (0.9951, "99.5 %"),
        (0.99999, "99.9 %"),
        (1.0, "100 %"),
        (9999.0, "999,900 %"),
        (1e4, "1,000,000 %"),
        (12345.0, "1.2e4 times"),
        (7.2e20, "7.2e20 times"),
        (7e200, "7e200 times"),
        (inf, "from zero"),
    ],
)
def test_a_ratio_is_told_in_percent_while_anybody_can_read_it(ratio: float, words: str) -> None:
    assert percent(ratio) == words


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("abcdef", '"abcdef"'),
        ("abcdefghij", '"abcde…"'),
        ([1, 2, 3, 4], "[1, 2,…]"),
        ({"a": 123}, '{"a": …}'),
        (12345678901, "1234567…"),
    ],
)
def test_a_value_that_is_cut_closes_what_it_opens(item: object, words: str) -> None:
    assert value(item, 8) == words


def test_two_values_that_are_cut_alike_show_where_they_differ() -> None:
    numbers = [0.7661212086677551] * 7
    other = [*numbers[:3], 0.5, *numbers[4:]]
    assert changed_value(numbers, other, 40) == "[3]: 0.7661212086677551 -> 0.5 (1 of 7 elements)"
    assert changed_value(numbers, numbers[:6], 40).startswith("[6]: 0.7661212086677551 -> absent")
    assert changed_value("x" * 99 + "a", "x" * 99 + "b", 40) == ('…"xxxxxxxxxxa" -> …"xxxxxxxxxxb"')
    assert changed_value(1, 1.0) == "1 -> 1.0"
