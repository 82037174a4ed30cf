"""The image and language prefix, computed once without gradient and reused by the teacher's steps and the student.

SmolVLA's attention mask is block-causal: image and language tokens never see the state token or the
actions. So their keys and values depend on the frozen VLM alone. The state token comes through
`state_proj`, which trains, and is run on its own with gradient; from its keys and values on,
everything is LeRobot's own cached denoising step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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
    """Per VLM layer the keys and values (B, heads, P, head_dim) of P image and language tokens, and which of the tokens are real."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    real_BP: Tensor


class Context(NamedTuple):
    """A prefix with the state token appended: what one denoising step attends to."""

    cache: DynamicCache
    real_BP: Tensor


@torch.no_grad()
def encode_prefix(model: VLAFlowMatching, observation: Observation) -> Prefix:
    """One pass of images and language through `model`'s VLM, without gradient."""
    embedded, real, blocks = model.embed_prefix(*observation.parts[:4], state=observation.state_BS)
    # The state token is the first that opens a new attention block; padding up to prefix_length
    # comes after it and is never seen.
    length = int(blocks[0].to(torch.uint8).argmax())
    embedded_BPH, real_BP = embedded[:, :length], real[:, :length]
    _, cache = model.vlm_with_expert.forward(
        attention_mask=make_att_2d_masks(real_BP, blocks[:, :length]),
        position_ids=torch.cumsum(real_BP, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[embedded_BPH, None],
        use_cache=True,
    )
    assert cache is not None
    return Prefix(
        tuple(layer.keys for layer in cache.layers),
        tuple(layer.values for layer in cache.layers),
        real_BP,
    )


def append_state(model: VLAFlowMatching, prefix: Prefix, state_BS: Tensor) -> Context:
    """The prefix with the state token run through `model`'s state projection and VLM, with gradient where gradient is on."""
    state_BNH = model.state_proj(state_BS)[:, None, :]
    batch, length = prefix.real_BP.shape
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        cache.update(keys, values, layer)
    state_real_BN = torch.ones(batch, 1, dtype=torch.bool, device=state_BNH.device)
    attention_BNP = torch.cat(
        [prefix.real_BP[:, None, :].expand(batch, 1, length), state_real_BN[:, :, None]], dim=2
    )
    with _self_attention_everywhere(model.vlm_with_expert):
        model.vlm_with_expert.forward(
            attention_mask=attention_BNP,
            position_ids=prefix.real_BP.sum(dim=1, keepdim=True),
            past_key_values=cache,
            inputs_embeds=[state_BNH, None],
            use_cache=True,
        )
    return Context(cache, torch.cat([prefix.real_BP, state_real_BN], dim=1))


def velocity(model: VLAFlowMatching, context: Context, x_BTA: Tensor, time_B: Tensor) -> Tensor:
    """`model`'s velocity at x_BTA and time_B: LeRobot's denoising step on the context's cache."""
    result: Tensor = model.denoise_step(
        prefix_pad_masks=context.real_BP, past_key_values=context.cache, x_t=x_BTA, timestep=time_B
    )
    return result


@torch.no_grad()
def solve_ode(
    model: VLAFlowMatching,
    observation: Observation,
    z1_BTA: Tensor,
    steps: int,
    solver: str,
    prefix: Prefix | None = None,
) -> flow.Solution:
    """`model`'s ODE from noise z1_BTA to z0_BTA in `steps` steps, without gradient.

    `prefix` saves its image and language pass.
    """
    context = append_state(model, prefix or encode_prefix(model, observation), observation.state_BS)
    return flow.solve(partial(velocity, model, context), z1_BTA, steps, solver)


@contextmanager
def _self_attention_everywhere(vlm_with_expert: SmolVLMWithExpertModel) -> Iterator[None]:
    """Within it, a pass with a filled cache runs every VLM layer as self-attention over the cache.

    LeRobot's cross-attention layers expect action tokens beside a filled cache; for a prefix it
    uses self-attention in all layers too, but only when it fills the cache from nothing.
    """
    mode = vlm_with_expert.attention_mode
    vlm_with_expert.attention_mode = "self_attn"
    try:
        yield
    finally:
        vlm_with_expert.attention_mode = mode


class SharingCheck:
    """Says whether two models' VLMs are frozen and equal, and compares the weights again only after one of them was written to."""

    def __init__(self) -> None:
        self._checked: tuple[int, int] | None = None
        self._equal = False

    def reason_against(self, student: nn.Module, teacher: nn.Module) -> str | None:
        """None when `teacher` may use `student`'s prefix, else why not. Both are VLMs."""
        if any(parameter.requires_grad for parameter in student.parameters()):
            return "the student's VLM trains"
        if student is teacher:
            return None
        state = (_writes(student), _writes(teacher))
        if state != self._checked:
            self._checked, self._equal = state, equal_weights(student, teacher)
        return None if self._equal else "the VLMs of student and teacher differ"


def _writes(module: nn.Module) -> int:
    """A number that changes when a parameter is replaced or written in place."""
    return hash(tuple((id(parameter), parameter._version) for parameter in module.parameters()))


def equal_weights(one: nn.Module, other: nn.Module) -> bool:
    """True when both hold the same names, dtypes and values."""
    theirs = dict(other.named_parameters())
    mine = dict(one.named_parameters())
    return mine.keys() == theirs.keys() and all(
        value.dtype == theirs[name].dtype and torch.equal(value, theirs[name])
        for name, value in mine.items()
    )
