"""What `lerobot-reflow-pairs` does once its arguments are read, in `lerobot_reflow.pairs`.

accelerate launch -m lerobot_policy_smolvla_reflow.pairs_command …
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from lerobot.datasets import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from lerobot_reflow.pairs import parse
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.observation import observe
from lerobot_policy_smolvla_reflow.pairs import (
    FORMAT,
    MANIFEST_NAME,
    PairsManifest,
    is_complete,
    read_manifest,
    shard_path,
    weights_sha256,
)
from lerobot_policy_smolvla_reflow.prefix import solve_ode
from lerobot_policy_smolvla_reflow.saving import flush
from lerobot_policy_smolvla_reflow.teacher import Teacher, load_teacher


def main() -> int:
    """Run the command: 0 when this process stored all of its pairs, 2 after an error."""
    return store(parse(sys.argv[1:]))


def store(options: argparse.Namespace) -> int:
    """Store this process's share of the pairs. The same exit status as `main`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        run(options, PartialState(cpu=options.device == "cpu"))
    except ReflowError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def run(options: argparse.Namespace, state: PartialState) -> None:
    """Compute this process's share of the missing shards."""
    teacher = load_teacher(options.teacher, options.revision)
    dataset = LeRobotDataset(options.dataset_repo_id, root=options.dataset_root)
    config = teacher.policy.config
    manifest = PairsManifest(
        format=FORMAT, teacher_sha256=weights_sha256(options.teacher, options.revision),
        dataset_frames=dataset.num_frames, steps=options.steps, solver=options.solver,
        seed=options.seed, draws=options.draws, chunk_size=config.chunk_size,
        max_action_dim=config.max_action_dim, shard_frames=options.shard_frames,
    )  # fmt: skip
    with state.main_process_first():
        _start_or_continue(options.out, manifest)
    device = torch.device(options.device) if options.device == "cpu" else state.device
    teacher.policy.to(device)
    preprocess, _ = make_pre_post_processors(
        config, pretrained_path=options.teacher, pretrained_revision=options.revision,
        preprocessor_overrides={"device_processor": {"device": device.type}},
    )  # fmt: skip
    for shard in range(state.process_index, manifest.shards, state.num_processes):
        if not is_complete(options.out, manifest, shard):
            batches = map(
                preprocess, _batches(dataset, manifest.frames_of(shard), options.batch_size)
            )
            solved = _solve_shard(teacher, manifest, shard, batches)
            _write(shard_path(options.out, shard), partial(save_file, solved))
            logging.info("shard %d of %d stored", shard + 1, manifest.shards)
    state.wait_for_everyone()


def _start_or_continue(folder: Path, manifest: PairsManifest) -> None:
    """Write the manifest into a new folder.

    Raises ReflowError when the folder has a different one.
    """
    if not (folder / MANIFEST_NAME).exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / MANIFEST_NAME, lambda file: file.write_text(manifest.to_json()))
    elif read_manifest(folder) != manifest:
        raise ReflowError(
            "pairs_path",
            f"{folder} was started with other settings or another teacher; pass another --out, or "
            "the same settings to continue.",
        )


def _batches(dataset: LeRobotDataset, frames: range, batch_size: int) -> Iterator[dict[str, Any]]:
    for batch in DataLoader(Subset(dataset, frames), batch_size=batch_size):
        # As LeRobot's training loop does: images become F32 in [0, 1].
        yield {
            key: value.float() / 255
            if isinstance(value, Tensor) and value.dtype == torch.uint8
            else value
            for key, value in batch.items()
        }


def _solve_shard(
    teacher: Teacher, manifest: PairsManifest, shard: int, batches: Iterator[dict[str, Any]]
) -> dict[str, Tensor]:
    """`z1` and `z0` of a shard's frames, (frames, draws, T, A)."""
    z1 = torch.stack([manifest.noise_of(frame) for frame in manifest.frames_of(shard)])
    z0, done = torch.empty_like(z1), 0
    for batch in batches:
        observation = observe(teacher.policy, batch)
        rows = slice(done, done + len(observation.state_BS))
        for draw in range(manifest.draws):
            noise_BTA = z1[rows, draw].to(observation.state_BS.device)
            z0[rows, draw] = solve_ode(
                teacher.policy.model, observation, noise_BTA, manifest.steps, manifest.solver
            ).z0_BTA.cpu()
        done = rows.stop
    return {"z1": z1, "z0": z0}


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, flush it to disk and rename it to `path`."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    write(staged)
    flush(staged)
    os.replace(staged, path)


if __name__ == "__main__":
    sys.exit(main())
