"""The tasks of the example: what the expert does, how the policy acts, and the time it has."""

from __future__ import annotations

from dataclasses import dataclass

from expert import LEFT, OVER, RIGHT, Way  # type: ignore[import-not-found]  # beside this script

REPO_ID = "local/metaworld"  # of the demonstrations of any task


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of Meta-World, the expert's ways, and the policy's chunk, which it executes whole.

    An episode of the evaluation ends without success after `episode_length` steps.
    """

    env_task: str
    ways: tuple[Way, ...]
    chunk: int
    episode_length: int


TASKS = {
    # Round the left or the right end of the wall.
    "two-ways": Task(
        env_task="button-press-wall-v3", ways=(LEFT, RIGHT), chunk=16, episode_length=200
    ),
    # Or over it, with few decisions, and no time to correct a bad one.
    "three-ways": Task(
        env_task="button-press-wall-v3", ways=(LEFT, OVER, RIGHT), chunk=48, episode_length=160
    ),
}
