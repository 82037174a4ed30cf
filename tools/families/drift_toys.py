"""Toy configs of the architectures whose names are followed from release to release.

Nothing is tied, so that every name has values of its own.
"""

from __future__ import annotations

from typing import Any

type Json = dict[str, Any]

_UNTIED: Json = {"tie_word_embeddings": False}
_TEXT: Json = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 40,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    **_UNTIED,
}
_VISION: Json = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
_HEADS: Json = {**_TEXT, "head_dim": 8}
_TOWER: Json = {**_TEXT, "max_position_embeddings": 8}
_CAPTIONS: Json = {key: value for key, value in _TOWER.items() if key != "num_key_value_heads"}
_MROPE: Json = {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}

TOYS: dict[tuple[str, str], Json] = {
    ("llama", "LlamaForCausalLM"): _TEXT,
    ("qwen2", "Qwen2ForCausalLM"): _TEXT,
    ("qwen3", "Qwen3ForCausalLM"): _HEADS,
    ("gemma2", "Gemma2ForCausalLM"): _HEADS,
    ("gemma3_text", "Gemma3ForCausalLM"): _HEADS,
    ("gemma3", "Gemma3ForConditionalGeneration"): {
        "text_config": _HEADS,
        "vision_config": _VISION,
        "image_token_index": 5,
        "boi_token_index": 6,
        "eoi_token_index": 7,
        "mm_tokens_per_image": 4,
        **_UNTIED,
    },
    ("mistral", "MistralForCausalLM"): _TEXT,
    ("mixtral", "MixtralForCausalLM"): {**_TEXT, "num_local_experts": 2},
    ("phi3", "Phi3ForCausalLM"): _TEXT,
    ("smollm3", "SmolLM3ForCausalLM"): _TEXT,
    ("smolvlm", "SmolVLMForConditionalGeneration"): {
        "text_config": {**_TEXT, "model_type": "llama"},
        "vision_config": _VISION,
        "scale_factor": 2,
        "image_token_id": 5,
        "pad_token_id": 0,
        **_UNTIED,
    },
    ("paligemma", "PaliGemmaForConditionalGeneration"): {
        "text_config": {**_HEADS, "model_type": "gemma"},
        "vision_config": {**_VISION, "model_type": "siglip_vision_model"},
        "projection_dim": 16,
        "image_token_index": 5,
        **_UNTIED,
    },
    ("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"): {
        **_TEXT,
        **_MROPE,
        "vision_config": {
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": 8,
        },
    },
    ("whisper", "WhisperForConditionalGeneration"): {
        "vocab_size": 40,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "max_source_positions": 8,
        "max_target_positions": 8,
        "num_mel_bins": 8,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
        **_UNTIED,
    },
    ("vit", "ViTForImageClassification"): {**_VISION, "num_labels": 2},
    ("vit", "ViTModel"): _VISION,
    ("siglip", "SiglipModel"): {"text_config": _CAPTIONS, "vision_config": _VISION},
    ("siglip_vision_model", "SiglipVisionModel"): _VISION,
    ("dinov2", "Dinov2Model"): _VISION,
    ("clip", "CLIPModel"): {
        "projection_dim": 8,
        "text_config": _CAPTIONS,
        "vision_config": _VISION,
    },
    ("clip_text_model", "CLIPTextModel"): _CAPTIONS,
    ("clip_vision_model", "CLIPVisionModel"): _VISION,
    ("bert", "BertModel"): _CAPTIONS,
    ("bert", "BertForSequenceClassification"): _CAPTIONS,
}
