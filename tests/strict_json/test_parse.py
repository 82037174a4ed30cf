"""Strict JSON.

What Python's `json` lets pass and RFC 8259 (or the reference library's parser) does not, and the
words that refuse it.

subset    what parse accepts, json.loads accepts, with the same value
whole     every value that json.dumps writes is read back, by parse and by scan
repeats   scan differs from parse in one thing: a repeated key is kept visible instead of refused
"""

from __future__ import annotations

import json
from math import copysign
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ckpt_tools import errors
from ckpt_tools.strict_json.parse import (
    DEPTH_LIMIT,
    Repeated,
    decode_utf8,
    kind,
    parse,
    parse_object,
    repeated_key,
    scan,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)

# Fragments that, put together, are JSON now and then.
json_like = st.lists(
    st.sampled_from(
        [
            '{"a":',
            '{"a":1,',
            '"a":2',
            "}",
            "[",
            "]",
            ",",
            "1",
            "-0",
            "1e5",
            "1e999",
            "NaN",
            "null",
            "true",
            '"\\ud800"',
            '"\\n"',
            " ",
            "\n",
            "'",
        ]
    ),
    max_size=8,
).map("".join)

REFUSED = (
    ("", "is empty"),
    (" \n ", "line 2, column 2"),
    ("NaN", "NaN is not JSON"),
    ('{"a":\nInfinity}', "Infinity is not JSON"),
    ("[-Infinity]", "-Infinity is not JSON"),
    ("1e999", "1e999 does not fit a double"),
    ("[-1e999]", "-1e999 does not fit a double"),
    ("9" * 400, "99999999999999999999… does not fit a double"),
    ("-" + "9" * 400, "-9999999999999999999… does not fit a double"),
    ("9" * 5000, "does not fit a double"),
    (str(2**1024), "does not fit a double"),
    ('"\\ud800"', "half of a surrogate pair"),
    ('"\\uDC00"', "half of a surrogate pair"),
    ('"\\ude00\\ud83d"', "half of a surrogate pair"),
    ('[{"\\ud800":1}]', "half of a surrogate pair"),
    ("[1,]", "line 1, column 4"),
    ('{"a":1,}', "line 1, column 8"),
    ("[1 2]", "line 1, column 4"),
    ("{'a':1}", "line 1, column 2"),
    ("{a:1}", "line 1, column 2"),
    ("{1:1}", "line 1, column 2"),
    ("01", "line 1, column 2"),
    ("-", "line 1, column 1"),
    ("+1", "line 1, column 1"),
    (".5", "line 1, column 1"),
    ("1.", "line 1, column 2"),
    ("0x10", "line 1, column 2"),
    ("1_0", "line 1, column 2"),
    ("\u0661", "line 1, column 1"),
    ('"\t"', "line 1, column 2"),
    ('"\n"', "line 1, column 2"),
    ('"\0"', "line 1, column 2"),
    ('"\\x41"', "line 1, column 2"),
    ('"\\u12"', "line 1, column"),
    ('"\\u+123"', "line 1, column"),
    ('"open', "line 1, column 1"),
    ("\u00a01", "line 1, column 1"),
    ("\f1", "line 1, column 1"),
    ("\ufeff1", "line 1, column 1"),
    ("1 // no", "line 1, column 3"),
    ("/* no */ 1", "line 1, column 1"),
    ("True", "line 1, column 1"),
    ("{}{}", "line 1, column 3"),
    ('{"a":1\n"b":2}', "line 2, column 1"),
)


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=lambda part: repr(part[:20]))
def test_what_is_not_json_is_refused_with_its_place(text: str, words: str) -> None:
    for reader in (parse, scan):
        with pytest.raises(errors.JsonSyntax) as refusal:
            reader(text)
        assert words in refusal.value.what
        assert str(refusal.value).isprintable()


def test_a_repeated_key_is_refused_by_name_however_it_is_spelled_and_however_deep() -> None:
    with pytest.raises(
        errors.JsonKeyRepeated, match='key "twice" stands more than once in one object'
    ):
        parse('{"a":[{"twice":1,"b":2,"\\u0074wice":1}]}')


def test_scan_keeps_every_pair_of_a_repeated_key() -> None:
    value = scan('{"a":1,"b":{"c":2,"c":3},"a":4}')
    assert isinstance(value, Repeated)
    assert value == {"a": 4, "b": {"c": 3}}
    assert [key for key, _ in value.pairs] == ["a", "b", "a"]
    assert isinstance(value["b"], Repeated)
    assert repeated_key(value.pairs) == "a"


def test_a_lone_surrogate_in_a_pair_that_a_repeat_hides_is_still_refused() -> None:
    with pytest.raises(errors.JsonSyntax, match="half of a surrogate pair"):
        scan('{"a":"\\ud800","a":1}')


def test_a_surrogate_pair_spells_one_character_and_a_spelled_backslash_none() -> None:
    assert parse('["\\ud83d\\uDE00","\\\\ud800"]') == ["\U0001f600", "\\ud800"]


def test_minus_zero_is_a_float_as_the_reference_reads_it() -> None:
    value = parse("[-0, 0, -0.0]")
    assert isinstance(value, list)
    assert [type(item) for item in value] == [float, int, float]
    assert isinstance(value[0], float)
    assert copysign(1, value[0]) == -1


def test_whole_numbers_keep_every_digit() -> None:
    assert parse("9" * 300) == int("9" * 300)
    assert parse(f"[-0,{2**64}]") == [0, 2**64]


def nested_list(depth: int) -> str:
    return "[" * depth + "]" * depth


def nested_object(depth: int) -> str:
    return '{"k":' * (depth - 1) + "{}" + "}" * (depth - 1)


@pytest.mark.parametrize(
    "nested",
    [nested_list, nested_object, lambda depth: '["\\"[",' + nested_list(depth - 1) + "]"],
    ids=["lists", "objects", "escapes"],
)
def test_nesting_is_read_to_the_limit_and_refused_beyond(nested: Any) -> None:
    parse(nested(DEPTH_LIMIT))
    for depth in (DEPTH_LIMIT + 1, 1000, 200_000):
        for reader in (parse, scan):
            with pytest.raises(errors.JsonTooDeep, match="nested deeper than 127"):
                reader(nested(depth))


@pytest.mark.parametrize(
    "text",
    [
        '"' + "[{" * 200 + '"',
        '{"\\"' + "[" * 300 + '":"' + "{" * 300 + '\\\\"}',
        "[" + "[]," * 500 + "{}]",
    ],
    ids=["value", "key", "wide"],
)
def test_brackets_that_do_not_nest_are_no_depth(text: str) -> None:
    assert parse(text) == json.loads(text)


@given(json_values)
def test_every_value_is_read_back_whole(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert repr(parse(text)) == repr(scan(text)) == repr(value)


@given(st.one_of(json_like, st.text(max_size=12), json_values.map(json.dumps)))
@settings(max_examples=500)
def test_parse_accepts_a_subset_of_what_python_accepts_with_the_same_values(text: str) -> None:
    try:
        value = parse(text)
    except errors.JsonInvalid:
        return
    assert value == json.loads(text)


@given(json_like)
@settings(max_examples=500)
def test_scan_and_parse_differ_in_repeated_keys_only(text: str) -> None:
    try:
        value = scan(text)
    except errors.JsonInvalid as error:
        with pytest.raises((type(error), errors.JsonKeyRepeated)):
            parse(text)
        return
    try:
        assert parse(text) == value
    except errors.JsonKeyRepeated:
        assert "Repeated" in str(types_in(value))


def types_in(value: Any) -> list[str]:
    """Return the class names of every container in `value`."""
    inner = (
        value.pairs
        if isinstance(value, Repeated)
        else value.items()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return [type(value).__name__, *(name for item in inner for name in types_in(item))]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "byte 6 is not UTF-8"),
        (b"\xff\xfe{\0}\0", "byte 0 is not"),
    ],
)
def test_bytes_that_are_not_plain_utf8_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(errors.JsonNotUtf8, match=words):
        decode_utf8(data)


def test_an_encoded_surrogate_is_not_utf8() -> None:
    with pytest.raises(errors.JsonNotUtf8, match="byte 1 is not UTF-8"):
        decode_utf8(b'"\xed\xa0\x80"')


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[]", "a list"),
        ('"a"', "a string"),
        ("1", "a number"),
        ("1.5", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
    ],
)
def test_a_document_that_is_no_object_is_refused_by_what_it_is(text: str, name: str) -> None:
    assert kind(parse(text)) == name
    with pytest.raises(errors.JsonNotObject, match=f"holds {name} where an object is expected"):
        parse_object(text)


def test_an_object_is_returned_in_the_order_of_the_text() -> None:
    assert list(parse_object('{"b":1,"a":{"d":2,"c":3}}')) == ["b", "a"]


JSON_ERROR_CASES = {
    errors.JsonSyntax: "nul",
    errors.JsonKeyRepeated: '{"a":1,"a":1}',
    errors.JsonTooDeep: nested_list(128),
    errors.JsonNotObject: "[]",
    errors.JsonNotUtf8: "\ufeff{}",
}


def test_every_json_error_has_a_case() -> None:
    assert set(JSON_ERROR_CASES) == set(errors.JsonInvalid.__subclasses__())


@pytest.mark.parametrize(
    ("error", "text"), JSON_ERROR_CASES.items(), ids=lambda part: getattr(part, "__name__", "")
)
def test_each_json_error_says_what_to_do_next(error: type[errors.JsonInvalid], text: str) -> None:
    with pytest.raises(errors.JsonInvalid) as refusal:
        parse_object(decode_utf8(text.encode()))
    assert type(refusal.value) is error
    assert str(refusal.value.at("folder/config.json")).startswith("folder/config.json: ")
    assert str(refusal.value).endswith("; repair the file, or copy it from the original checkpoint")
