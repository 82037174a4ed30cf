"""The image and language prefix, computed once for the teacher's steps and the student.

SmolVLA's attention mask is block-causal: image and language tokens never see the state token or the
actions, so their keys and values depend on the frozen VLM alone. The state token comes from
`state_proj`, which trains, and runs separately with gradient; from its keys and values on,
everything is LeRobot's own cached denoising step.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from lerobot.policies.common.vla_utils import make_att_2d_masks
from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching
from lerobot.policies.smolvla.smolvlm_with_expert import SmolVLMWithExpertModel
from torch import Tensor, nn
from transformers import DynamicCache

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.observation import Observation


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values (B, heads, P, head_dim) of P tokens per VLM layer, and which are real."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    real_BP: Tensor


class Context(NamedTuple):
    """A prefix with the state token appended: the tokens that a denoising step attends to."""

    cache: DynamicCache
    real_BP: Tensor


@torch.no_grad()
def encode_prefix(model: VLAFlowMatching, observation: Observation) -> Prefix:
    """Run images and language through `model`'s VLM once, without gradient."""
    embedded, real, blocks = model.embed_prefix(*observation[:4], state=observation.state_BS)
    # The state token is the first to open a new attention block; padding follows it.
    length = int(blocks[0].to(torch.uint8).argmax())
    real_BP = real[:, :length]
    _, cache = model.vlm_with_expert.forward(
        attention_mask=make_att_2d_masks(real_BP, blocks[:, :length]),
        position_ids=torch.cumsum(real_BP, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[embedded[:, :length], None],
        use_cache=True,
    )
    return Prefix(
        tuple(layer.keys for layer in cache.layers),
        tuple(layer.values for layer in cache.layers),
        real_BP,
    )


def append_state(model: VLAFlowMatching, prefix: Prefix, state_BS: Tensor) -> Context:
    """Append the state token, run through `model`'s state projection and VLM, with gradient."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys, values, layer)
    real_BP = torch.cat([prefix.real_BP, torch.ones_like(prefix.real_BP[:, :1])], dim=1)
    with _self_attention_everywhere(model.vlm_with_expert):
        model.vlm_with_expert.forward(
            attention_mask=real_BP[:, None, :],
            position_ids=prefix.real_BP.sum(dim=1, keepdim=True),
            past_key_values=cache,
            inputs_embeds=[model.state_proj(state_BS)[:, None, :], None],
            use_cache=True,
        )
    return Context(cache, real_BP)


def velocity(
    model: VLAFlowMatching, observation: Observation, prefix: Prefix | None = None
) -> flow.Velocity:
    """The velocity of `model` for an observation: LeRobot's denoising step, after a given prefix.

    Without a prefix, its own. The state token runs once, with gradient. For a whole multiple of the
    observation's rows, the observation is repeated, not computed again.
    """
    context = append_state(model, prefix or encode_prefix(model, observation), observation.state_BS)
    repeated = {1: context}

    def at(x_BTA: Tensor, time_B: Tensor) -> Tensor:
        times = len(x_BTA) // len(context.real_BP)
        if times not in repeated:
            repeated[times] = _repeat(context, times)
        return model.denoise_step(
            prefix_pad_masks=repeated[times].real_BP,
            past_key_values=repeated[times].cache,
            x_t=x_BTA,
            timestep=time_B,
        )

    return at


def whole_velocity(model: VLAFlowMatching, observation: Observation) -> flow.Velocity:
    """The same in LeRobot's training pass, which runs and trains the VLM at every evaluation."""

    def at(x_BTA: Tensor, time_B: Tensor) -> Tensor:
        times = len(x_BTA) // len(observation.state_BS)
        images, image_masks, *rest = observation
        embedded, real, blocks = model.embed_prefix(
            [image.repeat(times, 1, 1, 1) for image in images],
            [mask.repeat(times) for mask in image_masks],
            *(part.repeat(times, 1) for part in rest),
        )
        actions, actions_real, actions_blocks = model.embed_suffix(x_BTA, time_B)
        real, blocks = torch.cat([real, actions_real], 1), torch.cat([blocks, actions_blocks], 1)
        (_, output), _ = model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(real, blocks),
            position_ids=torch.cumsum(real, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, actions],
            use_cache=False,
        )
        return model.action_out_proj(output[:, -x_BTA.shape[1] :].float())

    return at


def _repeat(context: Context, times: int) -> Context:
    cache = DynamicCache()
    for number, layer in enumerate(context.cache.layers):
        cache.update(layer.keys.repeat(times, 1, 1, 1), layer.values.repeat(times, 1, 1, 1), number)
    return Context(cache, context.real_BP.repeat(times, 1))


@torch.no_grad()
def solve_ode(
    model: VLAFlowMatching,
    observation: Observation,
    z1_BTA: Tensor,
    steps: int,
    solver: str,
    prefix: Prefix | None = None,
) -> flow.Solution:
    """Solve `model`'s ODE from noise z1_BTA, without gradient, with a given prefix or its own."""
    return flow.solve(velocity(model, observation, prefix), z1_BTA, steps, solver)


@contextmanager
def _self_attention_everywhere(vlm_with_expert: SmolVLMWithExpertModel) -> Iterator[None]:
    """Run every VLM layer as self-attention over a filled cache.

    With a filled cache, LeRobot's cross-attention layers expect action tokens. It runs a prefix
    with self-attention in all layers too, but only where the cache is empty.
    """
    mode = vlm_with_expert.attention_mode
    vlm_with_expert.attention_mode = "self_attn"
    try:
        yield
    finally:
        vlm_with_expert.attention_mode = mode


class PrefixSharing:
    """Whether the teacher may use the student's prefix: both VLMs are frozen and equal.

    Logs every change of the answer.
    Weights are compared again only after a parameter of either VLM was written to.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._equal: dict[tuple[int, int], bool] = {}  # the result of the last comparison
        self._logged: str | None = None

    def allowed(self, student: nn.Module, teacher: nn.Module) -> bool:
        """True when the two VLMs give the same prefix, without gradient."""
        obstacle = self._obstacle(student, teacher)
        if obstacle != self._logged:
            self._logged = obstacle
            logging.info(
                "[Reflow] Student and teacher %s",
                f"run the prefix separately: {obstacle}"
                if obstacle
                else "share one image and language prefix",
            )
        return not obstacle

    def _obstacle(self, student: nn.Module, teacher: nn.Module) -> str:
        if not self._enabled:
            return "share_prefix is false"
        if any(parameter.requires_grad for parameter in student.parameters()):
            return "the student's VLM trains"
        if student is teacher:
            return ""
        state = (_writes(student), _writes(teacher))
        if state not in self._equal:
            self._equal = {state: _equal_weights(student, teacher)}
        return "" if self._equal[state] else "the VLMs of student and teacher differ"


def _writes(module: nn.Module) -> int:
    """A number that changes when a parameter is replaced or written in place."""
    return hash(tuple((id(parameter), parameter._version) for parameter in module.parameters()))


def _equal_weights(student: nn.Module, teacher: nn.Module) -> bool:
    """True when both have the same names, dtypes and values."""
    a, b = dict(student.named_parameters()), dict(teacher.named_parameters())
    return a.keys() == b.keys() and all(
        value.dtype == b[name].dtype and torch.equal(value, b[name]) for name, value in a.items()
    )
