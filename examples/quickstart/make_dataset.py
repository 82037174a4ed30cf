"""Make the quickstart's dataset: a point robot that drives to one of two goals.

    python make_dataset.py OUT

Neither the image nor the state shows which goal. An action is the displacement in one time step. A
flow's paths bend where an observation has several valid actions: from any noise, the teacher's
first Euler step points near the mean of the goals, where no demonstration goes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

GOALS = np.array([(1.0, 1.0), (-1.0, -1.0)])
CHUNK = 4
EPISODES_PER_GOAL, FRAMES = 12, 24
CAMERA = "observation.images.top"
EDGE = 64
FEATURES = {
    CAMERA: {"dtype": "image", "shape": (EDGE, EDGE, 3), "names": ["height", "width", "channels"]},
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    "action": {"dtype": "float32", "shape": (2,), "names": ["dx", "dy"]},
}


def make_dataset(root: Path) -> None:
    """Write the dataset: each episode has one start, one goal and a steady drive between them."""
    from lerobot.datasets.lerobot_dataset import (
        LeRobotDataset,
    )  # loads torch, which --help does not need

    dataset = LeRobotDataset.create(
        "local/two-goals", fps=10, features=FEATURES, root=root, use_videos=False
    )
    random = np.random.default_rng(0)
    image = np.full((EDGE, EDGE, 3), 40, dtype=np.uint8)
    image[28:36, 28:36] = 220
    for episode in range(EPISODES_PER_GOAL * len(GOALS)):
        start = random.normal(0, 0.05, 2)
        goal = GOALS[episode % len(GOALS)] + random.normal(0, 0.03, 2)
        step = ((goal - start) / CHUNK).astype(np.float32)
        for _ in range(FRAMES):
            dataset.add_frame(
                {
                    CAMERA: image,
                    "observation.state": start.astype(np.float32),
                    "action": step,
                    "task": "go to a goal",
                }
            )
        dataset.save_episode()
    dataset.finalize()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    make_dataset(parser.parse_args().out)


if __name__ == "__main__":
    main()
