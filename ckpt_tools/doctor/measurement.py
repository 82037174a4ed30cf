"""The records of a live comparison: what the probe measured, and the statistics of it.

Nothing here measures or judges.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

type Chunks = tuple[tuple[tuple[float, ...], ...], ...]
"""Actions for the robot: observations x steps of the chunk x dimensions, NaN where not finite."""


class Side(StrEnum):
    """One of the two checkpoints; the values are the keys of the probe protocol."""

    NORMAL = "normal"
    REFLOW = "reflow"


class Interval(NamedTuple):
    """The median of `rounds` values, and its confidence interval of 95 % or more."""

    median: float
    low: float
    high: float
    rounds: int


class Seconds(NamedTuple):
    """Seconds of each part of one chunk.

    `prefix` is the pass through the VLM, `denoise` all steps through the action expert.
    """

    preprocess: float
    prefix: float
    denoise: float
    postprocess: float

    @property
    def total(self) -> float:
        """From the raw observation to the robot's actions."""
        return sum(self)


class MeasuredPolicy(NamedTuple):
    """One measured policy: chunks and times by number of Euler steps."""

    num_steps: int
    chunk_size: int
    n_action_steps: int
    dtypes: Mapping[str, tuple[str, ...]]
    actions: Mapping[int, Chunks]
    times: Mapping[int, tuple[Seconds, ...]]


class EnvironmentTimes(NamedTuple):
    """Seconds of each step in an environment: waiting for the policy, and in `step()`.

    `problem` is what ended the rollout early, `failed` the side whose turn it was.
    """

    kind: str
    problem: str
    infer: tuple[tuple[float, ...], tuple[float, ...]]
    step: tuple[tuple[float, ...], tuple[float, ...]]
    failed: Side | None = None


class Measurement(NamedTuple):
    """What the probe measured.

    `what` describes the observations; `synthetic`: drawn from statistics, not recorded. `crossed`
    are the chunks of REFLOW's weights with NORMAL's processors, None where they do not fit.
    """

    device: str
    threads: int
    what: str
    rows: int
    normal: MeasuredPolicy
    reflow: MeasuredPolicy
    crossed: Chunks | None
    not_crossed: str = ""
    environment: EnvironmentTimes | None = None
    action_statistics: Mapping[str, tuple[float, ...]] | None = None
    synthetic: bool = False

    @property
    def sweep(self) -> tuple[int, ...]:
        """The numbers of steps at which both were measured, ascending."""
        return tuple(sorted(self.normal.actions))


class StepsRow(NamedTuple):
    """Both policies at one number of steps: seconds per chunk, their ratio, distances of actions.

    Distances are root mean squares in normalized units. `straight` is that to the policy's own
    actions at the most steps, `apart` that of REFLOW's to NORMAL's at NORMAL's own steps, and
    `frames` the same by observation.
    """

    steps: int
    normal: Interval
    reflow: Interval
    ratio: Interval
    straight_normal: float
    straight_reflow: float
    apart: float
    frames: tuple[float, ...]


class PartRow(NamedTuple):
    """One part of a chunk's time at the compared number of steps: seconds, and their ratio."""

    part: str
    normal: Interval
    reflow: Interval
    ratio: Interval


class DimensionRow(NamedTuple):
    """One dimension of the action, each policy at its own number of steps: ranges, distance."""

    dimension: int
    normal: tuple[float, float]
    reflow: tuple[float, float]
    apart: float


class Live(NamedTuple):
    """Statistics of a measurement. `steps` is the number of steps at which `parts` are compared."""

    measurement: Measurement
    sweep: tuple[StepsRow, ...]
    steps: int
    parts: tuple[PartRow, ...]
    own: Interval
    dimensions: tuple[DimensionRow, ...]
    apart: float
    apart_crossed: float | None
    environment: tuple[float, float, Interval] | None

    @property
    def own_steps(self) -> StepsRow:
        """Both policies at REFLOW's number of steps."""
        return next(row for row in self.sweep if row.steps == self.steps)
