"""The config of a reflow student: SmolVLA's fields and those of reflow, checked before loading.

No field may be called `dtype`: LeRobot would take it for the run's mixed precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields

from lerobot.configs import PreTrainedConfig, parser
from lerobot.optim import AdamWConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_smolvla_reflow.errors import ReflowError
from lerobot_policy_smolvla_reflow.flow import LOSSES, SOLVERS, TIME_SAMPLINGS
from lerobot_policy_smolvla_reflow.objectives import OBJECTIVES
from lerobot_policy_smolvla_reflow.objectives.samples import POSITIVES
from lerobot_policy_smolvla_reflow.objectives.step import Objective
from lerobot_policy_smolvla_reflow.optimizer import MasterAdamWConfig
from lerobot_policy_smolvla_reflow.teacher_config import read_teacher_config

# Fields that determine tensor shapes or the meaning of a tensor: they must equal the teacher's.
ADOPTED = (
    "n_obs_steps", "input_features", "normalization_mapping", "chunk_size", "max_state_dim",
    "max_action_dim", "resize_imgs_with_padding", "empty_cameras", "adapt_to_pi_aloha",
    "use_delta_joint_actions_aloha", "tokenizer_max_length", "add_image_special_tokens",
    "attention_mode", "prefix_length", "pad_language_to", "num_expert_layers", "num_vlm_layers",
    "self_attn_every_n_layers", "expert_width_multiplier", "min_period", "max_period",
)  # fmt: skip
# Fields that default to the teacher's values: how the student acts, and where the VLM's files are.
DEFAULTED = ("n_action_steps", "num_steps", "vlm_model_name")
# The number of training steps where the command line does not say: lerobot-train's default.
USUAL_STEPS = 100_000
# The names that a field may have.
CHOICES = {
    "objective": OBJECTIVES,
    "solver": SOLVERS,
    "time_sampling": TIME_SAMPLINGS,
    "real_time_sampling": TIME_SAMPLINGS,
    "loss": LOSSES,
    "positives": POSITIVES,
}
# The numbers that a field may have, and what to say of another.
LIMITS: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("teacher_num_steps", lambda value: value >= 1, "must be at least 1, not {}; 10 is usual."),
    ("samples", lambda value: value >= 2, "must be at least 2, not {}; 8 is usual."),
    ("anneal_steps", lambda value: value >= 0, "must be 0 (the whole run) or positive, not {}."),
    ("straightness_freq", lambda value: value >= 0, "must be 0 (off) or positive, not {}."),
    ("endpoint_mass", lambda value: 0 <= value <= 1, "must be between 0 and 1, not {}."),
    ("mix_real_data", lambda value: 0 <= value <= 1, "must be between 0 and 1, not {}."),
    (
        "ema_decay",
        lambda value: 0 <= value < 1,
        "must be 0 (off) or a number below 1 such as 0.999, not {}.",
    ),
)


@PreTrainedConfig.register_subclass("smolvla_reflow")
@dataclass
class SmolVLAReflowConfig(SmolVLAConfig):
    """SmolVLA's config with the fields of reflow.

    The architecture is the teacher's: omitted fields take its values, and a conflicting one is an
    error. Raises ReflowError for a teacher that is missing or unusable and for an invalid value.
    """

    # The teacher: a SmolVLA checkpoint folder, or a Hub repository with an optional revision.
    teacher_model_path: str | None = None
    teacher_revision: str | None = None
    # What the student is trained with.
    objective: str = "reflow"  # a name in objectives.OBJECTIVES
    # How the teacher's ODE is solved to make a target.
    teacher_num_steps: int = 10
    solver: str = "euler"  # euler, heun
    # Where on the straight path the student is trained, and with which loss.
    time_sampling: str = "endpoint_mixture"  # endpoint_mixture, uniform, beta, u_shaped
    endpoint_mass: float = (
        0.5  # endpoint_mixture: the share of times that are exactly 1, pure noise
    )
    loss: str = "mse"  # mse, pseudo_huber
    # The share of rows trained by plain flow matching on the dataset's actions, and their times.
    mix_real_data: float = 0.0
    real_time_sampling: str = "beta"
    # Decay of an exponential moving average of the trained weights, which is saved. 0: off.
    ema_decay: float = 0.0
    # grid: the number of sampling steps that the student is made for.
    grid_steps: int = 1
    # drift and imle: generated actions per observation, and what they should be like.
    samples: int = 8
    positives: str = "demonstrations"  # demonstrations, teacher
    # consistency: the steps over which the gap between compared times falls. 0: the whole run.
    anneal_steps: int = 0
    # Keep one VLM in memory for student and teacher. The saved files are the same either way.
    share_vlm: bool = False
    # Run images and language once for all of the teacher's steps and the student.
    share_prefix: bool = True
    # A folder made by lerobot-reflow-pairs; training then needs no teacher pass.
    pairs_path: str | None = None
    # Measure the straightness of the student's own ODE every this many steps. 0: never.
    straightness_freq: int = 100
    # For the command line --policy.type=smolvla --policy.use_reflow=true; see command_line.py.
    use_reflow: bool = True

    def __post_init__(self) -> None:
        """Check the fields of reflow, adopt the teacher's architecture, run SmolVLA's checks."""
        for field, invalid, message in (*self._invalid_values(), *self._conflicts()):
            if invalid:
                raise ReflowError(field, message)
        self._check_objective()
        self._follow_objective()
        self._adopt(read_teacher_config(str(self.teacher_model_path), self.teacher_revision))
        super().__post_init__()

    def _invalid_values(self) -> list[tuple[str, bool, str]]:
        """(field, whether its value is invalid, message) for names and numbers."""
        unknown = [
            (name, value not in known, f"unknown value {value!r}; use one of {', '.join(known)}.")
            for name, known in CHOICES.items()
            for value in (getattr(self, name),)
        ]
        outside = [
            (name, not allowed(value), message.format(value))
            for name, allowed, message in LIMITS
            for value in (getattr(self, name),)
        ]
        return unknown + outside

    def _conflicts(self) -> list[tuple[str, bool, str]]:
        """The same for settings that reflow cannot train with."""
        return [
            (
                "use_reflow",
                not self.use_reflow,
                "must be true; use --policy.type=smolvla to train without reflow.",
            ),
            (
                "use_peft",
                self.use_peft or bool(parser.get_cli_overrides("peft")),
                "reflow trains the whole action expert; remove use_peft and --peft.*.",
            ),
            (
                "compile_model",
                self.compile_model,
                "has no effect on reflow training; leave it false and set it in the saved config.",
            ),
            (
                "use_cache",
                not self.use_cache,
                "SmolVLA cannot sample without its key/value cache; leave it true.",
            ),
            (
                "share_vlm",
                self.share_vlm and not self.train_expert_only,
                "requires a frozen VLM, but train_expert_only=false trains it; remove one of them.",
            ),
            (
                "pretrained_path",
                parser.parse_arg("policy.pretrained_path") is not None,
                "the student starts from teacher_model_path; remove pretrained_path.",
            ),
            (
                "teacher_model_path",
                not self.teacher_model_path,
                "reflow needs a teacher; pass --policy.teacher_model_path=<checkpoint>.",
            ),
        ]

    @property
    def trains_with(self) -> Objective:
        """The objective, with what is known of it."""
        return OBJECTIVES[self.objective]

    def _check_objective(self) -> None:
        """Raise ReflowError for a setting that the objective does not read or cannot use."""
        objective, name = self.trains_with, self.objective
        read = objective.fields(self)
        for field in sorted({field for each in OBJECTIVES.values() for field in each.fields(self)}):
            if field not in read and self._was_set(field):
                raise ReflowError(
                    field, f"has no effect with objective {name}; remove policy.{field}."
                )
        if conflict := objective.conflict(self):
            raise ReflowError(*conflict)
        steps = objective.steps(self)
        if steps and self._was_set("num_steps") and self.num_steps != steps:
            raise ReflowError(
                "num_steps",
                f"is {self.num_steps}, but objective {name} trains for sampling in {steps}; "
                "remove policy.num_steps.",
            )

    def _follow_objective(self) -> None:
        """Set what the objective needs: a weight average, the length of the run."""
        if decay := self.trains_with.average_decay:
            if not self._was_set("ema_decay"):
                self.ema_decay = decay
            if not self.ema_decay:
                raise ReflowError(
                    "ema_decay",
                    f"must not be 0: the weight average is the target of objective "
                    f"{self.objective}; remove policy.ema_decay.",
                )
        if "anneal_steps" in self.trains_with.fields(self) and not self.anneal_steps:
            self.anneal_steps = int(parser.parse_arg("steps") or USUAL_STEPS)

    def _adopt(self, teacher: SmolVLAConfig) -> None:
        """Take the teacher's architecture.

        Raises ReflowError for the first field that was set to another value.
        """
        made_for = self.trains_with.steps(self)
        for name in (*ADOPTED, *DEFAULTED):
            value = made_for if name == "num_steps" and made_for else getattr(teacher, name)
            if not self._was_set(name):
                setattr(self, name, value)
            elif name in ADOPTED and _as_list(getattr(self, name)) != _as_list(value):
                raise ReflowError(
                    name,
                    f"is {getattr(self, name)!r}, but the teacher was built with {value!r} and its "
                    f"student must match; remove policy.{name}.",
                )

    def _was_set(self, name: str) -> bool:
        """True when the field differs from its default or is given on the command line."""
        field = next(field for field in fields(self) if field.name == name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        return (
            _as_list(getattr(self, name)) != _as_list(default)
            or parser.parse_arg(f"policy.{name}") is not None
        )

    def get_optimizer_preset(self) -> AdamWConfig:
        """SmolVLA's AdamW, with F32 masters for the weights that are stored in BF16."""
        preset = super().get_optimizer_preset()
        return MasterAdamWConfig(
            **{field.name: getattr(preset, field.name) for field in fields(preset)}
        )

    def saved_config(self) -> SmolVLAConfig:
        """The config of the saved checkpoint: type smolvla, no reflow field, no local path."""
        shared = {
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


def _as_list(value: object) -> object:
    """A tuple as a list, for comparison: JSON has only lists."""
    return list(value) if isinstance(value, tuple) else value
