"""Time of one action chunk: prefix and denoising apart, and a compiled teacher.

One observation at a time. The numbers of steps take turns, so that other load on the machine
affects all of them; policies come one after the other, since not all need fit into memory.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot_policy_smolvla_reflow.doctor.loaded_policy import ChunkTimes, LoadedPolicy, one_line

from lerobot_reflow.compare import cache
from lerobot_reflow.compare.offline import load_or_fail
from lerobot_reflow.compare.policies import Checkpoint
from lerobot_reflow.compare.versions import VERSIONS

WARM_UP = 3
TASK = "pick up the cube"
NOT_COMPILED = "none"  # the mode that turns the compiled teacher off


@dataclass(frozen=True)
class Latency:
    """Measures latencies, or finds those of an earlier run on this machine."""

    rounds: int
    device: str
    mode: str
    out: Path
    say: Callable[[str], None]

    def settings(self) -> dict[str, Any]:
        """What the times depend on besides the policy."""
        return {
            "rounds": self.rounds,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "machine": torch.cuda.get_device_name()
            if self.device.startswith("cuda")
            else platform.processor() or platform.machine(),
            "host": platform.node(),
        }

    def measure(self, run: Checkpoint, steps: Sequence[int]) -> dict[str, Any]:
        """Milliseconds of the model's parts and of both together, by number of steps, as text."""
        return self._remembered(
            run, {"steps": list(steps)}, lambda loaded: _time_steps(loaded, steps, self.rounds)
        )

    def measure_compiled(self, run: Checkpoint, steps: int) -> tuple[dict[str, Any] | None, str]:
        """Milliseconds of the compiled model; or None, and why there are none."""
        if self.mode == NOT_COMPILED:
            return None, "turned off with --compile none"
        times, reason = self._remembered(
            run,
            {"compiled": self.mode, "steps": steps},
            lambda loaded: _time_compiled(loaded, steps, self.rounds, self.mode),
        )
        return times, reason

    def _remembered(
        self, run: Checkpoint, part: dict[str, Any], measure: Callable[[LoadedPolicy], Any]
    ) -> Any:
        identity = {
            "checkpoint": run.digest,
            "versions": VERSIONS,
            **self.settings(),
            **part,
        }

        def compute() -> Any:
            compiled = ", compiled: this takes minutes" if "compiled" in part else ""
            self.say(f"timing {run.folder}{compiled}")
            return measure(load_or_fail(run, self.device))

        return cache.remembered(self.out / "latency", identity, compute)


def one_observation(loaded: LoadedPolicy) -> dict[str, Any]:
    """Random images and a state of zeros: times do not depend on their values."""
    features = loaded.policy.config.input_features or {}
    random = torch.Generator().manual_seed(0)
    return {
        "task": [TASK],
        **{
            name: torch.rand((1, *feature.shape), generator=random)
            if feature.type.name == "VISUAL"
            else torch.zeros((1, *feature.shape))
            for name, feature in features.items()
        },
    }


def _time_steps(loaded: LoadedPolicy, steps: Sequence[int], rounds: int) -> dict[str, Any]:
    frames, noise_NTA = one_observation(loaded), _noise(loaded)
    found: dict[int, list[ChunkTimes]] = {count: [] for count in steps}
    for round_ in range(WARM_UP + rounds):
        for count in steps:
            times = loaded.time_chunk(frames, noise_NTA, count)
            if round_ >= WARM_UP:
                found[count].append(times)
    return {
        str(count): {
            "prefix_ms": _spread([one.prefix for one in times]),
            "denoise_ms": _spread([one.denoise for one in times]),
            "total_ms": _spread([one.prefix + one.denoise for one in times]),
        }
        for count, times in found.items()
    }


def _time_compiled(
    loaded: LoadedPolicy, steps: int, rounds: int, mode: str
) -> tuple[dict[str, Any] | None, str]:
    """A compiled model has no parts to time. What does not compile is no error."""
    policy, noise_NTA = loaded.policy, _noise(loaded).to(loaded.device)
    batch = loaded.preprocess(one_observation(loaded))
    policy.config.num_steps, seconds = steps, []
    try:
        # As SmolVLA's model does with compile_model=true.
        policy.model.sample_actions = torch.compile(policy.model.sample_actions, mode=mode)  # type: ignore[method-assign]  # as there
        with torch.no_grad():
            for _ in range(WARM_UP + rounds):
                started = _now(loaded)
                policy.predict_action_chunk(dict(batch), noise=noise_NTA.clone())
                seconds.append(_now(loaded) - started)
    except Exception as error:  # noqa: BLE001 - whatever the compiler raises
        return None, f"torch.compile does not run here ({one_line(error)[:200]})"
    total = _spread(seconds[WARM_UP:])
    return {"mode": mode, "steps": steps, "first_call_s": seconds[0], "total_ms": total}, ""


def _noise(loaded: LoadedPolicy) -> torch.Tensor:
    config = loaded.policy.config
    shape = (1, config.chunk_size, config.max_action_dim)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _now(loaded: LoadedPolicy) -> float:
    if loaded.device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def _spread(seconds: Sequence[float]) -> dict[str, Any]:
    """The median and the quartiles in milliseconds."""
    low, middle, high = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return {"median": 1000 * middle, "quartiles": [1000 * low, 1000 * high]}
