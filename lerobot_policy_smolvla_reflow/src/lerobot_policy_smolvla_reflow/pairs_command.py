"""`lerobot-reflow-pairs`.

Computes every frame's (noise, teacher action) pairs once, before training. Restartable; one process
or many.

lerobot-reflow-pairs --teacher TEACHER --dataset-repo-id user/set --out PAIRS accelerate launch
--num_processes 4 -m lerobot_policy_smolvla_reflow.pairs_command --teacher … (the same arguments)
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from lerobot.datasets import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.flow import SOLVERS
from lerobot_policy_smolvla_reflow.observation import observe
from lerobot_policy_smolvla_reflow.pairs import (
    FORMAT,
    MANIFEST_NAME,
    Manifest,
    is_complete,
    noise_of,
    read_manifest,
    sha256_of,
    shard_path,
)
from lerobot_policy_smolvla_reflow.prefix import solve_ode
from lerobot_policy_smolvla_reflow.teacher import WEIGHTS_NAME, Teacher, load_teacher
from lerobot_policy_smolvla_reflow.teacher_config import teacher_file

DONE, REFUSED = 0, 2


def main() -> int:
    """The command.

    0 when every pair of this process is stored, 2 with one line on stderr when it cannot be.
    """
    given = _arguments().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(given, PartialState(cpu=given.device == "cpu"))
    except ReflowError as error:
        sys.stderr.write(f"error: {error}\n")
        return REFUSED
    return DONE


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lerobot-reflow-pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--teacher", required=True, help="folder or Hub repository of a SmolVLA checkpoint"
    )
    parser.add_argument("--revision", help="the repository's revision")
    parser.add_argument("--dataset-repo-id", required=True)
    parser.add_argument("--dataset-root", type=Path, help="the dataset's local folder")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the folder of pairs; an unfinished one is continued",
    )
    parser.add_argument("--steps", type=int, default=10, help="solver steps (10)")
    parser.add_argument("--solver", choices=SOLVERS, default="euler")
    parser.add_argument(
        "--draws", type=int, default=1, help="pairs per frame, each from its own noise (1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--batch-size", type=int, default=16, help="frames per teacher pass (16)")
    parser.add_argument("--shard-frames", type=int, default=1024, help="frames per file (1024)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def run(given: argparse.Namespace, state: PartialState) -> None:
    """Makes this process's share of the shards that are not there yet."""
    teacher = load_teacher(given.teacher, given.revision)
    dataset = LeRobotDataset(given.dataset_repo_id, root=given.dataset_root)
    manifest = _manifest(given, teacher, dataset.num_frames)
    with state.main_process_first():
        _agree(given.out, manifest)
    device = torch.device(given.device) if given.device == "cpu" else state.device
    teacher.policy.to(device)
    preprocess, _ = make_pre_post_processors(
        teacher.config, pretrained_path=given.teacher, pretrained_revision=given.revision,
        preprocessor_overrides={"device_processor": {"device": device.type}},
    )  # fmt: skip
    for shard in range(state.process_index, manifest.shards, state.num_processes):
        if is_complete(given.out, manifest, shard):
            continue
        batches = (
            preprocess(batch)
            for batch in _batches(dataset, manifest.frames_of(shard), given.batch_size)
        )
        _write(
            given.out,
            shard,
            *_solve_shard(teacher, manifest, manifest.frames_of(shard), batches, device),
        )
        logging.info("shard %d of %d stored", shard + 1, manifest.shards)
    state.wait_for_everyone()


def _manifest(given: argparse.Namespace, teacher: Teacher, frames: int) -> Manifest:
    return Manifest(
        format=FORMAT, teacher_sha256=sha256_of(teacher_file(given.teacher, given.revision, WEIGHTS_NAME)), dataset_frames=frames,
        steps=given.steps, solver=given.solver, seed=given.seed, draws=given.draws, chunk_size=teacher.config.chunk_size,
        max_action_dim=teacher.config.max_action_dim, shard_frames=given.shard_frames,
    )  # fmt: skip


def _agree(folder: Path, manifest: Manifest) -> None:
    """Starts the folder, or makes sure that it was started with the same settings."""
    if (folder / MANIFEST_NAME).exists():
        started = read_manifest(folder)
        if started != manifest:
            raise ReflowError(
                "pairs_path",
                f"{folder} was started with other settings or another teacher; pass another --out, or the same settings to continue.",
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as aside:
        aside.write(manifest.to_json())
        aside.flush()
        os.fsync(aside.fileno())
    os.replace(aside.name, folder / MANIFEST_NAME)


def _batches(dataset: LeRobotDataset, frames: range, batch_size: int) -> Iterator[dict[str, Any]]:
    for batch in DataLoader(Subset(dataset, frames), batch_size=batch_size):
        # LeRobot's training loop makes images F32 in [0, 1] the same way.
        yield {
            key: value.float() / 255
            if isinstance(value, Tensor) and value.dtype == torch.uint8
            else value
            for key, value in batch.items()
        }


def _solve_shard(
    teacher: Teacher,
    manifest: Manifest,
    frames: range,
    batches: Iterator[dict[str, Any]],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """(z1, z0) of a shard's frames, (frames, draws, T, A)."""
    z1 = torch.stack([noise_of(manifest, frame) for frame in frames])
    z0, done = torch.empty_like(z1), 0
    for batch in batches:
        observation = observe(teacher.policy, batch)
        rows = slice(done, done + len(observation.state_BS))
        for draw in range(manifest.draws):
            solution = solve_ode(
                teacher.model,
                observation,
                z1[rows, draw].to(device),
                manifest.steps,
                manifest.solver,
            )
            z0[rows, draw] = solution.z0_BTA.cpu()
        done = rows.stop
    return z1, z0


def _write(folder: Path, shard: int, z1: Tensor, z0: Tensor) -> None:
    aside = folder / f".{shard_path(folder, shard).name}.{os.getpid()}"
    save_file({"z1": z1, "z0": z0}, aside)
    with aside.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(aside, shard_path(folder, shard))


if __name__ == "__main__":
    sys.exit(main())
