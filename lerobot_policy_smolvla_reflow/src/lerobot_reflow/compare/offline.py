"""Distances between actions on the observations of a dataset, with the same noise for all rows.

Observations are read in batches, so that any number of them fits into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot_policy_smolvla_reflow.doctor.loaded_policy import (
    LoadedPolicy,
    UnusablePolicy,
    load,
    one_line,
)
from torch import Tensor

from lerobot_reflow.compare import cache
from lerobot_reflow.compare.errors import CompareError
from lerobot_reflow.compare.policies import Checkpoint, Row
from lerobot_reflow.compare.versions import VERSIONS


@dataclass(frozen=True)
class Observations:
    """Frames of a dataset, by index, and one noise sample for each, noise_NTA."""

    dataset: LeRobotDataset
    indices: tuple[int, ...]
    noise_NTA: Tensor

    def batches(self, features: set[str], size: int) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """Raw observations with these features, and their noise. Raises CompareError."""
        if missing := sorted(features - self.dataset.features.keys()):
            raise CompareError(
                f"needs {missing[0]}, which the dataset does not have; its features are "
                f"{', '.join(sorted(self.dataset.features))}"
            )
        for start in range(0, len(self.indices), size):
            frames = [self.dataset[index] for index in self.indices[start : start + size]]
            tensors = {name: torch.stack([frame[name] for frame in frames]) for name in features}
            tasks = [str(frame["task"]) for frame in frames]
            yield {**tensors, "task": tasks}, self.noise_NTA[start : start + size]


def open_observations(
    repo_id: str | None, root: str | None, count: int, shape: tuple[int, int], seed: int
) -> Observations:
    """Up to `count` frames, spread over the dataset, and noise of (T, A). Raises CompareError."""
    try:
        dataset = LeRobotDataset(repo_id or "local/dataset", root=root)
    except Exception as error:  # any exception of LeRobot means that it cannot be read
        raise CompareError(
            f"the dataset {root or repo_id} cannot be read ({one_line(error)}); check "
            "--dataset.repo_id and --dataset.root"
        ) from error
    count = min(count, len(dataset))
    indices = torch.linspace(0, len(dataset) - 1, count).long().tolist()
    noise_NTA = torch.randn((count, *shape), generator=torch.Generator().manual_seed(seed))
    return Observations(dataset, tuple(indices), noise_NTA)


@dataclass(frozen=True)
class Distances:
    """Measures the distances of rows to the reference, or finds those of an earlier run."""

    reference: Row
    observations: Observations
    executed: int
    device: str
    batch_size: int
    out: Path
    say: Callable[[str], None]

    def measure(self, row: Row, run: Checkpoint) -> list[float]:
        """The distance of each observation. Raises CompareError."""
        if row.steps is None:
            raise CompareError(
                f"has the type {run.config['type']}, which takes no noise; compare it in an "
                "environment"
            )
        return cache.remembered(
            self.out / "distances", self._identity(row, run), lambda: self._measure(row, run)
        )

    def _identity(self, row: Row, run: Checkpoint) -> dict[str, Any]:
        dataset, reference = self.observations.dataset, self.reference
        return {
            "checkpoint": run.digest,
            "num_steps": row.steps,
            "reference": reference.policy.runs[0].digest,
            "reference_steps": reference.steps,
            "dataset": [dataset.repo_id, str(dataset.root), dataset.num_frames],
            "changed_ns": max(file.stat().st_mtime_ns for file in dataset.root.rglob("*")),
            "observations": len(self.observations.indices),
            "noise": float(self.observations.noise_NTA.double().sum()),
            "executed": self.executed,
            "device": self.device,
            "batch_size": self.batch_size,
            "versions": VERSIONS,
        }

    def _measure(self, row: Row, run: Checkpoint) -> list[float]:
        reference_NTD, scale_D = self._teacher
        if row is self.reference:
            return [0.0] * len(reference_NTD)
        self.say(f"{row}: acting on {len(reference_NTD)} observations")
        chunks_NTD = self._act(load_or_fail(run, self.device), row)
        return distances(chunks_NTD, reference_NTD, scale_D, self.executed).tolist()

    @cached_property
    def _teacher(self) -> tuple[Tensor, Tensor]:
        """The reference's chunks (N, T, action dimensions), and the scale of the actions."""
        self.say(f"{self.reference}: acting on {len(self.observations.indices)} observations")
        loaded = load_or_fail(self.reference.policy.runs[0], self.device)
        return self._act(loaded, self.reference), action_scale(loaded)

    def _act(self, loaded: LoadedPolicy, row: Row) -> Tensor:
        assert row.steps is not None
        features = set(loaded.policy.config.input_features or {})
        chunks_NTD = torch.cat(
            [
                loaded.act(frames, noise_NTA, row.steps)
                for frames, noise_NTA in self.observations.batches(features, self.batch_size)
            ]
        )
        if not bool(torch.isfinite(chunks_NTD).all()):
            raise CompareError("acts with NaN or infinity; ckpt verify --values finds where from")
        return chunks_NTD


def load_or_fail(run: Checkpoint, device: str) -> LoadedPolicy:
    """Load a checkpoint, strictly. Raises CompareError."""
    try:
        return load(str(run.folder), device)
    except UnusablePolicy as error:
        raise CompareError(f"{run.folder} {error}") from error


def action_scale(loaded: LoadedPolicy) -> Tensor:
    """The size of a normalized unit for the robot, scale_D: how its postprocessor scales.

    1 where a dimension is constant.
    """
    config = loaded.policy.config
    dimensions = config.action_feature.shape[0] if config.action_feature else config.max_action_dim
    zero, one = (
        loaded.postprocess(torch.full((1, dimensions), value, device=loaded.device)).float().cpu()
        for value in (0.0, 1.0)
    )
    scale_D = (one - zero)[0].abs()
    return torch.where(scale_D > 0, scale_D, torch.ones_like(scale_D))


def distances(chunks_NTD: Tensor, reference_NTD: Tensor, scale_D: Tensor, executed: int) -> Tensor:
    """The RMS difference of the executed actions of each observation, distance_N, in normal units.

    Raises CompareError for actions of another size.
    """
    if chunks_NTD.shape[-1] != reference_NTD.shape[-1]:
        raise CompareError(
            f"its actions have {chunks_NTD.shape[-1]} dimensions, those of the teacher "
            f"{reference_NTD.shape[-1]}; compare policies of one robot"
        )
    difference = chunks_NTD[:, :executed] - reference_NTD[:, :executed]
    return (difference / scale_D).square().mean(dim=(1, 2)).sqrt()
