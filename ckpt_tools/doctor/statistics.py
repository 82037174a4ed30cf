"""From what the probe measured to the figures of a diagnosis.

Distances between actions, intervals of times. Judges nothing.
"""

from __future__ import annotations

from math import comb, isfinite, nan, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.doctor.model import DimensionRow, Interval, Live, PartRow, Seconds, StepsRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.doctor.model import Chunks, Measurement, Side

PARTS = ("preprocess", "prefix", "denoise", "postprocess")


def figures(
    measurement: Measurement, normal_scale: tuple[float, ...], reflow_scale: tuple[float, ...]
) -> Live:
    """Return the figures.

    A scale is what one normalised unit of the action is for the robot, by dimension; where it is
    empty, units are the robot's.
    """
    normal, reflow = measurement.normal, measurement.reflow
    theirs, own = normal.actions[normal.num_steps], reflow.actions[reflow.num_steps]
    crossed = measurement.crossed
    return Live(
        measurement=measurement,
        sweep=tuple(
            _steps_row(measurement, steps, normal_scale, reflow_scale)
            for steps in measurement.sweep
        ),
        steps=reflow.num_steps,
        parts=tuple(_part_rows(measurement)),
        own=paired(
            _totals(normal.times[normal.num_steps]), _totals(reflow.times[reflow.num_steps])
        ),
        dimensions=tuple(_dimension_rows(theirs, own, normal_scale)),
        apart=distance(own, theirs, normal_scale),
        apart_crossed=None if crossed is None else distance(crossed, theirs, normal_scale),
        environment=_environment(measurement),
    )


def _steps_row(
    measurement: Measurement,
    steps: int,
    normal_scale: tuple[float, ...],
    reflow_scale: tuple[float, ...],
) -> StepsRow:
    normal, reflow, most = measurement.normal, measurement.reflow, max(measurement.sweep)
    times = _totals(normal.times[steps]), _totals(reflow.times[steps])
    return StepsRow(
        steps=steps,
        normal=interval(times[0]),
        reflow=interval(times[1]),
        ratio=paired(*times),
        straight_normal=distance(normal.actions[steps], normal.actions[most], normal_scale),
        straight_reflow=distance(reflow.actions[steps], reflow.actions[most], reflow_scale),
        apart=distance(reflow.actions[steps], normal.actions[normal.num_steps], normal_scale),
    )


def _part_rows(measurement: Measurement) -> Iterator[PartRow]:
    steps = measurement.reflow.num_steps
    for part in PARTS:
        normal, reflow = (
            [getattr(seconds, part) for seconds in side.times[steps]]
            for side in (measurement.normal, measurement.reflow)
        )
        yield PartRow(part, interval(normal), interval(reflow), paired(normal, reflow))


def _totals(times: Iterable[Seconds]) -> list[float]:
    return [seconds.total for seconds in times]


def distance(one: Chunks, other: Chunks, scale: tuple[float, ...] = ()) -> float:
    """Return the root mean square of the difference of two sets of chunks, each dimension over its scale; NaN where a value is, or none is shared."""
    return _rms(_differences(one, other, scale))


def _differences(one: Chunks, other: Chunks, scale: tuple[float, ...]) -> Iterator[float]:
    for chunk, theirs in zip(one, other, strict=False):
        for step, their_step in zip(chunk, theirs, strict=False):
            units = scale if len(scale) == len(step) else (1.0,) * len(step)
            yield from (
                (a - b) / (unit or 1.0) for a, b, unit in zip(step, their_step, units, strict=False)
            )


def _rms(values: Iterable[float]) -> float:
    found = [value * value for value in values]
    return sqrt(sum(found) / len(found)) if found else nan


def _dimension_rows(
    normal: Chunks, reflow: Chunks, scale: tuple[float, ...]
) -> Iterator[DimensionRow]:
    for dimension in range(min(_dimensions(normal), _dimensions(reflow))):
        sides = [_only(chunks, dimension) for chunks in (normal, reflow)]
        unit = scale[dimension : dimension + 1] if len(scale) > dimension else ()
        yield DimensionRow(
            dimension, _range(sides[0]), _range(sides[1]), distance(sides[1], sides[0], unit)
        )


def _dimensions(chunks: Chunks) -> int:
    return len(chunks[0][0]) if chunks and chunks[0] else 0


def _only(chunks: Chunks, dimension: int) -> Chunks:
    return tuple(tuple((step[dimension],) for step in chunk) for chunk in chunks)


def _range(chunks: Chunks) -> tuple[float, float]:
    found = [value for value in numbers(chunks) if isfinite(value)]
    return (min(found), max(found)) if found else (nan, nan)


def numbers(chunks: Chunks) -> Iterator[float]:
    """Yield every number of the chunks."""
    for chunk in chunks:
        for step in chunk:
            yield from step


def not_finite(chunks: Chunks) -> float:
    """Return the share of numbers that are NaN or infinite."""
    found = [not isfinite(value) for value in numbers(chunks)]
    return sum(found) / len(found) if found else 0.0


def out_of(chunks: Chunks, limits: tuple[tuple[float, float], ...]) -> float:
    """Return the share of finite numbers that lie outside the limits of their dimension.

    0 where those are not known.
    """
    found = [
        not low <= value <= high
        for chunk in chunks
        for step in chunk
        for value, (low, high) in zip(step, limits, strict=False)
        if isfinite(value)
    ]
    return sum(found) / len(found) if found else 0.0


def _environment(measurement: Measurement) -> tuple[float, float, Interval] | None:
    """Return (share of NORMAL's time that step() takes, of REFLOW's, how long step() takes under REFLOW's actions as often NORMAL's)."""
    found = measurement.environment
    if found is None or not all(found.step):
        return None
    shares = [
        sum(step) / (sum(step) + sum(infer))
        for step, infer in zip(found.step, found.infer, strict=True)
    ]
    count = min(map(len, found.step))
    return shares[0], shares[1], paired(found.step[0][:count], found.step[1][:count])


def policy(side: Side) -> str:
    """Return the dtypes that a policy runs in, in words."""
    return ", ".join(f"{part} {' and '.join(dtypes)}" for part, dtypes in side.dtypes.items())


LEAST = 6
"""Values from which an interval of a median can have 95 % confidence."""

_DOUBT = 0.05


def median(values: Sequence[float]) -> float:
    """Return the median of one value or more."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def interval(values: Sequence[float]) -> Interval:
    """Return the median of `values` and the narrowest symmetric pair of them that holds the true one with 95 %; with fewer than LEAST, all of them."""
    ordered, cut, tail = sorted(values), 0, 0.0
    while cut < len(ordered) // 2:
        # So many or fewer of the values below the median: both tails together are the doubt.
        tail += comb(len(ordered), cut) / 2 ** len(ordered)
        if 2 * tail > _DOUBT:
            break
        cut += 1
    at = max(cut - 1, 0)
    return Interval(median(ordered), ordered[at], ordered[-1 - at], len(ordered))


def paired(normal: Sequence[float], reflow: Sequence[float]) -> Interval:
    """Return how often `normal` goes into `reflow`, pair by pair.

    What slowed the machine down for a moment slowed down both.
    """
    return interval([b / a for a, b in zip(normal, reflow, strict=True) if a > 0] or [1.0])
