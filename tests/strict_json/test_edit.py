"""Editing JSON text: new text matches its surroundings, and errors name the next step.

An invalid pointer is rejected with the nearest existing location and the most likely key.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ckpt_tools.errors import EditRefused, JsonKeyRepeated, JsonSyntax, PointerInvalid
from ckpt_tools.strict_json.edit import rename_key, set_value, unset_value
from ckpt_tools.strict_json.parse import DEPTH_LIMIT, parse
from ckpt_tools.strict_json.pointer import from_words, resolve

ROOT = Path(__file__).parents[2]


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


NOT_JSON = (
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
    NOT_JSON,
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(
        EditRefused, match=r"/policy: the new value is not strict JSON: .*; use null, true, false"
    ):
        set_value(DOCUMENT, "/policy", value)


def test_a_key_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(EditRefused, match="is not UTF-8, as keys of JSON are"):
        set_value(DOCUMENT, "/\ud800", 1)
    with pytest.raises(EditRefused, match="is not UTF-8, as keys of JSON are"):
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
