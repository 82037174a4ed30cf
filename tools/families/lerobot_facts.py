"""What the files of LeRobot's policies say besides tensors: parts, loaders, processors, renames.

Loaders and renames are read from LeRobot's `from_pretrained` of each policy, and processors from
what `make_pre_post_processors` makes of its default config.
"""

from __future__ import annotations

import dataclasses
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

type Part = tuple[str, str, str, tuple[str, ...]]
"""Key, title, short title and prefixes of a component."""

LENIENT = {"missing": "random", "unexpected": "dropped", "misshapen": "rejected"}
STRICT = {"missing": "rejected", "unexpected": "rejected", "misshapen": "rejected"}
HIDDEN = {"missing": "hidden", "unexpected": "hidden", "misshapen": "hidden"}

_FIRST = ("rename_observations_processor", "to_batch_processor")
_PLAIN = ("device_processor", "normalizer_processor")
_POST = ("unnormalizer_processor", "device_processor")
_PI_POST = ("unnormalizer_processor", "absolute_actions_processor", "device_processor")
_TOKENS = ("tokenizer_processor", "device_processor")
_RELATIVE = ("relative_actions_processor", "normalizer_processor")

_PI = "model.paligemma_with_expert."
_PI_PARTS: tuple[Part, ...] = (
    ("vision", "vision encoder (SigLIP)", "vision", (f"{_PI}paligemma.model.vision_tower.",)),
    (
        "connector",
        "connector of vision and language",
        "connector",
        (f"{_PI}paligemma.model.multi_modal_projector.",),
    ),
    ("language", "language model (Gemma)", "language", (f"{_PI}paligemma.",)),
)
_EXPERT: Part = ("expert", "action expert (Gemma)", "expert", (f"{_PI}gemma_expert.",))
_PROJECTIONS: Part = ("projections", "action and time projections", "projections", ("model.",))

_PI_OLD = [
    ["paligemma.language_model.lm_head.", "paligemma.lm_head."],
    ["paligemma.language_model.model.", "paligemma.model.language_model."],
    ["paligemma.vision_tower.", "paligemma.model.vision_tower."],
    ["paligemma.multi_modal_projector.", "paligemma.model.multi_modal_projector."],
]
_PI_RENAMES = [
    {
        "until": "lerobot 0.3",
        "read_by": "lerobot <0.4",
        "names": [[_PI + old, _PI + new] for old, new in _PI_OLD],
    },
]

_BLOCK = r"(vision_tower\.blocks\.\d+\.\d+\.(?:spatial_block|channel_block)\.)"
_FLORENCE = [
    [r"model\.vlm\.(vision_tower\.convs\.\d+\.)proj\.", r"model.vlm.\1conv."],
    [rf"model\.vlm\.{_BLOCK}conv1\.fn\.dw\.", r"model.vlm.\1conv1."],
    [rf"model\.vlm\.{_BLOCK}conv2\.fn\.dw\.", r"model.vlm.\1conv2."],
    [rf"model\.vlm\.{_BLOCK}(?:window|channel)_attn\.norm\.", r"model.vlm.\1norm1."],
    [rf"model\.vlm\.{_BLOCK}(window|channel)_attn\.fn\.", r"model.vlm.\1\2_attn."],
    [rf"model\.vlm\.{_BLOCK}ffn\.norm\.", r"model.vlm.\1norm2."],
    [rf"model\.vlm\.{_BLOCK}ffn\.fn\.net\.", r"model.vlm.\1ffn."],
    [r"model\.vlm\.image_proj_norm\.", r"model.vlm.multi_modal_projector.image_proj_norm."],
    [r"model\.vlm\.image_pos_embed\.", r"model.vlm.multi_modal_projector.image_position_embed."],
    [
        r"model\.vlm\.visual_temporal_embed\.",
        r"model.vlm.multi_modal_projector.visual_temporal_embed.",
    ],
    [r"model\.vlm\.language_model\.model\.", r"model.vlm.language_model."],
]
_PROJECTION = "model.vlm.multi_modal_projector.image_projection.weight"
_OLD_PROJECTION = "model.vlm.image_projection"
"""The same with its axes exchanged, which the loader turns round."""


def facts(
    policy: str,
    parts: tuple[Part, ...],
    pre: tuple[str, ...],
    post: tuple[str, ...] = _POST,
    loader: Mapping[str, str] = LENIENT,
    **more: object,
) -> Callable[[], dict[str, object]]:
    """Return a function to the facts of a policy, which asks LeRobot for its config.

    `policy` is the class of its config; `pre` are the steps of its preprocessor after those of
    every policy.
    """

    def found() -> dict[str, object]:
        name = policy.split(".", maxsplit=1)[0]
        module: Any = import_module(f"lerobot.policies.{name}.configuration_{name}")
        config = getattr(module, policy.split(".")[1])
        fields = {field.name: field for field in dataclasses.fields(config)}
        modes: Any = fields["normalization_mapping"].default_factory
        return {
            "components": [
                {"key": key, "title": title, "short": short, "prefixes": list(prefixes)}
                for key, title, short, prefixes in parts
            ],
            "known": {version("lerobot"): sorted({"type", *fields})},
            "loader": dict(loader),
            "processors": {"pre": [*_FIRST, *pre], "post": list(post)},
            "modes": {kind: mode.value for kind, mode in modes().items()},
            **more,
        }

    return found


ACT = facts(
    "act.ACTConfig",
    (
        ("backbone", "image encoder (ResNet)", "backbone", ("model.backbone.",)),
        ("vae", "encoder of actions, for training only", "vae", ("model.vae_encoder",)),
        ("encoder", "transformer encoder", "encoder", ("model.encoder",)),
        ("decoder", "transformer decoder and action head", "decoder", ("model.",)),
    ),
    _PLAIN,
    float="F32",
)
DIFFUSION = facts(
    "diffusion.DiffusionConfig",
    (
        ("vision", "image encoder", "vision", ("diffusion.rgb_encoder.",)),
        ("unet", "U-Net over actions", "unet", ("diffusion.",)),
    ),
    _PLAIN,
    float="F32",
)
VQBET = facts(
    "vqbet.VQBeTConfig",
    (
        ("vision", "image encoder", "vision", ("vqbet.rgb_encoder.",)),
        ("vqvae", "codes of actions (VQ-VAE)", "codes", ("vqbet.action_head.vqvae_model.",)),
        ("policy", "transformer", "transformer", ("vqbet.policy.",)),
        ("heads", "heads and projections", "heads", ("vqbet.",)),
    ),
    _PLAIN,
    float="F32",
)
TDMPC = facts(
    "tdmpc.TDMPCConfig",
    (
        ("target", "target model, a moving average", "target", ("model_target.",)),
        ("encoder", "encoder of observations", "encoder", ("model._encoder.",)),
        ("model", "world model, policy and values", "model", ("model.",)),
    ),
    _PLAIN,
    float="F32",
)
PI0 = facts(
    "pi0.PI0Config",
    (*_PI_PARTS, _EXPERT, _PROJECTIONS),
    ("pi0_new_line_processor", *_TOKENS, *_RELATIVE),
    _PI_POST,
    HIDDEN,
    prefix="model",
    replaced=[[r"^time_mlp_(in|out)\.", r"model.action_time_mlp_\1."]],
    renames=_PI_RENAMES,
)
PI05 = facts(
    "pi05.PI05Config",
    (*_PI_PARTS, _EXPERT, _PROJECTIONS),
    (*_RELATIVE, "pi05_prepare_state_tokenizer_processor_step", *_TOKENS),
    _PI_POST,
    HIDDEN,
    prefix="model",
    replaced=[[r"^action_time_mlp_(in|out)\.", r"model.time_mlp_\1."]],
    ignored=[
        r"^state_proj\.",
        r"^paligemma_with_expert\.gemma_expert\.model\.(?:layers\.\d+\.\w+|norm)\.weight$",
    ],
)
PI0_FAST = facts(
    "pi0_fast.PI0FastConfig",
    (*_PI_PARTS, _PROJECTIONS),
    (
        *_RELATIVE,
        "pi0_fast_prepare_state_tokenizer_processor_step",
        "tokenizer_processor",
        "action_tokenizer_processor",
        "device_processor",
    ),
    _PI_POST,
    HIDDEN,
    prefix="model",
)
XVLA = facts(
    "xvla.XVLAConfig",
    (
        ("vision", "vision encoder (DaViT)", "vision", ("model.vlm.vision_tower.",)),
        ("connector", "connector", "connector", ("model.vlm.multi_modal_projector.",)),
        ("language", "language encoder (BART)", "language", ("model.vlm.",)),
        ("transformer", "action transformer with soft prompts", "transformer", ("model.",)),
    ),
    (
        "tokenizer_processor",
        "xvla_image_to_float",
        "xvla_imagenet_normalize",
        "xvla_add_domain_id",
        *_PLAIN,
    ),
    _POST,
    STRICT,
    replaced=_FLORENCE,
    ignored=[r"^model\.vlm\.language_model\.final_logits_bias$"],
    tensors=[{"shapes": {_OLD_PROJECTION: "widths[-1], projection"}}],
    ties=[{"names": [_PROJECTION, _OLD_PROJECTION]}],
)
MULTI_TASK_DIT = facts(
    "multi_task_dit.MultiTaskDiTConfig",
    (
        ("vision", "image encoder (CLIP)", "vision", ("observation_encoder.vision_encoder",)),
        ("language", "text encoder (CLIP)", "language", ("observation_encoder.",)),
        ("transformer", "diffusion transformer", "transformer", ("noise_predictor.",)),
    ),
    ("tokenizer_processor", *_PLAIN),
)
GAUSSIAN_ACTOR = facts(
    "gaussian_actor.GaussianActorConfig",
    (
        ("encoder", "encoder of observations", "encoder", ("actor.encoder.", "encoder_")),
        ("actor", "actor", "actor", ("actor.",)),
        ("critic", "critic of discrete actions", "critic", ("discrete_critic.",)),
    ),
    _PLAIN,
    fields={
        "other_cameras": {"is": "cameras - seen", "values": [0]},
        "encoder_name": {"at": "/vision_encoder_name", "default": "null", "values": [None]},
        "actor_ends": {
            "at": "/actor_network_kwargs/activate_final",
            "default": True,
            "values": [True],
        },
        "critic_ends": {
            "at": "/discrete_critic_network_kwargs/activate_final",
            "default": True,
            "values": [True],
        },
    },
)
GROOT = facts(
    "groot.GrootConfig",
    (
        (
            "language",
            "language model",
            "language",
            (
                "_groot_model.backbone.model.model.language_model.",
                "_groot_model.backbone.model.lm_head.",
            ),
        ),
        ("vision", "vision encoder", "vision", ("_groot_model.backbone.",)),
        ("head", "action head (diffusion transformer)", "head", ("_groot_model.action_head.",)),
    ),
    ("groot_n1_7_pack_inputs_v1", "groot_n1_7_vlm_encode_v1", "device_processor"),
    ("groot_n1_7_action_decode_v1", "device_processor"),
    STRICT,
)
EO1 = facts(
    "eo1.EO1Config",
    (
        ("vision", "vision encoder", "vision", ("model.vlm_backbone.model.visual.",)),
        ("language", "language model (Qwen2.5)", "language", ("model.vlm_backbone.",)),
        ("projections", "action and time projections", "projections", ("model.",)),
    ),
    (
        "normalizer_processor",
        "eo1_conversation_template_processor",
        "eo1_qwen_processor",
        "device_processor",
    ),
)
LINGBOT_VA = facts(
    "lingbot_va.LingBotVAConfig",
    (
        ("blocks", "transformer of video and actions", "blocks", ("transformer.blocks.",)),
        ("ends", "embeddings and heads", "embeddings and heads", ("transformer.",)),
    ),
    ("normalizer_processor", "device_processor"),
)
FASTWAM = facts(
    "fastwam.FastWAMConfig",
    (
        ("video", "video expert (Wan 2.2)", "video", ("model.mot.mixtures.video.",)),
        ("action", "action expert", "action", ("model.mot.mixtures.action.",)),
        ("layers", "layers of both experts", "layers", ("model.mot.layers.",)),
        ("state", "encoder of the state", "state", ("model.proprio_encoder.",)),
    ),
    _PLAIN,
    loader={**LENIENT, "misshapen": "random"},
    replaced=[
        [r"^model\.mot\.mixtures\.([^.]+)\.blocks\.(\d+)\.", r"model.mot.layers.\2.blocks.\1."]
    ],
)
