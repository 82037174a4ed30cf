"""From the figures of the live part to causes, and to what they say of the causes that the files told. Numbers in, sentences out.

Distances are in normalised units: under MEAN_STD, 1 is a standard deviation of the dataset's
actions. A time counts as longer when the whole interval of its ratio lies above a limit, not when a
median does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.doctor.causes import PROCESSOR_CAUSES, in_order
from ckpt_tools.doctor.model import Cause, CauseCode, Effect
from ckpt_tools.doctor.statistics import not_finite, out_of
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.model import Interval, Live, PartRow, StepsRow
    from ckpt_tools.doctor.repairs import Repairs

STRAIGHT = 0.1
"""Actions no further apart are the same to a robot: a tenth of a standard deviation."""

FAR = 0.5
"""Actions further apart are other actions."""

SLOWER = 1.1
FASTER = 1.1
STEP_SLOWER = 1.5
SHARE = 0.5
OUT = 0.01

_TIMED = frozenset({CauseCode.VLM_BUILT_IN_F32, CauseCode.MORE_TO_COMPUTE})
"""Causes in the files that make a chunk slower at the same number of steps."""

_EXPLAINING = frozenset({Effect.BREAKS, Effect.WRONG})


class Observed(NamedTuple):
    """The live part as the judges of this module look at it.

    Figures, where actions can be expected, what the files told, what repairs.
    """

    live: Live
    limits: tuple[tuple[float, float], ...]
    told: tuple[Cause, ...]
    repairs: Repairs


def with_measurements(seen: Observed) -> tuple[Cause, ...]:
    """Return the causes of the files, with what was measured of them, and those that only a measurement shows; the worst first."""
    judges = (_finite, _processors, _few_steps, _range, _many_steps, _apart, _speed, _environment)
    told = list(seen.told)
    for judge in judges:
        told = _merged(told, judge(seen._replace(told=tuple(told))))
    return in_order(told)


def _merged(told: list[Cause], found: Iterator[Cause]) -> list[Cause]:
    """Put what was measured to the cause of the same code where there is one."""
    result = list(told)
    for cause in found:
        place = next((at for at, one in enumerate(result) if one.code is cause.code), None)
        if place is None:
            result.append(cause)
        else:
            words = "; ".join(part for part in (result[place].measured, cause.measured) if part)
            result[place] = result[place]._replace(
                measured=words, repair=cause.repair or result[place].repair
            )
    return result


def _explained(seen: Observed) -> CauseCode | None:
    """Return the first known cause that lies in the processors."""
    return next((cause.code for cause in seen.told if cause.code in PROCESSOR_CAUSES), None)


def _finite(seen: Observed) -> Iterator[Cause]:
    share, theirs = (
        not_finite(side.actions[side.num_steps])
        for side in (seen.live.measurement.reflow, seen.live.measurement.normal)
    )
    if share > theirs:
        said = f"{share:.0%} of the action values are NaN or infinite"
        code = _explained(seen)
        if code:
            yield Cause(code, Effect.WRONG, "", "", measured=said)
        else:
            yield Cause(
                CauseCode.ACTIONS_NOT_FINITE,
                Effect.WRONG,
                said,
                seen.repairs.values(),
                measured=f"{theirs:.0%} in NORMAL",
            )


def _processors(seen: Observed) -> Iterator[Cause]:
    """Hold REFLOW's weights between NORMAL's processors: what then goes away was theirs."""
    live, code = seen.live, _explained(seen)
    if live.apart_crossed is None:
        return
    said = f"actions are {live.apart:.3g} from NORMAL's, and {live.apart_crossed:.3g} with NORMAL's processors around the same weights"
    if code:
        yield Cause(code, Effect.WRONG, "", "", measured=said)
    elif live.apart > FAR and live.apart_crossed < live.apart / 2:
        what = "the processors make the difference, though their files tell none"
        yield Cause(
            CauseCode.OTHER_STATISTICS, Effect.WRONG, what, seen.repairs.processors(), measured=said
        )


def _range(seen: Observed) -> Iterator[Cause]:
    live = seen.live.measurement
    share, theirs = (
        out_of(side.actions[side.num_steps], seen.limits) for side in (live.reflow, live.normal)
    )
    if share <= OUT or theirs > OUT:
        return
    said = f"{share:.0%} of the action values lie far outside the dataset's, and {theirs:.0%} of NORMAL's"
    code = _explained(seen) or _too_few(seen)
    if code:
        yield Cause(code, Effect.WRONG, "", "", measured=said)
    else:
        what = f"acts where no demonstration went: {said}"
        yield Cause(
            CauseCode.ACTIONS_OUT_OF_RANGE,
            Effect.WRONG,
            what,
            "train it again: nothing in the files explains it",
        )


def _too_few(seen: Observed) -> CauseCode | None:
    """Return the cause that REFLOW takes too few steps, where that was found and with more of them its actions lie where the dataset's do."""
    side, known = (
        seen.live.measurement.reflow,
        any(cause.code is CauseCode.TOO_FEW_STEPS for cause in seen.told),
    )
    within = any(
        out_of(actions, seen.limits) <= OUT
        for steps, actions in side.actions.items()
        if steps > side.num_steps
    )
    return CauseCode.TOO_FEW_STEPS if known and within else None


def _row(live: Live, steps: int) -> StepsRow:
    return next(row for row in live.sweep if row.steps == steps)


def _few_steps(seen: Observed) -> Iterator[Cause]:
    """Judge a student that takes fewer steps than its paths are straight for.

    On drawn observations only actions that become NORMAL's say so.
    """
    live, own = seen.live, _row(seen.live, seen.live.steps)
    more = [row for row in live.sweep if row.steps > own.steps and row.apart < own.apart / 2]
    best = min((row.apart for row in more), default=own.apart)
    if not more or own.apart <= 2 * STRAIGHT or (live.measurement.synthetic and best > STRAIGHT):
        return
    row = next(row for row in more if row.apart <= best + STRAIGHT / 2)
    what = f"num_steps is {own.steps}: its actions are {own.apart:.3g} from NORMAL's, and {row.apart:.3g} at {row.steps}"
    yield Cause(
        CauseCode.TOO_FEW_STEPS, Effect.WRONG, what, seen.repairs.set("num_steps", row.steps)
    )


def _many_steps(seen: Observed) -> Iterator[Cause]:
    """Judge a student that takes more steps than it needs."""
    live, own = seen.live, _row(seen.live, seen.live.steps)
    fewer = next(
        (row for row in live.sweep if row.steps < own.steps and _suffices(seen, row, own)), None
    )
    if fewer is None:
        return
    side = live.measurement.reflow
    gain = own.reflow.median / fewer.reflow.median
    if own.reflow.low <= FASTER * fewer.reflow.high:
        return
    how = f"{fewer.apart:.3g} from NORMAL's actions, {own.apart:.3g} at {own.steps}"
    what = f"num_steps is {side.num_steps}: with {fewer.steps} it acts as well, {gain:.2g} times as fast"
    yield Cause(
        CauseCode.NUM_STEPS,
        Effect.SLOW,
        what,
        seen.repairs.set("num_steps", fewer.steps),
        measured=f"at {count(fewer.steps, 'step')} {how}",
    )


def _suffices(seen: Observed, row: StepsRow, own: StepsRow) -> bool:
    """Whether fewer steps lose nothing: the same actions, or actions as near NORMAL's."""
    side = seen.live.measurement.reflow
    straight = (
        own.straight_reflow + row.straight_reflow
        if side.num_steps != max(seen.live.measurement.sweep)
        else row.straight_reflow
    )
    return straight <= STRAIGHT or (own.apart <= FAR and row.apart <= own.apart + STRAIGHT / 2)


def _apart(seen: Observed) -> Iterator[Cause]:
    """Judge actions that are not NORMAL's and that nothing explains.

    On drawn observations neither policy knows what to do, so there they say nothing.
    """
    live = seen.live
    explained = any(cause.effect in _EXPLAINING for cause in seen.told)
    if live.apart > FAR and not explained and not live.measurement.synthetic:
        what = f"its actions are {live.apart:.3g} from NORMAL's on the same observations and noise, and nothing in the files explains it"
        after = (
            "if NORMAL is its teacher, train it longer; if it is not, compare it with its teacher"
        )
        yield Cause(CauseCode.ACTIONS_DIFFER, Effect.WRONG, what, after)


def _speed(seen: Observed) -> Iterator[Cause]:
    """Compare both at REFLOW's number of steps.

    Slower is what is slower at every number of steps.
    """
    live = seen.live
    row = _row(live, live.steps)
    codes = [cause.code for cause in seen.told if cause.code in _TIMED]
    slower = row.ratio.low > SLOWER and all(one.ratio.median > SLOWER for one in live.sweep)
    worst = max(live.parts, key=lambda part: part.reflow.median - part.normal.median)
    said = f"a chunk of {count(row.steps, 'step')} takes {times(row.ratio)} as long as NORMAL's, {_of_part(worst)}"
    if codes:
        measured = (
            said
            if slower
            else f"no slower here: a chunk takes {times(row.ratio)} as long as NORMAL's"
        )
        yield from (Cause(code, Effect.SLOW, "", "", measured=measured) for code in codes)
    elif slower:
        yield Cause(
            CauseCode.SLOWER,
            Effect.SLOW,
            f"{said}, and nothing in the files explains it",
            "compare the dtypes that both run in, and what else the machine does",
        )


def _of_part(part: PartRow) -> str:
    return f"most of it in its {part.part} ({times(part.ratio)})"


def times(ratio: Interval) -> str:
    """Return a ratio with its interval in words."""
    return f"{ratio.median:.3g} times ({ratio.low:.3g} to {ratio.high:.3g})"


def _environment(seen: Observed) -> Iterator[Cause]:
    rollout, found = seen.live.measurement.environment, seen.live.environment
    if (
        rollout
        and rollout.problem.startswith("REFLOW")
        and not any(cause.effect in _EXPLAINING for cause in seen.told)
    ):
        yield Cause(
            CauseCode.CANNOT_ACT,
            Effect.WRONG,
            rollout.problem,
            "look at its actions (--plot): NORMAL's were taken",
        )
    if found is None:
        return
    theirs, share, ratio = found
    if ratio.low > STEP_SLOWER:
        what = f"step() takes {times(ratio)} as long under REFLOW's actions: they are hard for the simulation"
        yield Cause(
            CauseCode.ENVIRONMENT_SLOWED,
            Effect.SLOW,
            what,
            "look at the actions first (--plot); a simulation is slow where they make bodies collide or jump",
        )
    if share >= SHARE:
        what = f"it is the environment: step() takes {share:.0%} of the time, {theirs:.0%} under NORMAL"
        yield Cause(
            CauseCode.ENVIRONMENT_SLOW,
            Effect.SLOW,
            what,
            "make the simulation faster: fewer cameras, smaller pictures, no rendering, or several environments at once",
        )
