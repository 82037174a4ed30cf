"""Compute every frame's (noise, teacher action) pairs once, before training.

An interrupted run continues when it is started again.

    lerobot-reflow-pairs --teacher TEACHER --dataset-repo-id user/set --out PAIRS
    accelerate launch -m lerobot_policy_smolvla_reflow.pairs_command …    (several processes)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

SOLVERS = ("euler", "heun")  # those of lerobot_policy_smolvla_reflow.flow, which imports torch


def main() -> int:
    """Run the command: 0 when this process stored all of its pairs, 2 after an error."""
    options = parse(sys.argv[1:])
    # torch and LeRobot take seconds to import, so the arguments are checked before.
    from lerobot_policy_smolvla_reflow.pairs_command import store  # noqa: PLC0415 - see above

    return store(options)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; without `--device`, it is None."""
    parser = argparse.ArgumentParser(
        prog="lerobot-reflow-pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--teacher", required=True, help="folder or Hub repository of a SmolVLA checkpoint")
    add("--revision", help="revision of the Hub repository")
    add("--dataset-repo-id", required=True, help="the LeRobot dataset")
    add("--dataset-root", type=Path, help="local folder of the dataset")
    add(
        "--out",
        type=Path,
        required=True,
        help="folder of the pairs; an unfinished one is continued",
    )
    add("--steps", type=int, default=10, help="solver steps (default: 10)")
    add("--solver", choices=SOLVERS, default="euler", help="ODE solver (default: euler)")
    add(
        "--draws", type=int, default=1, help="pairs per frame, each with its own noise (default: 1)"
    )
    add("--seed", type=int, default=0, help="seed of the noise (default: 0)")
    add("--batch-size", type=int, default=16, help="frames per teacher pass (default: 16)")
    add("--shard-frames", type=int, default=1024, help="frames per file (default: 1024)")
    add("--device", help="device of the teacher (default: cuda if available)")
    return parser.parse_args(arguments)
