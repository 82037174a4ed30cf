"""A checkpoint ready to act: the policy as stock LeRobot builds it, and its processors.

What `probe` and `compare` act and time with.

It runs eagerly and without real-time chunking, whatever its config says: both of two that are
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

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.teacher import load_teacher

Frames = Mapping[str, Any]
"""Raw observations by feature, (N, ...) each, and `task`: N sentences."""


class CannotAct(Exception):
    """What keeps a checkpoint from loading, or from acting, as a sentence."""


class Seconds(NamedTuple):
    """Where the time of one chunk went.

    `prefix` is the pass through the VLM, `denoise` all steps through the action expert.
    """

    preprocess: float
    prefix: float
    denoise: float
    postprocess: float


@dataclass(frozen=True, slots=True)
class Contender:
    """A loaded policy with what surrounds it."""

    policy: SmolVLAPolicy
    preprocess: Any
    postprocess: Any
    device: str

    def act(
        self, frames: Frames, noise_NTA: Tensor, steps: int, processors: Contender | None = None
    ) -> Tensor:
        """Chunks (N, T, action dimensions) for the robot, on the CPU.

        `processors` lends another's.
        """
        around = processors or self
        with torch.no_grad(), self._steps(steps):
            batch = around.preprocess(_copied(frames))
            chunk = self.policy.predict_action_chunk(batch, noise=self._noise(noise_NTA))
            done: Tensor = around.postprocess(chunk)
        return done.float().cpu()

    def timed(self, frames: Frames, noise_NTA: Tensor, steps: int) -> Seconds:
        """How long each part of one chunk took."""
        raw, noise = _copied(frames), self._noise(noise_NTA)
        with torch.no_grad(), self._steps(steps), self._first_step() as first:
            times = [self._now()]
            batch = self.preprocess(raw)
            times.append(self._now())
            chunk = self.policy.predict_action_chunk(batch, noise=noise)
            times.append(self._now())
            self.postprocess(chunk)
            times.append(self._now())
        start, prepared, acted, done = times
        return Seconds(prepared - start, first[0] - prepared, acted - first[0], done - acted)

    def dtypes(self) -> dict[str, list[str]]:
        """The dtypes that the parts run in, by part.

        What the config decides, whatever the file stores.
        """
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
        """The noise as far as this policy has chunk steps and action dimensions.

        A copy, on its device.
        """
        config = self.policy.config
        return noise_NTA[:, : config.chunk_size, : config.max_action_dim].clone().to(self.device)

    def _now(self) -> float:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def _steps(self, steps: int) -> Iterator[None]:
        config = self.policy.config
        before = config.num_steps
        config.num_steps = steps
        self.policy.reset()
        try:
            yield
        finally:
            config.num_steps = before

    @contextmanager
    def _first_step(self) -> Iterator[list[float]]:
        """Yields a list that gets the moment at which the first denoising step began."""
        model, moments = self.policy.model, list[float]()
        step = model.denoise_step

        def noting(*arguments: Any, **named: Any) -> Tensor:
            if not moments:
                moments.append(self._now())
            return step(*arguments, **named)

        model.denoise_step = noting  # type: ignore[method-assign]  # only while one chunk is timed
        try:
            yield moments
        finally:
            del model.denoise_step


def load(folder: str, device: str = "cpu") -> Contender:
    """The checkpoint in `folder`, loaded strictly. Raises CannotAct."""
    try:
        policy = load_teacher(folder, None).policy
    except ReflowError as error:
        raise CannotAct(f"does not load: {error.message}") from error
    try:
        policy.config.device = device
        policy.to(device)
        # As lerobot-eval does: a checkpoint trained on a GPU has to act where there is none.
        where = {"device_processor": {"device": device}}
        preprocess, postprocess = make_pre_post_processors(
            policy.config, pretrained_path=folder, preprocessor_overrides=where
        )
    except Exception as error:
        raise CannotAct(f"loads, and cannot act: {sentence(error)}") from error
    return Contender(policy, preprocess, postprocess, device)


def sentence(error: BaseException) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def _copied(frames: Frames) -> dict[str, Any]:
    """Frames that a processor may change in place without changing what the other policy sees."""
    return {
        name: value.clone() if isinstance(value, Tensor) else list(value)
        for name, value in frames.items()
    }
