"""Loads a SmolVLA checkpoint as LeRobot would and lets it act once; says what went wrong. What `ckpt verify --load` runs, in a process of its own.

    python -m lerobot_policy_smolvla_reflow.probe FOLDER        prints {"problems": [...]}

The policy is built on the meta device first, so that names and shapes are judged before a byte of weights is read, then filled strictly. The base VLM's
weights are not needed: the checkpoint holds all of it. Its config and tokenizer are.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.teacher import load_teacher

TASK = "pick up the cube"


def problems(folder: str) -> list[str]:
    """What keeps the checkpoint from loading or acting, one sentence each; empty when it acts."""
    try:
        policy = load_teacher(folder, None).policy
    except ReflowError as error:
        return [f"does not load: {error.message}"]
    try:
        preprocess, postprocess = make_pre_post_processors(policy.config, pretrained_path=folder)
        action = postprocess(act(policy, preprocess))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return [f"loads, and cannot act: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"]
    return _wrong_with(action, policy)


def act(policy: SmolVLAPolicy, preprocess: Any) -> torch.Tensor:
    """One action on a grey picture and a state of zeros, before it is denormalised; the same at every call."""
    torch.manual_seed(0)
    features = policy.config.input_features or {}
    observation = {name: torch.full(tuple(feature.shape), 0.5 * (feature.type.name == "VISUAL")) for name, feature in features.items()}
    action: torch.Tensor = policy.select_action(preprocess({**observation, "task": TASK}))
    return action


def _wrong_with(action: torch.Tensor, policy: SmolVLAPolicy) -> list[str]:
    feature = policy.config.action_feature
    found = []
    if not bool(torch.isfinite(action).all()):
        found.append("acts with NaN or infinity")
    if feature is not None and action.shape[-1] != feature.shape[0]:
        found.append(f"acts in {action.shape[-1]} dimensions, and its config says {feature.shape[0]}")
    return found


def main() -> None:
    """The command. Standard output carries the answer alone."""
    with contextlib.redirect_stdout(sys.stderr):
        found = problems(sys.argv[1])
    sys.stdout.write(json.dumps({"problems": found}) + "\n")


if __name__ == "__main__":
    main()
