"""Differences between JSON values, by pointer.

nothing     a value does not differ from itself
inverse     the other way round yields the same pointers with the values exchanged
patch       A with B's value at every pointer that differs is B
once        each pointer is named once, and `pointers` names all that can differ
"""

from __future__ import annotations

import copy
import json
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.diff.compare import differences, pointers
from ckpt_tools.strict_json.pointer import ABSENT

keys = st.sampled_from(["a", "b", "a/b", "~", "~1", "", "a.b", "é"])
scalars: st.SearchStrategy[Any] = st.sampled_from([None, True, False, 0, 1, 1.0, 0.0, "", "1", "a"])
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(keys, values, max_size=4)


def patched(value: dict[str, Any], pointer: str, new: object) -> None:
    """Put `new` into `value` at `pointer`, or take out what is there."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for key in parents:
        value = value[key]
    if new is ABSENT:
        del value[last]
    else:
        value[last] = new


@given(values)
def test_a_value_does_not_differ_from_itself(value: object) -> None:
    assert list(differences(value, value)) == []
    assert list(differences(value, copy.deepcopy(value))) == []


@given(objects, objects)
def test_the_other_way_round_exchanges_the_values(a: dict[str, Any], b: dict[str, Any]) -> None:
    forth = [(pointer, repr(left), repr(right)) for pointer, left, right in differences(a, b)]
    back = [(pointer, repr(right), repr(left)) for pointer, left, right in differences(b, a)]
    assert forth == back


@given(objects, objects)
def test_a_with_what_differs_taken_from_b_is_b(a: dict[str, Any], b: dict[str, Any]) -> None:
    result = copy.deepcopy(a)
    for pointer, _, right in differences(a, b):
        patched(result, pointer, right)
    assert json.dumps(result, sort_keys=True) == json.dumps(b, sort_keys=True)


@given(objects, objects)
def test_each_pointer_is_named_once_and_among_those_that_can_be(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    named = [pointer for pointer, _, _ in differences(a, b)]
    assert len(set(named)) == len(named)
    assert set(named) <= {*pointers(a), *pointers(b)}


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, False),
        (True, 1, False),
        (False, 0, False),
        (None, False, False),
        ("1", 1, False),
        ([], {}, False),
        ([1], [1.0], False),
        ([True], [1], False),
        ([{"a": 1}], [{"a": True}], False),
        ([{"a": 1}], [{"a": 1}], True),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        (nan, float("nan"), True),
        ([nan], [float("nan")], True),
        ([[nan, 1.0]], [[float("nan"), 1.0]], True),
        (nan, None, False),
        (nan, 0.0, False),
        (10**400, 10**400, True),
        (10**400, 10**400 + 1, False),
    ],
)
def test_values_are_alike_in_type_and_value(a: object, b: object, *, same: bool) -> None:
    assert (list(differences(a, b)) == []) is same
    assert (list(differences(b, a)) == []) is same


def test_a_key_that_is_absent_is_not_a_key_that_is_null() -> None:
    assert list(differences({"a": None}, {})) == [("/a", None, ABSENT)]
    assert list(differences({}, {"a": None})) == [("/a", ABSENT, None)]


def test_an_object_that_is_absent_differs_as_a_whole() -> None:
    assert list(differences({"a": {"b": 1, "c": 2}}, {})) == [("/a", {"b": 1, "c": 2}, ABSENT)]


def test_objects_differ_key_by_key_and_lists_as_a_whole() -> None:
    a = {"x": {"y": 1, "z": [1, 2]}, "same": 0}
    b = {"x": {"y": 2, "z": [1, 3]}, "same": 0}
    assert list(differences(a, b)) == [("/x/y", 1, 2), ("/x/z", [1, 2], [1, 3])]


def test_keys_are_escaped_as_rfc_6901_asks() -> None:
    assert [pointer for pointer, _, _ in differences({"a/b": 1, "m~n": 1, "": 1, "~1": 1}, {})] == [
        "/",
        "/a~1b",
        "/m~0n",
        "/~01",
    ]


def test_pointers_name_the_root_and_what_objects_hold() -> None:
    assert list(pointers({"a": {"b": [{"c": 1}]}, "d": None})) == ["", "/a", "/a/b", "/d"]


def test_the_order_of_keys_is_no_difference() -> None:
    assert list(differences({"a": 1, "b": 2}, {"b": 2, "a": 1})) == []
