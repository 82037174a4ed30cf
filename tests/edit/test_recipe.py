"""Parsed recipes: operations that are accepted, and errors with their location.

The JSON schema accepts exactly what the code accepts, apart from what a schema cannot express.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.model import Copy, Text, Weights
from ckpt_tools.edit.recipe import document, operations, size
from ckpt_tools.storage import schemas
from tests.support.recipes import ACCEPTED, VALIDATOR, recipe, refusal

if TYPE_CHECKING:
    from ckpt_tools.edit.operations import Operation


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
    (
        {"merge": True, "if-any": True},
        "operations[0]: merge selects no tensors or files; omit if-any",
    ),
    ({"drop": ["a"], "if-any": 1}, "operations[0].if-any: expected true or false, found a number"),
    ({"if-any": True}, "expected one key, the name of an operation, but found 0"),
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
    "select": ("a",), "match": "a", "to": "b", "regex": False, "if_free": False, "if_any": True,
    "dtype": Dtype.BF16, "lossy": False, "skip": False, "infinite": False, "source": "a",
    "file": "a", "pointer": "/a", "value": "a", "key": "a", "max_size": 1, "path": "a",
}  # fmt: skip


def same_fields(noun: type[Any]) -> Any:
    """An operation of a type, with the same values as those of other types for equal fields."""
    return noun(**{field.name: FIELDS[field.name] for field in dataclasses.fields(noun)})


@pytest.mark.parametrize("noun", OPERATION_TYPES)
def test_an_operation_is_read_back_as_its_own_type_and_equals_no_other(noun: type[Any]) -> None:
    operation = same_fields(noun)
    (item,) = document([operation])["operations"]
    assert item.keys() - {"if-any"} == {NAMES[noun]}
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
