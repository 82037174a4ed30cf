"""Which family a checkpoint belongs to: SmolVLA, one that a file in `data/` describes, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.file_family import family_of_file
from ckpt_tools.families.kinds import Kind, kinds_of
from ckpt_tools.families.sentence import MODULE
from ckpt_tools.families.smolvla.facts import SMOLVLA

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family import Family

FAMILIES = (SMOLVLA, GENERIC)
"""The families in code, the most specific first. All others have a file."""

_NAMED = (
    (Kind.POLICY, "lerobot", "type"),
    (Kind.TRANSFORMERS, "transformers", "model_type"),
    (Kind.DIFFUSERS, "diffusers", "_class_name"),
    (Kind.TIMM, "timm", "architecture"),
)
"""By kind of checkpoint: the library, and the key of config.json that names the family."""

_OF_DIFFUSERS = ("StableDiffusionSafetyChecker",)
"""Classes of diffusers that are models of transformers; `model_type` names what is inside."""


def family_of(checkpoint: Checkpoint) -> Family:
    """Return the family that recognises `checkpoint`: GENERIC where none does."""
    if SMOLVLA.recognises(checkpoint):
        return SMOLVLA
    named = named_in_config(checkpoint)
    if named is None:
        return MODULE if MODULE.recognises(checkpoint) else GENERIC
    return family_of_file(*named) or GENERIC


def named_in_config(checkpoint: Checkpoint) -> tuple[str, str] | None:
    """Return (library, key) of what config.json calls the model, None for an adapter."""
    kinds, config = kinds_of(checkpoint), checkpoint.value(CONFIG)
    if Kind.ADAPTER in kinds:
        return None
    architectures = config.get("architectures")
    if isinstance(architectures, list) and architectures and architectures[0] in _OF_DIFFUSERS:
        return "diffusers", str(architectures[0])
    for kind, library, key in _NAMED:
        value = config.get(key)
        if kind in kinds and isinstance(value, str):
            return library, value
    return None
