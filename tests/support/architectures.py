"""Run in a process of its own: what real libraries build and load, as JSON on standard output.

`names` gives config, names and shapes of architectures as transformers builds them, on the meta
device; `load FOLDER…` says of each folder what transformers does with it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
import transformers

ARCHITECTURES = (
    *("LlamaForCausalLM", "Qwen3ForCausalLM", "Gemma2ForCausalLM", "GPT2LMHeadModel"),
    *("OPTForCausalLM", "PaliGemmaForConditionalGeneration", "WhisperModel", "CLIPModel"),
    *("BertModel", "T5Model", "ConvNextModel", "ResNetModel", "SegformerModel"),
)
"""One of each sort: their blocks, embeddings and heads are what rules must not take for faults."""


def names() -> dict[str, object]:
    """Return config and tensors of each architecture, tied ones once."""
    found: dict[str, object] = {}
    for name in ARCHITECTURES:
        kind = getattr(transformers, name)
        with torch.device("meta"):
            model = kind(kind.config_class())
        held = {
            id(tensor): key for key, tensor in reversed(model.state_dict(keep_vars=True).items())
        }
        shapes = {key: list(model.state_dict()[key].shape) for key in held.values()}
        config = json.loads(model.config.to_json_string()) | {"architectures": [name]}
        found[name] = {"config": config, "shapes": shapes}
    return found


def loaded(folder: str) -> str:
    """Return "refused", or the names that transformers leaves at random values."""
    try:
        answer: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True
        )
        _, report = answer
    except RuntimeError:
        return "refused"
    return " ".join(sorted(report["missing_keys"]))


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    what, *folders = sys.argv[1:]
    given = names() if what == "names" else {folder: loaded(folder) for folder in folders}
    sys.stdout.write(json.dumps(given))
