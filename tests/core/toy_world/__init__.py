"""An environment without a simulator: a camera, six joints, and a reward for moving.

LeRobot finds it as it finds a user's: `--env.discover_packages_path=toy_world
--env.type=toy_world`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from numpy.typing import NDArray

JOINTS, EDGE = 6, 64
Observation = dict[str, Any]


class ToyWorld(gymnasium.Env[Observation, NDArray[np.float32]]):
    """Six joints that the actions move; the observation shows them."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - gymnasium declares it on the instance
    task_description = "reach the cube"

    def __init__(self) -> None:
        self.render_mode = "rgb_array"
        self._joints: NDArray[np.float64] = np.zeros(JOINTS)
        pixels = gymnasium.spaces.Box(0, 255, (EDGE, EDGE, 3), np.uint8)
        joints = gymnasium.spaces.Box(-np.inf, np.inf, (JOINTS,), np.float64)
        self.observation_space: gymnasium.Space[Observation] = gymnasium.spaces.Dict(
            {"pixels": gymnasium.spaces.Dict({"top": pixels}), "agent_pos": joints}
        )
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (JOINTS,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start with random joints."""
        super().reset(seed=seed, options=options)
        self._joints = self.np_random.normal(size=JOINTS)
        return self._observe(), {"is_success": False}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move by `action`; success when it is not zero."""
        assert np.isfinite(action).all(), "the policy acted with NaN or infinity"
        self._joints = self._joints + action
        return (
            self._observe(),
            float(np.abs(action).sum()),
            False,
            False,
            {"is_success": bool(action.any())},
        )

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]  # gymnasium types a frame as any render result
        """A gray image."""
        return np.full((EDGE, EDGE, 3), 90, np.uint8)

    def _observe(self) -> Observation:
        return {"pixels": {"top": self.render()}, "agent_pos": self._joints.copy()}


gymnasium.register("gym_toy_world/Reach", ToyWorld)


@EnvConfig.register_subclass("toy_world")
@dataclass
class ToyWorldConfig(EnvConfig):
    """`--env.type=toy_world`."""

    task: str | None = "Reach"
    fps: int = 10
    episode_length: int = 5
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            "action": PolicyFeature(type=FeatureType.ACTION, shape=(JOINTS,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(JOINTS,)),
            "pixels/top": PolicyFeature(type=FeatureType.VISUAL, shape=(EDGE, EDGE, 3)),
        }
    )
    features_map: dict[str, str] = field(
        default_factory=lambda: {
            "action": "action",
            "agent_pos": "observation.state",
            "pixels/top": "observation.images.top",
        }
    )

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `gymnasium.make`."""
        return {"max_episode_steps": self.episode_length}
