"""The `ckpt rename` that gives one checkpoint the names of another."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from ckpt_tools import api
from ckpt_tools.cli.main import main
from ckpt_tools.diff.rename_patterns import MOST, patterns
from ckpt_tools.report.json.diff import diff_document
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.models import Shapes

START = "model.paligemma_with_expert.paligemma."
OLD: Shapes = {
    f"{START}language_model.model.layers.0.up_proj.weight": (4, 4),
    f"{START}language_model.model.layers.0.down_proj.weight": (4, 8),
    f"{START}language_model.model.norm.weight": (4,),
    f"{START}language_model.lm_head.weight": (8, 4),
    f"{START}vision_tower.embeddings.weight": (4, 3, 2, 2),
    f"{START}multi_modal_projector.linear.weight": (5, 4),
    "model.expert.norm.weight": (4,),
}
NEW: Shapes = {
    f"{START}model.language_model.layers.0.up_proj.weight": (4, 4),
    f"{START}model.language_model.layers.0.down_proj.weight": (4, 8),
    f"{START}model.language_model.norm.weight": (4,),
    f"{START}lm_head.weight": (8, 4),
    f"{START}model.vision_tower.embeddings.weight": (4, 3, 2, 2),
    f"{START}model.multi_modal_projector.linear.weight": (5, 4),
    "model.expert.norm.weight": (4,),
}
LAYERS: Shapes = {f"model.layers.{layer}.weight": (4, layer + 1) for layer in range(3)}
PAIRS: dict[str, tuple[Shapes, Shapes]] = {
    "parts that moved": (OLD, NEW),
    "parts that moved back": (NEW, OLD),
    "a prefix": (LAYERS, {f"policy.{name}": shape for name, shape in LAYERS.items()}),
    "a prefix removed": ({f"policy.{name}": shape for name, shape in LAYERS.items()}, LAYERS),
    "a wrapper": (LAYERS, {f"_orig_mod.{name}": shape for name, shape in LAYERS.items()}),
    "shifted layers": (
        LAYERS,
        {f"model.layers.{layer + 5}.weight": (4, layer + 1) for layer in range(3)},
    ),
    "shifted layers, downwards": (
        {f"model.layers.{layer + 5}.weight": (4, layer + 1) for layer in range(3)},
        LAYERS,
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_the_printed_command_gives_b_the_names_of_a(pair: str, tmp_path: Path) -> None:
    a, b = (model(tmp_path / side, shapes) for side, shapes in zip("ab", PAIRS[pair], strict=True))
    before = api.diff(a, b)
    assert before.diff.renamed
    command = diff_document(before)["rename_command"]
    program, *words = shlex.split(str(command))
    assert program == "ckpt"
    assert main([*words, "-o", str(tmp_path / "renamed")]) == 0
    after = api.diff(a, tmp_path / "renamed").diff
    assert (after.renamed, after.only_a, after.only_b) == ((), (), ())


def test_both_prefixes_are_given_in_full(tmp_path: Path) -> None:
    found = api.diff(model(tmp_path / "a", OLD), model(tmp_path / "b", NEW))
    assert found.stories[0].text.startswith(
        f"3 tensors called `{START}model.language_model` in B instead of"
        f" `{START}language_model.model`"
    )
    tensors = diff_document(found)["tensors"]
    assert isinstance(tensors, dict)
    assert (tensors["renamed"][0]["prefix_a"], tensors["renamed"][0]["prefix_b"]) == (
        f"{START}language_model.model",
        f"{START}model.language_model",
    )


def test_names_that_only_a_long_command_would_give_get_none() -> None:
    wanted = {
        f"layers.{number}.{number}.weight": f"h.{number}.weight" for number in range(MOST + 1)
    }
    assert patterns(wanted, wanted) == ()


def test_only_a_pattern_that_would_catch_other_names_is_longer() -> None:
    wanted = {"m.language.a": "language.m.a", "m.language.b": "language.m.b", "m.x.w": "x.w"}
    assert patterns([*wanted, "m.y.w"], wanted) == (
        ("m.language.**", "language.m.**"),
        ("m.x.**", "x.**"),
    )
    assert patterns(wanted, wanted) == (("m.language.**", "language.m.**"), ("m.**", "**"))


def test_wildcards_in_names_stand_for_themselves() -> None:
    assert patterns(["a*.x", "ab.x"], {"a*.x": "b.x"}) == (("a[*].**", "b.**"),)


@pytest.mark.parametrize("name", ["--regex.w", "a\x9b31m.w"])
def test_names_that_cannot_be_pasted_get_no_command(name: str) -> None:
    assert patterns([name], {name: "b.w"}) == ()


def test_nothing_to_rename_is_no_command(tmp_path: Path) -> None:
    same = api.diff(model(tmp_path / "a", LAYERS), model(tmp_path / "b", LAYERS))
    assert "rename_command" not in diff_document(same)
