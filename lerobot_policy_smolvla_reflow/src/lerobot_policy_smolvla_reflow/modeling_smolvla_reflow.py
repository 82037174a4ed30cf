"""The reflow student: SmolVLA with another training pass and another way to be saved.

Inference is SmolVLA's own, untouched.

The mathematics is in `flow` and `objective`, the prefix in `prefix`, the teacher in `teacher`,
files in `saving`; this module joins them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy, VLAFlowMatching
from lerobot.utils.constants import ACTION
from torch import Tensor

from lerobot_policy_smolvla_reflow import flow
from lerobot_policy_smolvla_reflow.averaging import WeightAverage
from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig
from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.objective import RealRows, batch_loss
from lerobot_policy_smolvla_reflow.observation import Observation, observe
from lerobot_policy_smolvla_reflow.pairs import open_pairs
from lerobot_policy_smolvla_reflow.prefix import (
    Prefix,
    SharingCheck,
    append_state,
    encode_prefix,
    solve_ode,
    velocity,
)
from lerobot_policy_smolvla_reflow.run_checks import (
    check_dataset_fits,
    check_surroundings,
    under_fsdp,
)
from lerobot_policy_smolvla_reflow.sampling import Draw, draw, step_generator, this_rank
from lerobot_policy_smolvla_reflow.saving import (
    in_profile,
    load_student_state,
    save_clean,
    save_student_state,
    steps_done,
)
from lerobot_policy_smolvla_reflow.teacher import build_empty, copy_of_teacher, load_teacher


class VLAFlowMatchingReflow(VLAFlowMatching):
    """SmolVLA's flow-matching model with the pass that reflow trains with.

    Its parameters and its inference are the parent's.
    """

    def squared_error(
        self,
        observation: Observation,
        z0_BTA: Tensor,
        z1_BTA: Tensor,
        time_B: Tensor,
        prefix: Prefix | None,
    ) -> Tensor:
        """(z1 - z0 - velocity at x_t)^2 per element, BTA, with gradient. Squared action units.

        With a `prefix`, only the state token and the actions are run with gradient; without one,
        LeRobot's full training pass is.
        """
        if prefix is None:
            full: Tensor = self.forward(*observation.parts, z0_BTA, noise=z1_BTA, time=time_B)
            return full
        context = append_state(self, prefix, observation.state_BS)
        predicted_BTA = velocity(self, context, flow.interpolate(z0_BTA, z1_BTA, time_B), time_B)
        return (flow.straight_velocity(z0_BTA, z1_BTA) - predicted_BTA).square()


class SmolVLAReflowPolicy(SmolVLAPolicy):
    """A SmolVLA policy that trains on its teacher's noise-to-action pairs and saves itself as a normal SmolVLA checkpoint."""

    config_class = SmolVLAReflowConfig
    name = "smolvla_reflow"
    config: SmolVLAReflowConfig

    def __init__(self, config: SmolVLAReflowConfig, **kwargs: Any) -> None:
        # Not SmolVLAPolicy's own constructor: it would draw a whole model at random, only for it to
        # be overwritten.
        PreTrainedPolicy.__init__(self, config)
        check_surroundings(config)
        config.validate_features()
        self.init_rtc_processor()
        teacher = load_teacher(
            str(config.teacher_model_path), config.teacher_revision, config.vlm_model_name
        )
        check_dataset_fits(config, teacher.config)
        config.load_vlm_weights = (
            True  # the saved student's VLM runs in BF16 like any pretrained one's; so does this one
        )
        logging.info("[Reflow] Creating student model (copying weights from teacher)")
        self.model = build_empty(
            config, lambda: VLAFlowMatchingReflow(config, rtc_processor=self.rtc_processor)
        )
        copy_of_teacher(teacher, self, share_vlm=config.share_vlm)
        if under_fsdp():
            self.model.float()  # FSDP flattens tensors of one dtype only; what is saved has the teacher's dtypes
        self.reset()
        self._profile = teacher.profile
        self._sharing = SharingCheck()
        self._reported: str | None = None
        self._step = 0  # training passes so far in the whole run, those before a resume included
        self._student_straightness = 0.0
        self._pairs = open_pairs(config, kwargs.get("dataset_meta")) if config.pairs_path else None
        # Stored pairs need no teacher any more: its memory is given back.
        self._teacher = None if self._pairs else teacher
        if self._teacher is not None and config.share_vlm:
            self._teacher.share_vlm(self.model)
        self._trained = [
            name for name, parameter in self.named_parameters() if parameter.requires_grad
        ]
        self._average = (
            WeightAverage(self.named_parameters(), config.ema_decay) if config.ema_decay else None
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

    # --- training ---------------------------------------------------------------------------------

    def forward(
        self,
        batch: dict[str, Tensor],
        noise: Tensor | None = None,
        time: Tensor | None = None,
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, float]]:
        """The reflow loss of a preprocessed batch and what to log.

        `noise` (B, T, max_action_dim) and `time` (B,) replace this step's draw. `reduction="none"`
        gives loss_B. `batch` is not changed.
        """
        observation = observe(self, batch)
        device = observation.state_BS.device
        generator = step_generator(
            device, step=self._step, rank=this_rank(), training=self.training
        )
        drawn = draw(self.config, len(observation.state_BS), generator)
        drawn = Draw(
            drawn.z1_BTA if noise is None else noise,
            drawn.time_B if time is None else time,
            drawn.real_B,
        )
        prefix = self._own_prefix(observation)
        z0_BTA, z1_BTA, measured = self._couple(batch, observation, drawn, generator, prefix)
        rows = RealRows(drawn.real_B, batch.get("action_is_pad"), self._action_dims())
        if self.config.mix_real_data:
            z0_BTA = torch.where(drawn.real_B[:, None, None], self._real_actions(batch), z0_BTA)
        squared_error_BTA = self.model.squared_error(
            observation, z0_BTA, z1_BTA, drawn.time_B, prefix
        )
        loss = batch_loss(self.config.loss, squared_error_BTA, rows, reduction)
        measured["loss"] = loss.detach().mean().item()
        measured.update(self._measure_student(observation, z1_BTA, prefix))
        self._step += self.training
        return loss, measured

    def _real_actions(self, batch: dict[str, Tensor]) -> Tensor:
        actions = batch[ACTION]
        if self.config.adapt_to_pi_aloha:
            actions = self._pi_aloha_encode_actions_inv(actions.clone())  # it writes in place
        padded: Tensor = self.prepare_action({ACTION: actions})
        return padded

    def _action_dims(self) -> int:
        feature = self.config.action_feature
        assert feature is not None  # check_dataset_fits has seen it
        return int(feature.shape[0])

    def _own_prefix(self, observation: Observation) -> Prefix | None:
        """The student's prefix when its VLM is frozen and one pass may serve several; else None."""
        vlm = self.model.vlm_with_expert.vlm
        frozen = not any(parameter.requires_grad for parameter in vlm.parameters())
        return (
            encode_prefix(self.model, observation) if frozen and self.config.share_prefix else None
        )

    def _couple(
        self,
        batch: dict[str, Tensor],
        observation: Observation,
        drawn: Draw,
        generator: torch.Generator,
        prefix: Prefix | None,
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """(z0_BTA, z1_BTA, what to log).

        The teacher's end points for this step's noise, or a stored pair.
        """
        if self._pairs is not None:
            z0_BTA, z1_BTA = self._pairs.lookup(batch, generator)
            return z0_BTA, z1_BTA, {}
        if self.config.mix_real_data == 1:
            return (
                torch.zeros_like(drawn.z1_BTA),
                drawn.z1_BTA,
                {},
            )  # every row is replaced by real actions: no teacher pass
        assert self._teacher is not None  # only stored pairs do without one
        config = self.config
        shared = prefix if self._may_share(prefix) else None
        solution = solve_ode(
            self._teacher.model,
            observation,
            drawn.z1_BTA,
            config.teacher_num_steps,
            config.solver,
            shared,
        )
        return (
            solution.z0_BTA,
            drawn.z1_BTA,
            {"straightness_teacher": flow.straightness(drawn.z1_BTA, solution).item()},
        )

    def _may_share(self, prefix: Prefix | None) -> bool:
        assert self._teacher is not None  # asked only when there is one
        reason = "share_prefix is false"
        if self.config.share_prefix:
            reason = (
                self._sharing.reason_against(
                    self.model.vlm_with_expert.vlm, self._teacher.model.vlm_with_expert.vlm
                )
                or ""
            )
        if reason != self._reported:
            self._reported = reason
            logging.info(
                "[Reflow] Student and teacher %s",
                f"run the prefix separately: {reason}"
                if reason
                else "share one image and language prefix",
            )
        return prefix is not None and not reason

    def _measure_student(
        self, observation: Observation, z1_BTA: Tensor, prefix: Prefix | None
    ) -> dict[str, float]:
        """The straightness of the student's own path, measured now and then and reported at every step.

        Every rank reports the same keys at every step: LeRobot reduces them across ranks in one
        tensor.
        """
        frequency = self.config.straightness_freq
        if not frequency:
            return {}
        if self._step % frequency == 0:
            solution = solve_ode(
                self.model,
                observation,
                z1_BTA,
                self.config.teacher_num_steps,
                self.config.solver,
                prefix,
            )
            self._student_straightness = flow.straightness(z1_BTA, solution).item()
        return {"straightness_student": self._student_straightness}

    def update(self) -> None:
        """Moves the weight average; LeRobot calls it after every optimizer step."""
        if self._average is not None:
            self._average.update(self.named_parameters())

    # --- saving and loading -----------------------------------------------------------------------

    def _save_pretrained(
        self,
        save_directory: Path,
        state_dict: dict[str, Tensor] | None = None,
        **kwargs: Any,  # noqa: ARG002 - more arguments come with newer LeRobot versions
    ) -> None:
        """Writes a normal SmolVLA checkpoint in the teacher's dtypes.

        UncleanCheckpointError when it would be anything else.

        `state_dict` is the gathered one under FSDP. With a weight average, the average is what the
        checkpoint holds.
        """
        live = self.state_dict() if state_dict is None else state_dict
        shapes = {
            name: (dtype, tuple(live[name].shape))
            for name, dtype in self._profile.items()
            if name in live
        }
        expected = shapes | {
            name: (dtype, ()) for name, dtype in self._profile.items() if name not in live
        }
        averages = self._average.weights if self._average else {}
        tensors = in_profile({**live, **averages}, self._profile)
        save_clean(Path(save_directory), self.config.saved_config(), tensors, expected)
        if (
            self._average or state_dict is not None
        ):  # the checkpoint holds neither the weights behind an average nor FSDP's F32
            save_student_state(
                Path(save_directory), {name: live[name] for name in self._trained}, averages
            )

    @classmethod
    def _load_as_safetensor(
        cls,
        model: SmolVLAReflowPolicy,
        model_file: str,
        map_location: str,
        strict: bool,  # noqa: ARG003 - always strict
    ) -> SmolVLAReflowPolicy:
        """Loads a checkpoint over the student made from the teacher: what --resume does."""
        loaded: SmolVLAReflowPolicy = super()._load_as_safetensor(
            model, model_file, map_location, strict=True
        )
        loaded._step = steps_done(Path(model_file).parent)
        state = load_student_state(Path(model_file).parent)
        if state is not None:
            trained, average = state
            loaded.load_state_dict(trained, strict=False)
            if loaded._average is not None and average:
                loaded._average.restore(average)
        return loaded

    def generate_model_card(
        self,
        dataset_repo_id: str,
        model_type: str,  # noqa: ARG002 - always smolvla
        *args: Any,
        **kwargs: Any,
    ) -> ModelCard:
        """SmolVLA's card: what is published is a normal SmolVLA, whatever trained it."""
        card: ModelCard = super().generate_model_card(dataset_repo_id, "smolvla", *args, **kwargs)
        return card

    # --- what torch and LeRobot do to a policy ----------------------------------------------------

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SmolVLAReflowPolicy:
        """`.to()` and its kin, for the teacher too: torch does not see it."""
        super()._apply(fn, recurse)
        if self._teacher is not None:
            self._teacher.apply(fn)
        return self

    def wrap_with_peft(self, *args: Any, **kwargs: Any) -> PreTrainedPolicy:  # noqa: ARG002 - refused whatever the arguments
        """Always raises ReflowError: an adapter's checkpoint is not a normal SmolVLA's."""
        raise ReflowError(
            "use_peft",
            "reflow trains the expert itself and saves a whole checkpoint; leave --peft.* out.",
        )
