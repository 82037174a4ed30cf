"""Record demonstrations of a task with the scripted expert, offline, as a LeRobot dataset.

    python make_demos.py OUT --task two-ways [--episodes N] [--blank]

The ways alternate, so each has as many episodes. With `--blank`, the episodes are the same and the
images black.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from expert import Expert, Way  # type: ignore[import-not-found]  # beside this script
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot_env_metaworld_light.simulation import (  # type: ignore[import-not-found]  # in environment/
    LightEnv,
)
from tasks import REPO_ID, TASKS, Task  # type: ignore[import-not-found]  # beside this script

EDGE = 64
LONGEST, AFTER_SUCCESS = 160, 5  # steps of an episode, and those after the button is pressed
FEATURES = {
    "observation.image": {
        "dtype": "image",
        "shape": (EDGE, EDGE, 3),
        "names": ["height", "width", "channels"],
    },
    "observation.state": {"dtype": "float32", "shape": (4,), "names": ["x", "y", "z", "gripper"]},
    "action": {"dtype": "float32", "shape": (4,), "names": ["dx", "dy", "dz", "gripper"]},
}


def demonstrate(env: LightEnv, way: Way, seed: int) -> list[dict[str, Any]] | None:
    """The frames of an episode with this seed, or None if the button was not pressed."""
    observation, _ = env.reset(seed=seed)
    expert = Expert(way, np.random.default_rng(seed))
    frames, pressed = [], 0
    for _ in range(LONGEST):
        executed, recorded = expert.act(env.raw_observation)
        frames.append(
            {
                "observation.image": observation["pixels"],
                "observation.state": observation["agent_pos"].astype(np.float32),
                "action": recorded,
                "task": env.task_description,
            }
        )
        observation, success = env.advance(executed)
        pressed += success or pressed > 0
        if pressed > AFTER_SUCCESS:
            return frames
    return None


def make_demos(root: Path, task: Task, episodes: int, *, blank: bool) -> None:
    """Write the dataset. An episode in which the expert fails is not recorded."""
    dataset = LeRobotDataset.create(REPO_ID, fps=80, features=FEATURES, root=root, use_videos=False)
    env = LightEnv(task.env_task, edge=EDGE, blank=blank)
    seeds = itertools.count()
    for episode in range(episodes):
        way, frames = task.ways[episode % len(task.ways)], None
        while frames is None:
            frames = demonstrate(env, way, next(seeds))
        for frame in frames:
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    env.close()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", choices=TASKS, default="two-ways", help="(default: two-ways)")
    parser.add_argument("--episodes", type=int, default=100, help="(default: 100)")
    parser.add_argument("--blank", action="store_true", help="black images")
    options = parser.parse_args()
    make_demos(options.out, TASKS[options.task], options.episodes, blank=options.blank)


if __name__ == "__main__":
    main()
