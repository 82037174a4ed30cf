"""AutoencoderKL and VQModel: fields of config.json and tensors.

Attention layers had other names before diffusers 0.15, which the loader still reads: of each pair
one name is enough.
"""

from __future__ import annotations

from tools.families.diffusers_blocks import Shapes, affine, components, conv, items, linear, resnet

_MOST_BLOCKS = 6
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
_SIDES = ("encoder", "decoder")


def _fields(layers: int, latents: int, channels: list[int]) -> dict[str, object]:
    down, up = "DownEncoderBlock2D", "UpDecoderBlock2D"
    return {
        "channels": {"at": "/block_out_channels", "default": channels},
        "blocks": {"is": "len(channels)"},
        "seventh": {"at": f"/block_out_channels/{_MOST_BLOCKS}", "default": 0, "values": [0]},
        "downs": {"at": "/down_block_types", "default": [down]},
        "ups": {"at": "/up_block_types", "default": [up]},
        **items("down", "/down_block_types", _MOST_BLOCKS, [down]),
        **items("up", "/up_block_types", _MOST_BLOCKS, [up]),
        "layers": {"at": "/layers_per_block", "default": layers},
        "latents": {"at": "/latent_channels", "default": latents},
        "in_channels": {"at": "/in_channels", "default": 3},
        "out_channels": {"at": "/out_channels", "default": 3},
        "attends": {"at": "/mid_block_add_attention", "default": True},
    }


def _encoder(doubled: str) -> list[dict[str, object]]:
    width, at = "channels[i]", "encoder.down_blocks.{i<len(downs)}"
    before = "(channels[max(i - 1, 0)] if j == 0 else channels[i])"
    return [
        {"shapes": conv("encoder.conv_in", "channels[0]", "in_channels")},
        {"shapes": resnet(f"{at}.resnets.{{j<layers}}", width, before)},
        {
            "each": f"{before} != {width}",
            "shapes": conv(f"{at}.resnets.{{j<layers}}.conv_shortcut", width, before, "1"),
        },
        {"each": "i < blocks - 1", "shapes": conv(f"{at}.downsamplers.0.conv", width, width)},
        {
            "shapes": {
                **affine("encoder.conv_norm_out", "channels[-1]"),
                **conv("encoder.conv_out", doubled, "channels[-1]"),
            }
        },
    ]


def _decoder() -> list[dict[str, object]]:
    width, at = "channels[blocks - 1 - i]", "decoder.up_blocks.{i<len(ups)}"
    below = "(channels[min(blocks - i, blocks - 1)] if j == 0 else channels[blocks - 1 - i])"
    one = f"{at}.resnets.{{j<layers + 1}}"
    return [
        {"shapes": conv("decoder.conv_in", "channels[-1]", "latents")},
        {"shapes": resnet(one, width, below)},
        {"each": f"{below} != {width}", "shapes": conv(f"{one}.conv_shortcut", width, below, "1")},
        {"each": "i < blocks - 1", "shapes": conv(f"{at}.upsamplers.0.conv", width, width)},
        {
            "shapes": {
                **affine("decoder.conv_norm_out", "channels[0]"),
                **conv("decoder.conv_out", "out_channels", "channels[0]"),
            }
        },
    ]


def _middles() -> list[dict[str, object]]:
    width = "channels[-1]"
    resnets: Shapes = {}
    attentions: Shapes = {}
    for side in _SIDES:
        at = f"{side}.mid_block"
        resnets |= resnet(f"{at}.resnets.{{0..1}}", width, width)
        attentions |= affine(f"{at}.attentions.0.group_norm", width)
        for names in OLD_NAMES.items():
            for name in names:
                attentions |= linear(f"{at}.attentions.0.{name}", width, width)
    return [{"shapes": resnets}, {"when": "attends", "shapes": attentions}]


def _ties() -> list[dict[str, object]]:
    return [
        {
            "when": "attends",
            "names": [f"{side}.mid_block.attentions.0.{name}.{leaf}" for name in names],
        }
        for side in _SIDES
        for names in OLD_NAMES.items()
        for leaf in ("weight", "bias")
    ]


_PARTS = (
    ("encoder", "encoder", "encoder. quant_conv."),
    ("decoder", "decoder", "decoder. post_quant_conv."),
)


def autoencoder_kl() -> dict[str, object]:
    """Return the fields, tensors and ties of AutoencoderKL."""
    fields = {
        **_fields(1, 4, [64]),
        "before": {"at": "/use_quant_conv", "default": True},
        "after": {"at": "/use_post_quant_conv", "default": True},
    }
    tensors = [
        *_encoder("2 * latents"),
        *_decoder(),
        *_middles(),
        {"when": "before", "shapes": conv("quant_conv", "2 * latents", "2 * latents", "1")},
        {"when": "after", "shapes": conv("post_quant_conv", "latents", "latents", "1")},
    ]
    parts = components(*_PARTS)
    return {"fields": fields, "tensors": tensors, "ties": _ties(), "components": parts}


def vq_model() -> dict[str, object]:
    """Return the fields, tensors and ties of VQModel."""
    fields = {
        **_fields(1, 3, [64]),
        "codes": {"at": "/num_vq_embeddings", "default": 256},
        "width": {"at": "/vq_embed_dim", "default": "latents"},
        "norm": {"at": "/norm_type", "default": "'group'", "values": ["group"]},
    }
    quantized: Shapes = {
        **conv("quant_conv", "width", "latents", "1"),
        **conv("post_quant_conv", "latents", "width", "1"),
        "quantize.embedding.weight": "codes, width",
    }
    tensors = [*_encoder("latents"), *_decoder(), *_middles(), {"shapes": quantized}]
    parts = components(*_PARTS, ("codebook", "codebook", "quantize."))
    return {"fields": fields, "tensors": tensors, "ties": _ties(), "components": parts}
