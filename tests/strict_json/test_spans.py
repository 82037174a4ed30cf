"""Laws of the text spans of JSON values, on documents with any blanks, escapes and spellings.

value        for every pointer, the text at its span parses to the value at that pointer complete
every value of the document has a pointer, and no pointer leads nowhere key          the key span of
a member spells the last segment of its pointer; items and the root have none replacement  another
JSON text in the place of a span changes that value, and no other byte
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ckpt_tools.strict_json.parse import DEPTH_LIMIT, escape, parse
from ckpt_tools.strict_json.spans import Member, spans

NASTY_KEYS = (
    "",
    "a",
    "a/b",
    "a~b",
    "~1",
    "~0",
    "0",
    '"',
    "\\",
    "\n",
    "é",
    "\U0001f600",
    "{",
    "]",
    ",",
    ":",
    "a b",
)
NUMBERS = (
    "0",
    "-0",
    "1",
    "-12",
    "1.50",
    "1e5",
    "1E+2",
    "-0.0",
    "123456789012345678901234567890",
    "2e-3",
)

blanks = st.sampled_from(("", "", " ", "\n", "\t", "\r\n", " \n  "))
texts = st.one_of(st.sampled_from(NASTY_KEYS), st.text(max_size=5))


class Written(NamedTuple):
    """A JSON text and the value it spells."""

    text: str
    value: Any


@st.composite
def written_strings(draw: st.DrawFn) -> Written:
    """Draw a string in one of its spellings."""
    value = draw(texts)
    if draw(st.booleans()):
        return Written(json.dumps(value, ensure_ascii=draw(st.booleans())), value)
    return Written(
        '"'
        + "".join(f"\\u{unit:04X}" for unit in memoryview(value.encode("utf-16-le")).cast("H"))
        + '"',
        value,
    )


@st.composite
def written_containers(draw: st.DrawFn, inner: st.SearchStrategy[Written]) -> Written:
    """Draw a list or an object of `inner`, with blanks wherever JSON lets them stand."""
    items = draw(st.lists(inner, max_size=4))
    if draw(st.booleans()):
        body = ",".join(draw(blanks) + item.text + draw(blanks) for item in items)
        return Written("[" + (body or draw(blanks)) + "]", [item.value for item in items])
    keys = draw(
        st.lists(
            written_strings(),
            min_size=len(items),
            max_size=len(items),
            unique_by=lambda key: key.value,
        )
    )
    pairs = list(zip(keys, items, strict=True))
    body = ",".join(
        draw(blanks) + key.text + draw(blanks) + ":" + draw(blanks) + item.text + draw(blanks)
        for key, item in pairs
    )
    return Written(
        "{" + (body or draw(blanks)) + "}", {key.value: item.value for key, item in pairs}
    )


scalars = st.one_of(
    st.sampled_from(("null", "true", "false", *NUMBERS)).map(
        lambda text: Written(text, parse(text))
    ),
    written_strings(),
)
documents = st.recursive(scalars, written_containers, max_leaves=12).flatmap(
    lambda written: st.tuples(blanks, blanks).map(
        lambda around: Written(around[0] + written.text + around[1], written.value)
    )
)


def segments(pointer: str) -> list[str]:
    """Return the segments of a JSON pointer (RFC 6901)."""
    return [segment.replace("~1", "/").replace("~0", "~") for segment in pointer.split("/")[1:]]


def resolve(value: Any, pointer: str) -> Any:
    """Return the value at `pointer`."""
    for segment in segments(pointer):
        value = value[int(segment) if isinstance(value, list) else segment]
    return value


def replaced(value: Any, path: list[str], new: Any) -> Any:
    """Return a copy of `value` with `new` at `path`."""
    if not path:
        return new
    if isinstance(value, list):
        return [
            replaced(item, path[1:], new) if index == int(path[0]) else item
            for index, item in enumerate(value)
        ]
    return {
        key: replaced(item, path[1:], new) if key == path[0] else item
        for key, item in value.items()
    }


def pointers(value: Any, at: str = "") -> set[str]:
    """Return the pointer of `value` and of every value in it."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return {at}.union(*(pointers(item, f"{at}/{escape(str(key))}") for key, item in inner))


def cut(text: str, member: Member) -> str:
    """Return the text of a value."""
    return text[slice(*member.value)]


@given(documents)
@example(Written('{"":{"":[]},"a/b":{"~":1}}', {"": {"": []}, "a/b": {"~": 1}}))
def test_the_text_at_a_span_parses_to_the_value_at_its_pointer(written: Written) -> None:
    for pointer, member in spans(written.text).items():
        assert member.pointer == pointer
        assert repr(parse(cut(written.text, member))) == repr(resolve(written.value, pointer))


@given(documents)
def test_every_value_has_one_pointer_and_every_pointer_a_value(written: Written) -> None:
    assert set(spans(written.text)) == pointers(written.value)


@given(documents)
def test_a_span_begins_and_ends_with_its_value_and_holds_no_blanks_around_it(
    written: Written,
) -> None:
    for member in spans(written.text).values():
        assert cut(written.text, member) == cut(written.text, member).strip(" \t\n\r")


@given(documents)
def test_the_key_span_spells_the_last_segment_and_stands_before_the_value(written: Written) -> None:
    for pointer, member in spans(written.text).items():
        parent = resolve(written.value, pointer.rpartition("/")[0]) if pointer else None
        if not isinstance(parent, dict):
            assert member.key == (0, 0)
            continue
        begin, end = member.key
        assert parse(written.text[begin:end]) == segments(pointer)[-1]
        assert written.text[end : member.value[0]].strip(" \t\n\r") == ":"


@given(documents, documents, st.data())
def test_a_replacement_changes_that_value_and_no_other_byte(
    written: Written, new: Written, data: st.DataObject
) -> None:
    found = spans(written.text)
    pointer = data.draw(st.sampled_from(sorted(found)))
    begin, end = found[pointer].value
    text = written.text[:begin] + new.text + written.text[end:]
    assert repr(parse(text)) == repr(replaced(written.value, segments(pointer), new.value))
    after = spans(text)
    assert text[slice(*after[pointer].value)] == new.text.strip(" \t\n\r")
    for other, member in found.items():
        if not other.startswith(pointer) and not pointer.startswith(other):
            assert cut(text, after[other]) == cut(written.text, member)


def test_documents_as_deep_as_the_reader_allows_have_spans() -> None:
    text = "[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT
    assert len(spans(text)) == DEPTH_LIMIT


@pytest.mark.parametrize(
    ("key", "segment"), [("a/b", "a~1b"), ("~", "~0"), ("~1", "~01"), ("", "")]
)
def test_keys_are_escaped_as_rfc_6901_says(key: str, segment: str) -> None:
    assert escape(key) == segment
    assert f"/{segment}" in spans(json.dumps({key: 1}))
