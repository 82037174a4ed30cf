"""Recipes.

What a person may write, as JSON or YAML, and what is refused, where and with what words.

round trip   operations(document(listed)) is listed
agreement    the schema accepts exactly what the code accepts, apart from what a schema cannot say
files        JSON and YAML say the same; hostile YAML is refused before it costs anything
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools import errors
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.model import Copy, Text, Weights
from ckpt_tools.edit.recipe import document, operations, size
from ckpt_tools.edit.recipe_file import LIMIT, read_recipe
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.storage import schemas
from ckpt_tools.strict_json.pointer import joined

if TYPE_CHECKING:
    from ckpt_tools.edit.operations import Operation

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(schemas.load("recipe"))

ACCEPTED: tuple[tuple[Any, Operation], ...] = (
    ({"drop": ["teacher.**"]}, nouns.Drop(("teacher.**",))),
    ({"keep": ["model.**", "a?"]}, nouns.Keep(("model.**", "a?"))),
    (
        {"rename": {"match": "teacher.model.**", "to": "model.**"}},
        nouns.RenameTensors("teacher.model.**", "model.**"),
    ),
    (
        {"rename": {"match": "a(.*)", "to": "\\1", "regex": True, "if-free": True}},
        nouns.RenameTensors("a(.*)", "\\1", regex=True, if_free=True),
    ),
    ({"rename": {"match": "(", "to": ""}}, nouns.RenameTensors("(", "")),
    ({"unwrap": True}, nouns.Unwrap()),
    ({"cast": {"dtype": "BF16"}}, nouns.Cast(Dtype.BF16)),
    (
        {"cast": {"dtype": "F8_E4M3", "select": ["a"], "lossy": True, "skip": True}},
        nouns.Cast(Dtype.F8_E4M3, ("a",), lossy=True, skip=True),
    ),
    (
        {"take": {"source": "../other", "select": ["model.lm_head.**"]}},
        nouns.Take("../other", ("model.lm_head.**",)),
    ),
    ({"take": {"source": "/absolute"}}, nouns.Take("/absolute")),
    (
        {"set": {"file": "config.json", "pointer": "/load_vlm_weights", "value": True}},
        nouns.SetValue("config.json", "/load_vlm_weights", value=True),
    ),
    (
        {"set": {"file": "a/b.json", "pointer": "", "value": {"a": [None, 1.5]}}},
        nouns.SetValue("a/b.json", "", {"a": [None, 1.5]}),
    ),
    (
        {"unset": {"file": "config.json", "pointer": "/a~1b/~0"}},
        nouns.UnsetValue("config.json", "/a~1b/~0"),
    ),
    (
        {"rename-key": {"file": "config.json", "pointer": "/a", "to": "b"}},
        nouns.RenameKey("config.json", "/a", "b"),
    ),
    ({"metadata": {"key": "format", "value": "pt"}}, nouns.SetMetadata("format", "pt")),
    ({"metadata": {"key": "format", "value": None}}, nouns.SetMetadata("format", None)),
    ({"reshard": {"max-size": "5GB"}}, nouns.Reshard(5 * 10**9)),
    ({"reshard": {"max-size": "1 GiB"}}, nouns.Reshard(2**30)),
    ({"reshard": {"max-size": 1000.0}}, nouns.Reshard(1000)),
    ({"reshard": {"max-size": 1}}, nouns.Reshard(1)),
    ({"merge": True}, nouns.Merge()),
    ({"drop-files": ["*.bin"]}, nouns.DropFile(("*.bin",))),
    (
        {"copy-file": {"source": "README.md", "path": "docs/README.md"}},
        nouns.CopyFile("README.md", "docs/README.md"),
    ),
)
OPERATION_TYPES: tuple[type[Any], ...] = nouns.Operation.__value__.__args__
NAMES = {
    nouns.Drop: "drop",
    nouns.Keep: "keep",
    nouns.RenameTensors: "rename",
    nouns.Unwrap: "unwrap",
    nouns.Cast: "cast",
    nouns.Take: "take",
    nouns.SetValue: "set",
    nouns.UnsetValue: "unset",
    nouns.RenameKey: "rename-key",
    nouns.SetMetadata: "metadata",
    nouns.Reshard: "reshard",
    nouns.Merge: "merge",
    nouns.DropFile: "drop-files",
    nouns.CopyFile: "copy-file",
}

REFUSED: tuple[tuple[Any, str], ...] = (
    ({"dorp": ["a"]}, "operations[0]: unknown operation 'dorp'; did you mean drop?"),
    ({"Merge": True}, "operations[0]: unknown operation 'Merge'; did you mean merge?"),
    ({"explode": True}, "unknown operation 'explode'; the operations are drop, keep, rename,"),
    (
        {},
        (
            "operations[0]: expected one key, the name of an operation, but found 0; the"
            " operations are drop, keep"
        ),
    ),
    (
        {"drop": ["a"], "keep": ["b"]},
        (
            "operations[0]: expected one key, the name of an operation, but found 2; make each"
            " operation an item"
        ),
    ),
    ("merge", "operations[0]: expected an object, found a string ('merge')"),
    ({"drop": []}, "operations[0].drop: is an empty list; list globs such as"),
    (
        {"drop": "teacher.**"},
        "operations[0].drop: expected a list, found a string ('teacher.**')",
    ),
    ({"drop": ["a", 1]}, "operations[0].drop[1]: expected text, found a number (1)"),
    ({"drop": [""]}, "operations[0].drop[0]: is empty"),
    (
        {"rename": {"match": "a"}},
        "operations[0].rename: missing to; the fields are match, to, regex, if-free",
    ),
    ({"rename": {}}, "operations[0].rename: missing match and to"),
    (
        {"rename": {"match": "a", "to": "b", "regexp": True}},
        "operations[0].rename: unknown field 'regexp'; did you mean regex?",
    ),
    (
        {"rename": {"match": "a", "to": "b", "regex": 1}},
        "operations[0].rename.regex: expected true or false, found a number (1)",
    ),
    ({"rename": {"match": "", "to": "b"}}, "operations[0].rename.match: is empty"),
    ({"rename": "a"}, "operations[0].rename: expected an object, found a string ('a')"),
    ({"unwrap": False}, "operations[0].unwrap: expected true, found a boolean (False)"),
    ({"merge": 1}, "operations[0].merge: expected true, found a number (1)"),
    ({"merge": None}, "operations[0].merge: expected true, found null"),
    (
        {"cast": {"dtype": "BF-16"}},
        "operations[0].cast.dtype: unknown dtype 'BF-16'; did you mean BF16?",
    ),
    (
        {"cast": {"dtype": "bf16"}},
        "operations[0].cast.dtype: unknown dtype 'bf16'; did you mean BF16?",
    ),
    ({"cast": {"dtype": "quaternion"}}, "unknown dtype 'quaternion'; the dtypes are BOOL, F4"),
    ({"cast": {"dtype": 16}}, "operations[0].cast.dtype: expected text, found a number (16)"),
    ({"cast": {"dtype": "BF16", "select": []}}, "operations[0].cast.select: is an empty list"),
    ({"take": {"source": ""}}, "operations[0].take.source: is empty"),
    (
        {"set": {"file": "config.json", "pointer": "a", "value": 1}},
        "operations[0].set.pointer: 'a' is not a JSON pointer: one starts with /",
    ),
    (
        {"set": {"file": "config.json", "pointer": "/~", "value": 1}},
        "operations[0].set.pointer: '/~' contains a ~ that escapes nothing",
    ),
    ({"set": {"file": "config.json", "pointer": "/a"}}, "operations[0].set: missing value"),
    (
        {"set": {"file": "../config.json", "pointer": "/a", "value": 1}},
        "operations[0].set.file: '../config.json' leads out of the checkpoint's folder",
    ),
    (
        {"unset": {"file": "/etc/a.json", "pointer": "/a"}},
        "operations[0].unset.file: '/etc/a.json' leads out",
    ),
    ({"unset": {"file": "C:a.json", "pointer": "/a"}}, "leads out"),
    ({"unset": {"file": "a\\..\\b.json", "pointer": "/a"}}, "leads out"),
    ({"unset": {"file": "\\a.json", "pointer": "/a"}}, "leads out"),
    ({"unset": {"file": "a/..", "pointer": "/a"}}, "leads out"),
    ({"unset": {"file": "a\0", "pointer": "/a"}}, "leads out"),
    ({"unset": {"file": "", "pointer": "/a"}}, "operations[0].unset.file: is empty"),
    ({"unset": {"file": "a.json", "pointer": "\n"}}, "is not a JSON pointer"),
    (
        {"metadata": {"key": "a", "value": 1}},
        "operations[0].metadata.value: expected text, found a number (1)",
    ),
    ({"metadata": {"key": "a"}}, "operations[0].metadata: missing value"),
    (
        {"reshard": {"max-size": "5 GBytes"}},
        (
            "operations[0].reshard.max-size: expected a size, found a string ('5 GBytes'); write"
            " a whole number of bytes"
        ),
    ),
    ({"reshard": {"max-size": "0GB"}}, "expected a size, found"),
    ({"reshard": {"max-size": "1.5GB"}}, "expected a size, found"),
    ({"reshard": {"max-size": "5GB\n"}}, "expected a size, found"),
    ({"reshard": {"max-size": "-5GB"}}, "expected a size, found"),
    ({"reshard": {"max-size": "\u0665GB"}}, "expected a size, found"),
    ({"reshard": {"max-size": 0}}, "expected a size, found"),
    ({"reshard": {"max-size": -1}}, "expected a size, found"),
    ({"reshard": {"max-size": 1.5}}, "expected a size, found"),
    ({"reshard": {"max-size": True}}, "expected a size, found"),
    ({"reshard": {}}, "operations[0].reshard: missing max-size"),
    ({"drop-files": None}, "operations[0].drop-files: expected a list, found null"),
    (
        {"copy-file": {"source": "a", "path": "../a"}},
        "operations[0].copy-file.path: '../a' leads out",
    ),
)

# What no schema can say.
REFUSED_BY_CODE_ALONE: tuple[tuple[Any, str], ...] = (
    (
        {"rename": {"match": "(", "to": "b", "regex": True}},
        "operations[0].rename: invalid regular expression or replacement: missing ), untermin",
    ),
    (
        {"rename": {"match": "(a)", "to": "\\2", "regex": True}},
        "invalid regular expression or replacement: invalid group reference 2",
    ),
    (
        {"rename": {"match": "a", "to": "\\g<name>", "regex": True}},
        "invalid regular expression or replacement: unknown group name",
    ),
    (
        {"set": {"file": "a.json", "pointer": "/a", "value": float("nan")}},
        "operations[0].set.value: the new value is not strict JSON: Out of range",
    ),
    (
        {"set": {"file": "a.json", "pointer": "/a", "value": {1: 2}}},
        "operations[0].set.value: the new value is not strict JSON",
    ),
    ({"set": {"file": "a.json", "pointer": "/a", "value": "\ud800"}}, "half of a surrogate pair"),
)

WHOLE: tuple[tuple[Any, str], ...] = (
    ([], 'the recipe: expected an object, found a list; write {"operations": […]}'),
    (None, "the recipe: expected an object, found null"),
    ({}, "the recipe: missing operations; the fields are operations, $schema"),
    ({"operation": []}, "the recipe: unknown field 'operation'; did you mean operations?"),
    ({"operations": {}}, "operations: expected a list, found an object"),
    ({"operations": [], "$schema": 1}, "$schema: expected text, found a number (1)"),
)


def recipe(*listed: Any) -> dict[str, Any]:
    return {"operations": list(listed)}


@pytest.mark.parametrize(
    ("item", "operation"),
    ACCEPTED,
    ids=lambda part: json.dumps(part) if isinstance(part, dict) else "",
)
def test_an_operation_is_read_and_the_schema_agrees(item: Any, operation: Operation) -> None:
    assert operations(recipe(item)) == (operation,)
    assert VALIDATOR.is_valid(recipe(item))
    assert operations(document([operation])) == (operation,)
    assert VALIDATOR.is_valid(document([operation]))


def test_every_operation_has_an_accepted_example() -> None:
    assert {type(operation) for _, operation in ACCEPTED} == set(OPERATION_TYPES)


FIELDS: dict[str, Any] = {
    "select": ("a",), "match": "a", "to": "b", "regex": False, "if_free": False,
    "dtype": Dtype.BF16, "lossy": False, "skip": False, "source": "a", "file": "a",
    "pointer": "/a", "value": "a", "key": "a", "max_size": 1, "path": "a",
}  # fmt: skip


def same_fields(noun: type[Any]) -> Any:
    """An operation of a type, with the same values as those of other types for equal fields."""
    return noun(**{field.name: FIELDS[field.name] for field in dataclasses.fields(noun)})


@pytest.mark.parametrize("noun", OPERATION_TYPES)
def test_an_operation_is_read_back_as_its_own_type_and_equals_no_other(noun: type[Any]) -> None:
    operation = same_fields(noun)
    (item,) = document([operation])["operations"]
    ((name, _),) = item.items()
    assert name == NAMES[noun]
    (read,) = operations(recipe(item))
    assert type(read) is noun
    assert read == operation
    assert pickle.loads(pickle.dumps(operation)) == operation  # noqa: S301 - the test's own
    others = [other for other in OPERATION_TYPES if other is not noun]
    assert all(same_fields(other) != operation for other in others)
    assert len({operation, *map(same_fields, others)}) == len(OPERATION_TYPES)


def test_outputs_of_different_types_are_never_equal() -> None:
    assert Text("a", "b") != Weights("a", "b", ())  # type: ignore[arg-type]  # the same fields
    assert Copy("a", "b", 0) != Weights("a", "b", 0)  # type: ignore[arg-type]  # the same fields
    assert Copy("a", "b", 0) == pickle.loads(pickle.dumps(Copy("a", "b", 0)))  # noqa: S301 - the test's own


@pytest.mark.parametrize(("item", "words"), REFUSED, ids=lambda part: repr(part)[:60])
def test_a_wrong_operation_is_refused_with_its_place_and_the_schema_agrees(
    item: Any, words: str
) -> None:
    assert words in refusal(recipe(item))
    assert not VALIDATOR.is_valid(recipe(item))


@pytest.mark.parametrize(("item", "words"), REFUSED_BY_CODE_ALONE, ids=lambda part: repr(part)[:60])
def test_what_a_schema_cannot_say_is_refused_too(item: Any, words: str) -> None:
    assert words in refusal(recipe(item))


@pytest.mark.parametrize(("whole", "words"), WHOLE, ids=lambda part: repr(part)[:60])
def test_a_wrong_recipe_is_refused_and_the_schema_agrees(whole: Any, words: str) -> None:
    assert words in refusal(whole)
    assert not VALIDATOR.is_valid(whole)


def test_the_place_counts_operations() -> None:
    assert refusal(recipe({"merge": True}, {"unwrap": True}, {"cast": {"dtype": "X"}})).startswith(
        "operations[2].cast.dtype: unknown dtype 'X'"
    )


def test_the_schema_is_a_schema_with_the_dtypes_and_the_operations_of_the_code() -> None:
    loaded: Any = schemas.load("recipe")
    jsonschema.Draft202012Validator.check_schema(loaded)
    named = loaded["$defs"]["operation"]["properties"]
    assert named["cast"]["properties"]["dtype"]["enum"] == [dtype.label for dtype in Dtype]
    assert {key for item, _ in ACCEPTED for key in item} == set(named)
    assert all(part["description"] for part in named.values())


def refusal(value: Any) -> str:
    """Return the words with which a recipe is refused.

    One printable line that says what to do next.
    """
    with pytest.raises(RecipeInvalid) as refused:
        operations(value)
    assert refused.value.subject
    assert refused.value.next
    assert str(refused.value).isprintable()
    return str(refused.value)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
some = texts.filter(bool)
globs = st.lists(some, min_size=1, max_size=3).map(tuple)
files = st.sampled_from(("config.json", "a/b.json", "..json", "a..b"))
pointers = st.lists(texts, max_size=3).map(joined)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
any_operation = st.one_of(
    st.builds(nouns.Drop, globs),
    st.builds(nouns.Keep, globs),
    st.builds(nouns.RenameTensors, some, texts, st.just(value=False), st.booleans()),
    st.builds(nouns.Unwrap),
    st.builds(nouns.Cast, st.sampled_from(Dtype), globs, st.booleans(), st.booleans()),
    st.builds(nouns.Take, some, globs),
    st.builds(nouns.SetValue, files, pointers, json_values),
    st.builds(nouns.UnsetValue, files, pointers),
    st.builds(nouns.RenameKey, files, pointers, texts),
    st.builds(nouns.SetMetadata, texts, st.none() | texts),
    st.builds(
        nouns.Reshard,
        st.integers(1, 10**18) | st.sampled_from((10**6, 5 * 10**9, 7 * 10**12, 3000)),
    ),
    st.builds(nouns.Merge),
    st.builds(nouns.DropFile, globs),
    st.builds(nouns.CopyFile, some, files),
)


@given(st.lists(any_operation, max_size=4))
def test_operations_survive_being_written_and_read(listed: list[Operation]) -> None:
    written = document(listed)
    assert operations(json.loads(json.dumps(written))) == tuple(listed)
    assert VALIDATOR.is_valid(written)


def with_item(value: dict[str, Any], key: str, item: Any) -> dict[str, Any]:
    return {**value, key: item}


def mutations(value: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of values that differ from `value` in one place.

    There, another value stands, or something is left out.
    """
    odd = st.sampled_from(
        (
            None,
            True,
            False,
            0,
            1,
            1.0,
            -1,
            "",
            "a",
            "/a",
            "5GB",
            "BF16",
            [],
            ["a"],
            [1],
            {},
            {"a": 1},
        )
    )
    options = [odd]
    if isinstance(value, dict) and value:
        options.append(
            st.sampled_from(sorted(value)).map(
                lambda key: {name: item for name, item in value.items() if name != key}
            )
        )
        options.append(odd.map(lambda new: {**value, "odd": new}))
        options.extend(
            mutations(item).map(partial(with_item, value, key)) for key, item in value.items()
        )
    return st.one_of(options)


MUTABLE = [item for item, _ in ACCEPTED if "\\1" not in str(item)]
"""Without the regular expression: whether its replacement fits is what no schema can say."""


@given(st.sampled_from(MUTABLE).flatmap(mutations))
def test_the_schema_accepts_what_the_code_accepts(item: Any) -> None:
    accepted = True
    try:
        operations(recipe(item))
    except RecipeInvalid:
        accepted = False
    assert VALIDATOR.is_valid(recipe(item)) == accepted


SIZES = {
    "1": 1,
    "5GB": 5 * 10**9,
    "200MB": 2 * 10**8,
    "1GiB": 2**30,
    "3 kB": 3000,
    "3KB": 3000,
    "2TiB": 2**41,
}


@pytest.mark.parametrize(("text", "nbytes"), SIZES.items())
def test_sizes(text: str, nbytes: int) -> None:
    assert size(text) == nbytes


# --- files ----------------------------------------------------------------------------------------

YAML = """\
# What a reflow student needs.
operations:
  - drop: [teacher.**]
  - rename: {match: 'a.**', to: b.**}
  - set:
      file: config.json
      pointer: /optimizer_lr
      value: 1e-4
  - set: {file: config.json, pointer: /load_vlm_weights, value: true}
  - metadata:
      key: format
      value: null
  - reshard: {max-size: 5GB}
  - take: {source: ../other, select: ["**"]}
  - copy-file: {source: README.md, path: README.md}
"""


def put(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_yaml_and_json_say_the_same_and_sources_start_at_the_recipe(tmp_path: Path) -> None:
    found = read_recipe(put(tmp_path, "recipe.yaml", YAML))
    assert found == (
        nouns.Drop(("teacher.**",)),
        nouns.RenameTensors("a.**", "b.**"),
        nouns.SetValue("config.json", "/optimizer_lr", 1e-4),
        nouns.SetValue("config.json", "/load_vlm_weights", value=True),
        nouns.SetMetadata("format", None),
        nouns.Reshard(5 * 10**9),
        nouns.Take(f"{tmp_path}/../other"),
        nouns.CopyFile(f"{tmp_path}/README.md", "README.md"),
    )
    assert isinstance(found[3], nouns.SetValue)
    assert found[3].value is True
    assert read_recipe(put(tmp_path, "recipe.json", json.dumps(document(found)))) == found


def test_the_recipe_in_the_document_has_every_operation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    found = read_recipe(put(tmp_path, "recipe.yaml", shown))
    assert {type(operation) for operation in found} | {nouns.Merge} == {
        type(operation) for _, operation in ACCEPTED
    }


def test_sources_that_are_absolute_or_addresses_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = (nouns.Take("/elsewhere"), nouns.Take("hf://owner/name"), nouns.Take("near"))
    put(tmp_path, "recipe.json", json.dumps(document(listed)))
    assert read_recipe("recipe.json") == listed


BAD_FILES = (
    ("a.json", "{", "a.json: line 1, column 2: "),
    (
        "a.json",
        '{"operations": [], "operations": []}',
        'a.json: key "operations" stands more than once in one object; correct the recipe',
    ),
    ("a.json", '{"operations": [NaN]}', "a.json: NaN is not JSON"),
    (
        "a.json",
        '{\n"operations": [\n{"drop": ["a"]},\n{"cast":\n{"dtype": "X"}}]}',
        "a.json, line 5: operations[1].cast.dtype: unknown dtype 'X'",
    ),
    (
        "a.json",
        '{\n"operations": [\n{"drop":\n ["a", 2]}]}',
        "a.json, line 4: operations[0].drop[1]: expected text, found a number",
    ),
    ("a.json", "\ufeff{}", "a.json: starts with a byte order mark"),
    ("a.yaml", b"\xff", "a.yaml: byte 0 is not UTF-8"),
    ("a.yaml", "", "a.yaml: the recipe: expected an object, found null"),
    (
        "a.yaml",
        "operations: []\n---\noperations: []\n",
        "a.yaml: line 2, column 1: invalid YAML: but found another document",
    ),
    (
        "a.yaml",
        "operations: [",
        "a.yaml: line 1, column 14: invalid YAML: expected the node content",
    ),
    (
        "a.yaml",
        "operations:\n\t- a",
        "a.yaml: line 2, column 1: invalid YAML: found character '\\t'",
    ),
    ("a.yaml", "a: \x07", "a.yaml: invalid YAML: special characters are not allowed"),
    ("a.yaml", 'a: "\\UFFFFFFFF"', "a.yaml: invalid YAML: an escape sequence is not a character"),
    (
        "a.yaml",
        'a: "\\ud800"',
        "a.yaml: line 1, column 4: the text '\\ud800' contains half of a surrogate pair",
    ),
    (
        "a.yaml",
        "operations:\n  - drop: [a]\n    drop: [b]\n",
        "a.yaml: line 3, column 5: repeated key 'drop'; keep one of them",
    ),
    (
        "a.yaml",
        "operations:\n  - drop: [a]\n  - 1: [b]\n",
        "a.yaml: line 3, column 5: a key is not text; put it in quotes",
    ),
    ("a.yaml", "a: {[b]: 1}", "a.yaml: line 1, column 5: a key is not text"),
    (
        "a.yaml",
        "a: &a [1]\nb: *a\n",
        "a.yaml: line 2, column 4: the alias *a is not supported; write out the value",
    ),
    (
        "a.yaml",
        "a: !!python/object:os.system x",
        "line 1, column 4: the tag tag:yaml.org,2002:python/object:os.system is not supported",
    ),
    ("a.yaml", "a: !!str 5", "line 1, column 4: the tag tag:yaml.org,2002:str is not supported"),
    ("a.yaml", "a: !!set {b}", "is not supported"),
    (
        "a.yaml",
        "<<: {a: 1}",
        "line 1, column 1: '<<' is ambiguous: some YAML readers read it as merge",
    ),
    (
        "a.yaml",
        "a: 2024-01-01",
        (
            "line 1, column 4: '2024-01-01' is ambiguous: some YAML readers read it as timestamp;"
            " put text in quotes"
        ),
    ),
    ("a.yaml", "a: no", "'no' is ambiguous: some YAML readers read it as bool"),
    ("a.yaml", "on: 1", "'on' is ambiguous: some YAML readers read it as bool"),
    ("a.yaml", "a: 0755", "'0755' is ambiguous: some YAML readers read it as int"),
    ("a.yaml", "a: 1:30", "'1:30' is ambiguous: some YAML readers read it as int"),
    ("a.yaml", "a: 1_000", "'1_000' is ambiguous: some YAML readers read it as int"),
    ("a.yaml", "a: .nan", "'.nan' is ambiguous: some YAML readers read it as float"),
    ("a.yaml", "a: 1e999", "a.yaml: line 1, column 4: the number 1e999 does not fit a double"),
    ("a.yaml", "a: " + "9" * 5000, "does not fit a double"),
    ("a.yaml", "a: " + ":".join(["1"] * 50_000), "is ambiguous: some YAML readers read it as int"),
    (
        "a.yaml",
        "[" * 100_000,
        "a.yaml: line 1, column 128: nested deeper than 127; reduce the nesting",
    ),
    (
        "a.yml",
        "operations:\n  - drop: [a]\n  - cast:\n      dtype: X\n",
        "a.yml, line 4: operations[1].cast.dtype: unknown dtype 'X'",
    ),
    (
        "a.yml",
        "operations:\n  - drop: [a]\n\n  - cast: {}\n",
        "a.yml, line 4: operations[1].cast: missing dtype",
    ),
    (
        "a.txt",
        "{}",
        "a.txt: not a recipe: its name does not end in .json, .yaml or .yml; rename it, or",
    ),
)


@pytest.mark.parametrize(("name", "text", "words"), BAD_FILES, ids=lambda part: repr(part)[:40])
def test_a_bad_file_is_refused_with_its_path_and_line(
    tmp_path: Path, name: str, text: str | bytes, words: str
) -> None:
    with pytest.raises(RecipeInvalid) as refused:
        read_recipe(put(tmp_path, name, text))
    assert str(refused.value).startswith(str(tmp_path))
    assert words in str(refused.value)
    assert str(refused.value).isprintable()
    assert refused.value.next


def test_a_bomb_of_aliases_is_refused_at_its_first_alias(tmp_path: Path) -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20)
    )
    with pytest.raises(RecipeInvalid, match=r"line 2, column 8: the alias \*a is not supported"):
        read_recipe(put(tmp_path, "bomb.yaml", bomb))


def test_a_file_that_is_too_large_or_no_file_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(errors.Unreadable, match="may have at most 1,048,576"):
        read_recipe(put(tmp_path, "large.yaml", "#" * (LIMIT + 1)))
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(errors.NotAFile, match="is a named pipe, not a file"):
        read_recipe(str(tmp_path / "pipe.yaml"))
    with pytest.raises(errors.PathNotFound):
        read_recipe(str(tmp_path / "none.json"))
