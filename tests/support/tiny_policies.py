"""Stock policies of LeRobot, as small as they can be, for programs that import it."""

from __future__ import annotations

import importlib
from typing import Any

CAMERA, STATE, ACTION = "observation.image", "observation.state", "action"
DIMS, PIXELS = 6, 64
"""Numbers of joints, and of the pixels of an edge."""

SETTINGS: dict[str, dict[str, Any]] = {
    "act": {
        "chunk_size": 8, "n_action_steps": 8, "dim_model": 16, "n_heads": 2, "dim_feedforward": 16,
        "n_encoder_layers": 1, "n_decoder_layers": 1, "n_vae_encoder_layers": 1, "latent_dim": 4,
        "pretrained_backbone_weights": None,
    },
    "diffusion": {
        "horizon": 8, "n_action_steps": 4, "down_dims": (8, 16), "diffusion_step_embed_dim": 8,
        "spatial_softmax_num_keypoints": 4, "pretrained_backbone_weights": None,
        "crop_shape": None, "num_train_timesteps": 2,
    },
    "tdmpc": {"latent_dim": 8, "mlp_dim": 8, "state_encoder_hidden_dim": 8},
    "vqbet": {
        "crop_shape": (64, 64), "gpt_n_layer": 1, "gpt_n_head": 2, "gpt_hidden_dim": 8,
        "gpt_output_dim": 8, "gpt_input_dim": 8, "vqvae_enc_hidden_dim": 8,
        "pretrained_backbone_weights": None,
    },
}  # fmt: skip
"""By type, what differs from its defaults."""

NUMBERS = {"mean": 0.5, "std": 2.0, "min": -3.0, "max": 4.0, "q01": -2.0, "q99": 3.0}
"""The statistics of every feature."""


def config(kind: str, **settings: Any) -> Any:
    """Return the config of a policy for a robot with a camera."""
    importlib.import_module("lerobot.policies")  # registers the types
    types = importlib.import_module("lerobot.configs.types")
    own = importlib.import_module("lerobot.configs.policies").PreTrainedConfig
    feature, kinds = types.PolicyFeature, types.FeatureType
    return own.get_choice_class(kind)(
        device="cpu",
        push_to_hub=False,
        input_features={
            CAMERA: feature(kinds.VISUAL, (3, PIXELS, PIXELS)),
            STATE: feature(kinds.STATE, (DIMS,)),
        },
        output_features={ACTION: feature(kinds.ACTION, (DIMS,))},
        **settings,
    )


def save_processors(policy: Any, folder: Any) -> None:
    """Save the processors that LeRobot makes for the config of a policy."""
    torch = importlib.import_module("torch")
    factory = importlib.import_module("lerobot.policies.factory")
    rest = {name: torch.full((DIMS,), number) for name, number in NUMBERS.items()}
    image = {name: torch.full((3, 1, 1), number) for name, number in NUMBERS.items()}
    statistics = {STATE: rest, ACTION: rest, CAMERA: image}
    for processor in factory.make_pre_post_processors(policy, dataset_stats=statistics):
        processor.save_pretrained(folder)
