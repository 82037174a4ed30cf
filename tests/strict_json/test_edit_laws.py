"""Laws of editing JSON text.

They are tested on documents as json.dumps writes them in several styles, and on documents with any
whitespace and spellings.

set        the parsed result is the parsed document with the value set
untouched  the text of every other value, and all text before and after the edit, is unchanged
inverse    setting a new key or item and removing it again leaves the same bytes; so does renaming a
           key and renaming it back
dumps      an edited document that json.dumps wrote equals json.dumps of the edited document
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from ckpt_tools.strict_json.edit import rename_key, set_value, unset_value
from ckpt_tools.strict_json.parse import escape, parse
from ckpt_tools.strict_json.pointer import joined, resolve, segments
from ckpt_tools.strict_json.spans import spans

ROOT = Path(__file__).parents[2]
KEYS = (
    "",
    "a",
    "b",
    "a/b",
    "a~b",
    "~1",
    "0",
    "-",
    '"',
    "\\",
    "\n",
    "é",
    "\U0001f600",
    "{",
    "a b",
    "a.b",
)
keys = st.one_of(st.sampled_from(KEYS), st.text(max_size=3))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=10,
)
blanks = st.sampled_from(("", "", " ", "\n", "\t", "\r\n", " \n  ", "\n\n    "))


class Look(NamedTuple):
    """How json.dumps is asked to write."""

    indent: int | str | None
    separators: tuple[str, str] | None
    ascii: bool = True

    def dump(self, value: Any) -> str:
        return json.dumps(
            value, indent=self.indent, separators=self.separators, ensure_ascii=self.ascii
        )


looks = st.builds(
    Look,
    st.sampled_from((None, 0, 2, 4, "\t")),
    st.sampled_from((None, (",", ":"), (", ", ": "), (",", ": "))),
)


def evident(value: Any) -> dict[str, Any]:
    """Return `value` in a document that shows how its writer writes.

    Two keys, and a raw character for those who write them raw.
    """
    return {"first": 1, "second é": [1, 2], "value": value}


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """Draw a spelling of `value` with blanks where JSON allows them.

    There is no line break in an empty object or array.
    """
    if isinstance(value, dict | list) and not value:
        return (
            draw(st.sampled_from(("{}", "{ }")))
            if isinstance(value, dict)
            else draw(st.sampled_from(("[]", "[  ]")))
        )
    if isinstance(value, dict):
        parts = [
            f"{draw(blanks)}{json.dumps(key)}{draw(blanks)}:"
            f"{draw(blanks)}{draw(spelled(item))}{draw(blanks)}"
            for key, item in value.items()
        ]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return (
            "["
            + ",".join(draw(blanks) + draw(spelled(item)) + draw(blanks) for item in value)
            + "]"
        )
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


texts = st.one_of(
    values.flatmap(spelled),
    st.tuples(values, looks).map(lambda pair: pair[1].dump(pair[0])),
).flatmap(lambda text: st.tuples(blanks, blanks).map(lambda around: around[0] + text + around[1]))


def places(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of `value` and of every value in it."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [at, *(place for key, item in inner for place in places(item, (*at, str(key))))]


def at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value[int(key) if isinstance(value, list) else key]
    return value


def with_value(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """Return a copy of `value` with `new` at `path`, in the order that a text has."""
    if not path:
        return new
    copy = deepcopy(value)
    holder = at(copy, path[:-1])
    if isinstance(holder, dict):
        holder[path[-1]] = new
    elif path[-1] == "-":
        holder.append(new)
    else:
        holder[int(path[-1])] = new
    return copy


def without(value: Any, path: tuple[str, ...]) -> Any:
    copy = deepcopy(value)
    holder = at(copy, path[:-1])
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]
    return copy


def draw_place(data: st.DataObject, value: Any, *, new: bool) -> tuple[str, ...]:
    """Draw the path of a value, or of a key or item that is not there."""
    if not new:
        return data.draw(st.sampled_from(places(value)), label="place")
    holder = data.draw(
        st.sampled_from(
            [place for place in places(value) if isinstance(at(value, place), dict | list)]
        ),
        label="holder",
    )
    inside = at(value, holder)
    key = (
        "-"
        if isinstance(inside, list)
        else data.draw(keys.filter(lambda key: key not in inside), label="key")
    )
    return (*holder, key)


def has_container(text: str) -> bool:
    return isinstance(parse(text), dict | list)


@given(texts, values, st.data())
def test_setting_a_value_sets_it_and_nothing_else(text: str, new: Any, data: st.DataObject) -> None:
    path = draw_place(data, parse(text), new=False)
    pointer = joined(path)
    done = set_value(text, pointer, new)
    assert repr(parse(done)) == repr(with_value(parse(text), path, at(parse(done), path)))
    assert json.dumps(resolve(parse(done), pointer), sort_keys=True) == json.dumps(
        new, sort_keys=True
    )
    first, last = spans(text)[pointer].value
    assert done.startswith(text[:first])
    assert done.endswith(text[last:])
    assert set_value(done, pointer, new) == done


@given(texts.filter(has_container), values, st.data())
@example('{"a": 1}', "é", None)
@example("{ }", 1, None)
@example('["é"]', "ü", None)
def test_a_new_key_is_added_at_the_end_and_removed_without_a_trace(
    text: str, new: Any, data: st.DataObject | None
) -> None:
    path = (
        draw_place(data, parse(text), new=True)
        if data
        else ("-",)
        if text.startswith("[")
        else ("new",)
    )
    done = set_value(text, joined(path), new)
    assert repr(parse(done)) == repr(with_value(parse(text), path, new))
    added = (
        path
        if path[-1] != "-" or isinstance(at(parse(text), path[:-1]), dict)
        else (*path[:-1], str(len(at(parse(text), path[:-1]))))
    )
    assert unset_value(done, joined(added)) == text
    before, after = spans(text), spans(done)
    for pointer, member in before.items():
        if not joined(path).startswith(pointer):
            assert done[slice(*after[pointer].value)] == text[slice(*member.value)]


@given(texts.filter(has_container), st.data())
def test_removing_removes_that_member_and_no_other_text(text: str, data: st.DataObject) -> None:
    inner = [place for place in places(parse(text)) if place]
    if not inner:
        return
    path = data.draw(st.sampled_from(inner))
    done = unset_value(text, joined(path))
    assert repr(parse(done)) == repr(without(parse(text), path))
    left = [
        text[slice(*member.value)]
        for pointer, member in spans(text).items()
        if not isinstance(parse(text[slice(*member.value)]), dict | list)
    ]
    kept = [
        done[slice(*member.value)]
        for member in spans(done).values()
        if not isinstance(parse(done[slice(*member.value)]), dict | list)
    ]
    assert set(kept) <= set(left)
    assert len(text) > len(done)


@given(values, looks, st.data())
def test_without_a_key_the_text_is_what_dumps_would_have_written(
    value: Any, look: Look, data: st.DataObject
) -> None:
    look = look._replace(ascii=data.draw(st.booleans()))
    document = evident(value)
    path = data.draw(st.sampled_from([place for place in places(document) if place]))
    assert unset_value(look.dump(document), joined(path)) == look.dump(without(document, path))


@given(values, values, looks, st.data())
def test_with_a_value_the_text_is_what_dumps_would_have_written(
    value: Any, new: Any, look: Look, data: st.DataObject
) -> None:
    look = look._replace(ascii=data.draw(st.booleans()))
    document = evident(value)
    path = draw_place(data, document, new=data.draw(st.booleans()))
    if not path or path == ("second é",):
        return
    done = with_value(document, path, new)
    if json.dumps(done) != json.dumps(document):
        assert set_value(look.dump(document), joined(path), new) == look.dump(done)


@given(st.lists(st.text("abé", min_size=1, max_size=4), max_size=4, unique=True), looks, st.data())
def test_what_another_program_added_is_removed_without_a_trace(
    added: list[str], look: Look, data: st.DataObject
) -> None:
    normal = json.loads((ROOT / "fixtures/normal/config.json").read_text(encoding="utf-8"))
    names = [*normal, *added]
    order = data.draw(st.permutations(names)) if data.draw(st.booleans()) else names
    forked = {name: normal.get(name, {"x": [1, {}]}) for name in order}
    text = look.dump(forked)
    for name in added:
        text = unset_value(text, f"/{escape(name)}")
    assert text == look.dump({name: forked[name] for name in order if name in normal})


@given(st.dictionaries(keys, values, min_size=1, max_size=4), looks, keys, st.data())
def test_a_key_renamed_and_renamed_back_leaves_the_same_bytes(
    document: dict[str, Any], look: Look, to: str, data: st.DataObject
) -> None:
    look = look._replace(ascii=data.draw(st.booleans()))
    key = data.draw(st.sampled_from(list(document)))
    document["second é"] = 1
    text = look.dump(document)
    if to in document:
        return
    done = rename_key(text, joined([key]), to)
    assert repr(parse(done)) == repr(
        {to if name == key else name: value for name, value in document.items()}
    )
    assert done == look.dump(parse(done))
    assert rename_key(done, joined([to]), key) == text
    assert rename_key(text, joined([key]), key) == text


@given(st.lists(keys, max_size=4))
def test_segments_and_pointers_are_inverse(path: list[str]) -> None:
    assert segments(joined(path)) == path
