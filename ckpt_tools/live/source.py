"""Which library writes a checkpoint, by its JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.kinds import Kind, kinds_of

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint

LEROBOT = "lerobot"

_KEYS = (
    (Kind.POLICY, LEROBOT, "type"),
    (Kind.DIFFUSERS, "diffusers", "_class_name"),
    (Kind.TIMM, "timm", "architecture"),
    (Kind.TRANSFORMERS, "transformers", "model_type"),
)
"""The key of config.json by which a library finds a model's class, the most specific first."""

_WHOLE = {
    Kind.PIPELINE: "a pipeline has several models; name the folder of one",
    Kind.SENTENCE: "a sentence-transformers model has several; name the folder of one",
}


class Source(NamedTuple):
    """A library, and what it calls the model: a type, a class or an architecture."""

    library: str
    name: str


def source_of(checkpoint: Checkpoint) -> Source | Unknown:
    """Return the library that writes such a checkpoint, or why none is known."""
    document = checkpoint.document(CONFIG)
    kinds = kinds_of(checkpoint)
    if document is None:
        several = next((why for kind, why in _WHOLE.items() if kind in kinds), "")
        is_adapter = checkpoint.document(ADAPTER_CONFIG) is not None
        return Unknown(
            several
            or ("an adapter has no config of a model" if is_adapter else f"there is no {CONFIG}")
        )
    for kind, library, key in _KEYS:
        name = document.value.get(key)
        if kind in kinds and isinstance(name, str) and name:
            return Source(library, name)
    keys = ", ".join(f"{key} ({library})" for _, library, key in _KEYS)
    return Unknown(f"{CONFIG} names no model of a library by {keys}")
