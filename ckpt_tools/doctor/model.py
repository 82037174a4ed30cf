"""Why a student is slow or acts wrongly: causes, what was measured, and what it amounts to.

Nothing here measures or judges.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.checkpoint.model import Checkpoint

type Chunks = tuple[tuple[tuple[float, ...], ...], ...]
"""Actions for the robot.

Observations x steps of the chunk x dimensions, NaN where they are not finite.
"""


class Effect(StrEnum):
    """What a cause leads to, the worst first.

    HEAVY: a larger file, slower to load, no slower to run.
    """

    BREAKS = "breaks"
    WRONG = "wrong"
    SLOW = "slow"
    HEAVY = "heavy"


class CauseCode(StrEnum):
    """Every cause there is. The words are permanent: scripts read them."""

    UNREADABLE = "unreadable"
    REFLOW_FIELDS = "reflow-fields"
    CONFIG_REFUSED = "config-refused"
    USE_CACHE = "use-cache"
    WEIGHTS_NOT_FOUND = "weights-not-found"
    OTHER_MODEL = "other-model"
    PROCESSORS_BROKEN = "processors-broken"
    DOES_NOT_LOAD = "does-not-load"
    CANNOT_ACT = "cannot-act"
    WEIGHTS_MISSING = "weights-missing"
    WEIGHTS_NOT_FINITE = "weights-not-finite"
    ACTIONS_NOT_FINITE = "actions-not-finite"
    NOT_NORMALISED = "not-normalised"
    NOT_DENORMALISED = "not-denormalised"
    STATISTICS_BROKEN = "statistics-broken"
    STATISTICS_DISAGREE = "statistics-disagree"
    OTHER_STATISTICS = "other-statistics"
    OTHER_MODE = "other-mode"
    CONFIG_DIFFERS = "config-differs"
    TOO_FEW_STEPS = "too-few-steps"
    ACTIONS_OUT_OF_RANGE = "actions-out-of-range"
    ACTIONS_DIFFER = "actions-differ"
    VLM_BUILT_IN_F32 = "vlm-built-in-f32"
    NUM_STEPS = "num-steps"
    ACTION_STEPS = "action-steps"
    DEVICE = "device"
    COMPILE_MODEL = "compile-model"
    MORE_TO_COMPUTE = "more-to-compute"
    SLOWER = "slower"
    ENVIRONMENT_SLOW = "environment-slow"
    ENVIRONMENT_SLOWED = "environment-slowed"
    TEACHER_INSIDE = "teacher-inside"
    UNEXPECTED_TENSORS = "unexpected-tensors"
    STORED_DTYPES = "stored-dtypes"


class Cause(NamedTuple):
    """One reason: what is so, what shows it (`because`), and the command or sentence that ends it.

    `measured` says what the live part found of it.
    """

    code: CauseCode
    effect: Effect
    what: str
    repair: str
    because: tuple[str, ...] = ()
    measured: str = ""


class SettingPair(NamedTuple):
    """A value on both sides, as JSON spells it."""

    key: str
    normal: str
    reflow: str

    @property
    def same(self) -> bool:
        """Whether both are equal."""
        return self.normal == self.reflow


class StatisticPair(NamedTuple):
    """A statistic that inference reads, on both sides.

    A number a dimension, None where a side has it not.

    `path` is the processor, `mode` how NORMAL normalises (REFLOW where it does not).
    """

    path: str
    feature: str
    kind: str
    mode: str
    normal: tuple[float, ...] | None
    reflow: tuple[float, ...] | None
    same: bool


class Interval(NamedTuple):
    """A median of so many `rounds`, and the two between which that of all lies with 95 % confidence or more."""

    median: float
    low: float
    high: float
    rounds: int


class Seconds(NamedTuple):
    """Where the time of one chunk went.

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


class Side(NamedTuple):
    """One policy, measured: chunks and times by number of Euler steps."""

    num_steps: int
    chunk_size: int
    n_action_steps: int
    dtypes: Mapping[str, tuple[str, ...]]
    actions: Mapping[int, Chunks]
    times: Mapping[int, tuple[Seconds, ...]]


class EnvironmentTimes(NamedTuple):
    """Seconds of each step in an environment: waiting for the policy, and in `step()`.

    `problem` says what ended it early.
    """

    kind: str
    problem: str
    infer: tuple[tuple[float, ...], tuple[float, ...]]
    step: tuple[tuple[float, ...], tuple[float, ...]]


class Measurement(NamedTuple):
    """What the probe measured of both.

    `crossed` are the chunks of REFLOW's weights between NORMAL's processors, None where they do not
    fit.
    """

    device: str
    threads: int
    what: str
    rows: int
    normal: Side
    reflow: Side
    crossed: Chunks | None
    not_crossed: str = ""
    environment: EnvironmentTimes | None = None
    action_statistics: Mapping[str, tuple[float, ...]] | None = None

    @property
    def sweep(self) -> tuple[int, ...]:
        """The numbers of steps that both were asked for, ascending."""
        return tuple(sorted(self.normal.actions))

    @property
    def synthetic(self) -> bool:
        """Whether the observations were drawn, not seen."""
        return "synthetic" in self.what


class StepsRow(NamedTuple):
    """Both policies at one number of steps.

    Seconds a chunk, REFLOW's as often NORMAL's, and how far the actions are from others.

    Distances are root mean squares in normalised units. `straight` is to the policy's own at the
    most steps of the sweep, `apart` REFLOW's at these steps to NORMAL's at its own number of steps.
    """

    steps: int
    normal: Interval
    reflow: Interval
    ratio: Interval
    straight_normal: float
    straight_reflow: float
    apart: float


class PartRow(NamedTuple):
    """One part of a chunk's time at the steps that both are compared at.

    Seconds, and REFLOW's as often NORMAL's.
    """

    part: str
    normal: Interval
    reflow: Interval
    ratio: Interval


class DimensionRow(NamedTuple):
    """One dimension of the action, each policy at its own number of steps.

    The range of both, the root mean square of their difference over NORMAL's spread.
    """

    dimension: int
    normal: tuple[float, float]
    reflow: tuple[float, float]
    apart: float


class Live(NamedTuple):
    """What the measurement says in numbers.

    `steps` is the number of steps at which `parts` are compared.
    """

    measurement: Measurement
    sweep: tuple[StepsRow, ...]
    steps: int
    parts: tuple[PartRow, ...]
    own: Interval
    dimensions: tuple[DimensionRow, ...]
    apart: float
    apart_crossed: float | None
    environment: tuple[float, float, Interval] | None


class Diagnosis(NamedTuple):
    """The outcome.

    `not_live` says why there is no live part, and `failed` whether there should have been one.
    """

    normal: Checkpoint
    reflow: Checkpoint | None
    where: tuple[str, str]
    settings: tuple[SettingPair, ...]
    statistics: tuple[StatisticPair, ...]
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]
    live: Live | None
    not_live: str
    failed: bool
