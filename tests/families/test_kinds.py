"""What a checkpoint is called, by the JSON files around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ckpt_tools.checkpoint.read import read
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.kinds import Kind, kinds_of, name_of
from tests.support.models import model

if TYPE_CHECKING:
    from pathlib import Path

FEATURES: dict[str, object] = {"input_features": {}, "output_features": {}}
CASES = {
    "nothing": ({}, frozenset(), "generic"),
    "unknown": ({"config.json": {"a": 1}}, frozenset(), "generic"),
    "policy": ({"config.json": {"type": "act", **FEATURES}}, {Kind.POLICY}, "act"),
    "policy without type": ({"config.json": FEATURES}, {Kind.POLICY}, "lerobot policy"),
    "processors alone": ({"policy_preprocessor.json": {}}, {Kind.POLICY}, "lerobot policy"),
    "transformers": ({"config.json": {"model_type": "llama"}}, {Kind.TRANSFORMERS}, "llama"),
    "type of another kind": (
        {"config.json": {"model_type": 3}},
        {Kind.TRANSFORMERS},
        "transformers",
    ),
    "adapter": ({"adapter_config.json": {}}, {Kind.ADAPTER}, "peft adapter"),
    "policy's adapter": (
        {"config.json": {"type": "pi0", **FEATURES}, "adapter_config.json": {}},
        {Kind.POLICY, Kind.ADAPTER},
        "peft adapter",
    ),
    "pipeline": ({"model_index.json": {"unet": ["a", "b"]}}, {Kind.PIPELINE}, "diffusers pipeline"),
    "part of a pipeline": ({"config.json": {"_class_name": "UNet"}}, {Kind.DIFFUSERS}, "UNet"),
    "sentences": ({"modules.json": []}, {Kind.SENTENCE}, "sentence-transformers"),
    "timm": (
        {"config.json": {"architecture": "resnet18", "pretrained_cfg": {}}},
        {Kind.TIMM},
        "resnet18",
    ),
}


@pytest.mark.parametrize(("documents", "kinds", "name"), CASES.values(), ids=CASES)
def test_the_json_files_tell_the_kind_and_the_name(
    documents: dict[str, object], kinds: set[Kind], name: str, tmp_path: Path
) -> None:
    checkpoint = read(str(model(tmp_path / "m", {"w": (2, 3)}, documents)))
    assert kinds_of(checkpoint) == kinds
    assert name_of(checkpoint, GENERIC) == name


def test_an_adapter_without_its_config_is_one_by_the_name_of_its_file(tmp_path: Path) -> None:
    folder = model(tmp_path, {"lora_A.weight": (2, 3)}, file="adapter_model.safetensors")
    assert kinds_of(read(str(folder))) == {Kind.ADAPTER}


def test_a_known_family_keeps_its_name(tmp_path: Path) -> None:
    folder = model(tmp_path, {"w": (2,)}, {"config.json": {"model_type": "llama"}})
    assert name_of(read(str(folder)), GENERIC._replace(name="mine")) == "mine"
