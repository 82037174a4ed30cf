"""A loaded checkpoint: the policy as stock LeRobot builds it, and its processors.

It runs eagerly and without real-time chunking, whatever its config says: two policies that are
compared run in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor

from lerobot_policy_smolvla_reflow.errors import NotFiniteError, ReflowError
from lerobot_policy_smolvla_reflow.loading import load_policy

Frames = Mapping[str, Any]  # raw observations by feature, (N, ...) each, and `task`: N sentences
CANNOT_ACT = "cannot-act"
ROWS = 8  # observations at once, which bounds the memory


class InvalidRequest(Exception):
    """A request that the probe cannot follow."""


class UnusablePolicy(Exception):
    """A checkpoint that cannot be loaded, or a policy that cannot act. `kind` is the answer's."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ChunkTimes(NamedTuple):
    """Seconds spent on the parts of one chunk.

    `prefix` is the pass through the VLM, `denoise` all steps through the action expert.
    """

    preprocess: float
    prefix: float
    denoise: float
    postprocess: float


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy, its processors and its device."""

    policy: SmolVLAPolicy
    preprocess: Any
    postprocess: Any
    device: str

    def act(
        self, frames: Frames, noise_NTA: Tensor, steps: int, processors: LoadedPolicy | None = None
    ) -> Tensor:
        """Chunks (N, T, action dimensions) for the robot, on the CPU.

        `processors` lends those of another policy.
        """
        around, chunks = processors or self, []
        with torch.no_grad(), self._num_steps(steps):
            for start in range(0, len(noise_NTA), ROWS):
                rows = slice(start, start + ROWS)
                some = {name: value[rows] for name, value in frames.items()}
                batch, noise = around.preprocess(_copy(some)), self._noise(noise_NTA[rows])
                chunk = self.policy.predict_action_chunk(batch, noise=noise)
                chunks.append(around.postprocess(chunk).float().cpu())
        return torch.cat(chunks)

    def time_chunk(self, frames: Frames, noise_NTA: Tensor, steps: int) -> ChunkTimes:
        """Time the parts of one chunk."""
        raw, noise = _copy(frames), self._noise(noise_NTA)
        with torch.no_grad(), self._num_steps(steps), self._first_step() as denoising:
            started = self._now()
            batch = self.preprocess(raw)
            prepared = self._now()
            chunk = self.policy.predict_action_chunk(batch, noise=noise)
            acted = self._now()
            self.postprocess(chunk)
            done = self._now()
        return ChunkTimes(
            prepared - started, denoising[0] - prepared, acted - denoising[0], done - acted
        )

    def dtypes(self) -> dict[str, list[str]]:
        """The dtypes that each part runs in: determined by the config, not by the stored dtypes."""
        inner = self.policy.model.vlm_with_expert
        vlm = inner.get_vlm_model()
        parts = {"vision": vlm.vision_model, "text": vlm.text_model, "expert": inner.lm_expert}
        return {
            part: sorted(
                {str(parameter.dtype).removeprefix("torch.") for parameter in module.parameters()}
            )
            for part, module in parts.items()
        }

    def _noise(self, noise_NTA: Tensor) -> Tensor:
        """A copy of the noise on the policy's device, cut to its chunk and action dimensions."""
        config = self.policy.config
        return noise_NTA[:, : config.chunk_size, : config.max_action_dim].clone().to(self.device)

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def _num_steps(self, steps: int) -> Iterator[None]:
        config = self.policy.config
        before, config.num_steps = config.num_steps, steps
        self.policy.reset()
        try:
            yield
        finally:
            config.num_steps = before

    @contextmanager
    def _first_step(self) -> Iterator[list[float]]:
        """Yield a list that receives the time at which the first denoising step begins."""
        model, begun = self.policy.model, list[float]()
        step = model.denoise_step

        def record(*args: Any, **kwargs: Any) -> Tensor:
            if not begun:
                begun.append(self._now())
            return step(*args, **kwargs)

        model.denoise_step = record  # type: ignore[method-assign]  # only while one chunk is timed
        try:
            yield begun
        finally:
            del model.denoise_step


def load(folder: str, device: str = "cpu") -> LoadedPolicy:
    """Load the checkpoint in `folder`, strictly. Raises UnusablePolicy."""
    try:
        policy, _ = load_policy(folder)
    except ReflowError as error:
        kind = "not-finite" if isinstance(error, NotFiniteError) else "does-not-load"
        raise UnusablePolicy(f"does not load: {error.message}", kind) from error
    try:
        policy.config.device = device
        policy.to(device)
        # As lerobot-eval does: a checkpoint trained on a GPU must also run without one.
        overrides = {"device_processor": {"device": device}}
        preprocess, postprocess = make_pre_post_processors(
            policy.config, pretrained_path=folder, preprocessor_overrides=overrides
        )
    except Exception as error:
        raise UnusablePolicy(cannot_act(error), CANNOT_ACT) from error
    return LoadedPolicy(policy, preprocess, postprocess, device)


def cannot_act(error: Exception) -> str:
    """The problem of a policy that loads, but raised `error` afterwards."""
    return f"loads, but cannot act: {one_line(error)}"


def one_line(error: Exception) -> str:
    """The type of an exception and the first line of its message."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def _copy(frames: Frames) -> dict[str, Any]:
    """A copy, because a processor may change its input in place."""
    return {
        name: value.clone() if isinstance(value, Tensor) else list(value)
        for name, value in frames.items()
    }
