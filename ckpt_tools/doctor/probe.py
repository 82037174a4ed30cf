"""Runs probes: programs of a model's package, found by entry point, that load checkpoints.

A probe runs in a process of its own; the tool itself imports no model library.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from math import nan
from typing import IO, TYPE_CHECKING, Any

from ckpt_tools.doctor.measurement import (
    EnvironmentTimes,
    MeasuredPolicy,
    Measurement,
    Seconds,
    Side,
)
from ckpt_tools.doctor.model import Problem, ProblemKind
from ckpt_tools.errors import CkptError, InputsRefused, ProbeFailed, ProbeMissing, Unreadable
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckpt_tools.doctor.measurement import Chunks

GROUP = "ckpt_tools.probes"
"""Entry points by family; each names a module that is run in one of two ways.

With a folder as its argument it prints {"problems": [...]}. With --diagnose it reads a request from
standard input, prints {"progress": [done, total]} any number of times, and then its answer;
docs/doctor.md describes both.
"""

PROTOCOL = 1
SECONDS = 900
LONGEST = 7200
"""Seconds for a load, and for a whole measurement."""

_MATCHING = "install matching releases of ckpt-tools and lerobot_policy_smolvla_reflow"


def probe(family: str, folder: str) -> tuple[str, ...]:
    """Return what prevents the checkpoint in `folder` from loading and acting; empty for nothing.

    Raises ProbeMissing, and Unreadable when the probe fails.
    """
    command = [*_command(family), folder]
    hint = f"run it by hand: {' '.join(command)}"
    try:
        done = subprocess.run(  # noqa: S603 - an installed probe
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(
            f"its probe did not answer within {SECONDS:,} seconds", path=folder, hint=hint
        ) from None
    problems = _object(done.stdout).get("problems")
    if done.returncode or not isinstance(problems, list):
        reason = _last_line(done.stderr, done.returncode)
        raise Unreadable(f"its probe failed: {reason}", path=folder, hint=hint)
    return tuple(str(item) for item in problems)


def diagnose(
    family: str,
    request: Mapping[str, object],
    progress: Callable[[int, int], None],
    environment: Mapping[str, str] | None = None,
) -> Measurement | tuple[Problem, ...]:
    """Return what the probe measured of two checkpoints, or why it could not.

    `environment` are the variables of the probe's process, by default those of this one.

    Raises ProbeMissing, ProbeFailed when it fails, and InputsRefused for a request that it rejects.
    """
    command = [*_command(family), "--diagnose"]
    asked = json.dumps({"protocol": PROTOCOL, **request})
    answer = _exchange(command, asked, progress, environment)
    if answer.get("protocol") != PROTOCOL:
        raise ProbeFailed(
            (
                f"the probe uses protocol {answer.get('protocol', 'none')}; this version of "
                f"ckpt uses {PROTOCOL}"
            ),
            hint=_MATCHING,
        )
    if answer.get("refused"):
        raise InputsRefused(str(answer["refused"]))
    synthetic = not (request.get("batch") or request.get("dataset"))
    return problems(answer) or measurement(answer, synthetic=synthetic)


def problems(answer: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return why the probe could not measure, by side.

    `kinds` classifies the sentences of `problems`; without it, all that is known is that a
    checkpoint cannot act.
    """
    sentences, kinds = (
        found if isinstance(found := answer.get(key), dict) else {} for key in ("problems", "kinds")
    )
    known = set(ProblemKind)
    return tuple(
        Problem(
            side,
            ProblemKind(kind)
            if (kind := str(kinds.get(side))) in known
            else ProblemKind.CANNOT_ACT,
            str(sentences[side]),
        )
        for side in Side
        if side in sentences
    )


def refuse_without_probe(family: str) -> None:
    """Raise ProbeMissing unless a probe is installed for the family."""
    _command(family)


def _command(family: str) -> list[str]:
    """Return the command of the family's probe, without arguments. Raises ProbeMissing."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, for probes only

    modules = {entry.name: entry.value.partition(":")[0] for entry in entry_points(group=GROUP)}
    if family not in modules:
        raise ProbeMissing(f"no installed probe loads {family} checkpoints")
    return [sys.executable, "-m", modules[family]]


def _exchange(
    command: list[str],
    request: str,
    progress: Callable[[int, int], None],
    environment: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Run the probe and return its last line. Its log goes to a file, so that it never blocks."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(  # noqa: S603 - an installed probe
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        ) as process:
            alarm = threading.Timer(LONGEST, process.kill)
            alarm.start()
            try:
                answer = _converse(process, request, progress)
            except BrokenPipeError:
                answer = {}
            except BaseException:
                process.kill()
                raise
            finally:
                alarm.cancel()
        if process.returncode or not answer:
            log.seek(0)
            raise ProbeFailed(
                f"the probe failed: {_last_line(log.read(), process.returncode)}",
                hint=(
                    "try `ckpt verify --load` on each of the two, or --no-live; the probe is "
                    f"{' '.join(command)}"
                ),
            )
    return answer


def _converse(
    process: subprocess.Popen[str], request: str, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Send the request, pass progress on, and return the last other object that is printed."""
    requests: IO[str] = process.stdin  # type: ignore[assignment]  # a pipe, as Popen was called
    lines: IO[str] = process.stdout  # type: ignore[assignment]  # likewise
    requests.write(request)
    requests.close()
    answer: dict[str, Any] = {}
    for line in lines:
        found = _object(line)
        done = found.get("progress")
        if isinstance(done, list):
            progress(int(done[0]), int(done[1]))
        elif found:
            answer = found
    return answer


def _last_line(log: str, status: int) -> str:
    lines = log.strip().splitlines()
    return lines[-1] if lines else f"exit status {status}"


def _object(output: str) -> dict[str, Any]:
    """Return the JSON object on the last line of a probe's output, an empty one if it is none."""
    lines = output.strip().splitlines()
    try:
        return dict(parse_object(lines[-1])) if lines else {}
    except CkptError:
        return {}


def measurement(answer: Mapping[str, Any], *, synthetic: bool = False) -> Measurement:
    """Return the measurement in an answer. Raises ProbeFailed for an incomplete one."""
    try:
        return _measurement(answer, synthetic=synthetic)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProbeFailed(
            f"the probe's answer is incomplete ({type(error).__name__}: {error})", hint=_MATCHING
        ) from None


def _measurement(answer: Mapping[str, Any], *, synthetic: bool) -> Measurement:
    inputs = answer["inputs"]
    if not inputs["unchanged"]:
        raise ProbeFailed(
            (
                "the observations were modified during the measurement, so that the two "
                "policies did not get the same"
            ),
            hint="a processor writes into its input: compare the two with --no-live",
        )
    statistics = inputs["action_statistics"]
    return Measurement(
        device=answer["device"],
        threads=answer["threads"],
        what=inputs["what"],
        rows=inputs["rows"],
        normal=_policy(answer["normal"]),
        reflow=_policy(answer["reflow"]),
        crossed=None if answer["crossed"] is None else _chunks(answer["crossed"]),
        not_crossed=answer["not_crossed"],
        environment=_environment(answer["environment"]) if answer["environment"] else None,
        action_statistics={kind: tuple(values) for kind, values in statistics.items()}
        if statistics
        else None,
        synthetic=synthetic,
    )


def _policy(value: Mapping[str, Any]) -> MeasuredPolicy:
    return MeasuredPolicy(
        num_steps=value["num_steps"],
        chunk_size=value["chunk_size"],
        n_action_steps=value["n_action_steps"],
        dtypes={part: tuple(dtypes) for part, dtypes in value["dtypes"].items()},
        actions={int(steps): _chunks(chunks) for steps, chunks in value["actions"].items()},
        times={
            int(steps): tuple(Seconds(**times) for times in rounds)
            for steps, rounds in value["times"].items()
        },
    )


def _chunks(value: list[list[list[float | None]]]) -> Chunks:
    return tuple(
        tuple(tuple(nan if number is None else float(number) for number in step) for step in chunk)
        for chunk in value
    )


def _environment(value: Mapping[str, Any]) -> EnvironmentTimes:
    sides = (value["normal"], value["reflow"])
    infer, step = (tuple(tuple(side[key]) for side in sides) for key in ("infer", "step"))
    failed = None
    if value["problem"]:
        # NORMAL goes first in every round: probes that do not name the side failed in the turn of
        # REFLOW if NORMAL has one step more.
        ahead = len(step[0]) > len(step[1])
        failed = Side(value.get("failed") or (Side.REFLOW if ahead else Side.NORMAL))
    return EnvironmentTimes(
        value["type"], value["problem"], (infer[0], infer[1]), (step[0], step[1]), failed
    )
