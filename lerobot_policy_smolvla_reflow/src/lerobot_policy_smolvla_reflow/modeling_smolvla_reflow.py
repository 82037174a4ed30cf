"""The reflow student: SmolVLA with a different training pass and a different way to save.

Inference is SmolVLA's own, unchanged. The mathematics is in `flow` and `objectives`, the prefix in
`prefix`, the teacher in `teacher`, files in `saving`; this module connects them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy, VLAFlowMatching
from lerobot.utils.constants import ACTION
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow, saving
from lerobot_policy_smolvla_reflow.averaging import WeightAverage
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.loading import build_empty
from lerobot_policy_smolvla_reflow.objectives.step import Demonstrations, Step, no_teacher
from lerobot_policy_smolvla_reflow.observation import Observation, observe
from lerobot_policy_smolvla_reflow.pairs import open_pairs
from lerobot_policy_smolvla_reflow.prefix import (
    Prefix,
    PrefixSharing,
    encode_prefix,
    solve_ode,
    velocity,
    whole_velocity,
)
from lerobot_policy_smolvla_reflow.run_checks import check_actions, check_environment, under_fsdp
from lerobot_policy_smolvla_reflow.sampling import (
    sample_step,
    step_generator,
    this_rank,
)
from lerobot_policy_smolvla_reflow.teacher import copy_weights, load_teacher


class SmolVLAReflowPolicy(SmolVLAPolicy):
    """A SmolVLA policy that trains with an objective for few sampling steps.

    It saves itself as a normal SmolVLA checkpoint.
    """

    config_class = SmolVLAReflowConfig
    name = "smolvla_reflow"
    config: SmolVLAReflowConfig

    def __init__(self, config: SmolVLAReflowConfig, **kwargs: Any) -> None:
        # Not SmolVLAPolicy's constructor: it would initialize a whole model, only to overwrite it.
        PreTrainedPolicy.__init__(self, config)
        check_environment(config)
        config.validate_features()
        self.init_rtc_processor()
        teacher = load_teacher(
            str(config.teacher_model_path), config.teacher_revision, config.vlm_model_name
        )
        check_actions(config, teacher.policy.config)
        config.load_vlm_weights = True  # the VLM runs in BF16, as the saved student's will
        logging.info("[Reflow] Creating student model (copying weights from teacher)")
        self.model = build_empty(
            config, lambda: VLAFlowMatching(config, rtc_processor=self.rtc_processor)
        )
        copy_weights(teacher, self, share_vlm=config.share_vlm)
        if under_fsdp():
            self.model.float()  # FSDP flattens tensors of one dtype only; saving restores dtypes
        self.reset()
        self._stored_dtypes = teacher.stored_dtypes
        self._sharing = PrefixSharing(enabled=config.share_prefix)
        self._step = 0  # training passes so far in the whole run, including those before a resume
        self._student_straightness = 0.0
        self._pairs = open_pairs(config, kwargs.get("dataset_meta")) if config.pairs_path else None
        # Stored pairs need no teacher, nor do some objectives: its memory is released.
        self._teacher = teacher if config.trains_with.cost(config).teacher else None
        self._trained = [
            name for name, parameter in self.named_parameters() if parameter.requires_grad
        ]
        self._average = WeightAverage(
            self.named_parameters() if config.ema_decay else (), config.ema_decay
        )
        self._log_size()

    def _log_size(self) -> None:
        total = sum(parameter.numel() for parameter in self.parameters())
        trainable = sum(
            parameter.numel() for parameter in self.parameters() if parameter.requires_grad
        )
        logging.info("[Reflow] ✓ Student initialized from teacher")
        logging.info("[Reflow] Total parameters: %s", f"{total:,}")
        logging.info(
            "[Reflow] Trainable parameters: %s (%.2f%%)", f"{trainable:,}", 100 * trainable / total
        )
        cost = self.config.trains_with.cost(self.config)
        logging.info("[Reflow] Objective %s: %s per step", self.config.objective, cost)

    # --- training ---------------------------------------------------------------------------------

    def forward(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        time: Tensor | None = None,
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, float]]:
        """The objective's loss of a preprocessed batch, and the values to log.

        `noise` (B, T, max_action_dim) and `time` (B,) replace this step's random ones.
        `reduction="none"` gives loss_B. `batch` is not changed.
        """
        observation = observe(self, batch)
        prefix = self._own_prefix(observation)
        step = self._draw(batch, observation, prefix)
        step = replace(
            step,
            reduction=reduction,
            z1_BTA=step.z1_BTA if noise is None or self._pairs else noise,
            time_B=step.time_B if time is None else time,
        )
        loss, logged = self.config.trains_with.loss(step, self.config)
        logged = {
            **logged,
            "loss": loss.detach().mean().item(),
            **self._measure_student(observation, step.z1_BTA, prefix),
        }
        self._step += self.training
        return loss, logged

    def _draw(
        self, batch: dict[str, Tensor], observation: Observation, prefix: Prefix | None
    ) -> Step:
        """What the objective sees of this training step."""
        generator = step_generator(
            observation.state_BS.device, step=self._step, rank=this_rank(), training=self.training
        )
        sample = sample_step(self.config, len(observation.state_BS), generator)
        z1_BTA, stored_PBTA = sample.z1_BTA, None
        if self._pairs is not None and self.config.trains_with.stored == "pair":
            z0_BTA, z1_BTA = self._pairs.lookup(batch, generator)
            stored_PBTA = z0_BTA[None]
        elif self._pairs is not None:
            stored_PBTA = self._pairs.end_points(batch, generator.device)
        return Step(
            z1_BTA=z1_BTA,
            time_B=sample.time_B,
            real_B=sample.real_B,
            generator=generator,
            stored_PBTA=stored_PBTA,
            teacher=self._teacher_velocity(observation, prefix),
            student=self._velocity(observation, prefix),
            average=partial(self._average_velocity, observation, prefix),
            demonstrations=self._demonstrations(batch),
            progress=min(1.0, self._step / max(1, self.config.anneal_steps)),
        )

    def _demonstrations(self, batch: dict[str, Tensor]) -> Demonstrations:
        actions = batch[ACTION]
        if self.config.adapt_to_pi_aloha:
            actions = self._pi_aloha_encode_actions_inv(actions.clone())  # it writes in place
        return Demonstrations(
            self.prepare_action({ACTION: actions}),
            batch.get("action_is_pad"),
            self.config.action_feature.shape[0],
        )

    def _own_prefix(self, observation: Observation) -> Prefix | None:
        """The student's prefix, when its VLM is frozen and prefixes may be shared; else None."""
        vlm = self.model.vlm_with_expert.vlm
        frozen = not any(parameter.requires_grad for parameter in vlm.parameters())
        return (
            encode_prefix(self.model, observation) if frozen and self.config.share_prefix else None
        )

    def _velocity(self, observation: Observation, prefix: Prefix | None) -> flow.Velocity:
        """The student's velocity, with gradient.

        With a `prefix`, only the state token and the actions run; without one, LeRobot's full
        training pass does.
        """
        if prefix is None:
            return whole_velocity(self.model, observation)
        return velocity(self.model, observation, prefix)

    @torch.no_grad()
    def _average_velocity(
        self, observation: Observation, prefix: Prefix | None, x_BTA: Tensor, time_B: Tensor
    ) -> Tensor:
        """The velocity of the student's weight average."""
        with self._average.in_place_of(self.named_parameters()):
            return self._velocity(observation, prefix)(x_BTA, time_B)

    @torch.no_grad()
    def _teacher_velocity(self, observation: Observation, prefix: Prefix | None) -> flow.Velocity:
        """The teacher's velocity, without gradient. Not to be called where there is no teacher."""
        if self._teacher is None:
            return no_teacher
        teacher = self._teacher.policy.model
        if not self._sharing.allowed(self.model.vlm_with_expert.vlm, teacher.vlm_with_expert.vlm):
            prefix = None
        return torch.no_grad()(velocity(teacher, observation, prefix))

    def _measure_student(
        self, observation: Observation, z1_BTA: Tensor, prefix: Prefix | None
    ) -> dict[str, float]:
        """The straightness of the student's own path, to log at every step.

        It is measured every `straightness_freq` steps. Every rank reports the same keys at every
        step: LeRobot reduces them across ranks in one tensor.
        """
        config = self.config
        if not config.straightness_freq or "straightness_freq" not in config.trains_with.fields(
            config
        ):
            return {}
        if self._step % config.straightness_freq == 0:
            solution = solve_ode(
                self.model, observation, z1_BTA, config.teacher_num_steps, config.solver, prefix
            )
            self._student_straightness = flow.straightness(z1_BTA, solution).item()
        return {"straightness_student": self._student_straightness}

    def update(self) -> None:
        """Update the weight average. LeRobot calls it after every optimizer step."""
        self._average.update(self.named_parameters())

    # --- saving and loading -----------------------------------------------------------------------

    def _save_pretrained(
        self,
        save_directory: Path,
        state_dict: dict[str, Tensor] | None = None,
        **kwargs: Any,  # noqa: ARG002 - newer LeRobot versions pass more arguments
    ) -> None:
        """Write a normal SmolVLA checkpoint in the teacher's dtypes.

        Raises UncleanCheckpointError when it would be anything else. `state_dict` is the gathered
        one under FSDP. With a weight average, the checkpoint contains the average.
        """
        live = self.state_dict() if state_dict is None else state_dict
        averages = self._average.weights
        config = self.config.saved_config()
        saving.save_clean(save_directory, config, {**live, **averages}, self._stored_dtypes)
        # The checkpoint has neither the weights behind an average nor FSDP's F32.
        if averages or state_dict is not None:
            trained = {name: live[name] for name in self._trained}
            saving.save_student_state(save_directory, trained, averages)

    @classmethod
    def _load_as_safetensor(
        cls,
        model: SmolVLAReflowPolicy,
        model_file: str,
        map_location: str,
        strict: bool,  # noqa: ARG003 - always strict
    ) -> SmolVLAReflowPolicy:
        """Load a checkpoint over the student made from the teacher, as --resume does."""
        loaded = super()._load_as_safetensor(model, model_file, map_location, strict=True)
        loaded._step = saving.steps_done(Path(model_file).parent)
        trained, average = saving.load_student_state(Path(model_file).parent)
        loaded.load_state_dict(trained, strict=False)
        if average:
            loaded._average.restore(average)
        return loaded

    def generate_model_card(
        self,
        dataset_repo_id: str,
        model_type: str,  # noqa: ARG002 - it is always smolvla
        *args: Any,
        **kwargs: Any,
    ) -> ModelCard:
        """SmolVLA's card: the published checkpoint is a normal SmolVLA, however it was trained."""
        return super().generate_model_card(dataset_repo_id, "smolvla", *args, **kwargs)

    # --- hooks of torch and LeRobot ---------------------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SmolVLAReflowPolicy:
        """`.to()` and the like, for the teacher too, which torch does not see."""
        super()._apply(fn, recurse)
        if self._teacher is not None:
            self._teacher.policy._apply(fn)
        return self

    def wrap_with_peft(self, *args: Any, **kwargs: Any) -> PreTrainedPolicy:  # noqa: ARG002 - refused whatever the arguments
        """Raise ReflowError: an adapter's checkpoint is not a normal SmolVLA's."""
        raise ReflowError(
            "use_peft",
            "reflow trains the whole action expert and saves a full checkpoint; remove --peft.*.",
        )
