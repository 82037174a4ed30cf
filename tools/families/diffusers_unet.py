"""UNet2DConditionModel and ControlNetModel: fields of config.json and tensors.

Its blocks are lists in config.json, so the templates are written by hand and proved on random
configs. Outside of what is drawn here (other blocks, Kandinsky's embeddings, GLIGEN) the values of
a field are not listed, and nothing is expected.
"""

from __future__ import annotations

from tools.families.diffusers_blocks import (
    Shapes,
    affine,
    choice,
    components,
    conv,
    items,
    linear,
    resnet,
    spatial_transformer,
    two_layers,
)

_MOST_BLOCKS = 4
_CROSS = "CrossAttn"
_DOWN = ["DownBlock2D", f"{_CROSS}DownBlock2D"]
_UP = ["UpBlock2D", f"{_CROSS}UpBlock2D"]
_MIDDLE = ["UNetMidBlock2DCrossAttn", "UNetMidBlock2D", ""]


def _one_or_each(name: str, at: str, default: str) -> dict[str, object]:
    """Return fields for a setting that is one value for all blocks, or a list: NAME_0 and so on."""
    found: dict[str, object] = {name: {"at": at, "default": None}}
    for place in range(_MOST_BLOCKS):
        own = f"{name}{place}"
        found[own] = {"at": f"{at}/{place}", "default": None}
        otherwise = f"{name} if {name} != null else {default}"
        found[f"{name}_{place}"] = {"is": f"{own} if {own} != null else {otherwise}"}
    return found


def _of(name: str, index: str = "i") -> str:
    """Return the expression for the value of `_one_or_each` at an index."""
    found = f"{name}_{_MOST_BLOCKS - 1}"
    for place in reversed(range(_MOST_BLOCKS - 1)):
        found = f"{name}_{place} if {index} == {place} else {found}"
    return f"({found})"


def _fields(*, has_up: bool) -> dict[str, object]:
    up = {
        "up": {
            "at": "/up_block_types",
            "default": [_UP[0], _UP[1], _UP[1], _UP[1]],
        },
        **items("up", "/up_block_types", _MOST_BLOCKS, _UP),
        "out_channels": {"at": "/out_channels", "default": 4},
        "in_kernel": {"at": "/conv_in_kernel", "default": 3},
        "out_kernel": {"at": "/conv_out_kernel", "default": 3},
        "time": {"at": "/time_embedding_dim", "default": "4 * channels[0]"},
        "guidance": {"at": "/time_cond_proj_dim", "default": 0},
        "time_type": choice("/time_embedding_type", "positional"),
        "attention": choice("/attention_type", "default"),
        "dual": {"at": "/dual_cross_attention", "default": False, "values": [False]},
        "key_norm": choice("/cross_attention_norm", ""),
        "asymmetric": choice("/reverse_transformer_layers_per_block", ""),
        "doubled": {"at": "/class_embeddings_concat", "default": False},
        "blocks_time": {"is": "2 * time if doubled else time"},
    }
    own = {
        "in_kernel": {"is": "3"},
        "time": {"is": "4 * channels[0]"},
        "blocks_time": {"is": "time"},
        "condition": {"at": "/conditioning_channels", "default": 3},
        "widths": {"at": "/conditioning_embedding_out_channels", "default": [16, 32, 96, 256]},
    }
    class_types = ["", "timestep", "identity", "projection", *["simple_projection"] * has_up]
    return {
        "channels": {"at": "/block_out_channels", "default": [320, 640, 1280, 1280]},
        "blocks": {"is": "len(channels)"},
        "fifth": {"at": f"/block_out_channels/{_MOST_BLOCKS}", "default": 0, "values": [0]},
        "down": {"at": "/down_block_types", "default": [_DOWN[1], _DOWN[1], _DOWN[1], _DOWN[0]]},
        **items("down", "/down_block_types", _MOST_BLOCKS, _DOWN),
        "middle": choice("/mid_block_type", *_MIDDLE) | {"null": "''"},
        "in_channels": {"at": "/in_channels", "default": 4},
        "layers": {"at": "/layers_per_block", "default": 2},
        "context": {"at": "/cross_attention_dim", "default": 1280},
        **_one_or_each("depth", "/transformer_layers_per_block", "1"),
        **_one_or_each("crossed", "/only_cross_attention", "false"),
        "as_linear": {"at": "/use_linear_projection", "default": False},
        "shift": choice("/resnet_time_scale_shift", "default", "scale_shift"),
        "text": {"at": "/encoder_hid_dim", "default": 0},
        "text_type": choice("/encoder_hid_dim_type", "", "text_proj"),
        "class_type": choice("/class_embed_type", *class_types),
        "classes": {"at": "/num_class_embeds", "default": -1},
        "added_type": choice("/addition_embed_type", "", "text_time"),
        "added": {"at": "/projection_class_embeddings_input_dim"},
        **(up if has_up else own),
    }


def _blocks(  # noqa: PLR0913 - what two sides of a U-Net differ in
    at: str, index: str, count: str, kind: str, *, width: str, own: str, depth: str
) -> list[dict[str, object]]:
    """Return the attentions of the blocks of one side."""
    body, as_conv, as_linear = spatial_transformer(
        f"{at}.{{i<blocks}}.attentions.{{j<{count}}}",
        width,
        depth,
        f"context if {own} else {width}",
        "context",
    )
    condition = f"{index}[i] == '{kind}'"
    return [
        {"each": condition, "shapes": body},
        {"when": "not as_linear", "each": condition, "shapes": as_conv},
        {"when": "as_linear", "each": condition, "shapes": as_linear},
    ]


_SCALE = " * (2 if shift == 'scale_shift' else 1)"


def _down() -> list[dict[str, object]]:
    width = "channels[i]"
    before = "(channels[max(i - 1, 0)] if j == 0 else channels[i])"
    at = "down_blocks.{i<blocks}"
    return [
        {
            "shapes": resnet(
                f"{at}.resnets.{{j<layers}}", width, before, time="blocks_time", scale=_SCALE
            )
        },
        {
            "each": f"{before} != {width}",
            "shapes": conv(f"{at}.resnets.{{j<layers}}.conv_shortcut", width, before, "1"),
        },
        {
            "each": "i < blocks - 1",
            "shapes": conv(f"{at}.downsamplers.0.conv", width, width),
        },
        *_blocks(
            "down_blocks",
            "down",
            "layers",
            _DOWN[1],
            width=width,
            own=_of("crossed"),
            depth=_of("depth"),
        ),
    ]


def _mid() -> list[dict[str, object]]:
    width, at = "channels[-1]", "mid_block"
    body, as_conv, as_linear = spatial_transformer(
        f"{at}.attentions.0", width, _of("depth", "blocks - 1"), width, "context"
    )
    crosses = f"middle == '{_MIDDLE[0]}'"
    return [
        {
            "when": "middle != ''",
            "shapes": resnet(f"{at}.resnets.0", width, width, time="blocks_time", scale=_SCALE),
        },
        {
            "when": crosses,
            "shapes": resnet(f"{at}.resnets.1", width, width, time="blocks_time", scale=_SCALE),
        },
        {"when": crosses, "shapes": body},
        {"when": f"{crosses} and not as_linear", "shapes": as_conv},
        {"when": f"{crosses} and as_linear", "shapes": as_linear},
    ]


def _upper() -> list[dict[str, object]]:
    width, at = "channels[blocks - 1 - i]", "up_blocks.{i<blocks}"
    count = "{j<layers + 1}"
    below = "(channels[min(blocks - i, blocks - 1)] if j == 0 else channels[blocks - 1 - i])"
    beside = "(channels[max(blocks - 2 - i, 0)] if j == layers else channels[blocks - 1 - i])"
    inputs = f"{below} + {beside}"
    return [
        {
            "shapes": resnet(
                f"{at}.resnets.{count}", width, inputs, time="blocks_time", scale=_SCALE
            )
        },
        {
            "each": f"{inputs} != {width}",
            "shapes": conv(f"{at}.resnets.{count}.conv_shortcut", width, inputs, "1"),
        },
        {"each": "i < blocks - 1", "shapes": conv(f"{at}.upsamplers.0.conv", width, width)},
        *_blocks(
            "up_blocks",
            "up",
            "layers + 1",
            _UP[1],
            width=width,
            own=_of("crossed", "blocks - 1 - i"),
            depth=_of("depth", "blocks - 1 - i"),
        ),
    ]


def _embeddings() -> list[dict[str, object]]:
    at = "class_embedding"
    return [
        {
            "shapes": {
                **conv("conv_in", "channels[0]", "in_channels", "in_kernel"),
                **two_layers("time_embedding", "time", "channels[0]"),
            }
        },
        {"when": "text > 0", "shapes": linear("encoder_hid_proj", "context", "text")},
        {
            "when": "class_type == '' and classes >= 0",
            "shapes": {f"{at}.weight": "classes, time"},
        },
        {"when": "class_type == 'timestep'", "shapes": two_layers(at, "time", "channels[0]")},
        {"when": "class_type == 'projection'", "shapes": two_layers(at, "time", "added")},
        {
            "when": "added_type == 'text_time'",
            "shapes": two_layers("add_embedding", "time", "added"),
        },
    ]


_PARTS = (
    (
        "embeddings",
        "embeddings",
        "time_embedding. class_embedding. add_embedding. encoder_hid_proj.",
    ),
    ("down_blocks", "down blocks", "conv_in. down_blocks."),
    ("mid_block", "mid block", "mid_block."),
)


def unet() -> dict[str, object]:
    """Return the fields and tensors of UNet2DConditionModel."""
    tensors = [
        *_embeddings(),
        {
            "when": "guidance > 0",
            "shapes": linear("time_embedding.cond_proj", "channels[0]", "guidance", bias=False),
        },
        {
            "when": "class_type == 'simple_projection'",
            "shapes": linear("class_embedding", "time", "added"),
        },
        *_down(),
        *_mid(),
        *_upper(),
        {
            "shapes": {
                **affine("conv_norm_out", "channels[0]"),
                **conv("conv_out", "out_channels", "channels[0]", "out_kernel"),
            }
        },
    ]
    parts = components(*_PARTS, ("up_blocks", "up blocks", "up_blocks. conv_norm_out. conv_out."))
    return {"fields": _fields(has_up=True), "tensors": tensors, "components": parts}


def controlnet() -> dict[str, object]:
    """Return the fields and tensors of ControlNetModel."""
    at = "controlnet_cond_embedding"
    embedding: Shapes = {
        **conv(f"{at}.conv_in", "widths[0]", "condition"),
        **conv(f"{at}.conv_out", "channels[0]", "widths[-1]"),
        **conv(
            f"{at}.blocks.{{i<2 * (len(widths) - 1)}}", "widths[(i + 1) // 2]", "widths[i // 2]"
        ),
    }
    # one after conv_in, one after each resnet, one after each downsampler
    side = "{i<blocks * (layers + 1)}"
    width = "channels[max(i - 1, 0) // (layers + 1)]"
    tensors = [
        *_embeddings(),
        {"shapes": embedding},
        {"shapes": conv(f"controlnet_down_blocks.{side}", width, width, "1")},
        {
            "when": "middle != ''",
            "shapes": conv("controlnet_mid_block", "channels[-1]", "channels[-1]", "1"),
        },
        *_down(),
        *_mid(),
    ]
    parts = components(
        ("condition", "embedding of the condition", f"{at}."),
        *_PARTS,
        ("outputs", "outputs", "controlnet_down_blocks. controlnet_mid_block."),
    )
    return {"fields": _fields(has_up=False), "tensors": tensors, "components": parts}
