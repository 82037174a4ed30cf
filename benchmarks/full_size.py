"""Make a full-size SmolVLA checkpoint and VLM folder with random weights, without a download.

For benchmarks and slow tests; it takes seconds. With a VLM of the size `tiny`, the rest is tiny
too: to see that a benchmark runs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot_policy_smolvla_reflow.loading import build_empty
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, SmolVLMForConditionalGeneration

ROOT = Path(__file__).resolve().parents[1]
CAMERAS = ("observation.images.camera1", "observation.images.camera2", "observation.images.camera3")
ACTION_DIMS = 6
TILE = 2**22
TINY = 100  # no real model is this narrow


def make_vlm(folder: Path, *, weights: bool, size: str = "real") -> Path:
    """A folder with SmolVLM2-500M's architecture, or a tiny one's.

    With `weights`, also random ones in BF16 (1 GB).
    """
    spec = importlib.util.spec_from_file_location(
        "vlm_folder", ROOT / "examples/quickstart/vlm_folder.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make_vlm_folder(folder, size, weights=False)
    if weights:
        with torch.device("meta"):
            vlm = SmolVLMForConditionalGeneration(AutoConfig.from_pretrained(folder)).to(
                torch.bfloat16  # type: ignore[arg-type]  # wrapped without its overloads
            )
        save_file(random_tensors(vlm), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def random_tensors(module: nn.Module) -> dict[str, Tensor]:
    """A tensor for every name of the module's state.

    N(0, 0.02) for matrices, ones for what scales, zeros for biases.
    """
    tile = torch.randn(TILE, generator=torch.Generator().manual_seed(0)) * 0.02
    tensors: dict[str, Tensor] = {}
    for name, meta in module.state_dict().items():
        if meta.ndim > 1:
            repeats = -(-meta.numel() // TILE)
            tensors[name] = (
                tile.to(meta.dtype).repeat(repeats)[: meta.numel()].reshape(meta.shape).contiguous()
            )
        else:
            tensors[name] = (torch.zeros if name.endswith("bias") else torch.ones)(
                meta.shape, dtype=meta.dtype
            )
    return tensors


def config(vlm: Path, cameras: int = 1) -> SmolVLAConfig:
    """The config of a full-size SmolVLA with `cameras` cameras, built on a pretrained VLM."""
    features = {
        name: PolicyFeature(type=FeatureType.VISUAL, shape=(3, 480, 640))
        for name in CAMERAS[:cameras]
    }
    tiny = AutoConfig.from_pretrained(vlm).text_config.hidden_size < TINY
    edges = {"resize_imgs_with_padding": (64, 64), "num_vlm_layers": 4} if tiny else {}
    features["observation.state"] = PolicyFeature(type=FeatureType.STATE, shape=(ACTION_DIMS,))
    return SmolVLAConfig(
        vlm_model_name=str(vlm), load_vlm_weights=True, device="cpu", push_to_hub=False,
        input_features=features,
        output_features={"action": PolicyFeature(type=FeatureType.ACTION, shape=(ACTION_DIMS,))},
        **edges,
    )  # fmt: skip


def make_teacher(folder: Path, vlm: Path, cameras: int = 1) -> Path:
    """A full-size checkpoint in the dtypes stock LeRobot trains and saves (906,712,520 bytes)."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config(vlm, cameras)
    policy = build_empty(settings, lambda: SmolVLAPolicy(settings))
    save_file(random_tensors(policy), folder / "model.safetensors")
    settings.save_pretrained(folder)
    return folder


def batch(rows: int, cameras: int) -> dict[str, Tensor]:
    """A preprocessed batch."""
    random = torch.Generator().manual_seed(0)
    images = {name: torch.rand(rows, 3, 480, 640, generator=random) for name in CAMERAS[:cameras]}
    return images | {
        "observation.state": torch.randn(rows, ACTION_DIMS, generator=random),
        "observation.language.tokens": torch.randint(10, 200, (rows, 24), generator=random),
        "observation.language.attention_mask": torch.ones(rows, 24, dtype=torch.bool),
        "action": torch.randn(rows, 50, ACTION_DIMS, generator=random),
        "index": torch.zeros(rows, dtype=torch.long),
    }
