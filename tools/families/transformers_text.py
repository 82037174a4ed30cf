"""Recipes of models of transformers that read text, and of Whisper: BERT, T5 and their like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families.recipe import NOTHING, Field, Recipe
from tools.families.transformers_models import (
    BOOLS,
    CLASSES,
    HEADS,
    HIDDEN,
    INNER,
    LABELS,
    LAYERS,
    NO_EXPRESSIONS,
    VOCAB,
    components,
    recipe,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

POSITIONS = (15, 25, 35, 55)
TASKS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering")
TIED = Field("tied", "/tie_word_embeddings", BOOLS, choice=True, default=True)
TYPES = Field("types", "/type_vocab_size", (2, 3, 5, 1), default=2)


def parts(*names: str) -> list[dict[str, object]]:
    """Return the components of an encoder that is under one of these names, or at the top."""
    before = (*(f"{name}." for name in names), "")
    return components(
        ("embeddings", "embeddings", tuple(f"{one}embeddings." for one in before)),
        (
            "layers",
            "encoder layers",
            tuple(
                f"{one}{stack}." for one in before for stack in ("encoder", "transformer", "layers")
            ),
        ),
        ("norm", "final norm", tuple(f"{one}final_norm." for one in before)),
        ("pooler", "pooler", tuple(f"{one}pooler." for one in before)),
        (
            "head",
            "head",
            (
                "cls.",
                "lm_head.",
                "classifier.",
                "pre_classifier.",
                "qa_outputs.",
                "vocab_",
                "head.",
                "decoder.",
                "lm_predictions.",
                "mask_predictions.",
            ),
        ),
    )


def encoder(  # noqa: PLR0913 - what differs between them
    key: str,
    name: str,
    prefix: str,
    *,
    vocab: int,
    positions: int = 512,
    tasks: tuple[str, ...] = ("Model", "ForMaskedLM", *TASKS),
    more: tuple[Field, ...] = (TYPES,),
    derived: Mapping[str, str] = NO_EXPRESSIONS,
    fixed: Mapping[str, object] = NOTHING,
) -> Recipe:
    """Return the recipe of an encoder with BERT's config."""
    return recipe(
        key,
        tuple(name + one for one in tasks),
        (
            TIED,
            Field("vocab", "/vocab_size", VOCAB, default=vocab),
            Field("hidden", "/hidden_size", HIDDEN, default=768),
            Field("inner", "/intermediate_size", INNER, default=3072),
            Field("layers", "/num_hidden_layers", LAYERS, default=12),
            Field("heads", "/num_attention_heads", HEADS, default=12),
            Field("positions", "/max_position_embeddings", POSITIONS, default=positions),
            *more,
            *LABELS,
        ),
        prefix=prefix,
        derived={**CLASSES, **derived},
        fixed={"/pad_token_id": 0, **fixed},
        extra={"components": parts(prefix)},
    )


def among(*tasks: str) -> str:
    """Return the condition that the architecture is one of BERT's for these tasks."""
    return f"architecture in [{', '.join(repr(f'Bert{task}') for task in tasks)}]"


T5_FIELDS = (
    TIED,
    Field("gated", "/feed_forward_proj", ("relu", "gated-gelu"), choice=True, default="'relu'"),
    Field("vocab", "/vocab_size", VOCAB, default=32128),
    Field("hidden", "/d_model", HIDDEN, default=512),
    Field("head_dim", "/d_kv", (10, 14, 22, 26, 34), default=64),
    Field("inner", "/d_ff", INNER, default=2048),
    Field("layers", "/num_layers", LAYERS, default=6),
    Field("decoders", "/num_decoder_layers", (None, 1, 2, 3), default="layers"),
    Field("heads", "/num_heads", (3, 5, 6, 7), default=8),
    Field("buckets", "/relative_attention_num_buckets", (12, 16, 20, 32), default=32),
)
T5_PARTS = components(
    (
        "embeddings",
        "token embeddings",
        ("shared.", "encoder.embed_tokens.", "decoder.embed_tokens."),
    ),
    ("encoder", "encoder", ("encoder.",)),
    ("decoder", "decoder", ("decoder.",)),
    ("head", "head", ("lm_head.", "classifier.", "classification_head.")),
)

RECIPES = (
    encoder(
        "bert",
        "Bert",
        "bert",
        vocab=30522,
        tasks=(
            "Model",
            "ForMaskedLM",
            "ForPreTraining",
            "LMHeadModel",
            *TASKS,
            "ForMultipleChoice",
            "ForNextSentencePrediction",
        ),
        derived={
            "bare": "architecture == 'BertModel'",
            "masked": among("ForMaskedLM", "ForPreTraining", "LMHeadModel"),
            "classed": among("ForSequenceClassification", "ForTokenClassification"),
            "pooled": among(
                "Model",
                "ForPreTraining",
                "ForSequenceClassification",
                "ForMultipleChoice",
                "ForNextSentencePrediction",
            ),
            "paired": among("ForPreTraining", "ForNextSentencePrediction"),
            "chooses": "architecture == 'BertForMultipleChoice'",
            "answers": "architecture == 'BertForQuestionAnswering'",
        },
    ),
    encoder("roberta", "Roberta", "roberta", vocab=50265),
    encoder("xlm-roberta", "XLMRoberta", "roberta", vocab=30522),
    encoder(
        "mpnet",
        "MPNet",
        "mpnet",
        vocab=30527,
        more=(Field("buckets", "/relative_attention_num_buckets", (12, 16, 20, 32), default=32),),
    ),
    recipe(
        "distilbert",
        tuple(f"DistilBert{one}" for one in ("Model", "ForMaskedLM", *TASKS)),
        (
            TIED,
            Field("vocab", "/vocab_size", VOCAB, default=30522),
            Field("hidden", "/dim", HIDDEN, default=768),
            Field("inner", "/hidden_dim", INNER, default=3072),
            Field("layers", "/n_layers", LAYERS, default=6),
            Field("heads", "/n_heads", HEADS, default=12),
            Field("positions", "/max_position_embeddings", POSITIONS, default=512),
            *LABELS,
        ),
        prefix="distilbert",
        derived=CLASSES,
        fixed={"/pad_token_id": 0},
        extra={"components": parts("distilbert")},
        two_classes=("DistilBertForQuestionAnswering",),
    ),
    recipe(
        "modernbert",
        tuple(f"ModernBert{one}" for one in ("Model", "ForMaskedLM", *TASKS)),
        (
            TIED,
            *(
                Field(name, f"/{name}", BOOLS, choice=True, default=name == "decoder_bias")
                for name in (
                    "norm_bias",
                    "attention_bias",
                    "mlp_bias",
                    "decoder_bias",
                    "classifier_bias",
                )
            ),
            Field("vocab", "/vocab_size", VOCAB, default=50368),
            Field("hidden", "/hidden_size", HIDDEN, default=768),
            Field("inner", "/intermediate_size", INNER, default=1152),
            Field("layers", "/num_hidden_layers", (2, 3, 4, 5), default=22),
            Field("heads", "/num_attention_heads", HEADS, default=12),
            *LABELS,
        ),
        prefix="model",
        derived=CLASSES,
        fixed={
            **{f"/{key}_token_id": 1 for key in ("bos", "cls", "sep", "eos")},
            "/pad_token_id": 0,
            "/rope_parameters": {
                kind: {"rope_type": "default", "rope_theta": 1e4}
                for kind in ("full_attention", "sliding_attention")
            },
        },
        extra={"components": parts("model")},
    ),
    recipe(
        "t5",
        ("T5EncoderModel", "T5ForConditionalGeneration", "T5Model"),
        T5_FIELDS,
        prefix="transformer",
        derived={"q_width": "heads * head_dim"},
        extra={
            "components": T5_PARTS,
            "ignored": [
                "^decoder\\.block\\.0\\.layer\\.1\\.EncDecAttention\\.relative_attention_bias\\."
            ],
        },
    ),
    recipe(
        "umt5",
        ("UMT5EncoderModel", "UMT5ForConditionalGeneration", "UMT5Model"),
        (
            TIED,
            *(
                one._replace(
                    default={
                        "gated": "'gated-gelu'",
                        "vocab": 250112,
                        "inner": 1024,
                        "layers": 8,
                        "heads": 6,
                    }.get(one.name, one.default)
                )
                for one in T5_FIELDS[1:]
            ),
        ),
        prefix="transformer",
        derived={"q_width": "heads * head_dim"},
        extra={"components": T5_PARTS},
    ),
    recipe(
        "whisper",
        ("WhisperForConditionalGeneration", "WhisperModel", "WhisperForAudioClassification"),
        (
            TIED,
            Field("weighted", "/use_weighted_layer_sum", BOOLS, choice=True, default=False),
            Field("vocab", "/vocab_size", VOCAB, default=51865),
            Field("mels", "/num_mel_bins", (20, 28, 44), default=80),
            Field("hidden", "/d_model", HIDDEN, default=384),
            Field("encoders", "/encoder_layers", LAYERS, default=4),
            Field("encoder_heads", "/encoder_attention_heads", HEADS, default=6),
            Field("encoder_inner", "/encoder_ffn_dim", INNER, default=1536),
            Field("decoders", "/decoder_layers", (1, 2, 3), default=4),
            Field("decoder_heads", "/decoder_attention_heads", HEADS, default=6),
            Field("decoder_inner", "/decoder_ffn_dim", (21, 45, 77, 81, 99, 105), default=1536),
            Field("frames", "/max_source_positions", (18, 30, 50), default=1500),
            Field("positions", "/max_target_positions", POSITIONS, default=448),
            Field("projected", "/classifier_proj_size", (46, 58, 62), default=256),
            *LABELS,
        ),
        samples=96,
        prefix="model",
        derived=CLASSES,
        fixed={
            "/pad_token_id": 0,
            "/bos_token_id": 1,
            "/eos_token_id": 2,
            "/decoder_start_token_id": 1,
            "/begin_suppress_tokens": [1, 2],
        },
        extra={
            "components": components(
                ("encoder", "encoder", ("model.encoder.", "encoder.")),
                ("decoder", "decoder", ("model.decoder.", "decoder.")),
                ("head", "head", ("proj_out.", "projector.", "classifier.", "layer_weights")),
            )
        },
    ),
)
