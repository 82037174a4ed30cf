"""What makes the example cheap changes nothing, and what its expert does succeeds."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.datasets.dataset_reader import DatasetReader
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from torch.nn import functional

from tests.core.metaworld.conftest import renders


def test_frames_in_memory_are_those_on_disk(
    dataset_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatasetReader, "_load_hf_dataset", DatasetReader._load_hf_dataset)
    chunks = {"action": [0, 0.1, 0.2], "observation.images.top": [0]}
    on_disk = LeRobotDataset("local/tiny", root=dataset_root, delta_timestamps=chunks)
    import_module("frames_in_memory").install()
    in_memory = LeRobotDataset("local/tiny", root=dataset_root, delta_timestamps=chunks)
    assert len(in_memory) == len(on_disk)
    for row in (0, 19, 20, 39, 0):
        expected, found = on_disk[row], in_memory[row]
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            if isinstance(value, torch.Tensor):
                assert found[name].dtype == value.dtype
                assert torch.equal(found[name], value), name
            else:
                assert found[name] == value


def test_bf16_in_f32_is_as_near_to_the_exact_product_as_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, name in ((functional, "linear"), (functional, "conv2d"), (torch, "matmul")):
        monkeypatch.setattr(module, name, getattr(module, name))
    attention = functional.scaled_dot_product_attention
    monkeypatch.setattr(functional, "scaled_dot_product_attention", attention)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    torch.manual_seed(0)
    x, weight = (torch.randn(size, dtype=torch.bfloat16) for size in ((7, 96), (32, 96)))
    weight.requires_grad_()
    exact = x.double() @ weight.double().T
    torchs = functional.linear(x, weight).double()
    import_module("bf16_in_f32").install()
    found = functional.linear(x, weight)
    assert found.dtype == torch.bfloat16
    assert (found.double() - exact).abs().max() <= (torchs - exact).abs().max()
    found.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.bfloat16
    assert torch.equal(functional.linear(x.float(), weight.float()), x.float() @ weight.float().T)


def simulate(**arguments: Any) -> Any:
    """The environment."""
    return import_module("lerobot_env_metaworld_light.simulation").LightEnv(
        "button-press-wall-v3", **arguments
    )


def test_the_expert_presses_the_button_on_every_way() -> None:
    experts, env = import_module("expert"), simulate(blank=True)
    for way, steps in ((experts.LEFT, 90), (experts.RIGHT, 130), (experts.OVER, 90)):
        env.reset(seed=7)
        expert = experts.Expert(way, np.random.default_rng(7))
        assert any(env.advance(expert.act(env.raw_observation)[0])[1] for _ in range(steps)), way
    env.close()


def test_images_between_two_looks_are_not_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    images = renders()
    if images:
        monkeypatch.setenv("MUJOCO_GL", "egl")
    seen = []
    for image_every in (1, 3):
        env = simulate(image_every=image_every, blank=not images)
        observations = [env.reset(seed=3)[0]]
        observations += [env.step(np.full(4, 0.5, np.float32))[0] for _ in range(6)]
        seen.append(observations)
        env.close()
    often, rarely = seen
    for step, (one, other) in enumerate(zip(often, rarely, strict=True)):
        assert np.array_equal(one["agent_pos"], other["agent_pos"])
        assert np.array_equal(often[step - step % 3]["pixels"], other["pixels"])
    assert (often[0]["pixels"] != often[6]["pixels"]).any() == images
