"""A diagnosis as JSON, by `schemas/diagnosis.schema.json`.

Times are seconds; a number that is not finite is null.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from ckpt_tools.doctor.measured_causes import far
from ckpt_tools.report.pages.diagnosis import note_text, skipped_text

if TYPE_CHECKING:
    from ckpt_tools.doctor.measurement import Interval, Live, MeasuredPolicy
    from ckpt_tools.doctor.model import Diagnosis
    from ckpt_tools.report.json.document import JsonDict

DIAGNOSIS_SCHEMA = "ckpt-tools/diagnosis.schema.json"


def document(diagnosis: Diagnosis) -> JsonDict:
    """Return a diagnosis by its schema."""
    return {
        "$schema": DIAGNOSIS_SCHEMA,
        "normal": diagnosis.where[0],
        "reflow": diagnosis.where[1],
        "clean": not diagnosis.causes and not diagnosis.failed,
        "causes": [
            cause._asdict()
            | {"repair": str(cause.repair), "because": list(map(str, cause.because))}
            for cause in diagnosis.causes
        ],
        "notes": list(map(note_text, diagnosis.notes)),
        "settings": [pair._asdict() | {"same": pair.same} for pair in diagnosis.settings],
        "statistics": [
            pair._asdict() | {"normal": _numbers(pair.normal), "reflow": _numbers(pair.reflow)}
            for pair in diagnosis.statistics
        ],
        "live": _live(diagnosis.live) if diagnosis.live else None,
        "not_live": skipped_text(diagnosis.skipped) if diagnosis.skipped else "",
        "failed": diagnosis.failed,
    }


def _live(live: Live) -> JsonDict:
    measured = live.measurement
    return {
        "device": measured.device,
        "threads": measured.threads,
        "observations": {
            "what": measured.what,
            "rows": measured.rows,
            "synthetic": measured.synthetic,
        },
        "normal": _side(measured.normal),
        "reflow": _side(measured.reflow),
        "sweep": [
            {
                "steps": row.steps,
                **{name: _interval(getattr(row, name)) for name in ("normal", "reflow", "ratio")},
                **{
                    name: _number(getattr(row, name))
                    for name in ("straight_normal", "straight_reflow", "apart")
                },
                "far": far(row),
            }
            for row in live.sweep
        ],
        "steps": live.steps,
        "parts": [
            {
                "part": row.part,
                **{name: _interval(getattr(row, name)) for name in ("normal", "reflow", "ratio")},
            }
            for row in live.parts
        ],
        "own": _interval(live.own),
        "dimensions": [
            {
                "dimension": row.dimension,
                "normal": _numbers(row.normal),
                "reflow": _numbers(row.reflow),
                "apart": _number(row.apart),
            }
            for row in live.dimensions
        ],
        "apart": _number(live.apart),
        "apart_crossed": None if live.apart_crossed is None else _number(live.apart_crossed),
        "environment": _environment(live),
        "frames": _numbers(live.own_steps.frames),
    }


def _side(side: MeasuredPolicy) -> JsonDict:
    kept = {
        "num_steps": side.num_steps,
        "chunk_size": side.chunk_size,
        "n_action_steps": side.n_action_steps,
    }
    return {**kept, "dtypes": {part: list(dtypes) for part, dtypes in side.dtypes.items()}}


def _environment(live: Live) -> JsonDict | None:
    rollout = live.measurement.environment
    if rollout is None:
        return None
    shares = live.environment
    return {
        "type": rollout.kind,
        "problem": rollout.problem,
        "steps": len(rollout.step[1]),
        "share_normal": shares[0] if shares else None,
        "share_reflow": shares[1] if shares else None,
        "step_ratio": _interval(shares[2]) if shares else None,
    }


def _interval(interval: Interval) -> JsonDict:
    return {
        "median": interval.median,
        "low": interval.low,
        "high": interval.high,
        "rounds": interval.rounds,
    }


def _numbers(values: tuple[float, ...] | None) -> list[float | None] | None:
    return None if values is None else [_number(value) for value in values]


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
