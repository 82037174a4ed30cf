"""Run stock `lerobot-train` several times in one process, or in each process of one group.

    python train_several.py RUNS REPORT [BATCH]

RUNS is JSON: the arguments of each run, by its name. REPORT is a folder, and each rank leaves
RANK.json there: by run, the policy's wrapper, a digest of its weights (not of FSDP's shards) and of
the noise of every step. With BATCH, a safetensors file of inputs and noise, the actions for them of
what each run saves are in actions.safetensors.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from draccus.wrappers import docstring
from lerobot.scripts import lerobot_train
from lerobot_policy_smolvla_reflow.modeling_smolvla_reflow import SmolVLAReflowPolicy
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lerobot_policy_smolvla_reflow import modeling_smolvla_reflow as modeling
from lerobot_policy_smolvla_reflow import sampling

seen: dict[str, Any] = {}
_update_policy = lerobot_train.update_policy


def update_policy(metrics: Any, policy: nn.Module, *rest: Any, **named: Any) -> Any:
    """Keep the policy."""
    seen["policy"] = policy
    return _update_policy(metrics, policy, *rest, **named)


def sample_step(*arguments: Any) -> Any:
    """Keep a digest of the noise."""
    sample = sampling.sample_step(*arguments)
    seen["noise"].append(hashlib.sha256(sample.z1_BTA.numpy().tobytes()).hexdigest())
    return sample


def report() -> dict[str, Any]:
    """What is told of the run that has ended."""
    policy, digest = seen["policy"], hashlib.sha256()
    kind = type(policy).__name__
    if kind != "FullyShardedDataParallel":
        for name, tensor in sorted(unwrapped(policy).state_dict().items()):
            digest.update(name.encode() + tensor.float().numpy().tobytes())
    return {"kind": kind, "weights": digest.hexdigest(), "noise": seen["noise"]}


def unwrapped(policy: nn.Module) -> SmolVLAReflowPolicy:
    """The policy inside the wrapper of a group."""
    inner = getattr(policy, "module", policy)
    assert isinstance(inner, SmolVLAReflowPolicy)
    return inner


def actions(batch: dict[str, Tensor]) -> Tensor:
    """The actions of what the run saves: of the weight average, if there is one."""
    policy, inputs = unwrapped(seen["policy"]).eval(), dict(batch)
    noise = inputs.pop("noise")
    with policy._average.in_place_of(policy.named_parameters()):
        return policy.predict_action_chunk(inputs, noise).contiguous()


def main() -> None:
    """Train, and leave the reports."""
    runs, folder, *batch = sys.argv[1:]
    told, acted = {}, {}
    torch.set_num_threads(1)
    lerobot_train.update_policy = update_policy
    modeling.sample_step = sample_step  # type: ignore[attr-defined,assignment]  # used there, not exported
    Accelerator.end_training = lambda _: None  # type: ignore[method-assign]  # it ends the group
    # Half of a short run is the search for the fields' help, which never changes.
    docstring.get_attribute_docstring = functools.cache(docstring.get_attribute_docstring)  # type: ignore[assignment]  # its arguments are hashable
    for name, arguments in json.loads(runs).items():
        sys.argv[1:], seen["noise"] = arguments, []
        lerobot_train.main()
        told[name] = report()
        if batch:
            acted[name] = actions(load_file(batch[0]))
    rank = os.environ.get("RANK", "0")
    Path(folder, f"{rank}.json").write_text(json.dumps(told))
    if acted:
        save_file(acted, Path(folder, "actions.safetensors"))


if __name__ == "__main__":
    main()
