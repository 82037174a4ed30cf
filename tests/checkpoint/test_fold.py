"""Folding of numbered names.

counts      the counts add up to the number of names
exact       folded names expand to exactly the names
unchanged   names without numbers stay as they are, in their order
idempotent  folding twice changes nothing
"""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.checkpoint.names import fold, is_index, natural_key, ranges

segments = st.sampled_from(
    ["layers", "a", "b", "0", "1", "2", "3", "4", "6", "10", "00", "07", "weight", ""]
)
names = st.lists(st.lists(segments, min_size=1, max_size=4).map(".".join), unique=True, max_size=20)
numbers = st.lists(st.integers(0, 40), min_size=1, max_size=12)


def written_out(folded: str) -> set[str]:
    """Return the names that a folded name expands to."""
    parts = [
        _numbers(part) if re.fullmatch(r"\{.*\}", part) else [part] for part in _segments(folded)
    ]
    return {".".join(choice) for choice in itertools.product(*parts)}


def _segments(folded: str) -> list[str]:
    return re.findall(r"(?:\{[^}]*\}|[^.])+|(?<=\.)(?=\.|$)|^(?=\.|$)", folded)


def _numbers(braces: str) -> list[str]:
    step = re.fullmatch(r"\{(\d+)\.\.(\d+) by (\d+)\}", braces)
    if step:
        first, last, by = map(int, step.groups())
        return [str(number) for number in range(first, last + 1, by)]
    found: list[str] = []
    for run in braces[1:-1].split(","):
        low, _, high = run.partition("..")
        found += [str(number) for number in range(int(low), int(high or low) + 1)]
    return found


@given(names)
def test_counts_sum_to_the_number_of_names(given_names: list[str]) -> None:
    assert sum(fold(given_names).values()) == len(given_names)


@given(names)
def test_folded_names_expand_to_exactly_the_names(
    given_names: list[str],
) -> None:
    found = [(written_out(folded), count) for folded, count in fold(given_names).items()]
    assert all(len(stands_for) == count for stands_for, count in found)
    assert sorted(name for stands_for, _ in found for name in stands_for) == sorted(given_names)


@given(st.lists(st.sampled_from(["a", "b.c", "", ".", "a.", "07.x", "x1.y2", "é.²"]), unique=True))
def test_names_without_numbers_are_unchanged(given_names: list[str]) -> None:
    assert list(fold(given_names).items()) == [(name, 1) for name in given_names]


@given(names)
def test_folding_twice_changes_nothing(given_names: list[str]) -> None:
    folded = list(fold(given_names))
    assert list(fold(folded)) == folded


@pytest.mark.parametrize(
    ("given_names", "folded"),
    [
        ([f"layers.{n}.w" for n in range(16)], {"layers.{0..15}.w": 16}),
        (
            [f"layers.{n}.{m}" for n in range(4) for m in "ab"],
            {"layers.{0..3}.a": 4, "layers.{0..3}.b": 4},
        ),
        (
            [f"layers.{n}.heads.{m}.w" for n in range(3) for m in range(4)],
            {"layers.{0..2}.heads.{0..3}.w": 12},
        ),
        (["layers.1.w", "layers.3.w", "layers.5.w"], {"layers.{1..5..2}.w": 3}),
        (["layers.1.w", "layers.2.w"], {"layers.{1,2}.w": 2}),
        (["layers.7.w"], {"layers.7.w": 1}),
        (["layers.07.w", "layers.7.w"], {"layers.07.w": 1, "layers.7.w": 1}),
        (["0", "1", "2"], {"{0..2}": 3}),
        (["layers.0.w", "layers.1.v"], {"layers.0.w": 1, "layers.1.v": 1}),
        ([], {}),
    ],
)
def test_numbers_fold_where_all_other_segments_are_equal(
    given_names: list[str], folded: dict[str, int]
) -> None:
    assert fold(given_names) == folded


def test_a_name_that_looks_folded_is_not_merged_with_what_folds_to_it() -> None:
    """A file may hold a tensor called `a.{0..2}`; none of the four is lost."""
    assert sum(fold(["a.{0..2}", "a.0", "a.1", "a.2"]).values()) == 4
    assert sum(fold(["a.0", "a.1", "a.2", "a.{0..2}"]).values()) == 4


@given(numbers)
def test_ranges_name_each_number_once(given_numbers: list[int]) -> None:
    text = ranges(given_numbers)
    found = _numbers(text) if text.startswith("{") else [text]
    assert list(map(int, found)) == sorted(set(given_numbers))


@pytest.mark.parametrize(
    ("given_numbers", "text"),
    [
        ([5], "5"),
        ([3, 4], "{3,4}"),
        ([3, 5], "{3,5}"),
        ([2, 0, 1], "{0..2}"),
        ([0, 1, 2, 3, 7], "{0..3,7}"),
        ([0, 2, 4, 6, 8, 10, 12, 14], "{0..14..2}"),
        ([1, 1, 1], "1"),
        ([0, 2, 3], "{0,2,3}"),
        ([0, 1, 2, 4, 5, 6], "{0..2,4..6}"),
    ],
)
def test_ranges_are_written_compactly(given_numbers: list[int], text: str) -> None:
    assert ranges(given_numbers) == text


@pytest.mark.parametrize(
    ("segment", "number"),
    [
        ("0", True),
        ("10", True),
        ("00", False),
        ("07", False),
        ("", False),
        ("-1", False),
        ("1a", False),
        ("²", False),
        ("٣", False),
    ],
)
def test_an_index_is_an_integer_in_canonical_form(segment: str, *, number: bool) -> None:
    assert is_index(segment) is number


def test_natural_order_sorts_numbers_by_value_and_words_by_letters() -> None:
    shuffled = ["l.b", "l.10", "l.2", "l.a", "l.02", "", "10", "9"]
    assert sorted(shuffled, key=natural_key) == ["9", "10", "", "l.2", "l.10", "l.02", "l.a", "l.b"]


def test_a_number_of_five_thousand_digits_folds_like_any_other() -> None:
    """Python refuses to read more than 4,300 digits; a name may have more."""
    huge = "1" + "0" * 5000
    assert sum(fold([f"l.{huge}.w", "l.1.w"]).values()) == 2
    assert sorted([f"l.{huge}", "l.1"], key=natural_key) == ["l.1", f"l.{huge}"]


def test_ten_thousand_layers_fold_quickly() -> None:
    assert fold(f"layers.{n}.{m}" for n in range(10_000) for m in "abcdefgh") == {
        f"layers.{{0..9999}}.{m}": 10_000 for m in "abcdefgh"
    }
