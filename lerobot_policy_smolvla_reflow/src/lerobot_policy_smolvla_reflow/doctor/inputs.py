"""What two policies are compared on.

The same raw observations and the same noise, from a file, a dataset, or drawn from statistics with
a fixed seed.
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

from lerobot_policy_smolvla_reflow.doctor.loaded_policy import Contender, Frames

TASK = "pick up the cube"
NOISE = "noise"
GRAIN = 8  # a synthetic picture has 8 x 8 patches of one colour
STATISTICS = ("mean", "std", "min", "max", "q01", "q99", "q10", "q90")


class InputsInvalid(Exception):
    """A batch or a dataset that these policies cannot be shown."""


@dataclass(frozen=True, slots=True)
class SharedInputs:
    """N raw observations, noise (N, T, A), in words where they come from.

    Of a dataset also the statistics of its actions.
    """

    frames: Frames
    noise_NTA: Tensor
    what: str
    action_statistics: dict[str, list[float]] | None = None

    @property
    def rows(self) -> int:
        """How many observations."""
        return self.noise_NTA.shape[0]

    def first(self) -> Frames:
        """The first observation, still with its batch dimension."""
        return {name: value[:1] for name, value in self.frames.items()}

    def digest(self) -> str:
        """SHA-256 of everything that the policies are shown."""
        found = hashlib.sha256()
        for name, value in sorted({**self.frames, NOISE: self.noise_NTA}.items()):
            content = (
                value.contiguous().cpu().numpy().tobytes()
                if isinstance(value, Tensor)
                else json.dumps(value).encode()
            )
            found.update(name.encode() + b"\0" + content)
        return found.hexdigest()


def shared_inputs(
    request: Mapping[str, Any], contenders: tuple[Contender, Contender]
) -> SharedInputs:
    """The inputs that a request asks for. Raises InputsInvalid."""
    rows, seed = int(request["observations"]), int(request["seed"])
    features: dict[str, PolicyFeature] = {}
    for contender in reversed(contenders):  # where the two differ, the normal one's shape counts
        features |= contender.policy.config.input_features or {}
    if request.get("batch"):
        frames, noise = _of_file(Path(request["batch"]), features)
        rows = len(frames["task"])
        return SharedInputs(
            frames,
            _noise(contenders, rows, seed) if noise is None else noise,
            f"{rows} observations of {request['batch']}",
        )
    if request.get("dataset"):
        return _of_dataset(str(request["dataset"]), features, contenders, rows, seed)
    frames = _drawn(features, contenders[0], rows, torch.Generator().manual_seed(seed))
    return SharedInputs(
        frames,
        _noise(contenders, rows, seed),
        f"{rows} synthetic observations, drawn from NORMAL's statistics with seed {seed}",
    )


def _noise(contenders: tuple[Contender, Contender], rows: int, seed: int) -> Tensor:
    """Noise as long and wide as the larger of the two needs.

    The other takes the first part of it.
    """
    configs = [contender.policy.config for contender in contenders]
    shape = (
        rows,
        max(config.chunk_size for config in configs),
        max(config.max_action_dim for config in configs),
    )
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1))


def _of_file(
    path: Path, features: Mapping[str, PolicyFeature]
) -> tuple[dict[str, Any], Tensor | None]:
    try:
        with safe_open(path, framework="pt") as stored:
            names, metadata = set(stored.keys()), stored.metadata() or {}
            missing = sorted(features.keys() - names)
            if missing:
                raise InputsInvalid(
                    f"{path} has no {missing[0]}; it holds {', '.join(sorted(names))}"
                )
            tensors = {
                name: _ready(stored.get_tensor(name), feature, name)
                for name, feature in features.items()
            }
            noise = stored.get_tensor(NOISE).float() if NOISE in names else None
    except (OSError, SafetensorError) as error:
        raise InputsInvalid(f"{path} cannot be read as safetensors: {error}") from error
    rows = {tensor.shape[0] for tensor in (*tensors.values(), *(() if noise is None else (noise,)))}
    if len(rows) != 1:
        raise InputsInvalid(
            f"the tensors of {path} have {' and '.join(map(str, sorted(rows)))} rows; each observation is one row of all of them"
        )
    return {**tensors, "task": [metadata.get("task", TASK)] * rows.pop()}, noise


def _ready(tensor: Tensor, feature: PolicyFeature, name: str) -> Tensor:
    """A stored observation as LeRobot hands it on.

    F32, pictures (N, 3, height, width) between 0 and 1.
    """
    if tensor.ndim == len(feature.shape):
        tensor = tensor[None]
    if tensor.ndim != len(feature.shape) + 1:
        raise InputsInvalid(
            f"{name} has the shape {list(tensor.shape)} where {['N', *feature.shape]} is expected"
        )
    if feature.type is FeatureType.VISUAL:
        tensor = tensor.float() / 255 if tensor.dtype is torch.uint8 else tensor.float()
        if tensor.shape[1] != feature.shape[0]:
            raise InputsInvalid(
                f"{name} has the shape {list(tensor.shape)}: colours come first, as in {['N', *feature.shape]}"
            )
    return tensor.float()


def _of_dataset(
    where: str,
    features: Mapping[str, PolicyFeature],
    contenders: tuple[Contender, Contender],
    rows: int,
    seed: int,
) -> SharedInputs:
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
    except Exception as error:  # whatever LeRobot raises, the dataset cannot be read
        raise InputsInvalid(
            f"the dataset {where} cannot be read: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error
    missing = sorted(features.keys() - frames[0].keys())
    if missing:
        raise InputsInvalid(
            f"the dataset {where} has no {missing[0]}; its features are {', '.join(sorted(dataset.features))}"
        )
    tensors = {name: torch.stack([frame[name] for frame in frames]) for name in features}
    found = dataset.meta.stats.get("action", {}) if dataset.meta.stats else {}
    statistics = {
        kind: torch.as_tensor(found[kind]).flatten().tolist()
        for kind in STATISTICS
        if kind in found
    }
    shown = {**tensors, "task": [str(frame.get("task", TASK)) for frame in frames]}
    return SharedInputs(
        shown,
        _noise(contenders, len(frames), seed),
        f"{len(frames)} frames of the dataset {where}",
        statistics or None,
    )


def _drawn(
    features: Mapping[str, PolicyFeature], normal: Contender, rows: int, generator: torch.Generator
) -> dict[str, Any]:
    statistics: Mapping[str, Any] = next(
        (step.stats for step in normal.preprocess.steps if getattr(step, "stats", None)), {}
    )
    frames: dict[str, Any] = {}
    for name, feature in sorted(features.items()):
        if feature.type is FeatureType.VISUAL:
            grains = torch.rand((rows, feature.shape[0], GRAIN, GRAIN), generator=generator)
            frames[name] = torch.nn.functional.interpolate(grains, size=tuple(feature.shape[1:]))
        else:
            own = statistics.get(name, {})
            drawn = torch.randn((rows, *feature.shape), generator=generator)
            fits = {
                kind: torch.as_tensor(own[kind]).float()
                for kind in ("mean", "std")
                if kind in own and tuple(own[kind].shape) == tuple(feature.shape)
            }
            frames[name] = drawn * fits.get("std", torch.ones(())) + fits.get(
                "mean", torch.zeros(())
            )
    return {**frames, "task": [TASK] * rows}
