"""Train small language models in the ways that `ckpt diff` tells apart, into the folder argv[1].

A program of its own, because it imports torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(sys.argv[1])
CONFIG = LlamaConfig(
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=128,
    max_position_embeddings=32,
)


def new(seed: int) -> Any:
    """Return a model with random weights."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(CONFIG)


def again(name: str = "base", dtype: torch.dtype = torch.float32) -> Any:
    """Return a saved model."""
    return LlamaForCausalLM.from_pretrained(ROOT / name, dtype=dtype)


def batch(generator: torch.Generator) -> Tensor:
    """Return sequences of the only language there is: sums modulo 128."""
    return torch.randint(0, 9, (8, 16), generator=generator).cumsum(1) % 128


def train(model: Any, steps: int, rate: float) -> Any:
    """Train what has a gradient."""
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate)
    generator = torch.Generator().manual_seed(steps)
    for _ in range(steps):
        inputs = batch(generator)
        model(input_ids=inputs, labels=inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def adapted(model: Any, rank: int, *targets: str) -> Any:
    """Return the model with a trained adapter merged."""
    torch.manual_seed(rank)
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets) or "all-linear")
    return train(get_peft_model(model, lora), 20, 2e-3).merge_and_unload()


def frozen(model: Any) -> Any:
    """Return the model with only its last layer and its head to train."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("model.layers.1.", "lm_head.")))
    return model


def main() -> None:
    """Save every model."""
    torch.set_num_threads(1)
    train(new(0), 60, 3e-3).save_pretrained(ROOT / "base")
    again().to(torch.bfloat16).save_pretrained(ROOT / "base-bf16")
    head = again()
    torch.nn.init.normal_(head.lm_head.weight)
    for name, model in (
        ("full", train(again(), 20, 1e-3)),
        ("full-little", train(again(), 2, 1e-5)),
        ("full-long", train(again(), 150, 3e-3)),
        ("full-bf16", train(again("base-bf16", torch.bfloat16), 20, 1e-3)),
        ("full-rounded", train(again("base-bf16"), 20, 1e-4).to(torch.bfloat16)),
        ("lora", adapted(again(), 4)),
        ("lora-16", adapted(again(), 16)),
        ("lora-bf16", adapted(again("base-bf16", torch.bfloat16), 4, "q_proj", "v_proj")),
        ("frozen", train(frozen(again()), 20, 1e-3)),
        ("head", head),
        ("other", train(new(1), 60, 3e-3)),
        ("untrained", new(2)),
    ):
        model.save_pretrained(ROOT / name)


main()
