"""The simulation: LeRobot's, rendered small and only where a policy looks."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import gymnasium
import metaworld
import numpy as np
from lerobot.envs.metaworld import MetaworldEnv
from lerobot.envs.utils import _LazyAsyncVectorEnv, freeze_after_episode_end
from numpy.typing import NDArray

STATE_DIMS = 4


class LightEnv(MetaworldEnv):
    """LeRobot's environment of a task; see the package for the arguments."""

    def __init__(
        self,
        task: str,
        *,
        episode_length: int = 200,
        edge: int = 64,
        image_every: int = 1,
        blank: bool = False,
    ) -> None:
        super().__init__(
            task,
            obs_type="pixels_agent_pos",
            observation_width=edge,
            observation_height=edge,
        )
        self._max_episode_steps = episode_length
        self._image_every, self._blank = image_every, blank
        self._env: Any  # Meta-World's, which LeRobot builds in _ensure_env
        self._steps = 0
        self._image: NDArray[np.uint8] = np.zeros((edge, edge, 3), np.uint8)

    def reset(
        self, seed: int | None = None, **kwargs: Any
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Start an episode, whose initial state depends on the seed alone."""
        self._steps = 0
        return super().reset(seed=seed, **kwargs)

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Execute an action."""
        self._steps += 1
        return super().step(action)

    def advance(self, action: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], bool]:
        """Execute an action; success does not end the episode. The observation and success."""
        self._steps += 1
        raw, _, _, _, info = self._env.step(action)
        return self._format_raw_obs(raw), bool(info["success"])

    def render(self) -> NDArray[np.uint8]:
        """The last image that was rendered, which makes lerobot-eval's videos cheap."""
        return self._image

    @property
    def raw_observation(self) -> NDArray[np.float64]:
        """Meta-World's own observation: hand and objects, which a policy never sees."""
        observation: NDArray[np.float64] = self._env._get_obs()  # noqa: SLF001 - there is no other way
        return observation

    def _format_raw_obs(self, raw_obs: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        if not self._blank and self._steps % self._image_every == 0:
            # The camera is upside down.
            self._image = np.flip(self._env.render(), (0, 1)).copy()
        return {"pixels": self._image, "agent_pos": raw_obs[:STATE_DIMS]}

    def _ensure_env(self) -> None:
        """Build the simulation on first use, in the process that runs it."""
        if self._env is not None:
            return
        tasks = _tasks(self._env_name)
        env = tasks.train_classes[self._env_name](
            render_mode="rgb_array",
            camera_name=self.camera_name,
            width=self.observation_width,
            height=self.observation_height,
        )
        env.set_task(tasks.train_tasks[0])
        env.model.cam_pos[2] = [0.75, 0.075, 0.7]  # as in LeRobot
        env.model.vis.quality.offsamples = 0
        env.model.light_castshadow[:] = 0
        env.reset()
        env._freeze_rand_vec = False  # noqa: SLF001 - as in LeRobot: a new start in every episode,
        env.seeded_rand_vec = True  # from its seed
        self._env = env


@cache
def _tasks(name: str) -> Any:
    """Meta-World's description of a task, which takes as long to make as an environment."""
    return metaworld.MT1(name, seed=42)  # LeRobot's seed


def create(
    task: str, n_envs: int, arguments: dict[str, Any], *, in_processes: bool
) -> dict[str, dict[int, Any]]:
    """Vectorized environments as lerobot-eval expects them: {task: {0: environments}}."""
    makers = [partial(LightEnv, task, **arguments) for _ in range(n_envs)]
    if in_processes and n_envs > 1:
        return {task: {0: _LazyAsyncVectorEnv(makers)}}
    return {
        task: {0: gymnasium.vector.SyncVectorEnv([freeze_after_episode_end(m) for m in makers])}
    }
