"""Statistics of a measurement: distances between actions, intervals of times. No verdicts."""

from __future__ import annotations

from math import comb, isfinite, nan, sqrt
from typing import TYPE_CHECKING

from ckpt_tools.doctor.measurement import DimensionRow, Interval, Live, PartRow, Seconds, StepsRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.doctor.measurement import Chunks, MeasuredPolicy, Measurement

PARTS = ("preprocess", "prefix", "denoise", "postprocess")


def summarize(
    measurement: Measurement, normal_scale: tuple[float, ...], reflow_scale: tuple[float, ...]
) -> Live:
    """Return the statistics of a measurement.

    A scale is the size of a normalized unit of the action for the robot, by dimension; where it is
    empty, distances are in the robot's units.
    """
    normal, reflow, crossed = measurement.normal, measurement.reflow, measurement.crossed
    normal_actions = normal.actions[normal.num_steps]
    actions = reflow.actions[reflow.num_steps]
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
        dimensions=tuple(_dimension_rows(normal_actions, actions, normal_scale)),
        apart=distance(actions, normal_actions, normal_scale),
        apart_crossed=None if crossed is None else distance(crossed, normal_actions, normal_scale),
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
    compared = reflow.actions[steps], normal.actions[normal.num_steps]
    return StepsRow(
        steps=steps,
        normal=interval(times[0]),
        reflow=interval(times[1]),
        ratio=paired(*times),
        straight_normal=distance(normal.actions[steps], normal.actions[most], normal_scale),
        straight_reflow=distance(reflow.actions[steps], reflow.actions[most], reflow_scale),
        apart=distance(*compared, normal_scale),
        frames=tuple(
            distance((one,), (other,), normal_scale) for one, other in zip(*compared, strict=False)
        ),
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
    """Return the root mean square difference of two sets of chunks, each dimension over its scale.

    NaN where a value is, or where no value is in both.
    """
    squares = [difference * difference for difference in _differences(one, other, scale)]
    return sqrt(sum(squares) / len(squares)) if squares else nan


def _differences(one: Chunks, other: Chunks, scale: tuple[float, ...]) -> Iterator[float]:
    for chunks in zip(one, other, strict=False):
        for step, other_step in zip(*chunks, strict=False):
            units = scale if len(scale) == len(step) else (1.0,) * len(step)
            yield from (
                (a - b) / (unit or 1.0) for a, b, unit in zip(step, other_step, units, strict=False)
            )


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
    finite = [value for value in numbers(chunks) if isfinite(value)]
    return (min(finite), max(finite)) if finite else (nan, nan)


def numbers(chunks: Chunks) -> Iterator[float]:
    """Yield every number of the chunks."""
    for chunk in chunks:
        for step in chunk:
            yield from step


def _share(flags: list[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def not_finite(chunks: Chunks) -> float:
    """Return the share of numbers that are NaN or infinite."""
    return _share([not isfinite(value) for value in numbers(chunks)])


def out_of(chunks: Chunks, limits: tuple[tuple[float, float], ...]) -> float:
    """Return the share of finite numbers outside their dimension's limits, 0 without limits."""
    return _share(
        [
            not low <= value <= high
            for chunk in chunks
            for step in chunk
            for value, (low, high) in zip(step, limits, strict=False)
            if isfinite(value)
        ]
    )


def _environment(measurement: Measurement) -> tuple[float, float, Interval] | None:
    """Return (share of step() in NORMAL's time, in REFLOW's, ratio of the times of step())."""
    found = measurement.environment
    if found is None or not all(found.step):
        return None
    shares = [
        sum(step) / (sum(step) + sum(infer))
        for step, infer in zip(found.step, found.infer, strict=True)
    ]
    steps = min(map(len, found.step))
    return shares[0], shares[1], paired(found.step[0][:steps], found.step[1][:steps])


def run_dtypes(policy: MeasuredPolicy) -> str:
    """Return the dtypes of a policy at run time, in words."""
    return ", ".join(f"{part} {' and '.join(dtypes)}" for part, dtypes in policy.dtypes.items())


LEAST = 6
"""Number of values from which the interval of a median can have 95 % confidence."""

_DOUBT = 0.05


def median(values: Sequence[float]) -> float:
    """Return the median of one value or more."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def interval(values: Sequence[float]) -> Interval:
    """Return the median of `values` and its 95 % confidence interval from order statistics.

    The narrowest symmetric pair of values that has it; with fewer than LEAST values, their range.
    """
    ordered, cut, tail = sorted(values), 0, 0.0
    while cut < len(ordered) // 2:
        # The chance that `cut` or fewer values are below the median; both tails are the doubt.
        tail += comb(len(ordered), cut) / 2 ** len(ordered)
        if 2 * tail > _DOUBT:
            break
        cut += 1
    at = max(cut - 1, 0)
    return Interval(median(ordered), ordered[at], ordered[-1 - at], len(ordered))


def paired(normal: Sequence[float], reflow: Sequence[float]) -> Interval:
    """Return the ratio of `reflow` to `normal`, pair by pair, so that other load affects both."""
    return interval([b / a for a, b in zip(normal, reflow, strict=True) if a > 0] or [1.0])
