"""Save tiny models with the libraries that people save theirs with, in one process.

    python save_models.py WORKSPACE

leaves in WORKSPACE a folder for each of `MODELS` and `POLICIES` (save_policies.py). Weights are
random, as a library initializes them, and then moved a little, as training moves them.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from collections.abc import Callable

torch = importlib.import_module("torch")
transformers = importlib.import_module("transformers")
peft = importlib.import_module("peft")

LAYERS = 6
"""As many as let a rule expect of one what all others have."""

TEXT: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
}
VISION: dict[str, Any] = ENCODER | {"image_size": 32, "patch_size": 8}
SHARD = "40KB"
BASE = "example/tiny-llama"
"""The Hub name of the adapters' base model, as if it had been loaded from there."""


def trained(model: Any) -> Any:
    """Move every parameter a little, and return the model."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    return model


def built(architecture: str, **fields: Any) -> Any:
    """Return a transformers model with random weights."""
    torch.manual_seed(0)
    builder = getattr(transformers, architecture)
    return trained(builder(builder.config_class(**fields)))


def text(architecture: str, *, dtype: str = "", shard: str = "", **fields: Any) -> Any:
    """Return a saver of a language model."""
    return saver(architecture, dtype=dtype, shard=shard, **(TEXT | fields))


def stacked(architecture: str, **fields: Any) -> Callable[[Path], None]:
    """Return a saver of a language model whose experts are one tensor a layer."""

    def save(folder: Path) -> None:
        built(architecture, **(TEXT | fields)).save_pretrained(folder, save_original_format=False)

    return save


def saver(
    architecture: str, *, dtype: str = "", shard: str = "", **fields: Any
) -> Callable[[Path], None]:
    """Return a saver of a transformers model, in this dtype and in shards of this size."""

    def save(folder: Path) -> None:
        model = built(architecture, **fields)
        if dtype:
            model.to(getattr(torch, dtype))
        model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))

    return save


def adapter(base_name: str = "llama", **options: Any) -> Callable[[Path], None]:
    """Return a saver of a LoRA over a tiny model, Llama if no other is named."""

    def save(folder: Path) -> None:
        torch.manual_seed(0)
        stored = folder.parent / base_name
        architecture = transformers.AutoConfig.from_pretrained(stored).architectures[0]
        base = getattr(transformers, architecture).from_pretrained(stored)
        base.name_or_path = BASE
        settings = peft.LoraConfig(task_type="CAUSAL_LM", **({"r": 4, "lora_alpha": 8} | options))
        trained(peft.get_peft_model(base, settings)).save_pretrained(folder)

    return save


def pipeline(folder: Path) -> None:
    """Save a text-to-image pipeline without a safety checker."""
    diffusers = importlib.import_module("diffusers")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    words = [*map(str, range(90)), "<|startoftext|>", "<|endoftext|>"]
    diffusers.StableDiffusionPipeline(
        vae=trained(vae),
        text_encoder=built("CLIPTextModel", vocab_size=96, **ENCODER),
        tokenizer=transformers.CLIPTokenizer(
            vocab={word: number for number, word in enumerate(words)}, merges=[]
        ),
        unet=trained(unet),
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def component(folder: Path) -> None:
    """Save a diffusers model alone."""
    diffusers = importlib.import_module("diffusers")
    torch.manual_seed(0)
    trained(
        diffusers.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, num_layers=LAYERS, sample_size=8,
            patch_size=2, norm_num_groups=4, in_channels=4, num_embeds_ada_norm=10,
        )
    ).save_pretrained(folder)  # fmt: skip


def sentences(folder: Path) -> None:
    """Save a sentence-transformers model of four modules: BERT, pooling, a dense layer, norm."""
    library = importlib.import_module("sentence_transformers")
    modules = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    base = folder.parent / "bert-for-sentences"
    built("BertModel", vocab_size=96, **ENCODER).save_pretrained(base)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(91))]
    transformers.BertTokenizer(
        vocab={word: number for number, word in enumerate(words)}
    ).save_pretrained(base)
    torch.manual_seed(0)
    dense = modules.Dense(in_features=32, out_features=16)
    parts = [modules.Transformer(str(base)), modules.Pooling(32), dense, modules.Normalize()]
    library.SentenceTransformer(modules=parts, device="cpu").save_pretrained(str(folder))


def timm_model(name: str, **fields: Any) -> Callable[[Path], None]:
    """Return a saver of a timm model."""

    def save(folder: Path) -> None:
        timm = importlib.import_module("timm")
        torch.manual_seed(0)
        model = trained(timm.create_model(name, pretrained=False, num_classes=10, **fields))
        timm.models.save_for_hf(model, folder, safe_serialization=True)

    return save


MODELS: dict[str, Callable[[Path], None]] = {
    "llama": text("LlamaForCausalLM"),
    "llama-tied": text("LlamaForCausalLM", tie_word_embeddings=True),
    "llama-bf16": text("LlamaForCausalLM", dtype="bfloat16"),
    "llama-sharded": text("LlamaForCausalLM", shard=SHARD),
    "qwen2": text("Qwen2ForCausalLM", tie_word_embeddings=True),
    "qwen3": text("Qwen3ForCausalLM"),
    "qwen3-moe": text(
        "Qwen3MoeForCausalLM", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
        shard=SHARD,
    ),
    "mixtral": text("MixtralForCausalLM", num_local_experts=4),
    "mixtral-stacked": stacked("MixtralForCausalLM", num_local_experts=4),
    "qwen2-moe-stacked": stacked(
        "Qwen2MoeForCausalLM", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
        shared_expert_intermediate_size=24,
    ),
    "gemma3": text("Gemma3ForCausalLM"),
    "phi3": text("Phi3ForCausalLM"),
    "gpt2": saver(
        "GPT2LMHeadModel", vocab_size=96, n_embd=32, n_layer=LAYERS, n_head=4, n_positions=32
    ),
    "t5": saver(
        "T5ForConditionalGeneration", vocab_size=96, d_model=32, d_ff=48, d_kv=8, num_layers=LAYERS,
        num_heads=4,
    ),
    "t5-untied": saver(
        "T5ForConditionalGeneration", vocab_size=96, d_model=32, d_ff=48, d_kv=8, num_layers=LAYERS,
        num_heads=4, tie_word_embeddings=False, feed_forward_proj="gated-gelu",
    ),
    "bert": saver("BertForMaskedLM", vocab_size=96, **ENCODER),
    "bert-classifier": saver("BertForSequenceClassification", vocab_size=96, **ENCODER),
    "whisper": saver(
        "WhisperForConditionalGeneration", vocab_size=96, d_model=32, encoder_layers=LAYERS,
        decoder_layers=LAYERS, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=48, decoder_ffn_dim=48, num_mel_bins=16, max_source_positions=16,
        max_target_positions=16,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        begin_suppress_tokens=[3],
    ),
    "vit": saver("ViTForImageClassification", num_labels=5, **VISION),
    "dinov2": saver("Dinov2Model", **VISION),
    "siglip": saver(
        "SiglipModel", text_config=ENCODER | {"vocab_size": 96, "projection_size": 32},
        vision_config=VISION,
    ),
    "clip": saver(
        "CLIPModel", text_config=ENCODER | {"vocab_size": 96}, vision_config=VISION,
        projection_dim=16,
    ),
    "paligemma": saver(
        "PaliGemmaForConditionalGeneration",
        text_config=TEXT | {"model_type": "gemma"},
        vision_config=VISION | {"model_type": "siglip_vision_model", "projection_dim": 32},
        projection_dim=32, image_token_index=95, dtype="bfloat16", shard=SHARD,
    ),
    "smolvlm": saver(
        "SmolVLMForConditionalGeneration",
        text_config=TEXT | {"model_type": "llama"},
        vision_config=VISION | {"model_type": "smolvlm_vision"},
        image_token_id=95, scale_factor=2,
    ),
    "lora": adapter(target_modules=["q_proj", "v_proj"]),
    "lora-dora": adapter(target_modules=["q_proj", "v_proj"], use_dora=True),
    "lora-head": adapter(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "lora-all-linear": adapter(target_modules="all-linear"),
    "lora-ranks": adapter(
        target_modules=["q_proj", "down_proj"], rank_pattern={"down_proj": 2},
        alpha_pattern={"down_proj": 4}, use_rslora=True,
    ),
    "lora-layers": adapter(target_modules=["q_proj"], layers_to_transform=[0, 1, 3]),
    "lora-embedding": adapter(target_modules=["embed_tokens", "q_proj"]),
    "lora-paligemma": adapter("paligemma", target_modules=["q_proj", "v_proj"]),
    "pipeline": pipeline,
    "dit": component,
    "sentences": sentences,
    "timm-vit": timm_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=LAYERS, num_heads=4
    ),
    "timm-resnet": timm_model("resnet10t", stem_width=8, channels=(8, 16, 16, 16)),
}  # fmt: skip
"""What saves a model into a folder, by the folder's name; an adapter after its base."""


def main(workspace: Path, only: list[str]) -> None:
    """Save all, or only those named."""
    torch.set_num_threads(1)
    policies = importlib.import_module("save_policies").POLICIES
    for name, save in (MODELS | policies).items():
        if not only or name in only:
            save(workspace / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
