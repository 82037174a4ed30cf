"""Laws of recipes over generated operations.

round trip   operations(document(listed)) is listed
agreement    the schema accepts exactly the mutated operations that the code accepts
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.edit import operations as nouns
from ckpt_tools.edit.recipe import document, operations
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.strict_json.pointer import joined
from tests.support.recipes import ACCEPTED, VALIDATOR, recipe

if TYPE_CHECKING:
    from ckpt_tools.edit.operations import Operation


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
