"""Causes that the live comparison shows, and what it adds to those that the files show.

Distances are in normalized units: under MEAN_STD, 1 is a standard deviation of the dataset's
actions. Causes in the times are in `time_causes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.doctor.causes import PROCESSOR_CAUSES, in_order
from ckpt_tools.doctor.model import Cause, CauseCode, Effect, Measured, Observed
from ckpt_tools.doctor.statistics import not_finite, out_of
from ckpt_tools.doctor.time_causes import environment, speed
from ckpt_tools.rules.remedy import Remedy
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.doctor.measurement import StepsRow

STRAIGHT = 0.1
"""Actions no further apart are the same to a robot: a tenth of a standard deviation."""

FAR = 0.5
"""Actions further apart are other actions."""

FASTER = 1.1
OUT = 0.01

_WRONG_STEPS = frozenset({CauseCode.TOO_FEW_STEPS, CauseCode.TOO_MANY_STEPS})


def with_measurements(observed: Observed) -> tuple[Cause, ...]:
    """Return the causes that files and measurements show, the worst first."""
    for evaluate in (
        _finite,
        _processors,
        _other_steps,
        _range,
        _many_steps,
        _apart,
        speed,
        environment,
    ):
        for found in tuple(evaluate(observed)):
            observed = observed._replace(causes=_merged(observed.causes, found))
    return in_order(observed.causes)


def _merged(causes: tuple[Cause, ...], found: Cause | Measured) -> tuple[Cause, ...]:
    """Add a cause, or what was measured to the cause of the same code where there is one."""
    known = next((cause for cause in causes if cause.code is found.code), None)
    if known is None:
        return causes if isinstance(found, Measured) else (*causes, found)
    text, repair = (
        (found.text, known.repair)
        if isinstance(found, Measured)
        else (found.measured, found.repair)
    )
    merged = known._replace(
        measured="; ".join(part for part in (known.measured, text) if part), repair=repair
    )
    return tuple(merged if cause is known else cause for cause in causes)


def _explained(observed: Observed) -> CauseCode | None:
    """Return the first known cause in the processors."""
    return next((cause.code for cause in observed.causes if cause.code in PROCESSOR_CAUSES), None)


def _finite(observed: Observed) -> Iterator[Cause | Measured]:
    measurement = observed.live.measurement
    share, normal_share = (
        not_finite(policy.actions[policy.num_steps])
        for policy in (measurement.reflow, measurement.normal)
    )
    if share <= normal_share:
        return
    text = f"{share:.0%} of the action values are NaN or infinite"
    if code := _explained(observed):
        yield Measured(code, text)
    else:
        yield Cause(
            CauseCode.ACTIONS_NOT_FINITE,
            Effect.WRONG,
            text,
            observed.repairs.earlier_checkpoint(),
            measured=f"{normal_share:.0%} in NORMAL",
        )


def _processors(observed: Observed) -> Iterator[Cause | Measured]:
    """Evaluate REFLOW's weights with NORMAL's processors: what disappears is due to its own."""
    live, code = observed.live, _explained(observed)
    if live.apart_crossed is None:
        return
    text = (
        f"the actions are {live.apart:.3g} from NORMAL's, and {live.apart_crossed:.3g} with "
        "NORMAL's processors around the same weights"
    )
    if code:
        yield Measured(code, text)
    elif live.apart > FAR and live.apart_crossed < live.apart / 2:
        what = "the processors cause the difference, although their files do not show how"
        repair = observed.repairs.processors()
        yield Cause(CauseCode.OTHER_STATISTICS, Effect.WRONG, what, repair, measured=text)


def _range(observed: Observed) -> Iterator[Cause | Measured]:
    measurement = observed.live.measurement
    share, normal_share = (
        out_of(policy.actions[policy.num_steps], observed.limits)
        for policy in (measurement.reflow, measurement.normal)
    )
    if share <= OUT or normal_share > OUT:
        return
    text = (
        f"{share:.0%} of the action values are far outside the dataset's range, and "
        f"{normal_share:.0%} of NORMAL's"
    )
    if code := _explained(observed) or _wrong_steps(observed):
        yield Measured(code, text)
    else:
        repair = Remedy(text="train it again: nothing in the files explains this")
        yield Cause(CauseCode.ACTIONS_OUT_OF_RANGE, Effect.WRONG, text, repair)


def _wrong_steps(observed: Observed) -> CauseCode | None:
    """Return the known cause in the number of steps, if another brings the actions into range."""
    policy = observed.live.measurement.reflow
    within = any(out_of(actions, observed.limits) <= OUT for actions in policy.actions.values())
    codes = (cause.code for cause in observed.causes if cause.code in _WRONG_STEPS)
    return next(codes, None) if within else None


def far(row: StepsRow) -> float:
    """Return the share of observations with other actions than NORMAL's, which a mean hides."""
    return sum(apart > FAR for apart in row.frames) / len(row.frames) if row.frames else 0.0


def _other_steps(observed: Observed) -> Iterator[Cause | Measured]:
    """Find a student whose actions are NORMAL's at another number of steps, and not at its own.

    Too few: its paths are not straight enough. Too many: it was trained for fewer, and has learned
    nothing of where later steps start. On synthetic observations, only actions that become NORMAL's
    show it.
    """
    live, own = observed.live, observed.live.own_steps
    nearer = [row for row in live.sweep if row.apart < own.apart / 2]
    best = min((row.apart for row in nearer), default=own.apart)
    same = own.apart <= 2 * STRAIGHT and not far(own)
    if not nearer or same or (live.measurement.synthetic and best > STRAIGHT):
        return
    row = next(row for row in nearer if row.apart <= best + STRAIGHT / 2)
    text = (
        f"the actions are {own.apart:.3g} from NORMAL's, and {row.apart:.3g} at {row.steps}; on "
        f"{far(own):.0%} of the frames they are other actions, and on {far(row):.0%} at {row.steps}"
    )
    code = CauseCode.TOO_FEW_STEPS if row.steps > own.steps else CauseCode.TOO_MANY_STEPS
    if any(cause.code is code for cause in observed.causes):
        yield Measured(code, text)
    else:
        repair = observed.repairs.set("num_steps", row.steps)
        yield Cause(code, Effect.WRONG, f"num_steps is {own.steps}: {text}", repair)


def _many_steps(observed: Observed) -> Iterator[Cause]:
    """Find a student that takes more steps than it needs."""
    live, own = observed.live, observed.live.own_steps
    fewer = next(
        (row for row in live.sweep if row.steps < own.steps and _suffices(observed, row, own)), None
    )
    known = any(cause.code is CauseCode.TOO_MANY_STEPS for cause in observed.causes)
    if known or fewer is None or own.reflow.low <= FASTER * fewer.reflow.high:
        return
    gain = own.reflow.median / fewer.reflow.median
    yield Cause(
        CauseCode.NUM_STEPS,
        Effect.SLOW,
        (
            f"num_steps is {live.measurement.reflow.num_steps}: with {fewer.steps} it acts as "
            f"well, {gain:.2g} times as fast"
        ),
        observed.repairs.set("num_steps", fewer.steps),
        measured=(
            f"at {count(fewer.steps, 'step')} {fewer.apart:.3g} from NORMAL's actions, "
            f"{own.apart:.3g} at {own.steps}"
        ),
    )


def _suffices(observed: Observed, row: StepsRow, own: StepsRow) -> bool:
    """Whether fewer steps lose nothing: the same actions, or actions as near NORMAL's.

    And no observation gets another action than NORMAL's that did not before.
    """
    measurement = observed.live.measurement
    straight = row.straight_reflow
    if measurement.reflow.num_steps != max(measurement.sweep):
        straight += own.straight_reflow
    as_near = own.apart <= FAR and row.apart <= own.apart + STRAIGHT / 2
    none_lost = measurement.synthetic or far(row) <= far(own)
    return none_lost and (straight <= STRAIGHT or as_near)


def _apart(observed: Observed) -> Iterator[Cause]:
    """Find actions that are not NORMAL's and that nothing explains.

    Synthetic observations show nothing here: neither policy was trained for them.
    """
    live = observed.live
    if live.apart > FAR and not observed.explained and not live.measurement.synthetic:
        what = (
            f"the actions are {live.apart:.3g} from NORMAL's for the same observations and "
            "noise, and nothing in the files explains it"
        )
        repair = Remedy(
            text="if NORMAL is its teacher, train it longer; otherwise compare it with its teacher"
        )
        yield Cause(CauseCode.ACTIONS_DIFFER, Effect.WRONG, what, repair)
