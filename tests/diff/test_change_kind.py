"""The kind of a change: from the structure alone, and from values of small checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ckpt_tools import api
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.diff.change_kind import Change, ChangeKind
from tests.support.checkpoints import weights
from tests.support.models import model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SHAPES = {f"layers.{layer}.{name}": (48, 32) for layer in range(4) for name in ("up", "down")}


def structure(tmp_path: Path, a: Mapping[str, object], b: Mapping[str, object]) -> Change:
    """Return the change between two checkpoints of these shapes, values not compared."""
    sides = [model(tmp_path / name, shapes) for name, shapes in (("a", a), ("b", b))]  # type: ignore[arg-type] # shapes of two kinds
    found = api.diff(*sides).change
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("other", "kind", "words"),
    [
        (SHAPES, ChangeKind.SAME_STRUCTURE, "the same 8 tensors"),
        ({f"policy.{name}": one for name, one in SHAPES.items()}, ChangeKind.RENAMED, "8 of 8"),
        (
            {name: (Dtype.BF16, one) for name, one in SHAPES.items()},
            ChangeKind.RETYPED,
            "8 of 8 of another dtype",
        ),
        (SHAPES | {"head": (9, 9)}, ChangeKind.OVERLAP, "1 only in B (head)"),
        (dict.fromkeys(SHAPES, (64, 32)), ChangeKind.RESIZED, "8 of 8 tensors have other shapes"),
        ({"stem.weight": (3, 3)}, ChangeKind.OTHER, "none of A's 8 tensors is in B"),
        (
            {"layers.0.up": (48, 32), "stem.weight": (3, 3), "stem.bias": (3,)},
            ChangeKind.OTHER,
            "only 1 of A's 8 tensors is in B",
        ),
    ],
)
def test_names_dtypes_and_shapes_show_a_kind(
    tmp_path: Path, other: Mapping[str, object], kind: ChangeKind, words: str
) -> None:
    found = structure(tmp_path, SHAPES, other)

    assert found.kind is kind
    assert words in found.text


def test_an_adapter_is_no_other_architecture_of_its_base(tmp_path: Path) -> None:
    base = model(tmp_path / "a", SHAPES, {"config.json": {"model_type": "llama"}})
    adapter = model(
        tmp_path / "b",
        {"base_model.model.layers.0.up.lora_A.weight": (4, 32)},
        {"adapter_config.json": {"peft_type": "LORA"}},
        file="adapter_model.safetensors",
    )

    found = api.diff(base, adapter).change

    assert found is not None
    assert found.text.startswith("B is an adapter, A is a model")


def test_nothing_is_said_of_a_part_of_the_structure(tmp_path: Path) -> None:
    sides = [model(tmp_path / name, SHAPES) for name in "ab"]

    assert api.diff(*sides, aspects={"config"}).change is None


def values(tmp_path: Path, change: Mapping[str, object]) -> Change:
    """Return the change from random values to these added to them, by name."""
    rng = np.random.default_rng(5)
    before = {name: rng.normal(0, 0.1, one).astype("<f4") for name, one in SHAPES.items()}
    after = {name: value + change.get(name, np.float32(0)) for name, value in before.items()}
    for side, tensors in (("a", before), ("b", after)):
        (tmp_path / f"{side}.safetensors").write_bytes(
            weights(
                {
                    name: (Dtype.F32, value.shape, value.astype("<f4").tobytes())
                    for name, value in tensors.items()
                }
            )
        )
    paths = [tmp_path / f"{side}.safetensors" for side in "ab"]
    found = api.diff(*paths, values=True, cached=False).change
    assert found is not None
    return found


def dense(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 1e-3, (48, 32))


def thin(rank: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(rank)
    return 1e-2 * rng.normal(size=(48, rank)) @ rng.normal(size=(rank, 32))


def test_equal_values_are_identical(tmp_path: Path) -> None:
    assert values(tmp_path, {}).kind is ChangeKind.IDENTICAL


def one_nan() -> NDArray[np.float64]:
    change = np.zeros((48, 32))
    change[3, 4] = np.nan
    return change


def test_a_new_nan_among_equal_values_is_no_training(tmp_path: Path) -> None:
    found = values(tmp_path, {"layers.2.up": one_nan()})

    assert (found.kind, found.broken) == (ChangeKind.BROKEN, 1)
    assert found.text == (
        "the same weights, except for broken values; 1 value NaN or infinite on one side only"
    )


def test_a_new_nan_is_told_whatever_else_changed(tmp_path: Path) -> None:
    found = values(tmp_path, {name: dense(1) for name in SHAPES} | {"layers.2.up": one_nan()})

    assert (found.kind, found.broken) == (ChangeKind.CONTINUED, 1)
    assert found.text.endswith("; 1 value NaN or infinite on one side only")


def test_the_name_of_a_single_file_is_no_difference(tmp_path: Path) -> None:
    values(tmp_path, {})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/model.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes())

    assert api.diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors").same
    assert api.diff(tmp_path / "a.safetensors", tmp_path / "folder").same
    (tmp_path / "folder/model.safetensors").rename(tmp_path / "folder/other.safetensors")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/model.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes())
    assert not api.diff(tmp_path / "other", tmp_path / "folder").same


def test_one_tensor_of_the_same_shape_in_another_architecture_is_no_rename(tmp_path: Path) -> None:
    others = {f"blocks.{number}.weight": (7, number + 1) for number in range(9)}
    sides = [
        model(tmp_path / name, shapes | {f"{name}.bias": (5,)})
        for name, shapes in (("head", SHAPES), ("tail", others))
    ]
    found = api.diff(*sides)

    assert found.change is not None
    assert found.change.kind is ChangeKind.OTHER
    assert (found.diff.renamed, found.renaming) == ((), ())


def test_small_dense_changes_are_training(tmp_path: Path) -> None:
    found = values(tmp_path, {name: dense(seed) for seed, name in enumerate(SHAPES)})

    assert found.kind is ChangeKind.CONTINUED
    assert found.text.startswith("continued training: all of the parameters changed")
    assert {rank.rank for rank in found.ranks} == {32}


def test_thin_changes_are_an_adapters_and_their_rank_is_known(tmp_path: Path) -> None:
    found = values(tmp_path, {name: thin(3) for name in SHAPES if "up" in name})

    assert found.kind is ChangeKind.LOW_RANK
    assert {rank.rank for rank in found.ranks} == {3}
    assert "4 of 4 sampled matrices has a low rank (3, of 32 or more)" in found.text


def test_one_dense_matrix_among_few_thin_ones_is_no_adapter(tmp_path: Path) -> None:
    changes = {name: thin(3) for name in list(SHAPES)[:3]} | {"layers.3.down": dense(1)}

    assert values(tmp_path, changes).kind is ChangeKind.PARTS


def test_a_few_changed_rows_are_no_adapters(tmp_path: Path) -> None:
    rows = np.zeros((48, 32))
    rows[:3] = 0.1

    found = values(tmp_path, dict.fromkeys(SHAPES, rows))

    assert found.kind is ChangeKind.CONTINUED
    assert not found.ranks


def test_layers_that_did_not_change_are_named(tmp_path: Path) -> None:
    found = values(tmp_path, {name: dense(7) for name in SHAPES if name.startswith("layers.3.")})

    assert found.kind is ChangeKind.PARTS
    assert "; most in layer 3 (0.97 %); changed: layers.3; identical: layers.{0..2}" in found.text


def test_what_has_nothing_in_common_with_before_was_initialized_anew(tmp_path: Path) -> None:
    found = values(tmp_path, {"layers.3.up": 3e3 * dense(1), "layers.3.down": 3e3 * dense(2)})

    assert found.kind is ChangeKind.PARTS
    assert found.text.endswith("; initialized anew: layers.3")


def test_weights_of_another_seed_are_unrelated(tmp_path: Path) -> None:
    found = values(tmp_path, {name: 1e5 * dense(seed) for seed, name in enumerate(SHAPES)})

    assert found.kind is ChangeKind.UNRELATED
