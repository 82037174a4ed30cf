"""The tensors of a SmolVLA policy of any size: what its file says, without a checkpoint.

For fixtures, benchmarks and tests. Measured on lerobot 0.6.1 (0.4.4 and 0.5.1 agree):
`SmolVLAPolicy(config).state_dict()`. The defaults of `Dimensions` are SmolVLM2-500M with 16 of its
layers, which makes 500 tensors of 450,046,176 parameters.
"""

from __future__ import annotations

from typing import NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Unknown
from ckpt_tools.families.smolvla import components
from ckpt_tools.families.smolvla.expected import smolvla_file

type NamedShape = tuple[str, tuple[int, ...]]

_EXPERT = "model.vlm_with_expert.lm_expert."
_FIELDS = {
    "expert_width_multiplier": "multiplier",
    "self_attention_every": "every",
    "state_dim": "state",
    "action_dim": "action",
}
"""What the file calls these sizes."""


class Dimensions(NamedTuple):
    """Sizes of a SmolVLA policy.

    Widths are features, `kv_width` is key/value heads times head size, `patches` the number of
    image patches.
    """

    text_layers: int = 16
    text_width: int = 960
    text_hidden: int = 2560
    query_width: int = 960
    kv_width: int = 320
    vocabulary: int = 49_280
    vision_layers: int = 12
    vision_width: int = 768
    vision_hidden: int = 3072
    patch_size: int = 16
    patches: int = 1024
    connector_width: int = 12_288
    expert_layers: int = 16
    expert_width_multiplier: float = 0.75
    self_attention_every: int = 2
    state_dim: int = 32
    action_dim: int = 32


def layout(dimensions: Dimensions) -> tuple[NamedShape, ...]:
    """Return (name, shape) of every tensor, in the order of the policy's modules."""
    given = {_FIELDS.get(name, name): size for name, size in dimensions._asdict().items()}
    found = expected(smolvla_file(), {}, given=given)
    if isinstance(found, Unknown):
        raise ValueError(found.reason)  # noqa: TRY004 - sizes of which there is no policy
    return tuple((name, one.shape or ()) for name, one in found.tensors.items())


def dtype_of(name: str, *, load_vlm_weights: bool) -> Dtype:
    """Return the dtype of the tensor `name` in a policy built with `load_vlm_weights`."""
    part = components.component(name)
    if part == components.PROJECTIONS or (part == components.EXPERT and _is_cross_attention(name)):
        return Dtype.F32
    if part in (components.VISION, components.CONNECTOR, components.LM_HEAD):
        return Dtype.BF16 if load_vlm_weights else Dtype.F32
    return Dtype.BF16


def _is_cross_attention(name: str) -> bool:
    """Whether `name` is a key or value projection for cross-attention (odd layers, by default)."""
    parts = name.removeprefix(_EXPERT).split(".")
    return parts[-2] in ("k_proj", "v_proj") and int(parts[1]) % 2 == 1
