"""Recipes of language models of transformers that generate: Llama and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families.recipe import NOTHING, Field, Recipe
from tools.families.transformers_models import (
    BOOLS,
    CLASSES,
    HEADS,
    HIDDEN,
    INNER,
    KV_HEADS,
    LABELS,
    LAYERS,
    NO_EXPRESSIONS,
    VOCAB,
    components,
    recipe,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TIED = Field("tied", "/tie_word_embeddings", BOOLS, choice=True, default=True)
BIAS = ("attention_bias", False)
SPLIT = "hidden // heads"
HEADS_OF = ("ForCausalLM", "Model", "ForSequenceClassification", "ForTokenClassification")

COMPONENTS = components(
    ("embeddings", "token embeddings", ("model.embed_tokens.", "embed_tokens.")),
    ("layers", "decoder layers", ("model.layers.", "layers.")),
    ("norm", "final norm", ("model.norm.", "norm.")),
    ("head", "head", ("lm_head.", "score.")),
)


def decoder(  # noqa: PLR0913 - what differs between them
    key: str,
    name: str,
    defaults: tuple[int, int, int, int, int, object],
    *,
    head_dim: object = None,
    hidden_sizes: tuple[int, ...] = HIDDEN,
    tied: bool = False,
    flags: tuple[tuple[str, bool], ...] = (),
    heads_of: tuple[str, ...] = HEADS_OF,
    more: tuple[Field, ...] = (),
    derived: Mapping[str, str] = NO_EXPRESSIONS,
    fixed: Mapping[str, object] = NOTHING,
    hints: tuple[str, ...] = (),
    extra: Mapping[str, object] = NOTHING,
) -> Recipe:
    """Return the recipe of a decoder.

    `defaults` are those of vocab, hidden, inner, layers, heads and kv_heads; `head_dim` "" for
    models without that key. `flags` are keys that add biases, with their defaults.
    """
    vocab, hidden, inner, layers, heads, kv_heads = defaults
    fields = [
        Field("tied", "/tie_word_embeddings", BOOLS, choice=True, default=tied),
        *(Field(flag, f"/{flag}", BOOLS, choice=True, default=one) for flag, one in flags),
        Field("vocab", "/vocab_size", VOCAB, default=vocab),
        Field("hidden", "/hidden_size", hidden_sizes, default=hidden),
        Field("inner", "/intermediate_size", INNER, default=inner),
        Field("layers", "/num_hidden_layers", LAYERS, default=layers),
        Field("heads", "/num_attention_heads", HEADS, default=heads),
        Field("kv_heads", "/num_key_value_heads", KV_HEADS, default=kv_heads),
        *more,
        *LABELS,
    ]
    widths = {"q_width": "heads * head_dim", "kv_width": "kv_heads * head_dim"}
    derived = {**widths, **CLASSES, **derived}
    if head_dim == "":
        derived = {"head_dim": SPLIT, **derived}
    else:
        absent = (None,) if isinstance(head_dim, str) else ()
        draw = (*absent, 10, 14, 22, 26, 34)
        fields.insert(-2, Field("head_dim", "/head_dim", draw, default=head_dim))
    return recipe(
        key,
        tuple(name + one for one in heads_of),
        fields,
        prefix="model",
        derived=derived,
        fixed={"/pad_token_id": 0, **fixed},
        extra={"components": COMPONENTS, **extra},
        hints=hints,
    )


UNEVEN = (26, 38, 50, 58, 74, 86, 106, 122)
"""Hidden sizes that some numbers of heads do not divide, where the library accepts this."""

SPARSE = "(i not in dense_layers and (i + 1) % sparse_step == 0)"
EXPERTS = (4, 5, 6)
QWEN_MOE = (
    Field("experts", "/num_experts", EXPERTS, default=128),
    Field("expert_inner", "/moe_intermediate_size", (11, 13, 17, 19, 23), default=768),
    Field("sparse_step", "/decoder_sparse_step", (1, 2), default=1),
    Field("dense_layers", "/mlp_only_layers", (None, [0], [1, 2]), default="[]"),
)


RECIPES = (
    decoder(
        "llama",
        "Llama",
        (32000, 4096, 11008, 32, 32, "heads"),
        head_dim=SPLIT,
        flags=(BIAS, ("mlp_bias", False)),
    ),
    decoder("qwen2", "Qwen2", (151936, 4096, 22016, 32, 32, 32), head_dim=SPLIT),
    decoder("qwen3", "Qwen3", (151936, 4096, 22016, 32, 32, 32), head_dim=128, flags=(BIAS,)),
    decoder(
        "gemma", "Gemma", (256000, 3072, 24576, 28, 16, 16), head_dim=256, tied=True, flags=(BIAS,)
    ),
    decoder(
        "gemma2", "Gemma2", (256000, 2304, 9216, 26, 8, 4), head_dim=256, tied=True, flags=(BIAS,)
    ),
    decoder(
        "gemma3_text",
        "Gemma3",
        (262208, 2304, 9216, 26, 8, 4),
        head_dim=256,
        tied=True,
        flags=(BIAS,),
        heads_of=("ForCausalLM", "TextModel", "TextForSequenceClassification"),
    ),
    decoder("mistral", "Mistral", (32000, 4096, 14336, 32, 32, 8), head_dim=SPLIT),
    decoder(
        "mixtral",
        "Mixtral",
        (32000, 4096, 14336, 32, 32, 8),
        head_dim=SPLIT,
        more=(Field("experts", "/num_local_experts", EXPERTS, default=8),),
    ),
    decoder("phi3", "Phi3", (32064, 3072, 8192, 32, 32, "heads"), head_dim="", hidden_sizes=UNEVEN),
    decoder(
        "phi",
        "Phi",
        (51200, 2048, 8192, 24, 32, "heads"),
        head_dim="",
        hidden_sizes=UNEVEN,
        flags=(("qk_layernorm", False),),
    ),
    decoder(
        "smollm3",
        "SmolLM3",
        (128256, 2048, 11008, 36, 16, 4),
        head_dim="",
        hidden_sizes=UNEVEN,
        tied=True,
        flags=(BIAS, ("mlp_bias", False)),
    ),
    decoder(
        "olmo2",
        "Olmo2",
        (50304, 4096, 11008, 32, 32, "heads"),
        head_dim="",
        flags=(BIAS,),
        heads_of=("ForCausalLM", "Model"),
    ),
    decoder(
        "qwen3_moe",
        "Qwen3Moe",
        (151936, 2048, 6144, 24, 32, 4),
        head_dim=SPLIT,
        flags=(BIAS,),
        heads_of=("ForCausalLM", "Model"),
        more=(
            Field("experts", "/num_experts", (None,), default="local_experts"),
            Field("local_experts", "/num_local_experts", EXPERTS, default=128),
            *QWEN_MOE[1:],
        ),
        hints=(SPARSE,),
    ),
    decoder(
        "qwen2_moe",
        "Qwen2Moe",
        (151936, 2048, 5632, 24, 16, 16),
        head_dim=SPLIT,
        flags=(("qkv_bias", True),),
        heads_of=("ForCausalLM", "Model"),
        more=(
            QWEN_MOE[0]._replace(default=60),
            QWEN_MOE[1]._replace(default=1408),
            *QWEN_MOE[2:],
            Field("shared", "/shared_expert_intermediate_size", (29, 31, 37, 41), default=5632),
        ),
        hints=(SPARSE,),
    ),
    recipe(
        "gpt2",
        tuple(f"GPT2{one}" for one in ("LMHeadModel", *HEADS_OF[1:])),
        (
            TIED,
            Field("vocab", "/vocab_size", VOCAB, default=50257),
            Field("hidden", "/n_embd", HIDDEN, default=768),
            Field("inner", "/n_inner", (None, *INNER), default="4 * hidden"),
            Field("layers", "/n_layer", LAYERS, default=12),
            Field("heads", "/n_head", HEADS, default=12),
            Field("positions", "/n_positions", (15, 25, 35, 55), default=1024),
            *LABELS,
        ),
        prefix="transformer",
        derived=CLASSES,
        fixed={"/pad_token_id": 0, "/bos_token_id": 1, "/eos_token_id": 2},
        extra={
            "components": components(
                (
                    "embeddings",
                    "embeddings",
                    ("transformer.wte.", "transformer.wpe.", "wte.", "wpe."),
                ),
                ("layers", "decoder layers", ("transformer.h.", "h.")),
                ("norm", "final norm", ("transformer.ln_f.", "ln_f.")),
                ("head", "head", ("lm_head.", "score.", "classifier.")),
            )
        },
    ),
    recipe(
        "gpt_neox",
        ("GPTNeoXForCausalLM", "GPTNeoXModel", "GPTNeoXForSequenceClassification"),
        (
            TIED._replace(default=False),
            Field("attention_bias", "/attention_bias", BOOLS, choice=True, default=True),
            Field("vocab", "/vocab_size", VOCAB, default=50432),
            Field("hidden", "/hidden_size", HIDDEN, default=6144),
            Field("inner", "/intermediate_size", INNER, default=24576),
            Field("layers", "/num_hidden_layers", LAYERS, default=44),
            Field("heads", "/num_attention_heads", HEADS, default=64),
            *LABELS,
        ),
        prefix="gpt_neox",
        derived=CLASSES,
        fixed={"/pad_token_id": 0},
        extra={
            "components": components(
                ("embeddings", "token embeddings", ("gpt_neox.embed_in.", "embed_in.")),
                ("layers", "decoder layers", ("gpt_neox.layers.", "layers.")),
                ("norm", "final norm", ("gpt_neox.final_layer_norm.", "final_layer_norm.")),
                ("head", "head", ("embed_out.", "score.")),
            )
        },
    ),
    recipe(
        "opt",
        ("OPTForCausalLM", "OPTModel", "OPTForSequenceClassification"),
        (
            TIED,
            Field("norm_before", "/do_layer_norm_before", BOOLS, choice=True, default=True),
            Field("bias", "/enable_bias", BOOLS, choice=True, default=True),
            Field("vocab", "/vocab_size", VOCAB, default=50272),
            Field("hidden", "/hidden_size", HIDDEN, default=768),
            Field("inner", "/ffn_dim", INNER, default=3072),
            Field("layers", "/num_hidden_layers", LAYERS, default=12),
            Field("heads", "/num_attention_heads", HEADS, default=12),
            Field("positions", "/max_position_embeddings", (15, 25, 35, 55), default=2048),
            Field("embedded", "/word_embed_proj_dim", (None, 16, 32, 48), default="hidden"),
            *LABELS,
        ),
        prefix="model",
        derived={"projects": "embedded != hidden", **CLASSES},
        fixed={"/pad_token_id": 1, "/bos_token_id": 2, "/eos_token_id": 2},
        extra={
            "components": components(
                (
                    "embeddings",
                    "embeddings",
                    (
                        "model.decoder.embed_",
                        "model.decoder.project_",
                        "decoder.embed_",
                        "decoder.project_",
                    ),
                ),
                ("layers", "decoder layers", ("model.decoder.layers.", "decoder.layers.")),
                (
                    "norm",
                    "final norm",
                    ("model.decoder.final_layer_norm.", "decoder.final_layer_norm."),
                ),
                ("head", "head", ("lm_head.", "score.")),
            )
        },
    ),
)
