"""Writes a student as a normal SmolVLA checkpoint and proves it before anything is put in place.

Also what only --resume needs.

Two files make the checkpoint, config.json and model.safetensors. They are written aside, checked by
`verify_saved`, and moved in by rename, so a checkpoint that is wrong, or half written, never
appears under its name.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import draccus
import torch
from lerobot.common.train_utils import load_training_step
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.utils.constants import PRETRAINED_MODEL_DIR, TRAINING_STATE_DIR, TRAINING_STEP
from safetensors.torch import load_file, save_file
from torch import Tensor

from lerobot_policy_smolvla_reflow import verify_saved
from lerobot_policy_smolvla_reflow.errors import UncleanCheckpointError
from lerobot_policy_smolvla_reflow.teacher import WEIGHTS_NAME, all_finite
from lerobot_policy_smolvla_reflow.teacher_config import CONFIG_NAME

STUDENT_STATE = "reflow_student.safetensors"
SHOWN_FAULTS = 5


def in_profile(
    tensors: Mapping[str, Tensor], profile: Mapping[str, torch.dtype]
) -> dict[str, Tensor]:
    """`tensors` on the CPU, contiguous, in the dtypes of `profile`.

    A name without a profile keeps its own.

    Under FSDP everything arrives in F32. Narrowing weights that were BF16 before is exact; what
    trained is rounded once.
    """
    return {
        name: tensor.detach().to("cpu", profile.get(name, tensor.dtype)).contiguous()
        for name, tensor in tensors.items()
    }


def save_clean(
    directory: Path,
    config: SmolVLAConfig,
    tensors: Mapping[str, Tensor],
    expected: verify_saved.Expected,
) -> None:
    """Puts a checked checkpoint in `directory`.

    Raises UncleanCheckpointError, and leaves `directory` as it was, when it is not clean.
    """
    diverged = next((name for name, tensor in tensors.items() if not all_finite(tensor)), None)
    if diverged is not None:
        raise UncleanCheckpointError(
            f"not saved: {diverged} holds NaN or infinity, so training has diverged; resume from an earlier checkpoint with a lower learning rate"
        )
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=directory) as aside:
        staged = Path(aside)
        save_file(dict(tensors), staged / WEIGHTS_NAME)  # no metadata: LeRobot writes none
        (staged / CONFIG_NAME).write_text(
            json.dumps(draccus.encode(config, PreTrainedConfig), indent=4)
        )
        found = verify_saved.faults(staged, expected)
        if found:
            more = f" and {len(found) - SHOWN_FAULTS} more" if len(found) > SHOWN_FAULTS else ""
            raise UncleanCheckpointError(
                f"not saved to {directory}, because it would not be a normal SmolVLA checkpoint: {'; '.join(found[:SHOWN_FAULTS])}{more}"
            )
        mode = 0o666 & ~_umask()
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            (staged / name).chmod(mode)  # safetensors writes 0600, which others could not read
            _flush(staged / name)
            os.replace(staged / name, directory / name)
    _flush(directory)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_student_state(
    directory: Path, trained: Mapping[str, Tensor], average: Mapping[str, Tensor]
) -> None:
    """Keeps what a resume needs beside the checkpoint.

    The weights that train as they are in training, and their F32 average if there is one.

    Written into the run's training_state folder, where LeRobot keeps the optimizer; nothing is
    written when `directory` is not a training checkpoint's pretrained_model folder, as for a push
    to the Hub.
    """
    if directory.name != PRETRAINED_MODEL_DIR:
        return
    folder = directory.parent / TRAINING_STATE_DIR
    folder.mkdir(exist_ok=True)
    state = {f"trained.{name}": tensor for name, tensor in trained.items()} | {
        f"average.{name}": tensor for name, tensor in average.items()
    }
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        folder / STUDENT_STATE,
    )


def load_student_state(directory: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]] | None:
    """(trained weights, their F32 average) of the training checkpoint whose pretrained_model is `directory`; None when it kept none."""
    file = directory.parent / TRAINING_STATE_DIR / STUDENT_STATE
    if not file.is_file():
        return None
    state = load_file(file)
    parts: dict[str, dict[str, Tensor]] = {"trained": {}, "average": {}}
    for name, tensor in state.items():
        kind, _, rest = name.partition(".")
        parts[kind][rest] = tensor
    return parts["trained"], parts["average"]


def steps_done(directory: Path) -> int:
    """The training steps behind the checkpoint whose pretrained_model is `directory`.

    0 when it is not a training checkpoint.
    """
    folder = directory.parent / TRAINING_STATE_DIR
    return int(load_training_step(folder)) if (folder / TRAINING_STEP).is_file() else 0
