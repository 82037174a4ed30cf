"""What the training core's probe answers, a JSON object, as a Measurement. Its protocol is in docs/doctor.md."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import ProbeFailed
from ckpt_tools.records.diagnosis import EnvironmentTimes, Measurement, Seconds, Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.records.diagnosis import Chunks

PROTOCOL = 1


def measurement(answer: Mapping[str, Any]) -> Measurement:
    """Return what was measured. Raises ProbeFailed for an answer that is none."""
    try:
        return _measurement(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"the probe's answer is incomplete ({type(error).__name__}: {error})"
        raise ProbeFailed(msg, hint="install releases of ckpt-tools and lerobot_policy_smolvla_reflow that belong together") from None


def _measurement(answer: Mapping[str, Any]) -> Measurement:
    seen = answer["inputs"]
    if not seen["unchanged"]:
        msg = "the observations were changed while they were looked at, so that the two policies did not see the same"
        raise ProbeFailed(msg, hint="a processor writes into what it reads: compare the two with --no-live")
    statistics = seen["action_statistics"]
    return Measurement(
        device=answer["device"],
        threads=answer["threads"],
        what=seen["what"],
        rows=seen["rows"],
        normal=_side(answer["normal"]),
        reflow=_side(answer["reflow"]),
        crossed=None if answer["crossed"] is None else _chunks(answer["crossed"]),
        not_crossed=answer["not_crossed"],
        environment=_environment(answer["environment"]) if answer["environment"] else None,
        action_statistics={kind: tuple(values) for kind, values in statistics.items()} if statistics else None,
    )


def _side(side: Mapping[str, Any]) -> Side:
    return Side(
        num_steps=side["num_steps"],
        chunk_size=side["chunk_size"],
        n_action_steps=side["n_action_steps"],
        dtypes={part: tuple(dtypes) for part, dtypes in side["dtypes"].items()},
        actions={int(steps): _chunks(chunks) for steps, chunks in side["actions"].items()},
        times={int(steps): tuple(Seconds(**times) for times in rounds) for steps, rounds in side["times"].items()},
    )


def _chunks(value: list[list[list[float | None]]]) -> Chunks:
    return tuple(tuple(tuple(nan if number is None else float(number) for number in step) for step in chunk) for chunk in value)


def _environment(value: Mapping[str, Any]) -> EnvironmentTimes:
    sides = (value["normal"], value["reflow"])
    infer, step = (tuple(tuple(side[key]) for side in sides) for key in ("infer", "step"))
    return EnvironmentTimes(value["type"], value["problem"], (infer[0], infer[1]), (step[0], step[1]))
