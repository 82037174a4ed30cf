"""SmolVLA, LeRobot's vision-language-action policy: components, dtype profiles, critical keys.

Facts of LeRobot 0.4 to 0.6.1: `lerobot/policies/smolvla/{configuration,modeling}_smolvla.py`,
`smolvlm_with_expert.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_WEIGHTS, CONFIG, WEIGHTS
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.family import (
    TEACHER_PREFIXES,
    CleanConfig,
    Component,
    CriticalKey,
    Family,
    Loader,
)
from ckpt_tools.families.smolvla.components import (
    CONNECTOR,
    EXPERT,
    LM_HEAD,
    NORMALIZATION,
    OTHER,
    PROJECTIONS,
    TEACHER,
    TEXT,
    VISION,
    VLM,
    component,
)
from ckpt_tools.families.smolvla.expected import expected
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family import ConfigValue

_PROFILES = {
    Dtype.F32: "built with load_vlm_weights=false",
    Dtype.BF16: "built with load_vlm_weights=true",
}
"""How the model was built, by the dtype of the VLM outside its text model."""

REFLOW_FIELDS = (
    "use_reflow",
    "teacher_model_path",
    "teacher_revision",
    "objective",
    "teacher_num_steps",
    "solver",
    "time_sampling",
    "endpoint_mass",
    "loss",
    "mix_real_data",
    "real_time_sampling",
    "ema_decay",
    "grid_steps",
    "samples",
    "positives",
    "anneal_steps",
    "share_vlm",
    "share_prefix",
    "pairs_path",
    "straightness_freq",
)
"""Config keys of reflow training, the plugin's and the fork's.

Stock LeRobot rejects a config with any of them.
"""

_FIELDS = """
    type n_obs_steps input_features output_features device use_amp use_peft push_to_hub repo_id
    private tags license pretrained_path pretrained_revision chunk_size n_action_steps
    normalization_mapping max_state_dim max_action_dim resize_imgs_with_padding empty_cameras
    adapt_to_pi_aloha use_delta_joint_actions_aloha tokenizer_max_length num_steps use_cache
    freeze_vision_encoder train_expert_only train_state_proj optimizer_lr optimizer_betas
    optimizer_eps optimizer_weight_decay optimizer_grad_clip_norm scheduler_warmup_steps
    scheduler_decay_steps scheduler_decay_lr vlm_model_name load_vlm_weights
    add_image_special_tokens attention_mode prefix_length pad_language_to num_expert_layers
    num_vlm_layers self_attn_every_n_layers expert_width_multiplier min_period max_period
    rtc_config compile_model compile_mode
"""
"""The keys of SmolVLA's config in LeRobot 0.6.1."""

_DECISIVE = """
    type vlm_model_name load_vlm_weights num_vlm_layers num_expert_layers
    expert_width_multiplier self_attn_every_n_layers attention_mode max_state_dim max_action_dim
    n_obs_steps chunk_size use_cache add_image_special_tokens prefix_length min_period
    max_period
"""
"""The keys that decide which tensors there are, how they are loaded, and their inputs."""

_SINCE_0_6 = (("pretrained_revision", None),)

_REJECTED = "rejects config.json because of this unknown field, whatever its value"

_MISSING = "stock LeRobot loads the checkpoint, but only warns and initializes these at random"


def trains(part: str, config: Mapping[str, object]) -> bool | None:
    """Return whether LeRobot trains a component under `config`, None if it depends on the layer."""
    if part in (EXPERT, PROJECTIONS):
        return True
    if part == VISION:
        return not (
            config.get("freeze_vision_encoder", True) or config.get("train_expert_only", True)
        )
    if part in (CONNECTOR, TEXT, LM_HEAD):
        return False if config.get("train_expert_only", True) or part == LM_HEAD else None
    return False if part in (TEACHER, NORMALIZATION) else None


def profile(checkpoint: Checkpoint) -> str:
    """Return how the dtypes of the student's tensors came about, "" for an unknown profile."""
    dtypes: dict[str, set[Dtype]] = {}
    for tensor in checkpoint.tensors:
        dtypes.setdefault(component(tensor.name), set()).add(tensor.dtype)
    expert, text = dtypes.get(EXPERT, set()), dtypes.get(TEXT, set())
    rest_of_vlm = set().union(*(dtypes.get(part, set()) for part in (VISION, CONNECTOR, LM_HEAD)))
    if expert == text == rest_of_vlm == {Dtype.F32}:
        return "saved in F32 throughout, as FSDP does"
    if text == {Dtype.BF16} and Dtype.BF16 in expert and len(rest_of_vlm) == 1:
        return _PROFILES.get(rest_of_vlm.pop(), "")
    return ""


def contradiction(checkpoint: Checkpoint) -> str:
    """Return what config.json has wrong: load_vlm_weights true for a model built with false."""
    is_true = checkpoint.value(CONFIG).get("load_vlm_weights") is True
    relabelled = is_true and profile(checkpoint) == _PROFILES[Dtype.F32]
    return "config.json has load_vlm_weights true" if relabelled else ""


def remarks(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return why stock LeRobot would not find the weights: it reads one file, by its name."""
    if [file.path for file in checkpoint.weights] == [WEIGHTS]:
        return ()
    return (f"stock LeRobot reads {WEIGHTS} only, which is missing",)


def _recognises(checkpoint: Checkpoint) -> bool:
    if [file.path for file in checkpoint.weights] == [ADAPTER_WEIGHTS]:
        return False  # a LoRA of the policy has none of its tensors
    if checkpoint.value(CONFIG).get("type") in ("smolvla", "smolvla_reflow"):
        return True
    return any(".vlm_with_expert." in tensor.name for tensor in checkpoint.tensors)


def _evaluate_load_vlm_weights(value: ConfigValue) -> tuple[bool, str]:
    if value is True or value == "true":
        return (
            True,
            "loads the base VLM (vlm_model_name), then this checkpoint; the VLM runs in BF16",
        )
    spelled = next(
        (
            word
            for meaning, word in ((False, "false"), (None, "null"), (ABSENT, "the default"))
            if value is meaning
        ),
        "false" if value == "false" else "",
    )
    if spelled:
        return (
            False,
            (
                f"builds the VLM in F32 ({spelled}) regardless of the stored dtype: slower, "
                "more memory"
            ),
        )
    return False, "rejects config.json: a boolean is expected"


def _evaluate_reflow_field(value: ConfigValue) -> tuple[bool, str]:
    return (
        (True, "has no such field, and config.json does not set it")
        if value is ABSENT
        else (False, _REJECTED)
    )


SMOLVLA = Family(
    name="smolvla",
    recognises=_recognises,
    components=(
        Component(key=VISION, title="VLM vision tower", short="vision tower"),
        Component(key=CONNECTOR, title="VLM connector", short="connector"),
        Component(key=TEXT, title="VLM text model", short="text model"),
        Component(key=LM_HEAD, title="VLM lm_head", short="lm_head"),
        Component(key=EXPERT, title="action expert", short="action expert"),
        Component(key=PROJECTIONS, title="state and action projections", short="projections"),
        Component(
            key=NORMALIZATION,
            title="normalization buffers (LeRobot 0.3)",
            short="normalization buffers",
        ),
        Component(key=TEACHER, title="teacher", short="teacher"),
        Component(key=OTHER, title="other", short="other"),
    ),
    component=component,
    trains=trains,
    profile=profile,
    remarks=remarks,
    contradiction=contradiction,
    copy_prefixes=TEACHER_PREFIXES,
    copied=(
        "a teacher saved with its student: stock LeRobot warns about unexpected keys and loads "
        "the rest, but the file stays this large"
    ),
    watched=(
        CriticalKey(key="load_vlm_weights", evaluate=_evaluate_load_vlm_weights),
        CriticalKey(
            key="use_reflow", evaluate=_evaluate_reflow_field, neutral=(ABSENT, False, None)
        ),
        CriticalKey(
            key="teacher_model_path", evaluate=_evaluate_reflow_field, neutral=(ABSENT, False, None)
        ),
    ),
    settings=(
        "/type",
        "/vlm_model_name",
        "/num_vlm_layers",
        "/num_expert_layers",
        "/expert_width_multiplier",
        "/train_expert_only",
        "/chunk_size",
        "/n_action_steps",
        "/num_steps",
        "/max_state_dim",
        "/max_action_dim",
        "/use_cache",
        "/pretrained_path",
    ),
    missing=_MISSING,
    loader=Loader("stock LeRobot", _MISSING, misshapen="stock LeRobot rejects the checkpoint"),
    needless=frozenset({NORMALIZATION, TEACHER, OTHER}),
    cleaning=CleanConfig(
        values=(("type", "smolvla"), ("load_vlm_weights", True)),
        reserved=REFLOW_FIELDS,
        neutral=(("use_reflow", False), ("teacher_model_path", None)),
        newer={"lerobot==0.4": _SINCE_0_6, "lerobot==0.5": _SINCE_0_6},
        known=frozenset(_FIELDS.split()),
        types=frozenset({"smolvla", "smolvla_reflow"}),
        shared=frozenset(VLM),
        single_file=True,
    ),
    expected=expected,
    decisive=frozenset(_DECISIVE.split()),
    sums=(("VLM in total", VLM),),
)
