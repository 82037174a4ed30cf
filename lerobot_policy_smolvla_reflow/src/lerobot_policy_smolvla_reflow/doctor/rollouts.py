"""Run two policies in two copies of an environment, in turn, and time both."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lerobot.envs.configs import EnvConfig
from lerobot.envs.factory import make_env, make_env_config, make_env_pre_post_processors
from lerobot.envs.utils import preprocess_observation
from lerobot.utils.import_utils import register_third_party_plugins

from lerobot_policy_smolvla_reflow.doctor.loaded_policy import (
    InvalidRequest,
    LoadedPolicy,
    one_line,
)

MIN_STEPS, MAX_STEPS = 20, 100  # steps in the environment


class _Rollout:
    """A policy in its own copy of the environment.

    `infer` and `step` are the seconds of each step.
    """

    def __init__(self, side: str, loaded: LoadedPolicy, config: EnvConfig, seed: int) -> None:
        self.side, self.loaded, self.seed = side, loaded, seed
        self.env = next(
            env for tasks in make_env(config, n_envs=1).values() for env in tasks.values()
        )
        self.before, self.after = make_env_pre_post_processors(config, loaded.policy.config)
        self.infer: list[float] = []
        self.step: list[float] = []
        self.reset()

    def reset(self) -> None:
        """Start a new episode, with the same seed for both policies."""
        self.loaded.policy.reset()
        torch.manual_seed(self.seed)
        self.observation, _ = self.env.reset(seed=[self.seed + len(self.step)])

    def advance(self) -> None:
        """Execute one action."""
        started = time.perf_counter()
        action = self._action()
        acted = time.perf_counter()
        self.observation, _, terminated, truncated, _ = self.env.step(action)
        self.step.append(time.perf_counter() - acted)
        self.infer.append(acted - started)
        if np.any(terminated) or np.any(truncated):
            self.reset()

    def _action(self) -> Any:
        observation = preprocess_observation(self.observation)
        observation["task"] = self._task()
        batch = self.loaded.preprocess(self.before(observation))
        with torch.inference_mode():
            action = self.loaded.postprocess(self.loaded.policy.select_action(batch))
        return self.after({"action": action})["action"].to("cpu").numpy()

    def _task(self) -> list[str]:
        """The instruction, from the same attributes as in lerobot-eval."""
        for name in ("task_description", "task"):
            try:
                return [str(task) for task in self.env.call(name)]
            except (AttributeError, NotImplementedError):
                continue
        return [""]


def run_rollouts(
    policies: Mapping[str, LoadedPolicy], request: Mapping[str, Any], advance: Callable[[], None]
) -> dict[str, Any]:
    """Seconds of inference and of the environment's step() by side. Raises InvalidRequest.

    `problem` is what ended the rollout early, `failed` the side whose turn it was.
    """
    config = _config(request)
    try:
        rollouts = [
            _Rollout(side, loaded, config, int(request["seed"]))
            for side, loaded in policies.items()
        ]
    except Exception as error:  # any exception of the simulator
        raise InvalidRequest(
            f"the environment {request['env']} cannot be created: {one_line(error)}"
        ) from error
    problem, failed = "", ""
    try:
        for _ in range(rollout_steps(policies)):
            for rollout in rollouts:
                rollout.advance()
            advance()
    except Exception as error:  # noqa: BLE001 - any exception of the simulator or the policy is reported
        failed = rollout.side
        problem = (
            f"{rollout.side.upper()} in {request['env']}, step {len(rollout.step) + 1}: "
            f"{one_line(error)}"
        )
    finally:
        for rollout in rollouts:
            rollout.env.close()
    return {"type": str(request["env"]), "problem": problem, "failed": failed} | {
        rollout.side: {"infer": rollout.infer, "step": rollout.step} for rollout in rollouts
    }


def rollout_steps(policies: Mapping[str, LoadedPolicy]) -> int:
    """The steps of a rollout: two chunks of the policy that executes more of each chunk."""
    return min(
        MAX_STEPS,
        max(
            MIN_STEPS, 2 * max(loaded.policy.config.n_action_steps for loaded in policies.values())
        ),
    )


def _config(request: Mapping[str, Any]) -> EnvConfig:
    env_type, _, task = str(request["env"]).partition(":")
    try:
        register_third_party_plugins()
        if request.get("env_package"):
            # The user's package, named on the command line.
            importlib.import_module(str(request["env_package"]))
        return make_env_config(env_type, **({"task": task} if task else {}))
    except Exception as error:
        raise InvalidRequest(f"unknown environment {request['env']}: {one_line(error)}") from error
