"""Made-up measurements, such as a probe could return."""

from __future__ import annotations

from math import sin
from typing import TYPE_CHECKING, Any

from ckpt_tools.doctor.measurement import (
    EnvironmentTimes,
    MeasuredPolicy,
    Measurement,
    Seconds,
    Side,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.doctor.measurement import Chunks

SWEEP = (1, 2, 4, 10)
ROUNDS = 10
SCALE = (2.0, 2.0)


def chunks(off: float = 0.0, times: float = 1.0) -> Chunks:
    """Chunks of 3 observations, 4 steps, 2 dimensions, `off` normalized units from chunks()."""
    return tuple(
        tuple(
            tuple(
                times * sin(7 * row + 3 * step + dimension) + off * SCALE[dimension]
                for dimension in range(2)
            )
            for step in range(4)
        )
        for row in range(3)
    )


def bent(start: float) -> dict[int, Chunks]:
    """Actions by steps: `start` units off with one step, at their end with ten."""
    return {steps: chunks(start * (10 - steps) / 9) for steps in SWEEP}


def rounds(
    prefix: float = 0.1, step: float = 0.02, jitter: float = 0.01
) -> dict[int, tuple[Seconds, ...]]:
    """Times by steps, each round a little different."""
    return {
        steps: tuple(
            Seconds(
                0.001,
                prefix * (1 + jitter * sin(number)),
                step * steps * (1 + jitter * sin(number + steps)),
                0.0001,
            )
            for number in range(ROUNDS)
        )
        for steps in SWEEP
    }


def side(
    actions: Mapping[int, Chunks] | None = None,
    times: Mapping[int, tuple[Seconds, ...]] | None = None,
    num_steps: int = 10,
) -> MeasuredPolicy:
    return MeasuredPolicy(
        num_steps, 4, 4, {"vision": ("bfloat16",)}, actions or bent(0.8), times or rounds()
    )


def measurement(reflow: MeasuredPolicy, **changes: Any) -> Measurement:
    """A normal policy whose paths bend, and this one."""
    settings: dict[str, Any] = {
        "device": "cpu",
        "threads": 1,
        "what": "3 frames of the dataset x",
        "rows": 3,
        "crossed": None,
    }
    return Measurement(**(settings | {"normal": side(), "reflow": reflow} | changes))


def rollout(
    infer: float, step: tuple[float, float], problem: str = "", failed: Side | None = None
) -> EnvironmentTimes:
    """Twenty steps in an environment."""
    waits = (tuple([infer] * 20), tuple([infer] * 20))
    steps = (tuple([step[0]] * 20), tuple([step[1]] * 20))
    return EnvironmentTimes("toy", problem, waits, steps, failed)
