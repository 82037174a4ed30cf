"""Adapters against their base models: what fits has no finding, and what does not is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ckpt_tools import api
from ckpt_tools.families.smolvla.expected import HUB_VLM
from ckpt_tools.rules.coverage import Question, State
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

type Shapes = dict[str, tuple[int, ...]]

LAYERS = range(3)
BASE: Shapes = {
    "model.embed_tokens.weight": (20, 8),
    "lm_head.weight": (20, 8),
    **{
        f"model.layers.{i}.self_attn.{name}.weight": (8, 8)
        for i in LAYERS
        for name in ("q_proj", "k_proj")
    },
    **{f"model.layers.{i}.mlp.down_proj.weight": (8, 12) for i in LAYERS},
    **{f"model.layers.{i}.norm.weight": (8,) for i in LAYERS},
}
CONFIG = {"model_type": "made_up", "architectures": ["MadeUpForCausalLM"]}
AT = "base_model.model.model.layers"
EXPERT = "base_model.model.model.vlm_with_expert.lm_expert.layers"
SETTINGS: dict[str, Any] = {
    "peft_type": "LORA",
    "r": 4,
    "target_modules": ["q_proj", "down_proj"],
    "base_model_name_or_path": "org/base",
}


def pair(module: str, inputs: int, outputs: int, rank: int = 4) -> Shapes:
    return {f"{module}.lora_A.weight": (rank, inputs), f"{module}.lora_B.weight": (outputs, rank)}


def adapter() -> Shapes:
    found: Shapes = {}
    for i in LAYERS:
        found |= pair(f"{AT}.{i}.self_attn.q_proj", 8, 8) | pair(f"{AT}.{i}.mlp.down_proj", 12, 8)
    return found


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return model(tmp_path / "base", BASE, {"config.json": CONFIG})


def found(tmp_path: Path, base: Path, shapes: Shapes, **settings: Any) -> tuple[list[str], State]:
    config = {"adapter_config.json": SETTINGS | settings}
    folder = model(tmp_path / "adapter", shapes, config, file="adapter_model.safetensors")
    result = api.verify(folder, base=[f"org/base={base}"])
    state = next(one.state for one in result.coverage if one.question is Question.COMPLETENESS)
    return [
        f"{one.severity} {one.subject}: {one.what}"
        for one in result.findings
        if one.code == "CK913"
    ], state


def test_an_adapter_that_fits_is_checked_completely(tmp_path: Path, base: Path) -> None:
    findings, state = found(tmp_path, base, adapter())
    assert findings == []
    assert state is State.CHECKED


def test_a_reference_that_is_a_model_is_taken_for_the_base(tmp_path: Path, base: Path) -> None:
    config = {"adapter_config.json": SETTINGS}
    folder = model(tmp_path / "adapter", adapter(), config, file="adapter_model.safetensors")
    codes = {one.code for one in api.verify(folder, reference=base).findings}
    assert not codes & {"CK501", "CK913"}


@pytest.mark.parametrize("layers", [1, 2])
def test_a_policys_adapter_is_compared_with_what_its_config_builds(
    tmp_path: Path, layers: int
) -> None:
    vector = {"type": "STATE", "shape": [6]}
    config = {
        "type": "act",
        "input_features": {"observation.state": vector},
        "output_features": {"action": vector | {"type": "ACTION"}},
        "n_encoder_layers": 2,
        "dim_feedforward": 12,
    }
    at = "base_model.model.model.encoder.layers"
    shapes = {n: s for i in range(layers) for n, s in pair(f"{at}.{i}.linear1", 512, 12).items()}
    settings = SETTINGS | {"target_modules": r"model\.encoder\.layers\.\d+\.linear1"}
    documents = {"adapter_config.json": settings, "config.json": config}
    folder = model(tmp_path / "adapter", shapes, documents, file="adapter_model.safetensors")
    findings = [one.subject for one in api.verify(folder).findings if one.code == "CK913"]
    assert findings == [f"{at}.1.linear1.lora_A.weight"] * (2 - layers)


@pytest.mark.parametrize(
    ("layers", "vlm", "expected"),
    [
        (16, HUB_VLM, []),
        (15, HUB_VLM, [("error", f"{EXPERT}.15.mlp.up_proj.lora_A.weight")]),
        (15, "someone/another-vlm", [("note", "")]),
        (2, HUB_VLM, [("note", "")]),  # of a scaled-down model, whose config is the full one's
    ],
)
def test_an_adapter_of_smolvla_is_compared_without_its_base(
    tmp_path: Path, layers: int, vlm: str, expected: list[tuple[str, str]]
) -> None:
    config = {"type": "smolvla", "vlm_model_name": vlm, "num_vlm_layers": 16}
    shapes = {
        n: s for i in range(layers) for n, s in pair(f"{EXPERT}.{i}.mlp.up_proj", 720, 2048).items()
    }
    settings = SETTINGS | {"target_modules": r".*lm_expert\.layers\.\d+\.mlp\.up_proj"}
    documents = {"adapter_config.json": settings, "config.json": config}
    folder = model(tmp_path / "adapter", shapes, documents, file="adapter_model.safetensors")
    result = api.verify(folder)
    findings = [(str(f.severity), f.subject) for f in result.findings if f.code == "CK913"]
    assert findings == expected


@pytest.mark.parametrize("layers", [1, 2])
def test_a_base_whose_modules_have_other_names_than_its_file(tmp_path: Path, layers: int) -> None:
    vision = {"model_type": "siglip_vision_model", "num_hidden_layers": 1}
    config = {
        "model_type": "paligemma",
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "text_config": {"model_type": "gemma", "num_hidden_layers": 2, "hidden_size": 8},
        "vision_config": vision,
    }
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    at = "base_model.model.model.language_model.layers"
    shapes = {
        n: s for i in range(layers) for n, s in pair(f"{at}.{i}.mlp.up_proj", 8, 24576).items()
    }
    findings, _ = found(tmp_path, base, shapes, target_modules=r".*language_model.*up_proj")
    assert [one.split(":")[0] for one in findings] == [
        f"error {at}.1.mlp.up_proj.lora_A.weight"
    ] * (2 - layers)


def test_tensors_of_a_module_with_another_name_are_named(tmp_path: Path, base: Path) -> None:
    shapes = {name.replace("q_proj", "query"): shape for name, shape in adapter().items()}
    findings, _ = found(tmp_path, base, shapes, target_modules=["query", "down_proj"])
    assert len(findings) == 1
    assert "error base_model.model.model.layers.{0..2}.self_attn.query.lora_A.weight" in findings[0]


def test_a_missing_pair_and_another_shape_are_named(tmp_path: Path, base: Path) -> None:
    shapes = adapter()
    for half in "AB":
        del shapes[f"{AT}.2.mlp.down_proj.lora_{half}.weight"]
    shapes[f"{AT}.0.self_attn.q_proj.lora_B.weight"] = (9, 4)
    findings, _ = found(tmp_path, base, shapes)
    assert any(f"error {AT}.2.mlp.down_proj.lora_A.weight" in one for one in findings)
    assert any(f"error {AT}.0.self_attn.q_proj.lora_B.weight" in one for one in findings)


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        ({"layers_to_transform": [0]}, pair(f"{AT}.0.self_attn.q_proj", 8, 8)),
        ({"target_modules": r".*\.(0|2)\.self_attn\.\w_proj"}, {}),
        ({"rank_pattern": {r"layers\.1\..*": 2}}, {}),
        ({"exclude_modules": ["mlp.down_proj"]}, {}),
        ({"modules_to_save": ["lm_head"]}, {"base_model.model.lm_head.weight": (22, 8)}),
    ],
)
def test_settings_that_choose_modules_are_followed(
    tmp_path: Path, base: Path, settings: dict[str, Any], shapes: Shapes
) -> None:
    pattern = str(settings.get("target_modules", ""))
    every = adapter() | (shapes if "modules_to_save" in settings else {})
    if "layers_to_transform" in settings:
        every = shapes | pair(f"{AT}.0.mlp.down_proj", 12, 8)
    elif pattern:
        every = {}
        for i in (0, 2):
            for name in ("q_proj", "k_proj"):
                every |= pair(f"{AT}.{i}.self_attn.{name}", 8, 8)
    elif "rank_pattern" in settings:
        every |= pair(f"{AT}.1.self_attn.q_proj", 8, 8, 2) | pair(f"{AT}.1.mlp.down_proj", 12, 8, 2)
    elif "exclude_modules" in settings:
        every = {name: shape for name, shape in every.items() if "down_proj" not in name}
    assert found(tmp_path, base, every, **settings) == ([], State.CHECKED)


def test_a_model_inside_the_base_has_other_prefixes(tmp_path: Path, base: Path) -> None:
    inner = {
        name.replace("model.model.model.", "model.model."): shape
        for name, shape in adapter().items()
    }
    assert found(tmp_path, base, inner) == ([], State.CHECKED)


@pytest.mark.parametrize(
    "settings",
    [
        {"peft_type": "LOHA"},
        {"layer_replication": [[0, 2], [1, 3]]},
        {"target_modules": "(?=x)y"},
        {"target_modules": "all-linear"},
    ],
)
def test_what_is_not_known_is_said_and_not_called_checked(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    findings, state = found(tmp_path, base, adapter(), **settings)
    assert len(findings) == 1
    assert findings[0].startswith("note")
    assert state is not State.CHECKED
