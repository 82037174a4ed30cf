"""Measure two checkpoints side by side: actions for the same inputs, and times.

It measures; `ckpt doctor` draws the conclusions. Requests and answers are JSON objects, described
in docs/doctor.md. Both policies run in one process and in turn, so other load on the machine
affects both.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from typing import Any

import torch

from lerobot_policy_smolvla_reflow.doctor.inputs import SharedInputs, make_inputs
from lerobot_policy_smolvla_reflow.doctor.loaded_policy import (
    CANNOT_ACT,
    InvalidRequest,
    LoadedPolicy,
    UnusablePolicy,
    cannot_act,
    load,
    one_line,
)
from lerobot_policy_smolvla_reflow.doctor.rollouts import rollout_steps, run_rollouts

PROTOCOL = 1
SIDES = ("normal", "reflow")
SWEEP = (1, 2, 4, 10)
WARM_UP = 2


def diagnose(request: Mapping[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Answer a request. `progress` is called with the work done and the total."""
    if request.get("protocol") != PROTOCOL:
        return _answer(
            refused=f"the request has protocol {request.get('protocol')}, but this probe supports "
            f"{PROTOCOL}: install matching releases"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    policies: dict[str, LoadedPolicy] = {}
    failures: dict[str, UnusablePolicy] = {}
    for side in SIDES:
        try:
            policies[side] = load(str(request[side]), device)
        except UnusablePolicy as error:
            failures[side] = error
    if failures:
        return _answer(
            device=device,
            problems={side: str(error) for side, error in failures.items()},
            kinds={side: error.kind for side, error in failures.items()},
        )
    try:
        return _answer(device=device, **_measure(request, policies, progress))
    except InvalidRequest as error:
        return _answer(device=device, refused=str(error))


def _answer(**fields: Any) -> dict[str, Any]:
    machine = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    return {"protocol": PROTOCOL, "refused": "", "problems": {}, "device": "", **machine, **fields}


def _measure(
    request: Mapping[str, Any],
    policies: Mapping[str, LoadedPolicy],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """The measured fields of the answer, or its `problems`. Raises InvalidRequest."""
    inputs = make_inputs(request, policies)
    digest = inputs.digest()
    sweep = sorted({*SWEEP, *(loaded.policy.config.num_steps for loaded in policies.values())})
    rounds = WARM_UP + int(request["repeats"])
    total = (2 + rounds) * len(sweep) + 1 + (rollout_steps(policies) if request.get("env") else 0)
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    sides: dict[str, dict[str, Any]] = {}
    for side, loaded in policies.items():
        try:
            sides[side] = _run(loaded, inputs, sweep, advance)
        except Exception as error:  # noqa: BLE001 - any exception is the finding
            return {"problems": {side: cannot_act(error)}, "kinds": {side: CANNOT_ACT}}
    crossed, not_crossed = _cross(policies, inputs)
    advance()
    for side, times in _times(policies, inputs, sweep, rounds, advance).items():
        sides[side]["times"] = times
    environment = run_rollouts(policies, request, advance) if request.get("env") else None
    seen = {
        "what": inputs.what,
        "rows": len(inputs.noise_NTA),
        "unchanged": inputs.digest() == digest,
        "action_statistics": inputs.action_statistics,
    }
    return {
        "inputs": seen,
        "sweep": sweep,
        "crossed": crossed,
        "not_crossed": not_crossed,
        "environment": environment,
        **sides,
    }


def _run(
    loaded: LoadedPolicy, inputs: SharedInputs, sweep: list[int], advance: Callable[[], None]
) -> dict[str, Any]:
    """Settings of a policy, and its chunks (N, T, dimensions) by number of steps."""
    config = loaded.policy.config
    actions = {}
    for steps in sweep:
        actions[str(steps)] = _finite(loaded.act(inputs.frames, inputs.noise_NTA, steps).tolist())
        advance()
    settings = {
        name: getattr(config, name) for name in ("num_steps", "chunk_size", "n_action_steps")
    }
    return {**settings, "dtypes": loaded.dtypes(), "actions": actions}


def _cross(policies: Mapping[str, LoadedPolicy], inputs: SharedInputs) -> tuple[Any, str]:
    """The chunks of REFLOW's weights with NORMAL's processors; or None and the reason."""
    reflow = policies["reflow"]
    try:
        chunks = reflow.act(
            inputs.frames,
            inputs.noise_NTA,
            reflow.policy.config.num_steps,
            processors=policies["normal"],
        )
    except Exception as error:  # noqa: BLE001 - two policies need not fit each other's processors
        return None, one_line(error)
    return _finite(chunks.tolist()), ""


def _times(
    policies: Mapping[str, LoadedPolicy],
    inputs: SharedInputs,
    sweep: list[int],
    rounds: int,
    advance: Callable[[], None],
) -> dict[str, dict[str, list[Any]]]:
    """Seconds spent on the parts of a chunk for one observation, by side and number of steps.

    The policies take turns, and each goes first in half of the rounds.
    """
    found: dict[str, dict[str, list[Any]]] = {
        side: {str(steps): [] for steps in sweep} for side in policies
    }
    first = {name: value[:1] for name, value in inputs.frames.items()}
    for round_ in range(rounds):
        for steps in sweep:
            for side in SIDES if round_ % 2 else reversed(SIDES):
                times = policies[side].time_chunk(first, inputs.noise_NTA[:1], steps)
                if round_ >= WARM_UP:
                    found[side][str(steps)].append(times._asdict())
            advance()
    return found


def _finite(value: Any) -> Any:
    """Nested lists with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if math.isfinite(value) else None
