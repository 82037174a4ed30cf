"""Two policies in two copies of one environment, step by step in turn.

How long each waits for its policy, and how long for the environment.
"""

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

from lerobot_policy_smolvla_reflow.doctor.loaded_policy import Contender, sentence

LEAST, MOST = 20, 100
"""Steps in the environment: at least, at most; between them two chunks."""


class EnvironmentInvalid(Exception):
    """An environment that LeRobot cannot make."""


class _Rollout:
    """A policy in its own copy of the environment.

    `infer` and `step` are seconds, one each a step.
    """

    def __init__(self, contender: Contender, config: EnvConfig, seed: int) -> None:
        self.contender, self.seed = contender, seed
        self.env = next(
            env for tasks in make_env(config, n_envs=1).values() for env in tasks.values()
        )
        self.before, self.after = make_env_pre_post_processors(config, contender.policy.config)
        self.infer: list[float] = []
        self.step: list[float] = []
        self.reset()

    def reset(self) -> None:
        """A new episode, with the same seed for both policies."""
        self.contender.policy.reset()
        torch.manual_seed(self.seed)
        self.observation, _ = self.env.reset(seed=[self.seed + len(self.step)])

    def advance(self) -> None:
        """One action, one step."""
        started = time.perf_counter()
        action = self._action()
        acted = time.perf_counter()
        self.observation, _, terminated, truncated, _ = self.env.step(action)
        done = time.perf_counter()
        self.infer.append(acted - started)
        self.step.append(done - acted)
        if np.any(terminated) or np.any(truncated):
            self.reset()

    def _action(self) -> Any:
        observation = preprocess_observation(self.observation)
        observation["task"] = self._task()
        batch = self.contender.preprocess(self.before(observation))
        with torch.inference_mode():
            action = self.contender.postprocess(self.contender.policy.select_action(batch))
        return self.after({"action": action})["action"].to("cpu").numpy()

    def _task(self) -> list[str]:
        """The instruction, looked for where lerobot-eval does."""
        for name in ("task_description", "task"):
            try:
                return [str(task) for task in self.env.call(name)]
            except (AttributeError, NotImplementedError):
                continue
        return [""]


def roll_out(
    contenders: tuple[Contender, Contender], request: Mapping[str, Any], tell: Callable[[], None]
) -> dict[str, Any]:
    """Seconds of inference and of the environment's step() for both, or the problem that ended it.

    Raises EnvironmentInvalid.
    """
    config = _config(request)
    try:
        rollouts = [_Rollout(contender, config, int(request["seed"])) for contender in contenders]
    except Exception as error:  # whatever the simulator raises
        raise EnvironmentInvalid(
            f"the environment {request['env']} cannot be made: {sentence(error)}"
        ) from error
    problem = ""
    try:
        for _ in range(steps_of(contenders)):
            for name, rollout in zip(("NORMAL", "REFLOW"), rollouts, strict=True):
                try:
                    rollout.advance()
                except Exception as error:  # noqa: BLE001 - whatever the simulator raises is what is to be told
                    problem = f"{name} in {request['env']}, step {len(rollout.step) + 1}: {sentence(error)}"
                    break
            tell()
            if problem:
                break
    finally:
        for rollout in rollouts:
            rollout.env.close()
    sides = {
        name: {"infer": rollout.infer, "step": rollout.step}
        for name, rollout in zip(("normal", "reflow"), rollouts, strict=True)
    }
    return {"type": str(request["env"]), "problem": problem, **sides}


def steps_of(contenders: tuple[Contender, Contender]) -> int:
    """How many steps a rollout takes: two chunks of the policy that executes more of each."""
    return min(
        MOST,
        max(LEAST, 2 * max(contender.policy.config.n_action_steps for contender in contenders)),
    )


def _config(request: Mapping[str, Any]) -> EnvConfig:
    kind, _, task = str(request["env"]).partition(":")
    try:
        register_third_party_plugins()
        if request.get("env_package"):
            importlib.import_module(str(request["env_package"]))
        made: EnvConfig = make_env_config(kind, **({"task": task} if task else {}))
    except Exception as error:
        raise EnvironmentInvalid(
            f"the environment {request['env']} is not known: {sentence(error)}"
        ) from error
    return made
