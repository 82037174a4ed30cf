"""Tiny LeRobot policies as stock LeRobot saves them, with their processors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATE, ACTION, CAMERA = 6, 4, "observation.images.top"
EDGE = 64

SETTINGS: dict[str, dict[str, Any]] = {
    "act": {
        "pretrained_backbone_weights": None, "dim_model": 32, "n_heads": 4, "dim_feedforward": 48,
        "n_encoder_layers": 6, "n_vae_encoder_layers": 2, "latent_dim": 8, "chunk_size": 10,
        "n_action_steps": 10,
    },
    "diffusion": {
        "pretrained_backbone_weights": None, "horizon": 16, "n_action_steps": 8,
        "down_dims": (16, 32), "diffusion_step_embed_dim": 16, "spatial_softmax_num_keypoints": 8,
    },
    "vqbet": {
        "pretrained_backbone_weights": None, "crop_shape": (56, 56), "vqvae_embedding_dim": 16,
        "vqvae_enc_hidden_dim": 16, "gpt_block_size": 50, "gpt_input_dim": 32, "gpt_output_dim": 32,
        "gpt_n_layer": 6, "gpt_n_head": 4, "gpt_hidden_dim": 32,
    },
    "tdmpc": {
        "image_encoder_hidden_dim": 8, "state_encoder_hidden_dim": 16, "latent_dim": 16,
        "mlp_dim": 32,
    },
}  # fmt: skip


def policy(kind: str) -> Any:
    """Return a policy with random weights."""
    torch = importlib.import_module("torch")
    factory = importlib.import_module("lerobot.policies.factory")
    types = importlib.import_module("lerobot.configs.types")
    feature, kinds = types.PolicyFeature, types.FeatureType
    settings = factory.make_policy_config(
        kind,
        device="cpu",
        push_to_hub=False,
        input_features={
            "observation.state": feature(kinds.STATE, (STATE,)),
            CAMERA: feature(kinds.VISUAL, (3, EDGE, EDGE)),
        },
        output_features={"action": feature(kinds.ACTION, (ACTION,))},
        **SETTINGS[kind],
    )
    torch.manual_seed(0)
    return importlib.import_module("save_models").trained(factory.get_policy_class(kind)(settings))


def statistics() -> dict[str, dict[str, Any]]:
    """Return the statistics of a dataset, as LeRobot computes them."""
    torch = importlib.import_module("torch")
    torch.manual_seed(3)

    def of(*shape: int) -> dict[str, Any]:
        mean, std = torch.randn(shape), torch.rand(shape) + 0.5
        return {"mean": mean, "std": std, "min": mean - 2 * std, "max": mean + 2 * std}

    image = {key: value.abs() / 10 for key, value in of(3, 1, 1).items()}
    image["max"] = image["min"] + 0.5
    return {"observation.state": of(STATE), "action": of(ACTION), CAMERA: image}


def save_processors(settings: Any, folder: Path) -> None:
    """Save the processors that LeRobot makes for a policy."""
    factory = importlib.import_module("lerobot.policies.factory")
    for processor in factory.make_pre_post_processors(settings, dataset_stats=statistics()):
        processor.save_pretrained(folder)


def saver(kind: str) -> Callable[[Path], None]:
    """Return a saver of a policy."""

    def save(folder: Path) -> None:
        made = policy(kind)
        made.save_pretrained(folder)
        save_processors(made.config, folder)

    return save


def save_lora(folder: Path) -> None:
    """Save a LoRA over the tiny ACT, as `lerobot-train --peft` does."""
    peft = importlib.import_module("peft")
    modeling = importlib.import_module("lerobot.policies.act.modeling_act")
    base = modeling.ACTPolicy.from_pretrained(folder.parent / "act")
    base.config.pretrained_path = "example/tiny-act"  # as if it had been loaded from the Hub
    wrapped = base.wrap_with_peft(
        peft.LoraConfig(r=4, target_modules=r"model\.(en|de)coder\.layers\.\d+\.linear[12]")
    )
    importlib.import_module("save_models").trained(wrapped).save_pretrained(folder)
    base.config.save_pretrained(folder)
    save_processors(base.config, folder)


POLICIES: dict[str, Callable[[Path], None]] = {
    **{kind: saver(kind) for kind in SETTINGS},
    "act-lora": save_lora,
}
