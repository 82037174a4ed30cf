"""Recipes of models of transformers that read images and text: PaliGemma, Gemma 3, Qwen2.5-VL."""

from __future__ import annotations

from tools.families.recipe import Field, Recipe
from tools.families.transformers_decoders import SPLIT
from tools.families.transformers_models import (
    BOOLS,
    HEADS,
    HIDDEN,
    INNER,
    KV_HEADS,
    LAYERS,
    VOCAB,
    components,
    recipe,
)
from tools.families.transformers_vision import (
    GRID,
    OTHER_HIDDEN,
    PROJECTIONS,
    SIGLIP_VISION,
    tower,
)

HEAD_DIMS = (10, 14, 22, 26, 34)
TIED = Field("tied", "/tie_word_embeddings", BOOLS, choice=True, default=True)
BIAS = Field("attention_bias", "/text_config/attention_bias", BOOLS, choice=True, default=False)
WIDTHS = {"q_width": "heads * head_dim", "kv_width": "kv_heads * head_dim"}


def decoder(
    defaults: tuple[object, object, object, object, object, object],
    head_dim: object = "",
    at: str = "/text_config",
) -> tuple[Field, ...]:
    """Return the fields of a text model; `head_dim` "" for one without that key."""
    vocab, hidden, inner, layers, heads, kv_heads = defaults
    fields = (
        Field("vocab", f"{at}/vocab_size", VOCAB, default=vocab),
        Field("hidden", f"{at}/hidden_size", HIDDEN, default=hidden),
        Field("inner", f"{at}/intermediate_size", INNER, default=inner),
        Field("layers", f"{at}/num_hidden_layers", LAYERS, default=layers),
        Field("heads", f"{at}/num_attention_heads", HEADS, default=heads),
        Field("kv_heads", f"{at}/num_key_value_heads", KV_HEADS, default=kv_heads),
    )
    if head_dim == "":
        return fields
    absent = (None,) if isinstance(head_dim, str) else ()
    return (*fields, Field("head_dim", f"{at}/head_dim", (*absent, *HEAD_DIMS), default=head_dim))


def tokens(**more: int) -> dict[str, object]:
    """Return token numbers below the smallest vocabulary."""
    return {
        "/text_config/pad_token_id": 0,
        "/text_config/bos_token_id": 1,
        "/text_config/eos_token_id": 2,
        **{f"/{key}": value for key, value in more.items()},
    }


def kind(at: str, *names: str, default: str | None = None) -> Field:
    """Return the choice of a nested model's type."""
    return Field(
        "kind_" + at.split("_", maxsplit=1)[0].strip("/"),
        f"{at}/model_type",
        names,
        choice=True,
        default=None if default is None else repr(default),
    )


PARTS = components(
    (
        "vision",
        "vision tower",
        ("model.vision_tower.", "vision_tower.", "model.vision_model.", "model.visual.", "visual."),
    ),
    (
        "projector",
        "projector",
        ("model.multi_modal_projector.", "multi_modal_projector.", "model.connector."),
    ),
    (
        "text",
        "text model",
        (
            "model.language_model.",
            "language_model.",
            "model.text_model.",
            "model.layers.",
            "model.norm.",
            "model.embed_tokens.",
        ),
    ),
    ("head", "head", ("lm_head.", "language_model.lm_head.")),
)
LATER = [
    [r"^((?:model\.)?)language_model\.(?!model\.|lm_head\.)", r"\1language_model.model."],
    [r"^lm_head\.", "language_model.lm_head."],
]
"""From the names that releases 4.52 to 4.57 write to those of earlier and later ones."""

LLAVA_RENAMES = [
    {
        "since": "transformers 4.52",
        "until": "transformers 4.57",
        "names": [
            [r"^model\.language_model\.", "model.language_model.model."],
            [r"^lm_head\.", "language_model.lm_head."],
        ],
    },
    {
        "until": "transformers 4.51",
        "names": [[r"^(vision_tower|multi_modal_projector|language_model\.model)\.", r"model.\1."]],
    },
]
SMOL_TEXT = (32000, 4096, 11008, 32, 32, "heads")


def smol(key: str, name: str, vision: str) -> Recipe:
    """Return the recipe of a model with Idefics 3's layout."""
    return recipe(
        key,
        (f"{name}ForConditionalGeneration", f"{name}Model"),
        (
            TIED._replace(default=False),
            Field("bias", "/text_config/attention_bias", BOOLS, choice=True, default=False),
            kind("/text_config", "llama", default="llama"),
            *decoder(SMOL_TEXT, SPLIT),
            *tower("/vision_config", "v_", OTHER_HIDDEN, (1152, 3072, 12, 16, 224, 32)),
            Field("scale", "/scale_factor", (2, 3, 4), default=2),
        ),
        prefix="model",
        derived={**WIDTHS, **GRID, "packed": "v_hidden * scale * scale"},
        fixed=tokens(pad_token_id=0, image_token_id=3) | {"/vision_config/model_type": vision},
        extra={
            "components": PARTS,
        },
    )


RECIPES = (
    recipe(
        "paligemma",
        ("PaliGemmaForConditionalGeneration", "PaliGemmaModel"),
        (
            TIED,
            BIAS,
            kind("/text_config", "gemma", "gemma2"),
            kind("/vision_config", "siglip_vision_model"),
            Field("pools", "/vision_config/vision_use_head", BOOLS, choice=True, default=True),
            *decoder(
                tuple(
                    f"{one} if kind_text == 'gemma' else {other}"
                    for one, other in zip(
                        (256000, 3072, 24576, 28, 16, 16),
                        (256000, 2304, 9216, 26, 8, 4),
                        strict=True,
                    )
                ),  # type: ignore[arg-type]  # six of them
                256,
            ),
            *tower("/vision_config", "v_", OTHER_HIDDEN, SIGLIP_VISION),
            Field("projected", "/projection_dim", PROJECTIONS, default=2048),
        ),
        prefix="model",
        derived={**WIDTHS, **GRID},
        fixed=tokens(image_token_index=3),
        extra={"components": PARTS, "replaced": LATER, "renames": LLAVA_RENAMES},
    ),
    recipe(
        "gemma3",
        ("Gemma3ForConditionalGeneration", "Gemma3Model"),
        (
            TIED,
            BIAS,
            kind("/text_config", "gemma3_text"),
            kind("/vision_config", "siglip_vision_model"),
            Field("pools", "/vision_config/vision_use_head", BOOLS, choice=True, default=True),
            *decoder((262208, 2304, 9216, 26, 8, 4), 256),
            *tower("/vision_config", "v_", OTHER_HIDDEN, SIGLIP_VISION),
        ),
        prefix="model",
        derived={**WIDTHS, **GRID},
        fixed=tokens(boi_token_index=3, eoi_token_index=4, image_token_index=5)
        | {"/mm_tokens_per_image": 4},
        extra={"components": PARTS, "replaced": LATER, "renames": LLAVA_RENAMES},
    ),
    smol("smolvlm", "SmolVLM", "smolvlm_vision"),
    smol("idefics3", "Idefics3", "idefics3_vision"),
)
