"""The tensors of a SmolVLA policy: names and shapes from its dimensions, and LeRobot's dtypes.

Measured on lerobot 0.6.1 (0.4.4 and 0.5.1 agree): `SmolVLAPolicy(config).state_dict()`. The
defaults of `Dimensions` are SmolVLM2-500M with 16 of its layers, which makes 500 tensors of
450,046,176 parameters.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.smolvla import components

if TYPE_CHECKING:
    from collections.abc import Iterator

type NamedShape = tuple[str, tuple[int, ...]]

_VLM = "model.vlm_with_expert.vlm."
_EXPERT = "model.vlm_with_expert.lm_expert."
_MULTIPLE = 256


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

    @property
    def expert_width(self) -> int:
        """Features of the action expert."""
        return int(self.text_width * self.expert_width_multiplier)

    @property
    def expert_hidden(self) -> int:
        """Hidden features of the expert's feed-forward layers.

        Rounded up as `get_intermediate_size` in smolvlm_with_expert.py does.
        """
        return _MULTIPLE * ceil(4 * int(2 * self.expert_width / 3) / _MULTIPLE)


def layout(dimensions: Dimensions) -> tuple[NamedShape, ...]:
    """Return (name, shape) of every tensor, in the order of the policy's modules."""
    return (
        *_vision(dimensions),
        *_text(dimensions),
        *_expert(dimensions),
        *_projections(dimensions),
    )


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


def _linear(name: str, rows: int, columns: int) -> Iterator[NamedShape]:
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)


def _norm(name: str, width: int) -> Iterator[NamedShape]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _vision(dimensions: Dimensions) -> Iterator[NamedShape]:
    model, width = f"{_VLM}model.vision_model.", dimensions.vision_width
    yield (
        f"{model}embeddings.patch_embedding.weight",
        (width, 3, dimensions.patch_size, dimensions.patch_size),
    )
    yield f"{model}embeddings.patch_embedding.bias", (width,)
    yield f"{model}embeddings.position_embedding.weight", (dimensions.patches, width)
    for layer in range(dimensions.vision_layers):
        block = f"{model}encoder.layers.{layer}."
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _linear(f"{block}self_attn.{projection}", width, width)
        yield from _norm(f"{block}layer_norm1", width)
        yield from _linear(f"{block}mlp.fc1", dimensions.vision_hidden, width)
        yield from _linear(f"{block}mlp.fc2", width, dimensions.vision_hidden)
        yield from _norm(f"{block}layer_norm2", width)
    yield from _norm(f"{model}post_layernorm", width)


def _text(dimensions: Dimensions) -> Iterator[NamedShape]:
    width = dimensions.text_width
    yield (
        f"{_VLM}model.connector.modality_projection.proj.weight",
        (width, dimensions.connector_width),
    )
    yield f"{_VLM}model.text_model.embed_tokens.weight", (dimensions.vocabulary, width)
    for layer in range(dimensions.text_layers):
        yield from _llama_layer(
            f"{_VLM}model.text_model.layers.{layer}.",
            dimensions,
            width,
            dimensions.text_hidden,
            width,
        )
    yield f"{_VLM}model.text_model.norm.weight", (width,)
    yield f"{_VLM}lm_head.weight", (dimensions.vocabulary, width)


def _expert(dimensions: Dimensions) -> Iterator[NamedShape]:
    width, every = dimensions.expert_width, dimensions.self_attention_every
    for layer in range(dimensions.expert_layers):
        # A layer that attends to the VLM takes its keys and values, not the expert's features.
        cross = not (every > 0 and layer % every == 0)
        kv_inputs = dimensions.kv_width if cross else width
        yield from _llama_layer(
            f"{_EXPERT}layers.{layer}.", dimensions, width, dimensions.expert_hidden, kv_inputs
        )
    yield f"{_EXPERT}norm.weight", (width,)


def _llama_layer(
    block: str, dimensions: Dimensions, width: int, hidden: int, kv_inputs: int
) -> Iterator[NamedShape]:
    yield f"{block}self_attn.q_proj.weight", (dimensions.query_width, width)
    yield f"{block}self_attn.k_proj.weight", (dimensions.kv_width, kv_inputs)
    yield f"{block}self_attn.v_proj.weight", (dimensions.kv_width, kv_inputs)
    yield f"{block}self_attn.o_proj.weight", (width, dimensions.query_width)
    yield f"{block}mlp.gate_proj.weight", (hidden, width)
    yield f"{block}mlp.up_proj.weight", (hidden, width)
    yield f"{block}mlp.down_proj.weight", (width, hidden)
    yield f"{block}input_layernorm.weight", (width,)
    yield f"{block}post_attention_layernorm.weight", (width,)


def _projections(dimensions: Dimensions) -> Iterator[NamedShape]:
    width = dimensions.expert_width
    yield from _linear("model.state_proj", dimensions.text_width, dimensions.state_dim)
    yield from _linear("model.action_in_proj", width, dimensions.action_dim)
    yield from _linear("model.action_out_proj", dimensions.action_dim, width)
    yield from _linear("model.action_time_mlp_in", width, 2 * width)
    yield from _linear("model.action_time_mlp_out", width, width)
