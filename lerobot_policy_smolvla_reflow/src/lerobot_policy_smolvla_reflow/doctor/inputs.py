"""The inputs on which two policies are compared: raw observations and noise.

They come from a file, from a dataset, or are generated with a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lerobot_policy_smolvla_reflow.doctor.loaded_policy import (
    Frames,
    InvalidRequest,
    LoadedPolicy,
    one_line,
)

TASK = "pick up the cube"
NOISE = "noise"
PATCHES = 8  # a synthetic image has 8 x 8 patches of one color
STATISTICS = ("mean", "std", "min", "max", "q01", "q99", "q10", "q90")

Features = Mapping[str, PolicyFeature]


@dataclass(frozen=True, slots=True)
class SharedInputs:
    """N raw observations, noise (N, T, A), their source, and statistics of a dataset's actions."""

    frames: Frames
    noise_NTA: Tensor
    what: str
    action_statistics: dict[str, list[float]] | None = None

    def digest(self) -> str:
        """SHA-256 of everything that the policies see."""
        digest = hashlib.sha256()
        for name, value in sorted({**self.frames, NOISE: self.noise_NTA}.items()):
            content = (
                value.contiguous().cpu().numpy().tobytes()
                if isinstance(value, Tensor)
                else json.dumps(value).encode()
            )
            digest.update(name.encode() + b"\0" + content)
        return digest.hexdigest()


def make_inputs(request: Mapping[str, Any], policies: Mapping[str, LoadedPolicy]) -> SharedInputs:
    """The inputs of a request. Raises InvalidRequest."""
    rows, seed = int(request["observations"]), int(request["seed"])
    normal, reflow = policies["normal"].policy.config, policies["reflow"].policy.config
    features = (reflow.input_features or {}) | (normal.input_features or {})
    noise: Tensor | None = None
    statistics: dict[str, list[float]] | None = None
    if request.get("batch"):
        frames, noise = _read_batch(Path(request["batch"]), features)
        what = f"{len(frames['task'])} observations of {request['batch']}"
    elif request.get("dataset"):
        frames, statistics = _read_dataset(str(request["dataset"]), features, rows)
        what = f"{len(frames['task'])} frames of the dataset {request['dataset']}"
    else:
        frames = _generate(features, policies["normal"], rows, torch.Generator().manual_seed(seed))
        what = f"{rows} synthetic observations, drawn from NORMAL's statistics with seed {seed}"
    if noise is None:  # as much as the larger of the two needs; the other uses the first part of it
        shape = (
            len(frames["task"]),
            max(normal.chunk_size, reflow.chunk_size),
            max(normal.max_action_dim, reflow.max_action_dim),
        )
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1))
    return SharedInputs(frames, noise, what, statistics)


def _read_batch(path: Path, features: Features) -> tuple[dict[str, Any], Tensor | None]:
    try:
        with safe_open(path, framework="pt") as stored:
            names, metadata = set(stored.keys()), stored.metadata() or {}
            if missing := sorted(features.keys() - names):
                raise InvalidRequest(f"{path} has no {missing[0]}, only {', '.join(sorted(names))}")
            tensors = {
                name: _convert(stored.get_tensor(name), feature, name)
                for name, feature in features.items()
            }
            noise = stored.get_tensor(NOISE).float() if NOISE in names else None
    except (OSError, SafetensorError) as error:
        raise InvalidRequest(f"{path} cannot be read as safetensors: {error}") from error
    rows = {len(tensor) for tensor in (*tensors.values(), noise) if tensor is not None}
    if len(rows) != 1:
        raise InvalidRequest(
            f"the tensors of {path} have {' and '.join(map(str, sorted(rows)))} rows; all must "
            "have one row per observation"
        )
    return {**tensors, "task": [metadata.get("task", TASK)] * rows.pop()}, noise


def _convert(tensor: Tensor, feature: PolicyFeature, name: str) -> Tensor:
    """A stored observation in LeRobot's form: F32, images (N, 3, height, width) between 0 and 1."""
    if tensor.ndim == len(feature.shape):
        tensor = tensor[None]
    expected = ["N", *feature.shape]
    if tensor.ndim != len(expected):
        raise InvalidRequest(f"{name} has the shape {list(tensor.shape)}; expected {expected}")
    if feature.type is FeatureType.VISUAL and tensor.shape[1] != feature.shape[0]:
        raise InvalidRequest(
            f"{name} has the shape {list(tensor.shape)}; expected {expected}, with the color "
            "channels first"
        )
    return (
        tensor.float() / 255
        if feature.type is FeatureType.VISUAL and tensor.dtype is torch.uint8
        else tensor.float()
    )


def _read_dataset(
    where: str, features: Features, rows: int
) -> tuple[dict[str, Any], dict[str, list[float]] | None]:
    """Up to `rows` frames, spread over the dataset, and the statistics of its actions."""
    folder = Path(where).expanduser()
    try:
        dataset = (
            LeRobotDataset("local/dataset", root=folder)
            if folder.is_dir()
            else LeRobotDataset(where)
        )
        frames = [
            dataset[index]
            for index in torch.linspace(0, len(dataset) - 1, min(rows, len(dataset)))
            .long()
            .tolist()
        ]
    except Exception as error:  # any exception of LeRobot means that the dataset cannot be read
        raise InvalidRequest(f"the dataset {where} cannot be read: {one_line(error)}") from error
    if missing := sorted(features.keys() - frames[0].keys()):
        raise InvalidRequest(
            f"the dataset {where} has no {missing[0]}; its features are "
            f"{', '.join(sorted(dataset.features))}"
        )
    tensors = {name: torch.stack([frame[name] for frame in frames]) for name in features}
    action = (dataset.meta.stats or {}).get("action", {})
    statistics = {
        kind: torch.as_tensor(action[kind]).flatten().tolist()
        for kind in STATISTICS
        if kind in action
    }
    return {
        **tensors,
        "task": [str(frame.get("task", TASK)) for frame in frames],
    }, statistics or None


def _generate(
    features: Features, normal: LoadedPolicy, rows: int, generator: torch.Generator
) -> dict[str, Any]:
    """Random images, and states with the mean and deviation of NORMAL's statistics."""
    statistics: Mapping[str, Any] = next(
        (step.stats for step in normal.preprocess.steps if getattr(step, "stats", None)), {}
    )
    frames: dict[str, Any] = {"task": [TASK] * rows}
    for name, feature in sorted(features.items()):
        if feature.type is FeatureType.VISUAL:
            patches = torch.rand((rows, feature.shape[0], PATCHES, PATCHES), generator=generator)
            frames[name] = torch.nn.functional.interpolate(patches, size=tuple(feature.shape[1:]))
        else:
            own = {
                kind: torch.as_tensor(value).float()
                for kind, value in statistics.get(name, {}).items()
                if kind in ("mean", "std") and tuple(value.shape) == tuple(feature.shape)
            }
            frames[name] = torch.randn((rows, *feature.shape), generator=generator) * own.get(
                "std", 1
            ) + own.get("mean", 0)
    return frames
