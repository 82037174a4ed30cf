"""LeRobot's Meta-World environment with small images, for computers without a GPU.

LeRobot finds it by the name of its distribution, as any environment plugin:

    PYTHONPATH=examples/metaworld/environment lerobot-eval --env.type=metaworld_light …

Physics, camera, initial states and success are those of LeRobot's own environment. Images have 64 x
64 pixels without shadows, and an episode ends after 200 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig, MetaworldEnv


@EnvConfig.register_subclass("metaworld_light")
@dataclass
class MetaworldLightEnv(MetaworldEnv):
    """The settings of the environment.

    A policy that executes `image_every` actions before it looks again sees the same images as with
    1, and the others are not rendered. With `blank`, all images are black and nothing is rendered.
    """

    task: str = "button-press-wall-v3"
    episode_length: int = 200
    edge: int = 64
    image_every: int = 1
    blank: bool = False

    def __post_init__(self) -> None:
        """Declare the observations."""
        image = PolicyFeature(type=FeatureType.VISUAL, shape=(self.edge, self.edge, 3))
        self.features["agent_pos"] = PolicyFeature(type=FeatureType.STATE, shape=(4,))
        self.features["pixels/top"] = image

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """The arguments of the gymnasium environment."""
        names = ("episode_length", "edge", "image_every", "blank")
        return {name: getattr(self, name) for name in names}

    def create_envs(
        self,
        n_envs: int,
        use_async_envs: bool = False,  # noqa: FBT001, FBT002 - LeRobot's signature
    ) -> dict[str, dict[int, Any]]:
        """`n_envs` environments of the task, which run one after the other or in processes."""
        from .simulation import create

        return create(self.task, n_envs, self.gym_kwargs, in_processes=use_async_envs)
