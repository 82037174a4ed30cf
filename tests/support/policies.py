"""SmolVLA checkpoints of any size, of which nothing is on the disk.

And what the rules of test_ck2_ck3 and test_ck5 say of them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ckpt_tools.checkpoint import header
from ckpt_tools.checkpoint.model import Checkpoint, Document, Tensor, TensorFile
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla.layout import dtype_of, layout
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.registry import rule_of
from ckpt_tools.rules.rule import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ckpt_tools.families.smolvla.layout import Dimensions

VLM = "model.vlm_with_expert.vlm."
BIAS = "model.state_proj.bias"

CODES = (
    "CK208",
    "CK209",
    *(f"CK{number}" for number in range(302, 313)),
    "CK501",
    "CK502",
    "CK503",
    "CK504",
    "CK505",
    "CK511",
    "CK611",
    "CK612",
)
RULES = tuple(rule for code in CODES if (rule := rule_of(code)))


def policy(
    dimensions: Dimensions,
    config: dict[str, Any],
    *,
    loads: bool = True,
    keep: Callable[[str], bool] = lambda _: True,
) -> Checkpoint:
    """A SmolVLA of these sizes, at any width: nothing of it is on the disk."""
    typed = [
        (name, dtype_of(name, load_vlm_weights=loads), shape)
        for name, shape in layout(dimensions)
        if keep(name)
    ]
    members = [
        Tensor(name, dtype, shape, "model.safetensors", 0, header.nbytes(dtype, shape))
        for name, dtype, shape in typed
    ]
    return checkpoint_of(members, {"type": "smolvla", "load_vlm_weights": loads} | config)


def checkpoint_of(
    members: Iterable[Tensor],
    config: dict[str, Any] | None,
    metadata: tuple[tuple[str, str], ...] | None = None,
) -> Checkpoint:
    file = TensorFile(
        path="model.safetensors", size=0, payload_start=0, tensors=tuple(members), metadata=metadata
    )
    documents = () if config is None else (Document("config.json", json.dumps(config), config),)
    return Checkpoint(where="x", root="x", weights=(file,), documents=documents)


def said(checkpoint: Checkpoint) -> list[str]:
    found, *_ = check_rules(RULES, Subject(checkpoint, family_of(checkpoint)))
    return [finding.code for finding in found]
