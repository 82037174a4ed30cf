"""LeRobot's EO-1, LingBot-VA and FastWAM, whose config.json has the sizes of their backbones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import (
    SIZES,
    features,
    flag,
    replaced,
    sample,
    setting,
)
from tools.families.recipe import Field, Recipe
from tools.families.transformers_models import put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

_FLOATS = ("float32", "bfloat16")


def _nested(pointers: Mapping[str, str], drawn: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of a config with these draws at their pointers."""
    settings: dict[str, object] = {}
    for name, value in drawn.items():
        put(settings, pointers[name], value)
    return settings


# --- EO-1 -------------------------------------------------------------------------------------

_TEXT, _VISION = "/vlm_config/text_config", "/vlm_config/vision_config"
_EO1 = (
    setting("dtype", "auto", *_FLOATS, choice=True, default="auto"),
    Field("vlm_dtype", "/vlm_config/dtype", _FLOATS, choice=True),
    Field("tied", "/vlm_config/tie_word_embeddings", (False, True), choice=True),
    setting("num_action_layers", 1, 2, 3, 4, default=2),
    setting("max_state_dim", 26, 27, 33, 35, default=32),
    setting("max_action_dim", 25, 28, 36, 38, default=32),
    Field("vocab", f"{_TEXT}/vocab_size", (211, 223, 227, 229)),
    Field("hidden", f"{_TEXT}/hidden_size", (48, 80, 112, 144)),
    Field("inner", f"{_TEXT}/intermediate_size", (51, 57, 63, 69)),
    Field("layers", f"{_TEXT}/num_hidden_layers", (1, 2, 3, 5)),
    Field("heads", f"{_TEXT}/num_attention_heads", (2, 4, 8)),
    Field("kv_heads", f"{_TEXT}/num_key_value_heads", (1, 3, 6, 7)),
    Field("depth", f"{_VISION}/depth", (1, 2, 3, 5)),
    Field("v_hidden", f"{_VISION}/hidden_size", (32, 64, 96, 160)),
    Field("v_inner", f"{_VISION}/intermediate_size", (53, 59, 61, 67)),
    Field("v_heads", f"{_VISION}/num_heads", (2, 4, 8)),
    Field("channels", f"{_VISION}/in_channels", (1, 3, 4, 5)),
    Field("patch", f"{_VISION}/patch_size", (9, 10, 14, 15)),
    Field("merge", f"{_VISION}/spatial_merge_size", (2, 3, 4)),
    Field("frames", f"{_VISION}/temporal_patch_size", (1, 2, 3)),
    Field("projected", f"{_VISION}/out_hidden_size", (70, 74, 82, 86)),
)


def _eo1(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.eo1.modeling_eo1 import EO1Policy

    settings = _nested({field.name: field.at for field in _EO1}, drawn)
    # A policy that is loaded, not one that begins with the weights of Qwen.
    settings |= {"pretrained_path": "a/policy", **features({"state": SIZES[3]})}
    return sample(EO1Policy, settings)


EO1 = Recipe(
    "lerobot",
    "eo1",
    _EO1,
    {
        "half": "dtype == 'bfloat16' or dtype == 'auto' and vlm_dtype == 'bfloat16'",
        "head_dim": "hidden // heads",
        "kv_width": "kv_heads * head_dim",
        "merged": "v_hidden * merge * merge",
    },
    _eo1,
    facts.EO1,
    hints=("2 * num_action_layers - 1",),
    samples=48,
)

# --- LingBot-VA -------------------------------------------------------------------------------

_PATCHES = ([1, 2, 2], [2, 3, 1], [1, 3, 3], [2, 2, 5])


def _lingbot(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.lingbot_va.modeling_lingbot_va import LingBotVAPolicy

    return sample(LingBotVAPolicy, {**features({"state": SIZES[3]}), **drawn})


LINGBOT_VA = Recipe(
    "lerobot",
    "lingbot_va",
    (
        setting("dtype", *_FLOATS, "float16", choice=True, default="bfloat16"),
        flag("cross_attn_norm", default=True),
        setting("patch_size", *_PATCHES, default=[1, 2, 2]),
        setting("num_attention_heads", 2, 3, 5, 7, default=24),
        setting("attention_head_dim", 12, 18, 24, 36, default=128),
        setting("in_channels", 13, 17, 19, 23, default=48),
        setting("out_channels", 9, 11, 29, 31, default=48),
        setting("action_dim", 26, 27, 33, 35, default=30),
        setting("text_dim", 45, 55, 65, 75, default=4096),
        setting("freq_dim", 34, 38, 46, 58, default=256),
        setting("ffn_dim", 51, 57, 63, 69, default=14336),
        setting("num_layers", 1, 4, 6, 8, default=30),
    ),
    {
        "inner": "num_attention_heads * attention_head_dim",
        "patch": "patch_size[0] * patch_size[1] * patch_size[2]",
    },
    _lingbot,
    facts.LINGBOT_VA,
)

# --- FastWAM ----------------------------------------------------------------------------------

_VIDEO, _ACTION = "/video_dit_config", "/action_dit_config"
_FASTWAM = (
    setting("torch_dtype", *_FLOATS, choice=True, default="bfloat16"),
    setting("proprio_dim", 0, 26, 27, 33, 35, default=8)._replace(null="0"),
    Field("patch_size", f"{_VIDEO}/patch_size", _PATCHES),
    Field("in_dim", f"{_VIDEO}/in_dim", (13, 17, 19, 23)),
    Field("out_dim", f"{_VIDEO}/out_dim", (9, 11, 29, 31)),
    Field("ffn", f"{_VIDEO}/ffn_dim", (51, 57, 63, 69)),
    Field("freq", f"{_VIDEO}/freq_dim", (34, 38, 46, 58)),
    Field("text", f"{_VIDEO}/text_dim", (45, 55, 65, 75)),
    Field("heads", f"{_VIDEO}/num_heads", (2, 3, 5, 7)),
    Field("head_dim", f"{_VIDEO}/attn_head_dim", (12, 18, 24, 36)),
    Field("layers", f"{_VIDEO}/num_layers", (1, 4, 6, 8)),
    Field("hidden", f"{_VIDEO}/hidden_dim", ()),
    Field("action_hidden", f"{_ACTION}/hidden_dim", (74, 82, 86, 94)),
    Field("action_ffn", f"{_ACTION}/ffn_dim", (87, 93, 99, 105)),
    Field("action_freq", f"{_ACTION}/freq_dim", (62, 68, 78, 98)),
    Field("action_text", f"{_ACTION}/text_dim", (85, 95, 115, 125)),
    Field("action_dim", f"{_ACTION}/action_dim", (10, 14, 15, 16)),
)


def _fastwam(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.fastwam import modeling_fastwam as module
    from lerobot.policies.fastwam.wan import modular
    from torch.nn import Module

    settings = _nested({field.name: field.at for field in _FASTWAM}, drawn)
    video, action = settings["video_dit_config"], settings["action_dit_config"]
    assert isinstance(video, dict)  # noqa: S101 - as `put` made them
    assert isinstance(action, dict)  # noqa: S101 - as `put` made them
    video |= {"eps": 1e-6, "hidden_dim": video["num_heads"] * video["attn_head_dim"]}
    action |= {name: video[name] for name in ("eps", "num_heads", "attn_head_dim", "num_layers")}
    if settings.get("proprio_dim") == 0:
        settings["proprio_dim"] = None
    settings |= {"load_text_encoder": False, "base_model_id": None}
    settings["action_dim"] = action["action_dim"]
    seen = {"height": 224, "width": 448, "action": action["action_dim"]}
    settings |= features({"state": settings.get("proprio_dim", 8), **seen})

    def nothing(**_: object) -> SimpleNamespace:
        return SimpleNamespace()

    with replaced(
        (module, "load_pretrained_wan_vae", lambda **_: Module()),
        (module, "build_wan_tokenizer", nothing),
        (modular, "WanContinuousFlowMatchScheduler", nothing),  # reads numbers from tensors
    ):
        return sample(module.FastWAMPolicy, settings)


FASTWAM = Recipe(
    "lerobot",
    "fastwam",
    _FASTWAM,
    {"inner": "heads * head_dim", "patch": "patch_size[0] * patch_size[1] * patch_size[2]"},
    _fastwam,
    facts.FASTWAM,
)

RECIPES = (EO1, LINGBOT_VA, FASTWAM)
