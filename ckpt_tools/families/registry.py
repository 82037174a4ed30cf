"""The known families, and which of them a checkpoint belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.smolvla.facts import SMOLVLA

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family import Family

FAMILIES = (SMOLVLA, GENERIC)
"""The most specific first."""


def family_of(checkpoint: Checkpoint) -> Family:
    """Return the first family that recognises `checkpoint`."""
    return next(family for family in FAMILIES if family.recognises(checkpoint))
