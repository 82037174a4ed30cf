"""Families as data: expressions, templates of names, and what a file expects under a config."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families import family_file
from ckpt_tools.families.expected import Typed, expected
from ckpt_tools.families.expression import InvalidExpression, Wrong, parse, parse_list
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.template import expand, folded, parse_template
from ckpt_tools.storage import schemas, shipped

DOCUMENT = json.loads((Path(__file__).parent / "data/made_up.json").read_text())
FILE = family_file.read(DOCUMENT)
CONFIG: dict[str, Any] = {"architectures": ["MadeUpModel"]}


def of(config: dict[str, Any], tensors: dict[str, Typed] | None = None) -> Expectation:
    found = expected(FILE, CONFIG | config, tensors)
    assert isinstance(found, Expectation), found
    return found


def reason(config: dict[str, Any]) -> str:
    found = expected(FILE, CONFIG | config)
    assert isinstance(found, Unknown)
    return found.reason


# --- expressions ----------------------------------------------------------------------------------

VALUES = {"a": 7, "b": 3, "s": "cross_attn", "items": [4, 5], "yes": True, "r": 0.75}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b * 2 - 1", 12),
        ("-a // b % 4", 1),
        ("int(a * r)", 5),
        ("a / 2", 3.5),
        ("a if yes else b", 7),
        ("'cross' in s and not a in [1, 2]", True),
        ("1 < b <= 3", True),
        ("a == 1 or yes", True),
        ("items[1] + len(items) + sum(items) + min(a, b) + max(items)", 24),
        ("a not in items", True),
        ("BF16", "BF16"),
        ("false", False),
        ("null", None),
    ],
)
def test_an_expression_has_the_value_that_python_gives_it(text: str, value: object) -> None:
    assert parse(text).evaluate(VALUES) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "a.b",
        "a ** 2",
        "lambda: 1",
        "[x for x in a]",
        "a +",
        "f'{a}'",
        "max(a, key=b)",
        "~a",
        "b'1'",
        "items[0:1]",
    ],
)
def test_what_is_not_of_the_language_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpression):
        parse(text)


@pytest.mark.parametrize(
    "text", ["s * 2", "a // 0", "items[7]", "a < s", "len(a)", "a in a", "s + s", "a[0]", "int(s)"]
)
def test_values_that_do_not_fit_are_wrong(text: str) -> None:
    with pytest.raises(Wrong):
        parse(text).evaluate(VALUES)


def test_no_number_grows_without_limit() -> None:
    with pytest.raises(Wrong):
        parse("*".join(["a"] * 60)).evaluate({"a": 10**9})


def test_a_list_of_sizes_keeps_the_text_of_each() -> None:
    assert [one.text for one in parse_list("min(a, b), a * 2,3")] == ["min(a, b)", "a * 2", "3"]
    assert parse_list("") == ()


# --- templates ------------------------------------------------------------------------------------


def test_a_template_has_the_names_of_its_indices_and_numbers() -> None:
    template = parse_template("a.{i<n}.b.{0,2}.c.{j<i>0}")
    names = [name for name, _ in expand(parse_template("x.{0..2}.{i<n}"), {"n": 2})]
    assert names == ["x.0.0", "x.0.1", "x.1.0", "x.1.1", "x.2.0", "x.2.1"]
    assert template.indices == {"i", "j"}
    assert folded("a.10.b.2.c.0") == template.folded == "a.*.b.*.c.*"


def test_a_count_may_depend_on_the_index_before_it() -> None:
    names = [name for name, _ in expand(parse_template("{i<2}.{j<depths[i]}"), {"depths": [1, 2]})]
    assert names == ["0.0", "1.0", "1.1"]


@pytest.mark.parametrize("count", [True, 2.0, "2", 1025])
def test_a_count_that_is_none_is_wrong(count: object) -> None:
    with pytest.raises(Wrong):
        list(expand(parse_template("x.{i<n}"), {"n": count}))


@pytest.mark.parametrize("text", ["a.{i<n", "a.{}", "a.{n}", "a.}", "a.{0..}"])
def test_a_template_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpression):
        parse_template(text)


# --- a family's file ------------------------------------------------------------------------------


def test_the_example_matches_the_schema() -> None:
    jsonschema.validate(DOCUMENT, schemas.load("family"))


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schemas.load("family"))


@pytest.mark.parametrize(("library", "key"), shipped.families())
def test_every_shipped_family_matches_the_schema_and_is_read(library: str, key: str) -> None:
    _validator().validate(shipped.family_data(library, key))
    found = family_file.load(library, key)
    assert found is not None
    assert (found.library, found.family) == (library, key)


@pytest.mark.parametrize("key", ["nothing", "../x", "", ".", "a/b"])
def test_a_key_without_a_file_is_no_family(key: str) -> None:
    assert family_file.load("transformers", key) is None


def test_names_and_shapes_follow_from_the_config_and_its_defaults() -> None:
    shapes = {name: one.shape for name, one in of({"moe_every": 3}).tensors.items()}
    assert shapes["model.embed.weight"] == (100, 64)
    assert shapes["model.layers.3.k.weight"] == (64, 64)
    assert shapes["model.blocks.1.2.weight"] == (16, 3)
    assert shapes["model.layers.1.experts.2.weight"] == (64, 66)
    assert {name for name in shapes if "mlp" in name} == {
        "model.layers.0.mlp.weight",
        "model.layers.3.mlp.weight",
    }
    assert shapes["bn.num_batches_tracked"] == ()
    assert "lm_head.weight" not in shapes
    assert "state.weight" not in shapes


def test_null_is_the_default_and_defaults_depend_on_other_fields() -> None:
    shapes = {
        name: one.shape
        for name, one in of(
            {"num_key_value_heads": None, "num_attention_heads": 4, "hidden_size": 32}
        ).tensors.items()
    }
    assert shapes["model.layers.0.k.weight"] == (32, 32)


def test_members_of_the_config_are_counted_and_pointed_at() -> None:
    features = {
        "observation.state": {"type": "STATE", "shape": [6]},
        "observation.image": {"type": "VISUAL", "shape": [3, 8, 8]},
    }
    assert of({"input_features": features}).tensors["state.weight"].shape == (64, 6)
    del features["observation.image"]
    assert "state.weight" not in of({"input_features": features}).tensors


def test_dtypes_at_run_time_in_a_clean_checkpoint_and_lawful_ones() -> None:
    found = of({"loads": False}).tensors
    assert (found["vlm.weight"].dtype, found["vlm.weight"].normal) == (Dtype.F32, Dtype.BF16)
    assert found["vlm.weight"].lawful == {Dtype.F32, Dtype.BF16, Dtype.F16}
    assert found["strict.weight"].lawful == {Dtype.BF16}
    assert found["bn.num_batches_tracked"].lawful == {Dtype.I64}
    assert found["model.embed.weight"].dtype is Dtype.F32


def test_weights_have_the_dtype_of_most_weights() -> None:
    tensors = {
        "a": Typed(Dtype.BF16, (1,)),
        "b": Typed(Dtype.BF16, (1,)),
        "c": Typed(Dtype.F32, (1,)),
    }
    assert of({}, tensors).tensors["model.embed.weight"].dtype is Dtype.BF16


def test_ties_hold_where_their_condition_does_and_both_names_are_expected() -> None:
    whole: dict[str, Any] = {"architectures": ["MadeUpForCausalLM"]}
    assert of(whole).ties == ()
    assert of(whole | {"tie_word_embeddings": True}).ties == (
        ("model.embed.weight", "lm_head.weight"),
    )
    assert of({"tie_word_embeddings": True}).ties == ()


def test_optional_tensors_are_apart() -> None:
    found = of({})
    assert found.optional["position_ids"].shape == (1, 100)
    assert "position_ids" not in found.tensors


def test_sizes_are_what_most_tensors_have() -> None:
    tensors = {
        "tower.0.weight": Typed(Dtype.F32, (30, 31)),
        "tower.1.weight": Typed(Dtype.F32, (30, 31)),
        "teacher.tower.2.weight": Typed(Dtype.F32, (9, 10)),
        "_orig_mod.tower.2.weight": Typed(Dtype.F32, (9, 10)),
        "stages.0.weight": Typed(Dtype.F32, (2,)),
        "stages.1.x": Typed(Dtype.F32, (2,)),
        "stages.99.weight": Typed(Dtype.F32, (2,)),
    }
    found = of({}, tensors).tensors
    assert found["tower.2.weight"].shape == (30, 31)
    assert found["tower.patch.weight"].shape is None
    assert [name for name in found if name.startswith("stages.")] == [
        "stages.0.weight",
        "stages.1.weight",
    ]
    assert of({}).tensors["tower.2.weight"].shape == (24, 25)


def test_a_teachers_copy_shows_sizes_that_the_model_does_not() -> None:
    found = of({}, {"teacher.tower.0.weight": Typed(Dtype.F32, (9, 10))})
    assert found.tensors["tower.2.weight"].shape == (9, 10)


@pytest.mark.parametrize(("wrong", "is_known"), [(1, True), (2, False)])
def test_many_sizes_that_no_config_states_are_of_another_model(
    wrong: int, *, is_known: bool
) -> None:
    blocks = [{"shapes": {"conv.{0..5}.weight": "48", "q.{0,1}.weight": "hidden"}}]
    file = family_file.read(DOCUMENT | {"tensors": blocks, "ties": []})
    sizes = {f"conv.{number}.weight": 8 if number < wrong else 48 for number in range(6)}
    # The config states the width of these: they are damaged, whatever their number.
    sizes |= {"q.0.weight": 1, "q.1.weight": 1}
    stored = {name: Typed(Dtype.F32, (size,)) for name, size in sizes.items()}
    found = expected(file, CONFIG | {"hidden_size": 64}, stored)
    assert isinstance(found, Expectation) is is_known


def test_a_family_with_names_only_has_no_shapes() -> None:
    found = expected(family_file.read(DOCUMENT | {"state": "names"}), CONFIG)
    assert isinstance(found, Expectation)
    assert found.tensors.keys() == of({}).tensors.keys()
    assert {one.shape for one in found.tensors.values()} == {None}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architectures": ["Other"]}, "no expectation for architecture Other"),
        ({"architectures": []}, "there is no architectures.0 in config.json"),
        ({"hidden_size": "wide"}, "hidden_size in config.json must be an integer"),
        ({"hidden_size": True}, "hidden_size in config.json must be an integer"),
        ({"hidden_size": 10**400}, "hidden_size in config.json must be an integer"),
        ({"hidden_size": -1}, "hidden_size in config.json cannot be used"),
        ({"num_hidden_layers": 2000}, "num_hidden_layers in config.json cannot be used"),
        ({"num_attention_heads": 0}, "hidden_size, num_attention_heads in config.json cannot"),
        ({"moe_every": 0}, "moe_every in config.json must be an integer from 1 to 8"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings in config.json must be true or false"),
        ({"widths": 3}, "widths in config.json must be a list"),
        ({"widths": [1, "x"]}, "widths in config.json cannot be used"),
        ({"loads": "yes"}, "loads in config.json must be true or false"),
    ],
)
def test_an_impossible_config_makes_the_expectation_unknown(
    config: dict[str, Any], words: str
) -> None:
    assert words in reason(config)


def test_too_many_tensors_are_not_listed() -> None:
    assert "more than 200,000 tensors" in reason(
        {"num_hidden_layers": 1024, "num_experts": 1000, "moe_every": 2}
    )


def test_a_fields_own_name_in_its_default_is_no_endless_loop() -> None:
    fields = {"n": {"at": "/n", "default": "n"}}
    file = family_file.read(DOCUMENT | {"fields": fields, "tensors": [{"shapes": {"x": "n"}}]})
    assert isinstance(expected(file, {}), Unknown)
