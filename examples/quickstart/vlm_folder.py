"""Make a SmolVLM folder for `--policy.vlm_model_name`, offline, with random weights.

    python vlm_folder.py OUT [--size tiny|small|real] [--no-weights]

`tiny` has all parts of a SmolVLM, very small, and `small` is twice as wide; `real` has the
architecture of SmolVLM2-500M-Video-Instruct. The tokenizer works on bytes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = {
    "unk_token": "<|endoftext|>",
    "bos_token": "<|im_start|>",
    "pad_token": "<|im_end|>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "image_token": "<image>",
    "end_of_utterance_token": "<end_of_utterance>",
}
_STANDARD = ("unk_token", "bos_token", "pad_token")

TEXT: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 320, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512,
    },
    "small": {
        "vocab_size": 320, "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 512,
    },
    "real": {
        "vocab_size": 49280, "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5, "head_dim": 64, "max_position_embeddings": 8192,
        "rope_theta": 100000,
    },
}  # fmt: skip
VISION: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 64, "patch_size": 8,
    },
    "small": {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": 64, "patch_size": 8,
    },
    "real": {"hidden_size": 768, "num_attention_heads": 12, "image_size": 512, "patch_size": 16},
}  # fmt: skip
IMAGE_TOKEN_ID = {"tiny": 5, "small": 5, "real": 49190}
IMAGE_TOKENS = {"tiny": 4, "small": 4, "real": 64}


def make_vlm_folder(out: Path, size: str = "tiny", *, weights: bool = True) -> Path:
    """Fill the folder `out` and return it. The weights are random with seed 0, in BF16."""
    out.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(out)
    _write_processors(out, size)
    _write_json(out / "config.json", _model_config(size))
    if weights:
        _write_weights(out)
    return out


def _model_config(size: str) -> dict[str, Any]:
    return {
        "architectures": ["SmolVLMForConditionalGeneration"],
        "model_type": "smolvlm",
        "image_token_id": IMAGE_TOKEN_ID[size],
        "scale_factor": 4,
        "tie_word_embeddings": False,
        "vocab_size": TEXT[size]["vocab_size"],
        "torch_dtype": "float32",
        "text_config": {
            "model_type": "llama",
            "rms_norm_eps": 1e-5,
            "pad_token_id": 2,
            "torch_dtype": "bfloat16",
            **TEXT[size],
        },
        "vision_config": {
            "model_type": "smolvlm_vision",
            "tie_word_embeddings": False,
            **VISION[size],
        },
    }


def _write_tokenizer(out: Path) -> None:
    vocabulary = {token: number for number, token in enumerate(SPECIAL_TOKENS.values())}
    for byte in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary.setdefault(byte, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    standard = {name: SPECIAL_TOKENS[name] for name in _STANDARD}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=SPECIAL_TOKENS["end_of_utterance_token"], **standard
    ).save_pretrained(out)
    saved = json.loads((out / "tokenizer_config.json").read_text())
    saved["extra_special_tokens"] = {
        name: token for name, token in SPECIAL_TOKENS.items() if name not in _STANDARD
    }
    _write_json(out / "tokenizer_config.json", saved)


def _write_processors(out: Path, size: str) -> None:
    edge = VISION[size]["image_size"]
    resize = {"size": {"longest_edge": 4 * edge}, "max_image_size": {"longest_edge": edge}}
    _write_json(
        out / "preprocessor_config.json",
        {"image_processor_type": "SmolVLMImageProcessor", "do_image_splitting": True, **resize},
    )
    _write_json(
        out / "video_preprocessor_config.json",
        {"video_processor_type": "SmolVLMVideoProcessor", **resize},
    )
    _write_json(
        out / "processor_config.json",
        {"processor_class": "SmolVLMProcessor", "image_seq_len": IMAGE_TOKENS[size]},
    )


def _write_weights(out: Path) -> None:
    # Imported here because both take seconds, and a folder without weights needs neither.
    import torch
    from transformers import AutoConfig, SmolVLMForConditionalGeneration

    config = (out / "config.json").read_text()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vlm = SmolVLMForConditionalGeneration(AutoConfig.from_pretrained(out))
        vlm.to(torch.bfloat16).save_pretrained(out)  # type: ignore[arg-type]  # has no overloads
    (out / "config.json").write_text(config)  # save_pretrained replaced it with its defaults


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="output folder")
    parser.add_argument(
        "--size", choices=sorted(TEXT), default="tiny", help="size of the model (default: tiny)"
    )
    parser.add_argument(
        "--no-weights",
        action="store_true",
        help="write no weights; enough if load_vlm_weights is false",
    )
    options = parser.parse_args()
    make_vlm_folder(options.out, options.size, weights=not options.no_weights)


if __name__ == "__main__":
    main()
