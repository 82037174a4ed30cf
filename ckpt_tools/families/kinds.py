"""What kind of model a checkpoint is, by its JSON files, and the name that reports give it.

A kind is shared by many families: every LeRobot policy has processors, every adapter a base model.
What only one family has is the family's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    CONFIG,
    MODEL_INDEX,
    MODULES,
    PROCESSORS,
)
from ckpt_tools.families.family import GENERIC

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family import Family


class Kind(StrEnum):
    """A kind of checkpoint; a LeRobot policy trained with LoRA is a policy and an adapter."""

    POLICY = "LeRobot policy"
    ADAPTER = "PEFT adapter"
    TRANSFORMERS = "transformers model"
    PIPELINE = "diffusers pipeline"
    DIFFUSERS = "diffusers model"
    SENTENCE = "sentence-transformers model"
    TIMM = "timm model"


_FEATURES = ("input_features", "output_features")


def kinds_of(checkpoint: Checkpoint) -> frozenset[Kind]:
    """Return every kind that the JSON files show; none where they show none."""
    config = checkpoint.value(CONFIG)
    found = {
        Kind.POLICY: any(key in config for key in _FEATURES)
        or any(checkpoint.document(path) for path in PROCESSORS),
        Kind.ADAPTER: bool(checkpoint.document(ADAPTER_CONFIG))
        or any(file.path == ADAPTER_WEIGHTS for file in checkpoint.weights),
        Kind.TRANSFORMERS: "model_type" in config or "architectures" in config,
        Kind.PIPELINE: bool(checkpoint.document(MODEL_INDEX)),
        Kind.DIFFUSERS: "_class_name" in config,
        Kind.SENTENCE: any(file.path == MODULES for file in checkpoint.others),
        Kind.TIMM: "architecture" in config and "pretrained_cfg" in config,
    }
    return frozenset(kind for kind, holds in found.items() if holds)


def name_of(checkpoint: Checkpoint, family: Family) -> str:
    """Return the family's name, or what the JSON files call the model: `act`, `peft adapter`.

    `generic` only where nothing names it.
    """
    if family.name != GENERIC.name and family.file is None:
        return family.name
    kinds = kinds_of(checkpoint)
    config = checkpoint.value(CONFIG)
    for kind, key, otherwise in (
        (Kind.PIPELINE, "", "diffusers pipeline"),
        (Kind.SENTENCE, "", "sentence-transformers"),
        (Kind.ADAPTER, "", "peft adapter"),
        (Kind.POLICY, "type", "lerobot policy"),
        (Kind.TRANSFORMERS, "model_type", "transformers"),
        (Kind.DIFFUSERS, "_class_name", "diffusers"),
        (Kind.TIMM, "architecture", "timm"),
    ):
        if kind in kinds:
            named = config.get(key)
            return named if isinstance(named, str) and named.strip() else otherwise
    return family.name
