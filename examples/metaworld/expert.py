"""A scripted expert that presses the button behind the wall, on one of several ways.

Meta-World's own expert always takes the same way. From such demonstrations a flow learns straight
paths, which need no distillation. Here, nothing in the observation shows which way is next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WALL_Y = 0.6
BUTTON_Z = 0.115
CLOSED_GRIPPER = 1.0
NEAR, VERY_NEAR = 0.03, 0.012  # meters


class Way(NamedTuple):
    """Where the hand passes the wall. `x` is None for a way that starts at the hand's own x."""

    x: float | None
    z: float


LEFT, RIGHT = Way(-0.095, BUTTON_Z), Way(0.295, BUTTON_Z)
OVER = Way(None, 0.27)


class Expert:
    """An episode's expert.

    The way, its exact place and the speed are fixed when the episode starts. Executed actions are
    noisy, so that the demonstrations show how to correct errors; recorded ones are not.
    """

    def __init__(self, way: Way, random: np.random.Generator, noise: float = 0.15) -> None:
        self.random, self.noise = random, noise
        self.x = None if way.x is None else way.x + np.sign(way.x) * random.uniform(-0.01, 0.02)
        self.z = way.z + random.uniform(-0.005, 0.01)
        self.gain = random.uniform(8, 12)
        self.stage = 0

    def act(
        self, observation: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The action to execute and the one to record."""
        hand, button = observation[:3], observation[4:7]
        target = self._target(hand, button)
        recorded = np.array([*np.clip((target - hand) * self.gain, -1, 1), CLOSED_GRIPPER])
        executed = recorded.copy()
        executed[:3] += self.noise * self.random.standard_normal(3)
        return np.clip(executed, -1, 1).astype(np.float32), recorded.astype(np.float32)

    def _target(
        self, hand: NDArray[np.float64], button: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The end of the current stage; stages that are done are left."""
        behind = min(WALL_Y + 0.035, button[1] - 0.02)
        x = button[0] if self.x is None else self.x
        targets = (
            (x, WALL_Y - 0.09, self.z),  # beside the wall, or above it
            (x, behind + 0.01, self.z),  # past it
            (button[0], behind, BUTTON_Z),  # in front of the button
            (button[0], button[1] + 0.12, BUTTON_Z),  # pressed
        )
        done = (
            abs(hand[0] - x) < NEAR and hand[2] > self.z - NEAR,
            hand[1] > behind - VERY_NEAR,
            abs(hand[0] - button[0]) < VERY_NEAR and abs(hand[2] - BUTTON_Z) < NEAR,
            False,
        )
        self.stage += done[self.stage]
        return np.array(targets[self.stage])
