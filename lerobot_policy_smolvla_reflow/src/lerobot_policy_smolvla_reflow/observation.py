"""Prepare a policy's inputs for its model.

Independent of reflow: the same for teacher, student and stored pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS, OBS_STATE
from torch import Tensor


class Observation(NamedTuple):
    """A policy's inputs, ready for the model and in its order.

    Images (B, 3, H, W) in [-1, 1], their masks (B,), language tokens and masks (B, L), and the
    padded state (B, max_state_dim).
    """

    images: list[Tensor]
    image_masks: list[Tensor]
    language_tokens_BL: Tensor
    language_masks_BL: Tensor
    state_BS: Tensor


def observe(policy: SmolVLAPolicy, batch: Mapping[str, Tensor]) -> Observation:
    """Prepare a preprocessed batch: resize and pad images, decode and pad the latest state.

    `batch` is not changed.
    """
    images, image_masks = policy.prepare_images(batch)
    state = batch[OBS_STATE]
    # (B, time, S), as in LeRobot's training batches.
    state = state[:, -1] if state.ndim == 3 else state
    if policy.config.adapt_to_pi_aloha:
        state = policy._pi_aloha_decode_state(state.clone())
    state_BS = policy.prepare_state({OBS_STATE: state})
    return Observation(
        images,
        image_masks,
        batch[OBS_LANGUAGE_TOKENS],
        batch[OBS_LANGUAGE_ATTENTION_MASK],
        state_BS,
    )
