"""Save a student as a normal SmolVLA checkpoint, and the state that only --resume needs.

The checkpoint is two files, config.json and model.safetensors. They are written to a temporary
folder, checked by `verify_saved`, and renamed into place, so that an invalid or incomplete
checkpoint never appears under its name.
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

from lerobot_policy_smolvla_reflow.errors import UncleanCheckpointError
from lerobot_policy_smolvla_reflow.loading import WEIGHTS_NAME, all_finite
from lerobot_policy_smolvla_reflow.teacher_config import CONFIG_NAME
from lerobot_policy_smolvla_reflow.verify_saved import faults

STUDENT_STATE = "reflow_student.safetensors"
SHOWN_FAULTS = 5


def with_dtypes(
    tensors: Mapping[str, Tensor], dtypes: Mapping[str, torch.dtype]
) -> dict[str, Tensor]:
    """`tensors` on the CPU, contiguous, in the named dtypes; a tensor without one keeps its own.

    Under FSDP all tensors arrive in F32. Narrowing weights that were BF16 is exact; trained ones
    are rounded once.
    """
    return {
        name: tensor.detach().to("cpu", dtypes.get(name, tensor.dtype)).contiguous()
        for name, tensor in tensors.items()
    }


def save_clean(
    directory: Path,
    config: SmolVLAConfig,
    tensors: Mapping[str, Tensor],
    dtypes: Mapping[str, torch.dtype],
) -> None:
    """Put a checkpoint of `tensors`, in `dtypes`, in `directory`.

    Raises UncleanCheckpointError, and leaves `directory` as it was, when the names are not those of
    `dtypes` or the checkpoint is not clean.
    """
    tensors = with_dtypes(tensors, dtypes)
    expected = {
        name: (dtype, tuple(tensors[name].shape) if name in tensors else ())
        for name, dtype in dtypes.items()
    }
    if diverged := next((name for name, tensor in tensors.items() if not all_finite(tensor)), None):
        raise UncleanCheckpointError(
            f"not saved: {diverged} holds NaN or infinity, so training has diverged; resume from "
            "an earlier checkpoint with a lower learning rate"
        )
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=directory) as staging:
        weights, settings = Path(staging, WEIGHTS_NAME), Path(staging, CONFIG_NAME)
        save_file(tensors, weights)  # no metadata: LeRobot writes none
        settings.write_text(json.dumps(draccus.encode(config, PreTrainedConfig), indent=4))
        if found := faults(Path(staging), expected):
            more = f" and {len(found) - SHOWN_FAULTS} more" if len(found) > SHOWN_FAULTS else ""
            raise UncleanCheckpointError(
                f"not saved to {directory}, because it would not be a normal SmolVLA checkpoint: "
                f"{'; '.join(found[:SHOWN_FAULTS])}{more}"
            )
        # safetensors writes 0600, which others could not read.
        weights.chmod(settings.stat().st_mode)
        for file in (weights, settings):
            flush(file)
            os.replace(file, directory / file.name)
    flush(directory)


def flush(path: Path) -> None:
    """Flush a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_student_state(
    directory: Path, trained: Mapping[str, Tensor], average: Mapping[str, Tensor]
) -> None:
    """Save the trained weights as they are in training, and their F32 average, for a resume.

    The file goes into the run's training_state folder, where LeRobot keeps the optimizer. Nothing
    is written when `directory` is not a training checkpoint's pretrained_model folder, as for a
    push to the Hub.
    """
    if directory.name != PRETRAINED_MODEL_DIR:
        return
    folder = directory.parent / TRAINING_STATE_DIR
    folder.mkdir(exist_ok=True)
    state = {f"trained.{name}": tensor for name, tensor in trained.items()} | {
        f"average.{name}": tensor for name, tensor in average.items()
    }
    save_file(with_dtypes(state, {}), folder / STUDENT_STATE)


def load_student_state(directory: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(trained weights, their F32 average) of a training checkpoint; empty when not saved."""
    file = directory.parent / TRAINING_STATE_DIR / STUDENT_STATE
    state = load_file(file) if file.is_file() else {}
    trained, average = (
        {name.removeprefix(kind): tensor for name, tensor in state.items() if name.startswith(kind)}
        for kind in ("trained.", "average.")
    )
    return trained, average


def steps_done(directory: Path) -> int:
    """The training steps of a training checkpoint; 0 for any other checkpoint."""
    folder = directory.parent / TRAINING_STATE_DIR
    return int(load_training_step(folder)) if (folder / TRAINING_STEP).is_file() else 0
