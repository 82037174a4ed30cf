"""Models of transformers as people publish them: how many tensors, and names of many releases."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import pytest

from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.model import Tensor
from ckpt_tools.families.expected import expected
from ckpt_tools.families.family import Expectation
from ckpt_tools.families.family_file import load
from ckpt_tools.families.registry import family_of
from ckpt_tools.rules.engine import check_rules
from ckpt_tools.rules.finding import Severity
from ckpt_tools.rules.rule import Subject
from tests.support.policies import RULES, checkpoint_of

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
BERT = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
PALIGEMMA: dict[str, Any] = {
    "model_type": "paligemma",
    "architectures": ["PaliGemmaForConditionalGeneration"],
    "projection_dim": 2048,
    "text_config": {
        "hidden_size": 2048,
        "intermediate_size": 16384,
        "model_type": "gemma",
        "num_attention_heads": 8,
        "num_hidden_layers": 18,
        "num_key_value_heads": 1,
        "vocab_size": 257216,
    },
    "vision_config": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
        "vision_use_head": False,
    },
}
QWEN_VL: dict[str, Any] = {
    "model_type": "qwen2_5_vl",
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
    "vision_config": {"depth": 32, "hidden_size": 1280, "in_chans": 3, "out_hidden_size": 3584},
    "vocab_size": 152064,
}


def model(key: str, architecture: str, **values: object) -> dict[str, Any]:
    return {"model_type": key, "architectures": [architecture], **values}


COUNTS = (
    (LLAMA, 291),
    (model("llama", "LlamaModel"), 290),
    (model("qwen2", "Qwen2ForCausalLM"), 387),
    (model("qwen3", "Qwen3ForCausalLM"), 355),
    (model("gemma", "GemmaForCausalLM"), 255),
    (model("gemma2", "Gemma2ForCausalLM"), 289),
    (model("gemma3_text", "Gemma3ForCausalLM"), 341),
    (model("mistral", "MistralForCausalLM"), 291),
    (model("mixtral", "MixtralForCausalLM"), 995),
    (model("phi", "PhiForCausalLM"), 341),
    (model("phi3", "Phi3ForCausalLM"), 195),
    (model("smollm3", "SmolLM3ForCausalLM"), 327),
    (BERT, 204),
    (model("bert", "BertModel"), 199),
    (model("xlm-roberta", "XLMRobertaModel"), 199),
    (model("mpnet", "MPNetModel"), 199),
    (model("modernbert", "ModernBertModel"), 134),
    (model("t5", "T5EncoderModel"), 52),
    (model("whisper", "WhisperForConditionalGeneration"), 168),
    (model("vit", "ViTForImageClassification"), 200),
    (model("siglip", "SiglipModel", text_config={}, vision_config={}), 408),
    (model("siglip2", "Siglip2Model"), 408),
    (model("dinov2", "Dinov2Model"), 223),
    (model("dinov3_vit", "DINOv3ViTModel", num_register_tokens=4), 211),
    (model("clip", "CLIPModel"), 398),
    (model("clip_text_model", "CLIPTextModel"), 196),
    (model("smolvlm", "SmolVLMForConditionalGeneration"), 489),
    (PALIGEMMA, 604),
    (QWEN_VL, 729),
)


def found(config: dict[str, Any]) -> Expectation:
    """Return what a config asks for."""
    file = load("transformers", config["model_type"])
    assert file is not None
    answer = expected(file, config)
    assert isinstance(answer, Expectation), answer
    return answer


@pytest.mark.parametrize(("config", "count"), COUNTS, ids=lambda one: str(one)[:60])
def test_a_published_config_asks_for_as_many_tensors_as_the_model_has(
    config: dict[str, Any], count: int
) -> None:
    assert len(found(config).tensors) == count


class Stored(NamedTuple):
    """A checkpoint whose names differ from those that the library writes now.

    `renamed` are patterns and what takes their place, `dropped` patterns of tensors that it does
    not have, `more` shapes of tensors that it has besides.
    """

    config: dict[str, Any]
    renamed: tuple[tuple[str, str], ...] = ()
    dropped: str = "(?!)"
    more: tuple[tuple[str, Dtype, tuple[int, ...]], ...] = ()


def tensors(stored: Stored) -> list[Tensor]:
    """Return the tensors as they are stored; of a tie the first is."""
    answer = found(stored.config)
    copies = {name for group in answer.ties for name in group[1:]}
    shapes: dict[str, tuple[Dtype, tuple[int, ...]]] = {}
    for name, one in answer.tensors.items():
        if name in copies or re.search(stored.dropped, name):
            continue
        for old, new in stored.renamed:
            name = re.sub(old, new, name, count=1)  # noqa: PLW2901 - one after the other
        shapes[name] = one.dtype, one.shape or ()
    shapes |= {name: (dtype, shape) for name, dtype, shape in stored.more}
    return [
        Tensor(name, dtype, shape, "model.safetensors", 0, 0)
        for name, (dtype, shape) in shapes.items()
    ]


LLAVA_51 = ((r"^model\.", ""),)
LLAVA_52 = (
    (r"^model\.language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
)
LAWFUL = {
    "BERT of 2018": Stored(
        BERT,
        ((r"LayerNorm\.weight", "LayerNorm.gamma"), (r"LayerNorm\.bias", "LayerNorm.beta")),
        more=(
            ("cls.seq_relationship.weight", Dtype.F32, (2, 768)),
            ("bert.pooler.dense.weight", Dtype.F32, (768, 768)),
            ("bert.embeddings.position_ids", Dtype.I64, (1, 512)),
        ),
    ),
    "sentence embeddings saved from the base model": Stored(
        model("mpnet", "MPNetForMaskedLM"), ((r"^mpnet\.", ""),), r"^lm_head\."
    ),
    "BERT without its pooler": Stored(model("bert", "BertModel"), dropped=r"^pooler\."),
    "BERT saved with its prefix": Stored(model("bert", "BertModel"), ((r"^", "bert."),)),
    "GPT-2 of 2019": Stored(
        model("gpt2", "GPT2LMHeadModel"),
        ((r"^transformer\.", ""),),
        more=(("h.0.attn.bias", Dtype.F32, (1, 1, 1024, 1024)),),
    ),
    "Llama with its rotary buffers": Stored(
        LLAMA, more=(("model.layers.0.self_attn.rotary_emb.inv_freq", Dtype.F32, (64,)),)
    ),
    "embeddings of a language model": Stored(
        model("qwen2", "Qwen2ForCausalLM", tie_word_embeddings=True), ((r"^model\.", ""),)
    ),
    "CLIP with position numbers": Stored(
        model("clip", "CLIPModel"),
        more=(("text_model.embeddings.position_ids", Dtype.I64, (1, 77)),),
    ),
    "T5 of 2020": Stored(
        model("t5", "T5ForConditionalGeneration"),
        more=(
            (
                "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
                Dtype.F32,
                (32, 8),
            ),
        ),
    ),
    "PaliGemma of 2024": Stored(PALIGEMMA, LLAVA_51),
    "PaliGemma of 4.52": Stored(PALIGEMMA, LLAVA_52),
    "PaliGemma of 5.5": Stored(PALIGEMMA),
    "Qwen2.5-VL of 2025": Stored(QWEN_VL, ((r"^model\.visual\.", "visual."),)),
    "Qwen2.5-VL of 4.52": Stored(QWEN_VL, ((r"^model\.(?!visual\.)", "model.language_model."),)),
}


@pytest.mark.parametrize("stored", LAWFUL.values(), ids=LAWFUL)
def test_names_that_the_installed_release_still_reads_are_no_fault(stored: Stored) -> None:
    checkpoint = checkpoint_of(tensors(stored), stored.config)
    said, *_ = check_rules(RULES, Subject(checkpoint, family_of(checkpoint)))
    assert [finding for finding in said if finding.severity is not Severity.NOTE] == []


@pytest.mark.parametrize("stored", LAWFUL.values(), ids=LAWFUL)
def test_a_tensor_that_is_missing_among_those_names_is_found(stored: Stored) -> None:
    _, *rest = tensors(stored._replace(more=()))
    lost = next(one for one in rest if re.search(r"mlp|attention|Attention|attn", one.name))
    left = [one for one in tensors(stored) if one.name != lost.name]
    checkpoint = checkpoint_of(left, stored.config)
    said, *_ = check_rules(RULES, Subject(checkpoint, family_of(checkpoint)))
    assert "CK305" in [finding.code for finding in said]
