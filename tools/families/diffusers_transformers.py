"""FluxTransformer2DModel and SD3Transformer2DModel: fields of config.json and tensors."""

from __future__ import annotations

from tools.families.diffusers_blocks import Shapes, components, feed_forward, linear, two_layers

_TIME = "256"
"""The width of diffusers' sinusoidal embedding of a time step here."""


def _fields(in_channels: int, heads: int, head: int, pooled: int) -> dict[str, object]:
    return {
        "in_channels": {"at": "/in_channels", "default": in_channels},
        "out_channels": {"at": "/out_channels", "default": "in_channels"},
        "heads": {"at": "/num_attention_heads", "default": heads},
        "head": {"at": "/attention_head_dim", "default": head},
        "width": {"is": "heads * head"},
        "context": {"at": "/joint_attention_dim", "default": 4096},
        "pooled": {"at": "/pooled_projection_dim", "default": pooled},
    }


def _embeddings() -> Shapes:
    return {
        **two_layers("time_text_embed.timestep_embedder", "width", _TIME),
        **two_layers("time_text_embed.text_embedder", "width", "pooled"),
        **linear("norm_out.linear", "2 * width", "width"),
        **linear("proj_out", "patch * patch * out_channels", "width"),
    }


def _projections(at: str, *names: str) -> Shapes:
    found: Shapes = {}
    for name in names:
        found |= linear(f"{at}.{name}", "width", "width")
    return found


def flux() -> dict[str, object]:
    """Return the fields and tensors of FluxTransformer2DModel."""
    both, one = "transformer_blocks.{i<layers}", "single_transformer_blocks.{i<singles}"
    fields = {
        **_fields(64, 24, 128, 768),
        "patch": {"at": "/patch_size", "default": 1},
        "layers": {"at": "/num_layers", "default": 19},
        "singles": {"at": "/num_single_layers", "default": 38},
        "guided": {"at": "/guidance_embeds", "default": False},
    }
    double: Shapes = {
        **linear(f"{both}.norm1.linear", "6 * width", "width"),
        **linear(f"{both}.norm1_context.linear", "6 * width", "width"),
        **_projections(f"{both}.attn", *_OWN, "to_out.0", *_ADDED, "to_add_out"),
        **{f"{both}.attn.{name}.weight": "head" for name in (*_NORMS, *_ADDED_NORMS)},
        **feed_forward(f"{both}.ff", "width"),
        **feed_forward(f"{both}.ff_context", "width"),
    }
    single: Shapes = {
        **linear(f"{one}.norm.linear", "3 * width", "width"),
        **linear(f"{one}.proj_mlp", "4 * width", "width"),
        **linear(f"{one}.proj_out", "width", "5 * width"),
        **_projections(f"{one}.attn", *_OWN),
        **{f"{one}.attn.{name}.weight": "head" for name in _NORMS},
    }
    tensors = [
        {
            "shapes": {
                **_embeddings(),
                **linear("context_embedder", "width", "context"),
                **linear("x_embedder", "width", "in_channels"),
            }
        },
        {
            "when": "guided",
            "shapes": two_layers("time_text_embed.guidance_embedder", "width", _TIME),
        },
        {"shapes": double},
        {"shapes": single},
    ]
    parts = components(
        ("embeddings", "embeddings", _EMBEDDINGS),
        ("double_blocks", "double blocks", "transformer_blocks."),
        ("single_blocks", "single blocks", "single_transformer_blocks."),
        ("output", "output", "norm_out. proj_out."),
    )
    return {"fields": fields, "tensors": tensors, "components": parts}


_EMBEDDINGS = "pos_embed. time_text_embed. context_embedder. x_embedder."
_OWN = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_NORMS = ("norm_q", "norm_k")
_ADDED_NORMS = ("norm_added_q", "norm_added_k")


def sd3() -> dict[str, object]:
    """Return the fields and tensors of SD3Transformer2DModel.

    The last block has no output for the text.
    """
    at, inner = "transformer_blocks.{i<layers}", "transformer_blocks.{i<layers - 1}"
    fields = {
        **_fields(16, 18, 64, 2048),
        "out_channels": {"at": "/out_channels", "default": 16, "null": "in_channels"},
        "patch": {"at": "/patch_size", "default": 2},
        "layers": {"at": "/num_layers", "default": 18},
        "caption": {"at": "/caption_projection_dim", "default": 1152},
        "positions": {"at": "/pos_embed_max_size", "default": 96, "least": 1},
        "dual": {"at": "/dual_attention_layers", "default": []},
        "norm": {"at": "/qk_norm", "default": "''", "values": ["rms_norm"]},
    }
    every: Shapes = {
        **linear(f"{at}.norm1.linear", "(9 if i in dual else 6) * width", "width"),
        **linear(f"{at}.norm1_context.linear", "(2 if i == layers - 1 else 6) * width", "width"),
        **_projections(f"{at}.attn", *_OWN, "to_out.0", *_ADDED),
        **_projections(f"{inner}.attn", "to_add_out"),
        **feed_forward(f"{at}.ff", "width"),
        **feed_forward(f"{inner}.ff_context", "width"),
    }
    tensors = [
        {
            "shapes": {
                "pos_embed.pos_embed": "1, positions * positions, width",
                "pos_embed.proj.weight": "width, in_channels, patch, patch",
                "pos_embed.proj.bias": "width",
                **_embeddings(),
                **linear("context_embedder", "caption", "context"),
            }
        },
        {"shapes": every},
        {
            "when": "norm != ''",
            "shapes": {f"{at}.attn.{name}.weight": "head" for name in (*_NORMS, *_ADDED_NORMS)},
        },
        {"each": "i in dual", "shapes": _projections(f"{at}.attn2", *_OWN, "to_out.0")},
        {
            "when": "norm != ''",
            "each": "i in dual",
            "shapes": {f"{at}.attn2.{name}.weight": "head" for name in _NORMS},
        },
    ]
    parts = components(
        ("embeddings", "embeddings", _EMBEDDINGS),
        ("blocks", "blocks", "transformer_blocks."),
        ("output", "output", "norm_out. proj_out."),
    )
    return {"fields": fields, "tensors": tensors, "components": parts}
