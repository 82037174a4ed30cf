"""Causes in the times that the live comparison shows.

A time counts as longer when the whole interval of its ratio is above a limit, not when a median is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.doctor.measurement import Side
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Measured
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.measurement import Interval, Live
    from ckpt_tools.doctor.model import Observed

SLOWER = 1.1
STEP_SLOWER = 1.5
SHARE = 0.5

_TIMED = frozenset({CauseCode.VLM_BUILT_IN_F32, CauseCode.MORE_TO_COMPUTE})
"""Causes in the files that make a chunk slower at the same number of steps."""


def speed(observed: Observed) -> Iterator[Cause | Measured]:
    """Compare the times at REFLOW's number of steps. Slower: at every number of steps."""
    live = observed.live
    row = live.own_steps
    codes = [cause.code for cause in observed.causes if cause.code in _TIMED]
    slower = row.ratio.low > SLOWER and all(one.ratio.median > SLOWER for one in live.sweep)
    worst = max(live.parts, key=lambda part: part.reflow.median - part.normal.median)
    text = (
        f"a chunk of {count(row.steps, 'step')} takes {times(row.ratio)} as long as NORMAL's, "
        f"most of it in its {worst.part} ({times(worst.ratio)})"
    )
    if codes:
        measured = (
            text
            if slower
            else f"no slower here: a chunk takes {times(row.ratio)} as long as NORMAL's"
        )
        yield from (Measured(code, measured) for code in codes)
    elif slower:
        repair = Remedy(text="compare the dtypes at run time, and the other load on the machine")
        what = f"{text}, and nothing in the files explains it"
        yield Cause(CauseCode.SLOWER, Effect.SLOW, what, repair)


def times(ratio: Interval) -> str:
    """Return a ratio with its interval in words."""
    return f"{ratio.median:.3g} times ({ratio.low:.3g} to {ratio.high:.3g})"


def environment(observed: Observed) -> Iterator[Cause]:
    """Find what the environment lets the policy wait for, and what it rejects."""
    rollout, figures = observed.live.measurement.environment, observed.live.environment
    if rollout and rollout.failed is Side.REFLOW and not observed.explained:
        repair = Remedy(text="plot its actions (--plot): the environment accepted NORMAL's")
        yield Cause(CauseCode.CANNOT_ACT, Effect.WRONG, rollout.problem, repair)
    if figures is None:
        return
    normal_share, share, ratio = figures
    if ratio.low > STEP_SLOWER:
        what = (
            f"step() takes {times(ratio)} as long with REFLOW's actions: they are hard to simulate"
        )
        repair = Remedy(
            text=(
                "plot the actions first (--plot); a simulation is slow where bodies collide or jump"
            )
        )
        yield Cause(CauseCode.ENVIRONMENT_SLOWED, Effect.SLOW, what, repair)
    if share >= SHARE and ratio.low > 1:
        what = (
            f"the environment's step() takes {share:.0%} of the time, and {normal_share:.0%} "
            "with NORMAL"
        )
        repair = Remedy(
            text=(
                "make the simulation faster: fewer cameras, smaller images, no rendering, or "
                "several environments at once"
            )
        )
        yield Cause(CauseCode.ENVIRONMENT_SLOW, Effect.SLOW, what, repair)


def shared_environment(live: Live) -> bool:
    """Whether both wait for the environment most of the time, and REFLOW no longer than NORMAL.

    A simulation that is slow for both makes neither of them the slow one.
    """
    return live.environment is not None and (
        live.environment[1] >= SHARE and live.environment[2].low <= 1
    )
