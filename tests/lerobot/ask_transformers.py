"""Ask transformers and peft what they do with models that are wrong in one way each.

    python ask_transformers.py WORKSPACE

leaves in WORKSPACE a folder for each variant, and `answers.json`: by variant "same" where the
library computes what the right variant does, "other" where it computes something else, "refused"
where it raises. Adapters are left out where peft is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

if TYPE_CHECKING:
    from collections.abc import Callable

type Tensors = dict[str, torch.Tensor]
type Change = Callable[[Tensors, dict[str, Any]], Tensors]

INPUT = torch.arange(1, 9).unsqueeze(0)
BLOCK, LARGEST = 128, 448
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK]}
PREFIX = "base_model.model."
Q = "layers.1.self_attn.q_proj"


def without(*ends: str) -> Change:
    """Return a change that leaves tensors out."""
    return lambda tensors, _: {k: v for k, v in tensors.items() if not k.endswith(ends)}


def renamed(old: str, new: str) -> Change:
    """Return a change of names."""
    return lambda tensors, _: {k.replace(old, new): v for k, v in tensors.items()}


def setting(**values: Any) -> Change:
    """Return a change of the config; ... removes a key."""

    def change(tensors: Tensors, config: dict[str, Any]) -> Tensors:
        config.update(values)
        for key in [key for key, value in config.items() if value is ...]:
            del config[key]
        return tensors

    return change


MODELS: dict[str, Change] = {
    "fp8": setting(),
    "fp8: a scale missing": without(f"{Q}.weight_scale_inv"),
    "fp8: no scale": without("_scale_inv"),
    "fp8: a weight missing": without(f"{Q}.weight"),
    "fp8: a scale of another shape": lambda tensors, _: {
        k: torch.cat([v, v]) if k.endswith(f"{Q}.weight_scale_inv") else v
        for k, v in tensors.items()
    },
    "fp8: no config": setting(quantization_config=...),
    "unmerged": renamed("_proj.weight", "_proj.base_layer.weight"),
}
ADAPTERS: dict[str, Change] = {
    "lora": setting(),
    "lora: no lora_B": without(f"{Q}.lora_B.weight"),
    "lora: no lora_A": without(f"{Q}.lora_A.weight"),
    "lora: no tensor": without("weight"),
    "lora: no elements": lambda tensors, _: {k: v[:0] for k, v in tensors.items()},
    "lora: no prefix": renamed(PREFIX, ""),
    "lora: an adapter's name": renamed(".weight", ".other.weight"),
    "lora: other names": renamed(".lora_", "_"),
    "lora: another rank": setting(r=16),
    "lora: rank by module": setting(r=16, rank_pattern={"q_proj": 4, "v_proj": 4}),
    "lora: DoRA without vectors": setting(use_dora=True),
    "lora: no head": setting(modules_to_save=["lm_head"]),
    "lora: no method": setting(peft_type=...),
    "lora: another method": setting(peft_type="LOHA"),
    "lora: a target that the base lacks": setting(target_modules=["q_proj", "v_proj", "query"]),
    "dora": setting(),
    "dora: not asked for": setting(use_dora=False),
}


def base() -> Any:
    """Return a tiny model, the same each time."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": BLOCK,
        "intermediate_size": BLOCK,
        "vocab_size": 32,
        "tie_word_embeddings": False,
    }
    heads: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads)).eval()


def in_fp8(tensors: Tensors) -> Tensors:
    """Return the weights of linear layers in 8 bits, each with its scale."""
    found: Tensors = {}
    for name, value in tensors.items():
        if "_proj" not in name:
            found[name] = value
            continue
        scale = value.abs().max().reshape(1, 1) / LARGEST
        found[name] = (value / scale).to(torch.float8_e4m3fn)
        found[f"{name}_scale_inv"] = scale
    return found


def answer(load: Callable[[], Any], right: torch.Tensor | None) -> tuple[str, torch.Tensor | None]:
    """Return what the library does, and what the model computes."""
    try:
        with torch.no_grad():
            computed = load()(INPUT).logits.float()
    except Exception as error:  # noqa: BLE001 - whatever the library raises
        return f"refused: {type(error).__name__}", None
    is_same = right is None or torch.allclose(computed, right, atol=0.02)
    return "same" if is_same else "other", computed


def ask_models(workspace: Path) -> dict[str, str]:
    """Write the variants of a full model and load each."""
    found: dict[str, str] = {}
    right: dict[str, torch.Tensor | None] = {}
    base().save_pretrained(workspace / "base")
    plain = load_file(workspace / "base" / "model.safetensors")
    right["unmerged"] = answer(base, None)[1]
    for variant, change in MODELS.items():
        kind = variant.partition(":")[0]
        config = json.loads((workspace / "base" / "config.json").read_text())
        if kind == "fp8":
            config["quantization_config"] = dict(FP8)
        tensors = change(in_fp8(plain) if kind == "fp8" else dict(plain), config)
        folder = workspace / variant
        folder.mkdir()
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config))
        found[variant], computed = answer(
            partial(AutoModelForCausalLM.from_pretrained, folder, dtype=torch.float32),
            right.get(kind),
        )
        right.setdefault(kind, computed)
    return found


def ask_adapters(workspace: Path) -> dict[str, str]:
    """Write the variants of an adapter and load each."""
    from peft import LoraConfig, PeftModel, get_peft_model  # noqa: PLC0415 - may be absent

    found: dict[str, str] = {}
    right: dict[str, torch.Tensor | None] = {}
    for variant, change in ADAPTERS.items():
        kind = variant.partition(":")[0]
        folder, targets = workspace / variant, ["q_proj", "v_proj"]
        settings = LoraConfig(r=4, target_modules=targets, use_dora=kind == "dora")
        made = get_peft_model(base(), settings)
        made.peft_config["default"].base_model_name_or_path = "example/base"
        made.save_pretrained(str(folder))
        torch.manual_seed(1)
        tensors = {
            name: torch.randn_like(value) * 0.3 if "lora_" in name else value
            for name, value in sorted(load_file(folder / "adapter_model.safetensors").items())
        }
        config = json.loads((folder / "adapter_config.json").read_text())
        save_file(change(tensors, config), folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps(config))
        found[variant], computed = answer(
            partial(PeftModel.from_pretrained, base(), folder), right.get(kind)
        )
        right.setdefault(kind, computed)
    return found


def main(workspace: Path) -> None:
    """Write what both libraries do."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found = ask_models(workspace)
    if importlib.util.find_spec("peft"):
        found |= ask_adapters(workspace)
    (workspace / "answers.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
