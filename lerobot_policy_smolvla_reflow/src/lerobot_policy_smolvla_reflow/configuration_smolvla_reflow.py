"""The config of a reflow student.

SmolVLA's own fields and those of reflow, checked before anything is loaded.

No `from __future__ import annotations`: the argument parser needs the real types. No field may be
called `dtype`: LeRobot would take it for the run's mixed precision.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from lerobot.configs import PreTrainedConfig, parser
from lerobot.optim import AdamWConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.flow import LOSSES, SOLVERS, TIME_SAMPLINGS
from lerobot_policy_smolvla_reflow.optimizer import MasterAdamWConfig
from lerobot_policy_smolvla_reflow.teacher_config import adopt, read_teacher_config


@PreTrainedConfig.register_subclass("smolvla_reflow")
@dataclass
class SmolVLAReflowConfig(SmolVLAConfig):
    """SmolVLA's config with the fields of reflow.

    Its architecture is the teacher's: fields that are left out are adopted, and one that differs is
    an error naming it. Raises ReflowError for a teacher that is missing or unusable and for a value
    out of range.
    """

    # The teacher: the folder of a SmolVLA checkpoint, or a Hub repository with an optional
    # revision.
    teacher_model_path: str | None = None
    teacher_revision: str | None = None
    # How the teacher's ODE is solved to make a target.
    teacher_num_steps: int = 10
    solver: str = "euler"  # euler, heun
    # When and how the student is compared with the straight path.
    time_sampling: str = "endpoint_mixture"  # endpoint_mixture, uniform, beta, u_shaped
    endpoint_mass: float = (
        0.5  # endpoint_mixture: the share of times that are exactly 1, pure noise
    )
    loss: str = "mse"  # mse, pseudo_huber
    # The share of the batch trained by plain flow matching on the dataset's own actions, and its
    # time sampling.
    mix_real_data: float = 0.0
    real_time_sampling: str = "beta"
    # The decay of an exponential moving average of what trains; the average is what gets saved. 0
    # turns it off.
    ema_decay: float = 0.0
    # One VLM in memory for student and teacher. What is saved is the same either way.
    share_vlm: bool = False
    # One pass over images and language for all of the teacher's steps and the student.
    share_prefix: bool = True
    # A folder made by lerobot-reflow-pairs; training then makes no teacher pass.
    pairs_path: str | None = None
    # Solve the student's own ODE at every so-many-th training step and log its straightness. 0
    # turns it off.
    straightness_freq: int = 100
    # Kept for the command line --policy.type=smolvla --policy.use_reflow=true; see command_line.py.
    use_reflow: bool = True

    def __post_init__(self) -> None:
        """Check this config's own fields, then adopt the teacher's architecture, then let SmolVLA check the sum."""
        self._check_names()
        self._check_numbers()
        self._check_refused()
        if not self.teacher_model_path:
            raise ReflowError(
                "teacher_model_path",
                "reflow needs a teacher; pass --policy.teacher_model_path=<SmolVLA checkpoint folder or Hub repository>.",
            )
        adopt(self, read_teacher_config(self.teacher_model_path, self.teacher_revision))
        super().__post_init__()

    def _check_names(self) -> None:
        choices = {
            "solver": SOLVERS,
            "time_sampling": TIME_SAMPLINGS,
            "real_time_sampling": TIME_SAMPLINGS,
            "loss": LOSSES,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ReflowError(
                    name, f"{getattr(self, name)!r} is unknown; use one of {', '.join(known)}."
                )

    def _check_numbers(self) -> None:
        if self.teacher_num_steps < 1:
            raise ReflowError(
                "teacher_num_steps",
                f"{self.teacher_num_steps} steps solve nothing; use 1 or more (10 is usual).",
            )
        if self.straightness_freq < 0:
            raise ReflowError(
                "straightness_freq",
                f"{self.straightness_freq} is negative; use 0 to turn the measurement off.",
            )
        for name, share in {
            "endpoint_mass": self.endpoint_mass,
            "mix_real_data": self.mix_real_data,
        }.items():
            if not 0 <= share <= 1:
                raise ReflowError(name, f"{share} is not a share; use a number from 0 to 1.")
        if not 0 <= self.ema_decay < 1:
            raise ReflowError(
                "ema_decay",
                f"{self.ema_decay} is not a decay; use 0 (off) or a number below 1 such as 0.999.",
            )

    def _check_refused(self) -> None:
        if not self.use_reflow:
            raise ReflowError(
                "use_reflow",
                "is false for type smolvla_reflow; use --policy.type=smolvla to train without reflow.",
            )
        if self.use_peft or parser.get_cli_overrides("peft"):
            raise ReflowError(
                "use_peft",
                "reflow trains the expert itself and saves a whole checkpoint; leave --peft.* and use_peft out.",
            )
        if self.compile_model:
            raise ReflowError(
                "compile_model",
                "compiles SmolVLA's own passes, which reflow does not run; leave it false and set it in the saved config.",
            )
        if not self.use_cache:
            raise ReflowError(
                "use_cache",
                "is false, and SmolVLA cannot sample without its key/value cache; leave it true.",
            )
        if self.share_vlm and not self.train_expert_only:
            raise ReflowError(
                "share_vlm",
                "needs a frozen VLM, and train_expert_only=false trains it; leave one of the two out.",
            )
        if parser.parse_arg("policy.pretrained_path") is not None:
            raise ReflowError(
                "pretrained_path",
                "does not go with reflow: the student starts from teacher_model_path; leave it out.",
            )

    def get_optimizer_preset(self) -> AdamWConfig:
        """SmolVLA's AdamW with F32 masters for what is stored in BF16."""
        preset = super().get_optimizer_preset()
        return MasterAdamWConfig(
            **{field.name: getattr(preset, field.name) for field in fields(preset)}
        )

    def saved_config(self) -> SmolVLAConfig:
        """The config of the checkpoint.

        Type smolvla, `load_vlm_weights` true, no reflow field, no path of this machine's run.
        """
        shared: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in fields(SmolVLAConfig) if field.init
        }
        return SmolVLAConfig(
            **{
                **shared,
                "load_vlm_weights": True,
                "pretrained_path": None,
                "pretrained_revision": None,
            }
        )
