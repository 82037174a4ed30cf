"""Measures two checkpoints side by side: actions on the same inputs, times in turn.

What `ckpt doctor` asks for; it judges nothing.

A request and an answer are JSON objects; docs/doctor.md says what is in them. Everything runs in
one process and in turn, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lerobot_policy_smolvla_reflow.doctor.inputs import InputsInvalid, SharedInputs, shared_inputs
from lerobot_policy_smolvla_reflow.doctor.loaded_policy import CannotAct, Contender, load, sentence
from lerobot_policy_smolvla_reflow.doctor.rollouts import EnvironmentInvalid, roll_out, steps_of

PROTOCOL = 1
SIDES = ("normal", "reflow")
SWEEP = (1, 2, 4, 10)
WARM_UP = 2

Tell = Callable[[int, int], None]
"""Called with what is done and what there is to do."""


def diagnose(request: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """The answer to a request."""
    if request.get("protocol") != PROTOCOL:
        return _answer(
            refused=f"the request is of protocol {request.get('protocol')}, and this probe speaks {PROTOCOL}: install releases that belong together"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    problems: dict[str, str] = {}
    contenders: dict[str, Contender] = {}
    for side in SIDES:
        try:
            contenders[side] = load(str(request[side]), device)
        except CannotAct as error:
            problems[side] = str(error)
    if problems:
        return _answer(device=device, problems=problems)
    both = (contenders["normal"], contenders["reflow"])
    try:
        return _measure(request, both, tell, device)
    except (InputsInvalid, EnvironmentInvalid) as error:
        return _answer(device=device, refused=str(error))
    except CannotAct as error:
        side, _, said = str(error).partition(": ")
        return _answer(device=device, problems={side: said})


def _answer(**fields: Any) -> dict[str, Any]:
    machine = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    return {"protocol": PROTOCOL, "refused": "", "problems": {}, "device": "", **machine, **fields}


def _measure(
    request: Mapping[str, Any], both: tuple[Contender, Contender], tell: Tell, device: str
) -> dict[str, Any]:
    inputs = shared_inputs(request, both)
    before = inputs.digest()
    sweep = sorted({*SWEEP, *(contender.policy.config.num_steps for contender in both)})
    repeats = int(request["repeats"])
    rollout_steps = steps_of(both) if request.get("env") else 0
    total, done = 2 * len(sweep) + 1 + (WARM_UP + repeats) * len(sweep) + rollout_steps, 0

    def advance() -> None:
        nonlocal done
        done += 1
        tell(done, total)

    actions = {
        side: _actions(side, contender, inputs, sweep, advance)
        for side, contender in zip(SIDES, both, strict=True)
    }
    crossed, why = _crossed(both, inputs)
    advance()
    times = _times(both, inputs, sweep, repeats, advance)
    environment = roll_out(both, request, advance) if request.get("env") else None
    sides = {
        side: {**_settings(contender), "actions": actions[side], "times": times[side]}
        for side, contender in zip(SIDES, both, strict=True)
    }
    seen = {
        "what": inputs.what,
        "rows": inputs.rows,
        "unchanged": inputs.digest() == before,
        "action_statistics": inputs.action_statistics,
    }
    return _answer(
        device=device,
        inputs=seen,
        sweep=sweep,
        crossed=crossed,
        not_crossed=why,
        environment=environment,
        **sides,
    )


def _settings(contender: Contender) -> dict[str, Any]:
    config = contender.policy.config
    return {
        "num_steps": config.num_steps,
        "chunk_size": config.chunk_size,
        "n_action_steps": config.n_action_steps,
        "dtypes": contender.dtypes(),
    }


def _actions(
    side: str,
    contender: Contender,
    inputs: SharedInputs,
    sweep: list[int],
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Chunks (N, T, dimensions) by number of steps. Raises CannotAct, the side first."""
    found = {}
    for steps in sweep:
        try:
            found[str(steps)] = _plain(contender.act(inputs.frames, inputs.noise_NTA, steps))
        except Exception as error:
            raise CannotAct(f"{side}: loads, and cannot act: {sentence(error)}") from error
        advance()
    return found


def _crossed(both: tuple[Contender, Contender], inputs: SharedInputs) -> tuple[Any, str]:
    """The chunks of REFLOW's weights between NORMAL's processors, at REFLOW's own number of steps.

    None and why where they do not fit.
    """
    normal, reflow = both
    try:
        return _plain(
            reflow.act(
                inputs.frames, inputs.noise_NTA, reflow.policy.config.num_steps, processors=normal
            )
        ), ""
    except Exception as error:  # noqa: BLE001 - two policies need not fit each other's processors
        return None, sentence(error)


def _times(
    both: tuple[Contender, Contender],
    inputs: SharedInputs,
    sweep: list[int],
    repeats: int,
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Seconds of every part of a chunk for one observation, by number of steps.

    The two go in turn, and each is first half of the time.
    """
    found: dict[str, dict[str, list[Any]]] = {
        side: {str(steps): [] for steps in sweep} for side in SIDES
    }
    pairs = list(zip(SIDES, both, strict=True))
    for round_ in range(WARM_UP + repeats):
        for steps in sweep:
            for side, contender in pairs if round_ % 2 else reversed(pairs):
                seconds = contender.timed(inputs.first(), inputs.noise_NTA[:1], steps)
                if round_ >= WARM_UP:
                    found[side][str(steps)].append(seconds._asdict())
            advance()
    return found


def _plain(chunks: Tensor) -> Any:
    """Nested lists of numbers; null for NaN and infinity, which JSON has no words for."""
    return _finite(chunks.tolist())


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if math.isfinite(value) else None
