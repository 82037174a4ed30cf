"""Files of families come from models: formulas are found, confirmed, and otherwise refused."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tools.families import __main__ as command
from tools.families.confirm import disagreements
from tools.families.draw import draws, held_back
from tools.families.generate import generate
from tools.families.recipe import Field, Recipe, Sample
from tools.families.solve import Misfit
from tools.families.write import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def model(drawn: Mapping[str, Any]) -> Sample:
    """A decoder with every second layer sparse, and a head that may share its weights."""
    given = {"layers": 2, "width": 24, "mlp": 40, "experts": 2, "tied": False, "norm": "rms"}
    config = {**given, **drawn}
    width, layers = config["width"], config["layers"]
    tensors = {"embed.weight": ("F32", (97, width)), "steps": ("I64", ())}
    for layer in range(layers):
        at = f"layers.{layer}"
        tensors[f"{at}.norm.weight"] = ("F32", (width,))
        if config["norm"] == "layer":
            tensors[f"{at}.norm.bias"] = ("F32", (width,))
        tensors[f"{at}.qkv.weight"] = ("F32", (3 * width, width))
        if layer % 2 == 0:
            tensors[f"{at}.mlp.weight"] = ("F32", (config["mlp"], width))
        else:
            for expert in range(config["experts"]):
                tensors[f"{at}.experts.{expert}.weight"] = ("F32", (config["mlp"] + 8, width))
    ties: tuple[tuple[str, ...], ...] = ()
    if config["tied"]:
        ties = (("embed.weight", "head.weight"),)
    else:
        tensors["head.weight"] = ("F32", (97, width))
    return Sample(config, tensors, ties)


FIELDS = (
    Field("layers", "/layers", (1, 2, 3, 4, 5), default=2),
    Field("width", "/width", (24, 40, 56, 88, 104), default=24),
    Field("mlp", "/mlp", (13, 17, 29, 37, 41), default=40),
    Field("experts", "/experts", (2, 3, 5, 7), default=2),
    Field("tied", "/tied", (False, True), choice=True, default=False),
    Field("norm", "/norm", ("rms", "layer"), choice=True, default="rms"),
)


def recipe(build: Callable[[Mapping[str, Any]], Sample] = model) -> Recipe:
    return Recipe("transformers", "made_up", FIELDS, {}, build)


def test_finds_counts_sizes_conditions_and_ties() -> None:
    made = generate(recipe())
    assert made.disagreements == ()
    assert made.content["tensors"] == [
        {"shapes": {"embed.weight": "97, width", "head.weight": "97, width",
                    "layers.{i<layers}.norm.weight": "width",
                    "layers.{i<layers}.qkv.weight": "3 * width, width"}},
        {"dtype": "I64", "shapes": {"steps": ""}},
        {"when": "norm == 'layer'", "shapes": {"layers.{i<layers}.norm.bias": "width"}},
        {"each": "i % 2 == 0", "shapes": {"layers.{i<layers}.mlp.weight": "mlp, width"}},
        {"each": "i % 2 != 0",
         "shapes": {"layers.{i<layers}.experts.{j<experts}.weight": "mlp + 8, width"}},
    ]  # fmt: skip
    assert made.content["ties"] == [
        {"when": "tied", "names": ["embed.weight", "head.weight"],
         "kept": {"save_pretrained": "embed.weight", "save_model": "embed.weight"}},
    ]  # fmt: skip


def test_writes_the_same_file_again() -> None:
    assert text(generate(recipe()).content) == text(generate(recipe()).content)


@pytest.mark.parametrize(
    ("block", "template", "formula"),
    [
        (0, "embed.weight", "97, width + 1"),
        (0, "layers.{i<layers}.qkv.weight", "width, 3 * width"),
        (0, "layers.{i<layers - 1}.norm.weight", "width"),
        (1, "steps", "1"),
        (2, "layers.{i<layers}.norm.bias", None),
        (3, "layers.{i<layers}.mlp.weight", None),
    ],
)
def test_a_broken_formula_is_found_by_fresh_models(
    block: int, template: str, formula: str | None
) -> None:
    content: Any = copy.deepcopy(generate(recipe()).content)
    shapes = content["tensors"][block]["shapes"]
    shapes.pop(template.replace("layers - 1", "layers"))
    if formula is not None:
        shapes[template] = formula
    fresh = [model(drawn) for drawn in draws(recipe(), "confirm", 20)]
    assert [line for one in fresh for line in disagreements(content, one)]


def test_a_formula_that_fits_only_the_values_it_was_made_from_is_refuted() -> None:
    def build(drawn: Mapping[str, Any]) -> Sample:
        made = model(drawn)
        width = int(str(made.config["width"]))
        odd = ("F32", (width + (width == held_back(FIELDS[1])[0]),))
        return made._replace(tensors={**made.tensors, "odd.weight": odd})

    found = generate(recipe(build)).disagreements
    assert found
    assert all("odd.weight: F32 (104,) expected, F32 (105,) seen" in one for one in found)


@pytest.mark.parametrize("part", ["ties", "each", "when", "dtype"])
def test_a_broken_condition_is_found_by_fresh_models(part: str) -> None:
    content: Any = copy.deepcopy(generate(recipe()).content)
    content.pop(part, None)
    for block in content["tensors"]:
        block.pop(part, None)
    fresh = [model(drawn) for drawn in draws(recipe(), "confirm", 20)]
    assert [line for one in fresh for line in disagreements(content, one)]


def test_sizes_without_a_formula_leave_the_names() -> None:
    def build(drawn: Mapping[str, Any]) -> Sample:
        made = model(drawn)
        width, mlp = int(str(made.config["width"])), int(str(made.config["mlp"]))
        odd = (pow(7, width, 1009) + pow(5, mlp, 499),)
        return made._replace(tensors={**made.tensors, "odd.weight": ("F32", odd)})

    made = generate(recipe(build))
    assert made.content["state"] == "names"
    assert made.disagreements == ()
    assert "odd.weight" in made.misfit


def test_names_that_follow_from_no_field_are_refused() -> None:
    seen: list[object] = []

    def build(drawn: Mapping[str, Any]) -> Sample:
        made = model(drawn)
        seen.append(drawn)
        extra = {"odd.weight": ("F32", (1,))} if pow(7, len(seen), 31) % 2 else {}
        return made._replace(tensors={**made.tensors, **extra})

    with pytest.raises(Misfit, match=r"odd\.weight"):
        generate(recipe(build))


def test_no_file_is_written_that_fresh_models_contradict(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = [repr(drawn) for drawn in draws(recipe(), "solve", 64, fresh=False)]

    def build(drawn: Mapping[str, Any]) -> Sample:
        made = model(drawn)
        if repr(drawn) in known:
            return made
        return made._replace(tensors={**made.tensors, "embed.weight": ("F32", (1, 1))})

    monkeypatch.setattr(command, "recipes", lambda _: [recipe(build)])
    assert command.main(["transformers/made_up", "--into", str(tmp_path)]) == 1
    assert "refused" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
