"""The content of comparison.json: rows, intervals and paired tests, computed from measurements.

Pure. docs/compare.md and comparison.schema.json describe the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lerobot_reflow.compare.environment import Episodes
from lerobot_reflow.compare.policies import Row
from lerobot_reflow.compare.statistics import (
    Estimate,
    bootstrap_mean,
    bootstrap_ratio,
    mcnemar,
    pair,
    paired_difference,
    sign_flip,
    wilson,
)

VERSION = 1
SCHEMA = "lerobot-reflow/comparison.schema.json"


@dataclass(frozen=True)
class Measured:
    """What was measured of a row, one entry per run of its policy; or the problem.

    `episodes` in an environment; `distances` on a dataset, one per observation. `latency` is a
    part of the document.
    """

    row: Row
    episodes: tuple[Episodes, ...] = ()
    distances: tuple[Sequence[float], ...] = ()
    latency: Mapping[str, Any] | None = None
    problem: str = ""


def make_document(
    measured: Sequence[Measured], far: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The document; the first of `measured` is the reference."""
    reference = measured[0]
    # The shares of errors refer to the teacher with the fewest steps.
    worst = min(
        (one for one in measured if one.row.policy is reference.row.policy and one.distances),
        key=lambda one: one.row.steps or 0,
        default=None,
    )
    rows = []
    for one in measured:
        row: dict[str, Any] = {
            "policy": one.row.policy.name,
            "steps": one.row.steps,
            "checkpoints": [
                {"folder": str(run.folder), "digest": run.digest, "num_steps": run.num_steps}
                for run in one.row.policy.runs
            ],
            "problem": one.problem or None,
            "success": _success(one) if one.episodes else None,
            "paired": _paired(one, reference) if one.episodes and one is not reference else None,
            "error": _error(one, worst, far) if one.distances else None,
            "latency": one.latency,
        }
        rows.append(row)
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        **settings,
        "reference": {"policy": reference.row.policy.name, "steps": reference.row.steps},
        "rows": rows,
    }


def _success(one: Measured) -> dict[str, Any]:
    """The success rate over all runs and tasks, and that of each run."""
    flags = [flag for episodes in one.episodes for flag in episodes.flat]
    rate = wilson(sum(flags), len(flags))
    return {
        "successes": sum(flags),
        "episodes": len(flags),
        **_estimate("rate", rate),
        "runs": [
            {
                "successes": sum(episodes.flat),
                "tasks": dict(zip(episodes.tasks, map(list, episodes.successes), strict=True)),
                "folder": str(episodes.folder),
            }
            for episodes in one.episodes
        ],
    }


def _paired(one: Measured, reference: Measured) -> dict[str, Any]:
    """The difference to the reference in the same episodes.

    With several runs, an episode's outcome is their mean, and the interval is a bootstrap over
    episodes.
    """
    expected = reference.episodes[0].flat
    if len(one.episodes) == 1:
        pairs = pair(one.episodes[0].flat, expected)
        return {
            **_estimate("difference", paired_difference(pairs)),
            "p_value": mcnemar(pairs),
            "pairs": pairs._asdict(),
        }
    runs = len(one.episodes)
    totals = [sum(flags) for flags in zip(*(run.flat for run in one.episodes), strict=True)]
    differences = [total - runs * flag for total, flag in zip(totals, expected, strict=True)]
    return {
        **_estimate("difference", bootstrap_mean([each / runs for each in differences])),
        "p_value": sign_flip(differences),
        "pairs": None,
    }


def _error(one: Measured, worst: Measured | None, far: float) -> dict[str, Any]:
    """Distances to the reference, and their share of the distances of the teacher's fewest steps.

    With several runs, an observation's distance is their mean.
    """
    distances = _mean_distances(one)
    share = difference = None
    if worst is not None and any(base := _mean_distances(worst)):
        share = bootstrap_ratio(distances, base)
        difference = bootstrap_mean([a - b for a, b in zip(distances, base, strict=True)])
    flat = [value for run in one.distances for value in run]
    return {
        **_estimate("mean", bootstrap_mean(distances)),
        "worst": max(flat),
        "far": sum(value > far for value in flat) / len(flat),
        "share": None if share is None else _estimate("value", share),
        "difference": None if difference is None else _estimate("value", difference),
        "runs": [fmean(run) for run in one.distances],
    }


def _mean_distances(one: Measured) -> list[float]:
    return [fmean(values) for values in zip(*one.distances, strict=True)]


def _estimate(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: estimate.value, "interval": [estimate.low, estimate.high]}
