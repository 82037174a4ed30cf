"""The components of a SmolVLA, by tensor name."""

from __future__ import annotations

from functools import cache

from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES

VISION, CONNECTOR, TEXT, LM_HEAD = "vision", "connector", "text", "lm_head"
EXPERT, PROJECTIONS, NORMALIZATION, TEACHER, OTHER = (
    "expert",
    "projections",
    "normalisation",
    "teacher",
    "other",
)

VLM = (VISION, CONNECTOR, TEXT, LM_HEAD)
"""The components of the frozen vision-language model."""

_PARTS = (
    ("model.vlm_with_expert.vlm.model.vision_model.", VISION),
    ("model.vlm_with_expert.vlm.model.connector.", CONNECTOR),
    ("model.vlm_with_expert.vlm.model.text_model.", TEXT),
    ("model.vlm_with_expert.vlm.lm_head.", LM_HEAD),
    ("model.vlm_with_expert.lm_expert.", EXPERT),
    ("model.state_proj.", PROJECTIONS),
    ("model.action_", PROJECTIONS),
    ("normalize_", NORMALIZATION),
    ("unnormalize_", NORMALIZATION),
)


@cache
def component(name: str) -> str:
    """Return the component of a tensor, ignoring wrapper segments; a teacher's are all TEACHER."""
    plain = unwrapped(name)
    if plain.startswith(TEACHER_PREFIXES):
        return TEACHER
    return next((part for prefix, part in _PARTS if plain.startswith(prefix)), OTHER)
