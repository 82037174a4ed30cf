"""Laws of editing JSON text.

They are tried on documents as json.dumps writes them in several styles, and on documents with any
blanks and spellings.

set        the parsed result is the parsed document with the value set
untouched  the text of every other value, and all text before and after the place, is as it was
inverse    a new key or item set and removed again leaves the same bytes; a key renamed and renamed
           back too
dumps      a document that json.dumps wrote is, edited, what json.dumps would have written of the
           edited document
refused    a pointer that leads nowhere is refused with the nearest place, the likely key and the
           next step
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ckpt_tools.errors import EditRefused, JsonKeyRepeated, JsonSyntax, PointerInvalid
from ckpt_tools.strict_json.edit import rename_key, set_value, unset_value
from ckpt_tools.strict_json.parse import DEPTH_LIMIT, escape, parse
from ckpt_tools.strict_json.pointer import from_words, joined, resolve, segments
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


# --- neighbours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pointer", "value", "expected"),
    [
        ('{"a":1}', "/b", [1, 2], '{"a":1,"b":[1,2]}'),
        ('{"a": 1}', "/b", {"c": 2}, '{"a": 1, "b": {"c": 2}}'),
        ("{}", "/a", 1, '{"a": 1}'),
        ("{ }\n", "/a", 1, '{ "a": 1 }\n'),
        ("[]", "/-", [], "[[]]"),
        (
            '{\n\t"a": {}\n}',
            "/a/b",
            {"c": [1]},
            '{\n\t"a": {\n\t\t"b": {\n\t\t\t"c": [\n\t\t\t\t1\n\t\t\t]\n\t\t}\n\t}\n}',
        ),
        (
            '{\r\n  "a": 1\r\n}\r\n',
            "/b",
            {"c": 2},
            '{\r\n  "a": 1,\r\n  "b": {\r\n    "c": 2\r\n  }\r\n}\r\n',
        ),
        (
            '{\n  "a": [1, 2],\n  "b": 1e-08\n}',
            "/c",
            [3],
            '{\n  "a": [1, 2],\n  "b": 1e-08,\n  "c": [3]\n}',
        ),
        ('{\n  "a": [1, 2],\n  "b": {}\n}', "/a/-", 3, '{\n  "a": [1, 2, 3],\n  "b": {}\n}'),
        (
            '{\n  "a": [1, 2],\n  "b": 0\n}',
            "/b",
            [[1], [2]],
            '{\n  "a": [1, 2],\n  "b": [\n    [1],\n    [2]\n  ]\n}',
        ),
        ('{\n  "a": 1,\n\n  "b": 2\n}', "/c", 3, '{\n  "a": 1,\n\n  "b": 2,\n  "c": 3\n}'),
        ('{ "a" : 1 , "b" : 2 }', "/c", 3, '{ "a" : 1 , "b" : 2 , "c" : 3 }'),
        ('{\n    "a": 1\n  , "b": 2\n}', "/c", 3, '{\n    "a": 1\n  , "b": 2\n  , "c": 3\n}'),
        ('{\n  "a": "é"\n}', "/b", "ü", '{\n  "a": "é",\n  "b": "ü"\n}'),
        ('{\n  "a": "\\u00e9"\n}', "/b", "ü", '{\n  "a": "\\u00e9",\n  "b": "\\u00fc"\n}'),
        ('{"a": 1.50, "b": 1E+2}', "/a", 2, '{"a": 2, "b": 1E+2}'),
        ('{"a": 1.50, "b": 1E+2}', "/b", 100.0, '{"a": 1.50, "b": 1E+2}'),
        ('{"a": 1}', "/a", True, '{"a": true}'),
        ('{"a": 1}', "/a", 1.0, '{"a": 1.0}'),
        ("1", "", {"a": [1]}, '{"a": [1]}'),
        ('{\n   "a": 1\n}', "", {"b": {"c": 2}}, '{\n   "b": {\n      "c": 2\n   }\n}'),
        ('{\n  "a": {\n  }\n}', "/a/b", 1, '{\n  "a": {\n    "b": 1\n  }\n}'),
    ],
)
def test_what_is_added_looks_like_its_neighbours(
    text: str, pointer: str, value: Any, expected: str
) -> None:
    assert set_value(text, pointer, value) == expected


@pytest.mark.parametrize(
    ("text", "pointer", "expected"),
    [
        ('{ "a": 1 }', "/a", "{ }"),
        ('{\n  "a": 1\n}', "/a", "{}"),
        ('{\n  "a": 1,\n  "b": 2\n}\n', "/b", '{\n  "a": 1\n}\n'),
        ('{\n  "a": 1,\n  "b": 2\n}\n', "/a", '{\n  "b": 2\n}\n'),
        ("[1, 2, 3]", "/1", "[1, 3]"),
        ("[1, 2, 3]", "/2", "[1, 2]"),
    ],
)
def test_what_is_removed_leaves_no_trace(text: str, pointer: str, expected: str) -> None:
    assert unset_value(text, pointer) == expected


def test_the_fixture_of_a_reflow_checkpoint_becomes_normal_by_three_edits() -> None:
    """What this tool is for.

    After them the config is, byte for byte, what LeRobot writes for a normal checkpoint.
    """
    text = (ROOT / "fixtures/reflow/config.json").read_text(encoding="utf-8")
    edited = unset_value(
        unset_value(set_value(text, "/load_vlm_weights", value=True), "/use_reflow"),
        "/teacher_model_path",
    )
    assert edited == json.dumps(parse(edited), indent=4)


# --- refusals -------------------------------------------------------------------------------------

DOCUMENT = (
    '{"load_vlm_weights": false, "policy": {"device": "cuda", "tags": [1, 2], "none": {},'
    ' "no": []}}'
)


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        (
            "policy",
            (
                "policy: is not a JSON pointer: one starts with /, or is empty for the whole"
                " document; write /policy"
            ),
        ),
        ("policy.device", "write /policy/device"),
        (
            "/lod_vlm_weights",
            'no key "lod_vlm_weights" at the top; did you mean /load_vlm_weights?',
        ),
        ("/policy/Device", 'no key "Device" at /policy; did you mean /policy/device?'),
        ("/policy/DEVICE", "did you mean /policy/device?"),
        (
            "/policy/xyz",
            'no key "xyz" at /policy; its keys are device, tags, none, no',
        ),
        ("/policy/none/a", 'no key "a" at /policy/none; /policy/none is an empty object'),
        (
            "/policy/tags/2",
            (
                "/policy/tags is a list of 2, and '2' is not an index of it; its items are"
                " /policy/tags/0 to /policy/tags/1; to append, "
            ),
        ),
        ("/policy/tags/01", "'01' is not an index of it"),
        ("/policy/tags/-1", "'-1' is not an index of it"),
        ("/policy/tags/\u0661", "is not an index of it"),
        ("/policy/tags/1e0", "is not an index of it"),
        ("/policy/tags/" + "9" * 5000, "is not an index of it"),
        (
            "/policy/no/0",
            "/policy/no is a list of 0, and '0' is not an index of it; to append, set /policy/no/-",
        ),
        (
            "/policy/device/x",
            "/policy/device is a string and has no keys; use /policy/device itself",
        ),
        (
            "/a~b",
            "contains a ~ that escapes nothing; in a JSON pointer, write ~0 for ~ and ~1 for /",
        ),
        ("/a~", "contains a ~ that escapes nothing"),
        ("/", 'no key "" at the top'),
        ("/policy/", 'no key "" at /policy'),
        ("/\x1b[31m", 'no key "\\u001b[31m" at the top'),
        ("/" + "x" * 100_000, "at the top"),
        ("/a" * 50_000, 'no key "a" at the top'),
        ("/\udc80", "no key"),
    ],
)
def test_a_pointer_that_leads_nowhere_is_refused_with_the_next_step(
    pointer: str, words: str
) -> None:
    for edit in (
        lambda text, at: resolve(parse(text), at),
        unset_value,
        lambda text, at: rename_key(text, at, "b"),
    ):
        with pytest.raises(PointerInvalid) as refusal:
            edit(DOCUMENT, pointer)
        assert words in str(refusal.value)
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 1200
        assert refusal.value.next


@pytest.mark.parametrize(
    "pointer",
    [
        "/a/b",
        "/policy/tags/2",
        "/policy/tags/-/a",
        "/policy/device/x",
        "policy",
        "/a~b",
        "/policy/tags/00",
    ],
)
def test_setting_makes_no_parents_and_no_gaps(pointer: str) -> None:
    with pytest.raises(PointerInvalid):
        set_value(DOCUMENT, pointer, 1)


def test_the_whole_document_is_set_but_not_removed_or_renamed() -> None:
    assert set_value(" 1\n", "", 2) == " 2\n"
    with pytest.raises(PointerInvalid, match="the whole document cannot be removed"):
        unset_value("{}", "")
    with pytest.raises(PointerInvalid, match="is not a key"):
        rename_key("{}", "", "a")
    with pytest.raises(PointerInvalid, match="is not a key"):
        rename_key("[1]", "/0", "a")


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(PointerInvalid, match="/policy already exists; remove that first"):
        rename_key(DOCUMENT, "/load_vlm_weights", "policy")


UNSPEAKABLE = (
    float("nan"),
    [float("inf")],
    {1: 2},
    {"a": (1,)},
    {1, 2},
    b"a",
    "\ud800",
    10**400,
    10**5000,
    object(),
)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        {1: 2},
        {"a": (1,)},
        {1, 2},
        b"a",
        "\ud800",
        10**400,
        10**5000,
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(
        EditRefused, match=r"/policy: the new value is not strict JSON: .*; use null, true, false"
    ):
        set_value(DOCUMENT, "/policy", value)


def test_a_key_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(EditRefused, match="half of a surrogate pair"):
        set_value(DOCUMENT, "/\ud800", 1)
    with pytest.raises(EditRefused, match="half of a surrogate pair"):
        rename_key(DOCUMENT, "/policy", "\ud800")


def test_a_value_that_would_make_the_file_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(DEPTH_LIMIT - 1):
        deep = [deep]
    assert parse(set_value("1", "", deep)) == deep
    with pytest.raises(EditRefused, match="nested deeper than 127"):
        set_value('{"a": 1}', "/a", deep)


def test_text_that_is_not_strict_json_is_refused() -> None:
    with pytest.raises(JsonKeyRepeated):
        set_value('{"a":1,"a":2}', "/a", 1)
    with pytest.raises(JsonSyntax):
        unset_value("{'a':1}", "/a")


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "pointer"),
    [
        ("", ""),
        ("/policy/device", "/policy/device"),
        ("policy.device", "/policy/device"),
        ("policy.tags.1", "/policy/tags/1"),
        ("policy.tags.-", "/policy/tags/-"),
        ("observation.state.shape", "/observation.state/shape"),
        ("policy.new", "/policy/new"),
        ("new", "/new"),
        ("a~/b", "/a~0~1b"),
        ("observation.state.new", "/observation.state/new"),
        ("nowhere.at.all", "/nowhere/at/all"),
    ],
)
def test_dots_lead_to_one_place(words: str, pointer: str) -> None:
    document: Any = {
        "policy": {"device": "cuda", "tags": [1, 2]},
        "observation.state": {"shape": [6]},
    }
    assert from_words(document, words) == pointer


def test_dots_that_lead_to_two_places_are_refused() -> None:
    with pytest.raises(
        PointerInvalid, match=r"a\.b: is ambiguous: it can mean /a/b or /a\.b; write one of them"
    ):
        from_words({"a": {"b": 1}, "a.b": 2}, "a.b")


@given(st.lists(keys, max_size=4))
def test_segments_and_pointers_are_inverse(path: list[str]) -> None:
    assert segments(joined(path)) == path
