"""Asking a live model: a probe, found by entry point, loads checkpoints in a process of its own.

The tool itself imports no model library.
"""

from __future__ import annotations

import importlib
import json
import sys
from math import nan
from typing import TYPE_CHECKING, Any

from ckpt_tools.doctor.model import EnvironmentTimes, Measurement, Seconds, Side
from ckpt_tools.errors import CkptError, InputsRefused, ProbeFailed, ProbeMissing, Unreadable
from ckpt_tools.strict_json.parse import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckpt_tools.doctor.model import Chunks

GROUP = "ckpt_tools.probes"
"""Entry points by family; each names a module that is run in one of two ways.

With a folder as its argument it prints {"problems": [...]}. With --diagnose it reads a request on
standard input and prints {"progress": [done, total]} as often as it likes, then its answer;
docs/doctor.md says what both hold.
"""

SECONDS = 900
LONGEST = 7200
"""Seconds for a load, and for a whole measurement."""


def probe(family: str, folder: str) -> tuple[str, ...]:
    """Return what keeps the checkpoint in `folder` from loading and acting.

    Empty when it does both.

    Raises ProbeMissing, and Unreadable when the probe dies.
    """
    subprocess, command = importlib.import_module("subprocess"), [*_command(family), folder]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(
            f"its probe gave no answer in {SECONDS:,} seconds",
            path=folder,
            hint=f"run it by hand: {' '.join(command)}",
        ) from None
    problems = _answer(done.stdout).get("problems")
    if done.returncode or not isinstance(problems, list):
        lines = done.stderr.strip().splitlines()
        raise Unreadable(
            f"its probe failed: {lines[-1] if lines else f'exit status {done.returncode}'}",
            path=folder,
            hint=f"run it by hand: {' '.join(command)}",
        )
    return tuple(str(item) for item in problems)


def diagnose(
    family: str, request: Mapping[str, object], progress: Callable[[int, int], None]
) -> Measurement | dict[str, str]:
    """Return what the probe measured of the two checkpoints that `request` names.

    Or, by side, what kept it from measuring.

    Raises ProbeMissing, ProbeFailed when it dies, and InputsRefused for a request that it cannot
    follow.
    """
    command = [*_command(family), "--diagnose"]
    answer = _exchange(command, json.dumps({"protocol": PROTOCOL, **request}), progress)
    if answer.get("protocol") != PROTOCOL:
        raise ProbeFailed(
            f"the probe speaks protocol {answer.get('protocol', 'none')}, and this is {PROTOCOL}",
            hint="install releases of ckpt-tools and lerobot_policy_smolvla_reflow that belong together",
        )
    if answer.get("refused"):
        raise InputsRefused(str(answer["refused"]))
    problems = answer.get("problems")
    return (
        {str(side): str(said) for side, said in problems.items()}
        if isinstance(problems, dict) and problems
        else measurement(answer)
    )


def _command(family: str) -> list[str]:
    """Return what runs the family's probe, without its argument. Raises ProbeMissing."""
    found: dict[str, Any] = {
        entry.name: entry
        for entry in importlib.import_module("importlib.metadata").entry_points(group=GROUP)
    }
    if family not in found:
        raise ProbeMissing(f"no probe is installed that loads {family} checkpoints")
    return [sys.executable, "-m", found[family].value.partition(":")[0]]


def _exchange(
    command: list[str], request: str, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Run the probe and return its last line.

    What it logs goes to a file: nobody reads a pipe while progress is told.
    """
    subprocess, tempfile, threading = (
        importlib.import_module(name) for name in ("subprocess", "tempfile", "threading")
    )
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process:
            alarm = threading.Timer(LONGEST, process.kill)
            alarm.start()
            try:
                process.stdin.write(request)
                process.stdin.close()
                answer = _listen(process.stdout, progress)
            except BrokenPipeError:
                answer = {}
            except BaseException:
                process.kill()
                raise
            finally:
                alarm.cancel()
        if process.returncode or not answer:
            log.seek(0)
            lines = log.read().strip().splitlines()
            raise ProbeFailed(
                f"the probe failed: {lines[-1] if lines else f'exit status {process.returncode}'}",
                hint=f"try `ckpt verify --load` on each of the two, or --no-live; the probe is {' '.join(command)}",
            )
    return answer


def _listen(lines: Any, progress: Callable[[int, int], None]) -> dict[str, Any]:  # noqa: ANN401 - a pipe, whose module is imported late
    """Return the last object that a probe prints, and pass its progress on."""
    answer: dict[str, Any] = {}
    for line in lines:
        said = _answer(line)
        done = said.get("progress")
        if isinstance(done, list):
            progress(int(done[0]), int(done[1]))
        elif said:
            answer = said
    return answer


def _answer(output: str) -> dict[str, Any]:
    """Return the object that the last line of a probe's output spells, an empty one where it spells none."""
    lines = output.strip().splitlines()
    try:
        return dict(parse_object(lines[-1])) if lines else {}
    except CkptError:
        return {}


PROTOCOL = 1


def measurement(answer: Mapping[str, Any]) -> Measurement:
    """Return what was measured. Raises ProbeFailed for an answer that is none."""
    try:
        return _measurement(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProbeFailed(
            f"the probe's answer is incomplete ({type(error).__name__}: {error})",
            hint="install releases of ckpt-tools and lerobot_policy_smolvla_reflow that belong together",
        ) from None


def _measurement(answer: Mapping[str, Any]) -> Measurement:
    seen = answer["inputs"]
    if not seen["unchanged"]:
        raise ProbeFailed(
            "the observations were changed while they were looked at, so that the two policies did not see the same",
            hint="a processor writes into what it reads: compare the two with --no-live",
        )
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
        action_statistics={kind: tuple(values) for kind, values in statistics.items()}
        if statistics
        else None,
    )


def _side(side: Mapping[str, Any]) -> Side:
    return Side(
        num_steps=side["num_steps"],
        chunk_size=side["chunk_size"],
        n_action_steps=side["n_action_steps"],
        dtypes={part: tuple(dtypes) for part, dtypes in side["dtypes"].items()},
        actions={int(steps): _chunks(chunks) for steps, chunks in side["actions"].items()},
        times={
            int(steps): tuple(Seconds(**times) for times in rounds)
            for steps, rounds in side["times"].items()
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
    return EnvironmentTimes(
        value["type"], value["problem"], (infer[0], infer[1]), (step[0], step[1])
    )
