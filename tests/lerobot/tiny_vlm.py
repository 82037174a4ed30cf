"""Make a SmolVLM folder at toy width for `--policy.vlm_model_name`, offline.

Config, tokenizer, processors, and random weights on request.

    python tiny_vlm.py OUT [--weights]

It has the parts that SmolVLAPolicy asks for and no more. Numbers are in `TEXT` and `VISION`;
`dimensions` in test_layout.py repeats what follows from them.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

IMAGE_TOKEN = "<image>"  # noqa: S105 - a token of text
SPECIAL = {
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "image_token": IMAGE_TOKEN,
    "end_of_utterance_token": "<end_of_utterance>",
}
PLAIN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 288
TEXT = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "pad_token_id": 2,
    "vocab_size": VOCABULARY,
    "torch_dtype": "bfloat16",
}
VISION = {
    "model_type": "smolvlm_vision",
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "tie_word_embeddings": False,
}
CONFIG = {
    "architectures": ["SmolVLMForConditionalGeneration"],
    "model_type": "smolvlm",
    "image_token_id": len(PLAIN) + list(SPECIAL.values()).index(IMAGE_TOKEN),
    "scale_factor": 2,
    "tie_word_embeddings": False,
    "vocab_size": VOCABULARY,
    "torch_dtype": "float32",
    "text_config": TEXT,
    "vision_config": VISION,
}


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer without merges: every byte is a token."""
    tokenizers, transformers = (
        importlib.import_module("tokenizers"),
        importlib.import_module("transformers"),
    )
    tokens = [*PLAIN, *SPECIAL.values(), *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab={token: number for number, token in enumerate(tokens)}, merges=[]
        )
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    end, start, pad = PLAIN
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=SPECIAL["end_of_utterance_token"],
        pad_token=pad,
        unk_token=end,
    )
    fast.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    write_json(
        path, json.loads(path.read_text(encoding="utf-8")) | {"extra_special_tokens": SPECIAL}
    )


def write_weights(folder: Path) -> None:
    """Write random weights in BF16, as the real VLM has them."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    torch.manual_seed(0)
    model = transformers.SmolVLMForConditionalGeneration(
        transformers.AutoConfig.from_pretrained(folder)
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    write_json(folder / "config.json", CONFIG)


def make(folder: Path, *, weights: bool) -> None:
    """Make the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", CONFIG)
    write_tokenizer(folder)
    edge = VISION["image_size"]
    resize = {"size": {"longest_edge": edge}, "max_image_size": {"longest_edge": edge}}
    write_json(
        folder / "preprocessor_config.json",
        {"image_processor_type": "SmolVLMImageProcessor", "do_image_splitting": False, **resize},
    )
    write_json(
        folder / "video_preprocessor_config.json",
        {"video_processor_type": "SmolVLMVideoProcessor", **resize},
    )
    write_json(
        folder / "processor_config.json",
        {"processor_class": "SmolVLMProcessor", "image_seq_len": 4},
    )
    if weights:
        write_weights(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), weights="--weights" in sys.argv)
