"""Stored (noise, teacher action) pairs.

Their manifest, their shards, and the lookup a training step makes. Making them is `pairs_command`.

A folder holds `manifest.json` and `pairs-00000.safetensors` onwards; shard k covers the dataset
frames [k * shard_frames, (k + 1) * shard_frames) and holds `z1` and `z0`, F32 (frames, draws, T,
A). Noise is a function of (seed, frame, draw) alone, so neither the number of workers nor a restart
changes a pair.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.teacher import WEIGHTS_NAME
from lerobot_policy_smolvla_reflow.teacher_config import teacher_file

if TYPE_CHECKING:
    from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig

MANIFEST_NAME = "manifest.json"
FORMAT = "smolvla-reflow-pairs-1"
INDEX = "index"
"""LeRobot's batch key for the frame's number in the whole dataset."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a folder of pairs was made from and with.

    Two runs with equal manifests make equal pairs.
    """

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
        """How many shards the folder holds when it is complete."""
        return -(-self.dataset_frames // self.shard_frames)

    def frames_of(self, shard: int) -> range:
        """The dataset frames of one shard."""
        return range(
            shard * self.shard_frames, min((shard + 1) * self.shard_frames, self.dataset_frames)
        )

    def shape_of(self, shard: int) -> list[int]:
        """The shape of `z1` and of `z0` in one shard."""
        return [len(self.frames_of(shard)), self.draws, self.chunk_size, self.max_action_dim]

    def to_json(self) -> str:
        """The manifest's text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def shard_path(folder: Path, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"pairs-{shard:05d}.safetensors"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of pairs. Raises ReflowError when there is none or it is not one."""
    try:
        value = json.loads((folder / MANIFEST_NAME).read_bytes())
        manifest = Manifest(**value)
    except (OSError, ValueError, TypeError) as error:
        raise ReflowError(
            "pairs_path",
            f"{folder} holds no readable {MANIFEST_NAME} ({error}); make the pairs with lerobot-reflow-pairs.",
        ) from error
    if manifest.format != FORMAT:
        raise ReflowError(
            "pairs_path",
            f"{folder} has format {manifest.format}, this version reads {FORMAT}; make the pairs again.",
        )
    return manifest


def is_complete(folder: Path, manifest: Manifest, shard: int) -> bool:
    """True when the shard is there, readable and of the right shape."""
    try:
        with safe_open(shard_path(folder, shard), framework="pt") as stored:
            return all(
                stored.get_slice(name).get_shape() == manifest.shape_of(shard)
                for name in ("z1", "z0")
            )
    except (OSError, SafetensorError):
        return False


def sha256_of(file: Path) -> str:
    """The file's digest in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def noise_of(manifest: Manifest, frame: int) -> Tensor:
    """The noise of one frame, all its draws: (draws, T, A), F32, on the CPU."""
    digest = hashlib.sha256(f"{manifest.seed}/{frame}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(
        (manifest.draws, manifest.chunk_size, manifest.max_action_dim), generator=generator
    )


class StoredPairs:
    """A complete folder of pairs, open for reading."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._open: dict[int, Any] = {}

    def lookup(
        self, batch: Mapping[str, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(z0_BTA, z1_BTA), F32 on the generator's device, for the batch's frames, one of each frame's draws at random."""
        if INDEX not in batch:
            raise ReflowError(
                "pairs_path",
                f"the batch has no {INDEX!r}, so its pairs cannot be found; train on a LeRobotDataset or leave pairs_path out.",
            )
        frames = batch[INDEX].reshape(-1).tolist()
        draws = torch.randint(
            self.manifest.draws, (len(frames),), generator=generator, device=generator.device
        ).tolist()
        found = [self._pair(frame, draw) for frame, draw in zip(frames, draws, strict=True)]
        z0, z1 = (torch.stack(part).to(generator.device) for part in zip(*found, strict=True))
        return z0, z1

    def _pair(self, frame: int, draw: int) -> tuple[Tensor, Tensor]:
        if not 0 <= frame < self.manifest.dataset_frames:
            raise ReflowError(
                "pairs_path",
                f"{self.folder} covers frames 0 to {self.manifest.dataset_frames - 1} and the batch holds {frame}; make pairs of this dataset.",
            )
        shard, row = divmod(frame, self.manifest.shard_frames)
        if shard not in self._open:
            self._open[shard] = safe_open(shard_path(self.folder, shard), framework="pt")
        stored = self._open[shard]
        return stored.get_slice("z0")[row][draw], stored.get_slice("z1")[row][draw]


def open_pairs(config: SmolVLAReflowConfig, dataset: Any) -> StoredPairs:
    """The pairs at `config.pairs_path`, checked against the config, its teacher and the dataset's metadata (None: not checked).

    Raises ReflowError when they were made from another teacher or dataset, with other settings, or
    are not complete.
    """
    folder = Path(str(config.pairs_path)).expanduser()
    manifest = read_manifest(folder)
    for name, stored in {"teacher_num_steps": manifest.steps, "solver": manifest.solver}.items():
        if getattr(config, name) != stored:
            raise ReflowError(
                name,
                f"{getattr(config, name)!r} differs from {stored!r}, with which {folder} was made; pass --policy.{name}={stored}.",
            )
    if (
        sha256_of(
            teacher_file(str(config.teacher_model_path), config.teacher_revision, WEIGHTS_NAME)
        )
        != manifest.teacher_sha256
    ):
        raise ReflowError(
            "pairs_path",
            f"{folder} was made by another teacher than {config.teacher_model_path}; make the pairs again or pass that teacher.",
        )
    if dataset is not None and dataset.total_frames != manifest.dataset_frames:
        raise ReflowError(
            "pairs_path",
            f"{folder} covers {manifest.dataset_frames} frames and the dataset has {dataset.total_frames}; make pairs of this dataset.",
        )
    missing = [
        shard for shard in range(manifest.shards) if not is_complete(folder, manifest, shard)
    ]
    if missing:
        raise ReflowError(
            "pairs_path",
            f"{folder} lacks {len(missing)} of {manifest.shards} shards, such as {missing[0]}; run lerobot-reflow-pairs again, it continues.",
        )
    return StoredPairs(folder, manifest)
