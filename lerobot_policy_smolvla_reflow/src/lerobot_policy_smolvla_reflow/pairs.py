"""Stored (noise, teacher action) pairs: manifest, shards, and the lookup in a training step.

`pairs_command` makes them. A folder contains `manifest.json` and `pairs-00000.safetensors` onwards.
Shard k covers the dataset frames [k * shard_frames, (k + 1) * shard_frames) and contains `z1` and
`z0`, F32 (frames, draws, T, A). Noise is a function of (seed, frame, draw) alone, so neither the
number of processes nor a restart changes a pair.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.loading import WEIGHTS_NAME
from lerobot_policy_smolvla_reflow.teacher_config import teacher_file

MANIFEST_NAME = "manifest.json"
FORMAT = "smolvla-reflow-pairs-1"
INDEX = "index"  # LeRobot's batch key for the frame's number in the whole dataset


@dataclass(frozen=True, kw_only=True)
class PairsManifest:
    """The origin and settings of a folder of pairs. Runs with equal manifests make equal pairs."""

    format: str
    teacher_sha256: str
    dataset_frames: int
    steps: int
    solver: str
    seed: int
    draws: int
    chunk_size: int
    max_action_dim: int
    shard_frames: int

    @property
    def shards(self) -> int:
        """The number of shards in a complete folder."""
        return -(-self.dataset_frames // self.shard_frames)

    def frames_of(self, shard: int) -> range:
        """The dataset frames of one shard."""
        return range(
            shard * self.shard_frames, min((shard + 1) * self.shard_frames, self.dataset_frames)
        )

    def shape_of(self, shard: int) -> list[int]:
        """The shape of `z1` and of `z0` in one shard."""
        return [len(self.frames_of(shard)), self.draws, self.chunk_size, self.max_action_dim]

    def noise_of(self, frame: int) -> Tensor:
        """The noise of one frame, all its draws: (draws, T, A), F32, on the CPU."""
        digest = hashlib.sha256(f"{self.seed}/{frame}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        return torch.randn((self.draws, self.chunk_size, self.max_action_dim), generator=generator)

    def to_json(self) -> str:
        """The manifest as the text of its file."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def shard_path(folder: Path, shard: int) -> Path:
    """The path of a shard."""
    return folder / f"pairs-{shard:05d}.safetensors"


def read_manifest(folder: Path) -> PairsManifest:
    """Read the manifest of a folder of pairs. Raises ReflowError when it is missing or invalid."""
    try:
        manifest = PairsManifest(**json.loads((folder / MANIFEST_NAME).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ReflowError(
            "pairs_path",
            f"{folder} has no readable {MANIFEST_NAME} ({error}); make the pairs with "
            "lerobot-reflow-pairs.",
        ) from error
    if manifest.format != FORMAT:
        raise ReflowError(
            "pairs_path",
            f"{folder} has format {manifest.format}, but this version reads {FORMAT}; make the "
            "pairs again.",
        )
    return manifest


def is_complete(folder: Path, manifest: PairsManifest, shard: int) -> bool:
    """True when the shard exists, is readable and has the right shape."""
    try:
        with safe_open(shard_path(folder, shard), framework="pt") as stored:
            return all(
                stored.get_slice(name).get_shape() == manifest.shape_of(shard)
                for name in ("z1", "z0")
            )
    except (OSError, SafetensorError):
        return False


def weights_sha256(teacher: str, revision: str | None) -> str:
    """The digest of a teacher's weights file, in hexadecimal."""
    with teacher_file(teacher, revision, WEIGHTS_NAME).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class StoredPairs:
    """A complete folder of pairs, open for reading."""

    def __init__(self, folder: Path, manifest: PairsManifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._open: dict[int, Any] = {}

    def lookup(
        self, batch: Mapping[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(z0_BTA, z1_BTA) of a batch's frames, one random draw each, on the generator's device."""
        frames = self._frames(batch)
        draws = torch.randint(
            self.manifest.draws, (len(frames),), generator=generator, device=generator.device
        ).tolist()
        pairs = [self._pair(frame, draw) for frame, draw in zip(frames, draws, strict=True)]
        z0_BTA, z1_BTA = (
            torch.stack(part).to(generator.device) for part in zip(*pairs, strict=True)
        )
        return z0_BTA, z1_BTA

    def end_points(self, batch: Mapping[str, Tensor], device: torch.device) -> Tensor:
        """z0_PBTA of all P draws of a batch's frames."""
        frames = [self._stored(frame, "z0") for frame in self._frames(batch)]
        return torch.stack(frames, dim=1).to(device)

    def _frames(self, batch: Mapping[str, Tensor]) -> list[int]:
        if INDEX not in batch:
            raise ReflowError(
                "pairs_path",
                f"the batch has no {INDEX!r}, so its pairs are unknown; train on a LeRobotDataset "
                "or remove pairs_path.",
            )
        frames: list[int] = batch[INDEX].reshape(-1).tolist()
        return frames

    def _pair(self, frame: int, draw: int) -> tuple[Tensor, Tensor]:
        z0, z1 = (self._stored(frame, name, draw) for name in ("z0", "z1"))
        return z0, z1

    def _stored(self, frame: int, name: str, draw: int | None = None) -> Tensor:
        """A frame's tensor (T, A) of one draw, or (draws, T, A) of all."""
        if not 0 <= frame < self.manifest.dataset_frames:
            raise ReflowError(
                "pairs_path",
                f"{self.folder} covers frames 0 to {self.manifest.dataset_frames - 1}, but the "
                f"batch has frame {frame}; make pairs of this dataset.",
            )
        shard, row = divmod(frame, self.manifest.shard_frames)
        if shard not in self._open:
            self._open[shard] = safe_open(shard_path(self.folder, shard), framework="pt")
        draws: Tensor = self._open[shard].get_slice(name)[row]
        return draws if draw is None else draws[draw]


def open_pairs(config: SmolVLAReflowConfig, dataset: Any) -> StoredPairs:
    """Open the pairs at `config.pairs_path`, checked against the config and its teacher.

    `dataset` is the dataset's metadata, or None to skip that check. Raises ReflowError when they
    belong to another teacher or dataset, were made with other settings, or are incomplete.
    """
    folder = Path(str(config.pairs_path)).expanduser()
    manifest = read_manifest(folder)
    for name, stored in {"teacher_num_steps": manifest.steps, "solver": manifest.solver}.items():
        if getattr(config, name) != stored:
            raise ReflowError(
                name,
                f"is {getattr(config, name)!r}, but {folder} was made with {stored!r}; pass "
                f"--policy.{name}={stored}.",
            )
    if config.trains_with.stored == "end points" and manifest.draws == 1:
        raise ReflowError(
            "pairs_path",
            f"{folder} has one pair per frame, but objective {config.objective} compares several; "
            "make them with lerobot-reflow-pairs --draws 8.",
        )
    if (
        weights_sha256(str(config.teacher_model_path), config.teacher_revision)
        != manifest.teacher_sha256
    ):
        raise ReflowError(
            "pairs_path",
            f"{folder} was made with another teacher than {config.teacher_model_path}; make the "
            "pairs again or pass that teacher.",
        )
    if dataset is not None and dataset.total_frames != manifest.dataset_frames:
        raise ReflowError(
            "pairs_path",
            f"{folder} covers {manifest.dataset_frames} frames, but the dataset has "
            f"{dataset.total_frames}; make pairs of this dataset.",
        )
    if missing := [
        shard for shard in range(manifest.shards) if not is_complete(folder, manifest, shard)
    ]:
        raise ReflowError(
            "pairs_path",
            f"{folder} is missing {len(missing)} of {manifest.shards} shards, such as "
            f"{missing[0]}; run lerobot-reflow-pairs again to continue.",
        )
    return StoredPairs(folder, manifest)
