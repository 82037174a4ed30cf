"""The probe's command, run by `ckpt verify --load` and `ckpt doctor`.

    python -m lerobot_policy_smolvla_reflow.doctor.probe FOLDER
        prints {"problems": [...]}
    python -m lerobot_policy_smolvla_reflow.doctor.probe --diagnose
        reads a request from standard input; prints progress, then the answer of `compare`

The policy is built on the meta device first, so names and shapes are checked before any weight is
read, and then filled strictly. The base VLM's weights are not needed: the checkpoint contains all
of them. Its config and tokenizer are.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import torch

from lerobot_policy_smolvla_reflow.doctor.compare import diagnose
from lerobot_policy_smolvla_reflow.doctor.inputs import TASK
from lerobot_policy_smolvla_reflow.doctor.loaded_policy import (
    LoadedPolicy,
    UnusablePolicy,
    cannot_act,
    load,
)


def problems(folder: str) -> list[str]:
    """What keeps the checkpoint from loading or acting, one phrase each; empty when it acts."""
    try:
        loaded = load(folder)
    except UnusablePolicy as error:
        return [str(error)]
    try:
        action = _act(loaded)
    except Exception as error:  # noqa: BLE001 - any exception is the finding
        return [cannot_act(error)]
    found, feature = [], loaded.policy.config.action_feature
    if not bool(torch.isfinite(action).all()):
        found.append("acts with NaN or infinity")
    if feature is not None and action.shape[-1] != feature.shape[0]:
        found.append(
            f"its actions have {action.shape[-1]} dimensions, but its config says "
            f"{feature.shape[0]}"
        )
    return found


def _act(loaded: LoadedPolicy) -> torch.Tensor:
    """One action for gray images and a state of zeros; the same at every call."""
    torch.manual_seed(0)
    features = loaded.policy.config.input_features or {}
    observation = {
        name: torch.full(tuple(feature.shape), 0.5 * (feature.type.name == "VISUAL"))
        for name, feature in features.items()
    }
    return loaded.postprocess(
        loaded.policy.select_action(loaded.preprocess({**observation, "task": TASK}))
    )


def main() -> None:
    """Run the command. Standard output has only the answer and the progress."""
    output = sys.stdout

    def write(value: dict[str, Any]) -> None:
        output.write(json.dumps(value, allow_nan=False) + "\n")
        output.flush()

    with contextlib.redirect_stdout(sys.stderr):
        if sys.argv[1] == "--diagnose":
            answer = diagnose(
                json.load(sys.stdin), lambda done, total: write({"progress": [done, total]})
            )
        else:
            answer = {"problems": problems(sys.argv[1])}
    write(answer)


if __name__ == "__main__":
    main()
