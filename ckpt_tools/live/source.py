"""Which library writes a checkpoint, by its JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.kinds import Kind, kinds_of
from ckpt_tools.families.registry import named_in_config

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint

LEROBOT = "lerobot"

_SEVERAL = {Kind.PIPELINE: "a pipeline", Kind.SENTENCE: "a sentence-transformers model"}


class Source(NamedTuple):
    """A library, and what it calls the model: a type, a class or an architecture."""

    library: str
    name: str


def source_of(checkpoint: Checkpoint) -> Source | Unknown:
    """Return the library that writes such a checkpoint, or why none is known."""
    named = named_in_config(checkpoint)
    if named is not None:
        return Source(*named)
    kinds = kinds_of(checkpoint)
    several = next((what for kind, what in _SEVERAL.items() if kind in kinds), "")
    if several:
        return Unknown(f"{several} has several models; name the folder of one")
    if checkpoint.document(ADAPTER_CONFIG) or Kind.ADAPTER in kinds:
        return Unknown("what an adapter has depends on its base model")
    if checkpoint.document(CONFIG) is None:
        return Unknown(f"there is no {CONFIG}")
    return Unknown(f"{CONFIG} has no type, model_type, _class_name or architecture")
