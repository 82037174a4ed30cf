"""The VLM was loaded before it was frozen.

Every RMSNorm weight of SmolVLM's text model is exactly 1.0 only in a model that was built from its
config and never given weights: with `load_vlm_weights=false` and no checkpoint to start from. The
policy then trained on top of noise, and everything else about it looks right.

Train again from `lerobot/smolvla_base`, or with `--policy.load_vlm_weights=true`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.smolvla.components import TEXT, component
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.rules.rule import Subject


def check(subject: Subject) -> Iterator[Violation]:
    """Yield one finding when all norms of the text model are ones."""
    facts = subject.facts or {}
    norms = [
        tensor
        for tensor in subject.checkpoint.tensors
        if component(tensor.name) == TEXT
        and tensor.name.endswith("norm.weight")
        and tensor.name in facts
    ]
    if norms and all(facts[tensor.name].low == facts[tensor.name].high == 1 for tensor in norms):
        what = f"all {len(norms)} RMSNorm weights of the text model are exactly 1: the VLM was built and never loaded"
        yield Violation(
            what,
            norms[0].shard,
            norms[0].name,
            "train again from a pretrained VLM (--policy.load_vlm_weights=true)",
        )


RULE = Rule(
    code="CK405",
    name="vlm-never-loaded",
    severity=Severity.ERROR,
    needs=frozenset({Need.VALUES}),
    check=check,
    page=__doc__,
    families=frozenset({"smolvla"}),
)
