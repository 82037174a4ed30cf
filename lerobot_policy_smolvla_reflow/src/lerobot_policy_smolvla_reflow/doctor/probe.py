"""Loads SmolVLA checkpoints as LeRobot would and lets them act.

What `ckpt verify --load` and `ckpt doctor` run, in a process of its own.

    python -m lerobot_policy_smolvla_reflow.doctor.probe FOLDER        prints {"problems": [...]}:
    what went wrong
    python -m lerobot_policy_smolvla_reflow.doctor.probe --diagnose    reads a request on standard
    input; prints lines of progress, then the answer (`compare`)

The policy is built on the meta device first, so that names and shapes are judged before a byte of
weights is read, then filled strictly. The base VLM's weights are not needed: the checkpoint holds
all of it. Its config and tokenizer are.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from lerobot_policy_smolvla_reflow.doctor.compare import diagnose
from lerobot_policy_smolvla_reflow.doctor.loaded_policy import CannotAct, load, sentence

TASK = "pick up the cube"


def problems(folder: str) -> list[str]:
    """What keeps the checkpoint from loading or acting, one sentence each; empty when it acts."""
    try:
        contender = load(folder)
    except CannotAct as error:
        return [str(error)]
    policy = contender.policy
    try:
        action = contender.postprocess(act(policy, contender.preprocess))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return [f"loads, and cannot act: {sentence(error)}"]
    return _wrong_with(action, policy)


def act(policy: SmolVLAPolicy, preprocess: Any) -> torch.Tensor:
    """One action on a grey picture and a state of zeros, before it is denormalised.

    The same at every call.
    """
    torch.manual_seed(0)
    features = policy.config.input_features or {}
    observation = {
        name: torch.full(tuple(feature.shape), 0.5 * (feature.type.name == "VISUAL"))
        for name, feature in features.items()
    }
    action: torch.Tensor = policy.select_action(preprocess({**observation, "task": TASK}))
    return action


def _wrong_with(action: torch.Tensor, policy: SmolVLAPolicy) -> list[str]:
    feature = policy.config.action_feature
    found = []
    if not bool(torch.isfinite(action).all()):
        found.append("acts with NaN or infinity")
    if feature is not None and action.shape[-1] != feature.shape[0]:
        found.append(
            f"acts in {action.shape[-1]} dimensions, and its config says {feature.shape[0]}"
        )
    return found


def main() -> None:
    """The command. Standard output carries the answer alone."""
    answers = sys.stdout

    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value, allow_nan=False) + "\n")
        answers.flush()

    with contextlib.redirect_stdout(sys.stderr):
        if sys.argv[1] == "--diagnose":
            answer = diagnose(
                json.load(sys.stdin), lambda done, total: say({"progress": [done, total]})
            )
        else:
            answer = {"problems": problems(sys.argv[1])}
    say(answer)


if __name__ == "__main__":
    main()
