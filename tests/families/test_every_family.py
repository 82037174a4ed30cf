"""Every family that has a file: what it expects is right by its own rules, and damage is named.

One model of each choice that the file lists, at the sizes of its defaults; nothing is on the disk.
"""

from __future__ import annotations

import copy
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.errors import PointerInvalid
from ckpt_tools.families.expected import FLOATS, expected
from ckpt_tools.families.family import Expectation
from ckpt_tools.families.family_file import load
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.registry import all_rules
from ckpt_tools.rules.rule import Subject
from ckpt_tools.storage.shipped import families
from ckpt_tools.strict_json.pointer import resolve, segments
from tests.support.policies import checkpoint_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.families.family import Expected
    from ckpt_tools.families.family_file import FamilyFile, Field

CODES = {"CK305", "CK306", "CK307", "CK308", "CK309", "CK316"}
RULES = tuple(rule for rule in all_rules() if rule.code in CODES)
EVERY = tuple(rule for rule in all_rules() if rule.code.startswith(("CK3", "CK94")))
KEYS = {
    "lerobot": "type",
    "transformers": "model_type",
    "diffusers": "_class_name",
    "timm": "architecture",
}
FEATURES: dict[str, Any] = {
    "input_features": {
        "observation.state": {"type": "STATE", "shape": [14]},
        "observation.images.top": {"type": "VISUAL", "shape": [3, 96, 96]},
    },
    "output_features": {"action": {"type": "ACTION", "shape": [7]}},
}
OF_LIBRARY: dict[str, dict[str, Any]] = {"lerobot": FEATURES, "timm": {"pretrained_cfg": {}}}
OF_FAMILY: dict[str, dict[str, Any]] = {
    "fastwam": {"video_dit_config": {"patch_size": [1, 2, 2]}},
    "smolvla": {"load_vlm_weights": True},
    "xvla": {"florence_config": {"vision_config": {"dim_embed": [8, 16], "depths": [1, 2]}}},
    **{key: {"num_hidden_layers": 4, "num_experts": 6} for key in ("qwen2_moe", "qwen3_moe")},
}
"""What config.json says besides: lists, and few layers of experts instead of thousands."""

SAMPLES = 3
type Shapes = dict[str, tuple[Dtype, tuple[int, ...]]]


def put(config: dict[str, Any], pointer: str, value: object) -> None:
    """Write a value at a pointer; numbers in it are places of lists."""
    place: Any = config
    keys = segments(pointer)
    for key, after in pairwise(keys):
        empty: Any = [None] if after.isdecimal() else {}
        if isinstance(place, list):
            place[0] = place[0] or empty
            place = place[0]
        else:
            if not place.get(key):
                place[key] = empty
            place = place[key]
    if isinstance(place, list):
        place[0] = value
    else:
        place[keys[-1]] = value


def stated(file: FamilyFile) -> Iterator[Field]:
    """Yield the fields of which config.json must have a value."""
    for field in file.fields.values():
        if field.at and not field.first and not field.has_default:
            yield field


def configs(file: FamilyFile) -> Iterator[dict[str, Any]]:
    """Yield a config.json for every value of every choice, one after another."""
    base: dict[str, Any] = {KEYS[file.library]: file.family, **OF_LIBRARY.get(file.library, {})}
    base.update(OF_FAMILY.get(file.family, {}))
    for field in stated(file):
        try:
            resolve(base, field.at)
        except PointerInvalid:
            put(base, field.at, field.values[0] if field.values else 8)
    yield base
    for field in file.fields.values():
        if field.at and not field.first:
            for value in field.values[1:]:
                other = copy.deepcopy(base)
                put(other, field.at, value)
                yield other


def shapes_of(expectation: Expectation) -> Shapes:
    """Return dtype and shape by name, of the names that one writer keeps."""
    gone = {name for group in expectation.ties for name in group[1:]}
    return {
        name: (one.dtype, one.shape if one.shape is not None else (8, 8))
        for name, one in expectation.tensors.items()
        if name not in gone
    }


def findings(
    shapes: Shapes, config: Mapping[str, Any], rules: tuple[Any, ...] = RULES
) -> list[str]:
    members = [
        Tensor(name, dtype, shape, "model.safetensors", 0, header.nbytes(dtype, shape))
        for name, (dtype, shape) in shapes.items()
    ]
    there = checkpoint_of(members, dict(config))
    found = check_rules(rules, Subject(there, family_of(there))).findings
    return [f"{one.code} {one.subject}" for one in found]


def known(library: str, key: str) -> tuple[FamilyFile, list[tuple[dict[str, Any], Expectation]]]:
    file = cast("FamilyFile", load(library, key))
    given = {
        field.name: 8 * place + 64
        for place, field in enumerate(file.fields.values())
        if field.infers and not field.under
    }
    found = []
    for config in configs(file):
        one = expected(file, config, given=given)
        if isinstance(one, Expectation) and is_built(one):
            found.append((config, one))
    return file, found


each_family = pytest.mark.parametrize(("library", "key"), families())


@each_family
def test_what_a_family_expects_has_no_finding(library: str, key: str) -> None:
    _, models = known(library, key)
    assert models
    for config, expectation in models:
        shapes = shapes_of(expectation)
        assert shapes
        assert findings(shapes, config, EVERY) == []
        if expectation.optional and not any(
            one.shape is None for one in expectation.optional.values()
        ):
            more = {
                name: (one.dtype, one.shape or ()) for name, one in expectation.optional.items()
            }
            assert findings(shapes | more, config) == []


@each_family
def test_lawful_mixed_precision_has_no_finding(library: str, key: str) -> None:
    if key == "smolvla":
        pytest.skip("a rule of its own knows its dtypes")
    _, models = known(library, key)
    config, expectation = models[0]
    rng = random.Random(1)  # noqa: S311 - samples
    shapes = {
        name: (rng.choice(sorted(expectation.tensors[name].lawful, key=str)), shape)
        for name, (_, shape) in shapes_of(expectation).items()
    }
    assert findings(shapes, config) == []


@each_family
def test_tensors_that_are_dropped_renamed_reshaped_and_retyped_are_named(
    library: str, key: str
) -> None:
    file, models = known(library, key)
    rng = random.Random(2)  # noqa: S311 - samples
    for config, expectation in rng.sample(models, min(2, len(models))):
        for _ in range(SAMPLES):
            shapes, named = damaged(file, expectation, rng)
            found = [one.split(" ", 1) for one in findings(shapes, config)]
            assert len(found) == len(named), (found, named)
            assert all(code in named[subject] for code, subject in found), (found, named)


def damaged(
    file: FamilyFile, expectation: Expectation, rng: random.Random
) -> tuple[Shapes, dict[str, tuple[str, ...]]]:
    """Return the tensors with damage of three kinds, and the codes that may name it.

    One is dropped or renamed: two that are missing may be one finding.
    """
    shapes = shapes_of(expectation)
    tied = {name for group in expectation.ties for name in group}
    names = rng.sample(sorted(shapes), min(3, len(shapes)))
    named: dict[str, tuple[str, ...]] = {}
    for name in names[:1]:
        if name not in tied:
            named[name] = ("CK305",)
            tensor = shapes.pop(name)
            if rng.random() < 1 / 2:
                shapes[f"{name}_x"] = tensor
                named[f"{name}_x"] = ("CK306",)
    for name in names[1:2]:
        dtype, shape = shapes[name]
        if shape and not file.names_only and is_sure(file, expectation.tensors[name], name):
            shapes[name] = (dtype, (*shape[:-1], shape[-1] + 1))
            named[name] = ("CK307",)
    for name in names[2:]:
        dtype, shape = shapes[name]
        shapes[name] = (Dtype.I8 if dtype in FLOATS else Dtype.F32, shape)
        named[name] = ("CK308", "CK316")
    return shapes, named


def is_sure(file: FamilyFile, one: Expected, name: str) -> bool:
    """Whether a shape does not rest on what one or two tensors show."""
    return one.shape is not None and (
        not any(field.infers for field in file.fields.values()) or ".layers." in name
    )


def is_built(expectation: Expectation) -> bool:
    """Whether the choice goes with the other values: a size of 0 shows that it needs another."""
    return all(0 not in (one.shape or ()) for one in expectation.tensors.values())
