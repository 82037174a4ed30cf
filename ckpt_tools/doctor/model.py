"""The records of a diagnosis: causes, notes, and the outcome.

Nothing here measures or judges. Decisions are taken by codes, kinds and sides; the sentences beside
them are for people only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.doctor.measurement import Live, Side
    from ckpt_tools.doctor.repairs import Repairs
    from ckpt_tools.rules.remedy import Remedy


class Effect(StrEnum):
    """What a cause leads to, the worst first.

    ROUNDED: values of fewer bits. HEAVY: a larger file, slower to load, no slower to run.
    """

    BREAKS = "breaks"
    WRONG = "wrong"
    SLOW = "slow"
    ROUNDED = "rounded"
    HEAVY = "heavy"


class CauseCode(StrEnum):
    """The code of a cause. The values are permanent: scripts read them."""

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
    WEIGHTS_MISREAD = "weights-misread"
    ACTIONS_NOT_FINITE = "actions-not-finite"
    NOT_NORMALIZED = "not-normalised"
    NOT_DENORMALIZED = "not-denormalised"
    STATISTICS_BROKEN = "statistics-broken"
    STATISTICS_DISAGREE = "statistics-disagree"
    OTHER_STATISTICS = "other-statistics"
    OTHER_MODE = "other-mode"
    CONFIG_DIFFERS = "config-differs"
    TOO_FEW_STEPS = "too-few-steps"
    TOO_MANY_STEPS = "too-many-steps"
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
    WEIGHTS_ROUNDED = "weights-rounded"
    TEACHER_INSIDE = "teacher-inside"
    UNEXPECTED_TENSORS = "unexpected-tensors"
    STORED_DTYPES = "stored-dtypes"


class Evidence(NamedTuple):
    """A fact that shows a cause: a finding with the code of its rule, or another without."""

    text: str
    code: str = ""

    def __str__(self) -> str:
        """Return the fact as one line, the code first."""
        return f"{self.code} {self.text}" if self.code else self.text


class Cause(NamedTuple):
    """One reason why REFLOW is slow or acts wrongly.

    `repair` is a command that ends it, or advice without one (no `argv`). `measured` is what the
    live comparison showed of it.
    """

    code: CauseCode
    effect: Effect
    what: str
    repair: Remedy
    because: tuple[Evidence, ...] = ()
    measured: str = ""


class Measured(NamedTuple):
    """What was measured of a cause that is known already."""

    code: CauseCode
    text: str


class Observed(NamedTuple):
    """What is known when the causes in a measurement are looked for.

    `limits` is the range of expected actions by dimension, `causes` what is known so far.
    """

    live: Live
    limits: tuple[tuple[float, float], ...]
    causes: tuple[Cause, ...]
    repairs: Repairs

    @property
    def explained(self) -> bool:
        """Whether a known cause makes REFLOW act wrongly, or not at all."""
        return any(cause.effect in (Effect.BREAKS, Effect.WRONG) for cause in self.causes)


class ProblemKind(StrEnum):
    """Why a checkpoint could not be measured; the values are those of the probe protocol."""

    DOES_NOT_LOAD = "does-not-load"
    NOT_FINITE = "not-finite"
    CANNOT_ACT = "cannot-act"


class Problem(NamedTuple):
    """Why one of the two could not be measured: the kind, and the probe's sentence."""

    side: Side
    kind: ProblemKind
    text: str


class NoteKind(StrEnum):
    """What a note is about."""

    SWAPPED = "swapped"
    NOT_MEASURED = "not measured"
    OTHER_FINDINGS = "other findings"
    SHARED_FINDINGS = "shared findings"
    SYNTHETIC = "synthetic observations"
    ROLLOUT_ENDED = "rollout ended"
    ENVIRONMENT_SHARED = "environment shared"
    ON_THE_HUB = "on the Hub"


class Note(NamedTuple):
    """Additional information: `text` is a name or a message, `number` counts findings.

    `command` is for a shell.
    """

    kind: NoteKind
    text: str = ""
    number: int = 0
    command: str = ""


class Skip(StrEnum):
    """Why there is no live comparison."""

    NOT_REQUESTED = "not requested"
    UNREADABLE = "unreadable"
    RUNS_CODE = "runs code"
    ON_THE_HUB = "on the Hub"
    NO_PROBE = "no probe"
    PROBE_FAILED = "probe failed"
    NORMAL_FAILED = "NORMAL failed"


FAILED = frozenset({Skip.RUNS_CODE, Skip.PROBE_FAILED, Skip.NORMAL_FAILED})
"""Reasons that make an otherwise clean diagnosis incomplete, instead of just files only."""


class Skipped(NamedTuple):
    """Why there is no live comparison: the reason, and a name or a message."""

    reason: Skip
    text: str = ""


class SettingPair(NamedTuple):
    """A setting of both checkpoints, as JSON."""

    key: str
    normal: str
    reflow: str

    @property
    def same(self) -> bool:
        """Whether both are equal."""
        return self.normal == self.reflow


class StatisticPair(NamedTuple):
    """A statistic that inference reads, of both: one number per dimension, None if missing.

    `path` is the processor, `mode` how NORMAL normalizes (REFLOW if NORMAL does not).
    """

    path: str
    feature: str
    kind: str
    mode: str
    normal: tuple[float, ...] | None
    reflow: tuple[float, ...] | None
    same: bool


class Diagnosis(NamedTuple):
    """The outcome. `skipped` is why there is no live comparison, None where there is one."""

    normal: Checkpoint
    reflow: Checkpoint | None
    where: tuple[str, str]
    settings: tuple[SettingPair, ...]
    statistics: tuple[StatisticPair, ...]
    causes: tuple[Cause, ...]
    notes: tuple[Note, ...]
    live: Live | None
    skipped: Skipped | None

    def __repr__(self) -> str:
        """Summarize in one line."""
        normal, reflow = self.where
        causes = ", ".join(str(cause.code) for cause in self.causes) or "no cause found"
        return f"<Diagnosis of {reflow!r} beside {normal!r}: {causes}>"

    @property
    def failed(self) -> bool:
        """Whether a live comparison was attempted and failed."""
        return self.skipped is not None and self.skipped.reason in FAILED
