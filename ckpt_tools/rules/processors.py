"""LeRobot's processors: their steps, and the normalization statistics with their numbers.

The numbers are decoded by the standard library: they are few, and importing numpy takes longer than
a verification.
"""

from __future__ import annotations

import struct
from math import isclose, prod
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG, PROCESSORS
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.rules.policy_config import ACTION, Feature, features, modes
from ckpt_tools.rules.remedy import Remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ckpt_tools.checkpoint.model import Tensor, TensorFile
    from ckpt_tools.rules.rule import Subject

PRE, POST = PROCESSORS
NORMALIZER, UNNORMALIZER = "normalizer_processor", "unnormalizer_processor"
NORMALIZING = (NORMALIZER, "molmoact2_masked_normalizer")
DENORMALIZING = (
    *(UNNORMALIZER, "molmoact2_masked_unnormalizer"),
    *("groot_action_unpack_unnormalize_v2", "groot_n1_7_action_decode_v1"),
)
"""The steps that do so. Only the first of each are read here: the others' files differ."""
WANTED = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""The statistics that each mode reads."""

COPY = "copy the processor and its state file from another checkpoint of the same run"
MIGRATE = Remedy(
    (
        "python",
        "-m",
        "lerobot.processor.migrate_policy_normalization",
        "--pretrained-path",
        "WHERE",
    ),
    "migrate it and never strip these, its only statistics: {} writes a migrated copy",
)
"""What to do about a policy of LeRobot 0.3, which has its statistics among its weights."""

_REGISTERED = """
    absolute_actions_processor action_tokenizer_processor add_teleop_action_as_complementary_data
    add_teleop_action_as_info device_processor eo1_conversation_template_processor
    eo1_qwen_processor evo1_action_processor evo1_pad_action_processor evo1_pad_state_processor
    fastwam_action_toggle_processor gripper_penalty_processor groot_action_unpack_unnormalize_v2
    groot_n1_7_action_decode_v1 groot_n1_7_pack_inputs_v1 groot_n1_7_vlm_encode_v1
    gym_hil_adapter_processor image_crop_resize_processor intervention_action_processor
    isaaclab_arena_processor libero_processor map_delta_action_to_robot_action
    map_tensor_to_delta_action_dict molmoact2_action_frame_transform molmoact2_clamp_action
    molmoact2_clamp_normalized molmoact2_masked_normalizer molmoact2_masked_unnormalizer
    molmoact2_pack_inputs molmoact2_state_frame_transform normalizer_processor
    numpy2torch_action_processor observation_processor pi05_prepare_state_tokenizer_processor_step
    pi0_fast_prepare_state_tokenizer_processor_step pi0_new_line_processor
    policy_action_to_robot_action_processor relative_actions_processor
    rename_observations_processor reward_classifier_processor
    robot_action_to_policy_action_processor smolvla_new_line_processor time_limit_processor
    to_batch_processor to_batch_processor_action to_batch_processor_complementary_data
    to_batch_processor_observation tokenizer_processor torch2numpy_action_processor
    unnormalizer_processor vla_jepa_binarize_gripper vla_jepa_clip_actions
    vla_jepa_pre_snap_gripper wall_x_task_processor xvla_add_domain_id xvla_image_scale
    xvla_image_to_float xvla_imagenet_normalize xvla_rotation_6d_to_axis_angle
"""
REGISTERED = frozenset(_REGISTERED.split())
"""The steps that stock LeRobot 0.6.1 knows when it loads a policy."""

_CLASSES = {"NormalizerProcessorStep": NORMALIZER, "UnnormalizerProcessorStep": UNNORMALIZER}
_CODES = {Dtype.F64: "d", Dtype.F32: "f", Dtype.F16: "e", Dtype.I64: "q", Dtype.I32: "i"}
_EPS = 1e-8
_PADDING = "evo1_pad_"
"""Begins the steps before a normalizer that widen what config.json describes."""


class Step(NamedTuple):
    """A step of a processor: file, JSON pointer, registered name ("" for none), and its value."""

    path: str
    pointer: str
    name: str
    value: dict[str, object]

    @property
    def config(self) -> dict[str, object]:
        """The step's settings."""
        found = self.value.get("config")
        return found if isinstance(found, dict) else {}


class Statistic(NamedTuple):
    """One statistic of a feature; `numbers` is None for a large one, or an unusual dtype."""

    name: str
    shape: tuple[int, ...]
    numbers: tuple[float, ...] | None


class Normalizer(NamedTuple):
    """A step that normalizes or denormalizes, with the statistics of its state file.

    `statistics` are by feature and kind. `state` is None where there is no such file, `loose` are
    the names in it that have no feature and kind.
    """

    step: Step
    features: dict[str, Feature]
    modes: dict[str, str]
    state: TensorFile | None
    statistics: dict[str, dict[str, Statistic]]
    loose: tuple[str, ...]

    @property
    def eps(self) -> float:
        """The number that is added to a standard deviation before dividing by it."""
        found = self.step.config.get("eps", _EPS)
        return float(found) if isinstance(found, int | float) else _EPS

    @property
    def file(self) -> str:
        """The state file, or the processor where there is none."""
        return self.state.path if self.state else self.step.path


class Read(NamedTuple):
    """A feature that a step normalizes at inference, with its statistics by kind.

    `shape` is None where it is unknown.
    """

    feature: str
    shape: tuple[int, ...] | None
    kind: str
    mode: str
    statistics: dict[str, Statistic]

    @property
    def pair(self) -> tuple[Statistic, Statistic] | None:
        """The two statistics that the mode reads, None where one of them is missing."""
        low, high = WANTED[self.mode]
        return (
            (self.statistics[low], self.statistics[high])
            if low in self.statistics and high in self.statistics
            else None
        )


def steps(subject: Subject, *paths: str) -> Iterator[Step]:
    """Yield the steps of these processors, by default of both; other items are left out."""
    for path in paths or PROCESSORS:
        listed = subject.checkpoint.value(path).get("steps")
        for number, value in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(value, dict):
                yield Step(path, f"/steps/{number}", _name(value), value)


def has_steps(subject: Subject, path: str) -> bool:
    """Whether a processor is there with a list of steps; CK733 reports anything else under it."""
    return isinstance(subject.checkpoint.value(path).get("steps"), list)


def _name(step: dict[str, object]) -> str:
    """Return a step's registered name; LeRobot's own steps have one when named by class, too."""
    name = step.get(
        "registry_name", _CLASSES.get(str(step.get("class", "")).rpartition(".")[2], "")
    )
    return name if isinstance(name, str) else ""


def normalizers(subject: Subject, path: str) -> Iterator[Normalizer]:
    """Yield the steps that normalize (preprocessor) or denormalize (postprocessor).

    A step with statistics in its settings reads no file, and is left out.
    """
    for step in steps(subject, path):
        if step.name == (NORMALIZER if path == PRE else UNNORMALIZER) and not step.config.get(
            "stats"
        ):
            state = _state(subject, step)
            found, loose = _statistics(state)
            yield Normalizer(
                step,
                features(step.config.get("features")),
                modes(step.config.get("norm_map")),
                state,
                found,
                loose,
            )


def _state(subject: Subject, step: Step) -> TensorFile | None:
    return next(
        (file for file in subject.checkpoint.states if file.path == step.value.get("state_file")),
        None,
    )


def _statistics(
    state: TensorFile | None,
) -> tuple[dict[str, dict[str, Statistic]], tuple[str, ...]]:
    """Return (statistics by feature and kind, names without a kind) as LeRobot reads them.

    The name up to its last dot is the feature, the rest the kind.
    """
    found: dict[str, dict[str, Statistic]] = {}
    loose: list[str] = []
    for tensor in state.tensors if state else ():
        feature, dot, kind = tensor.name.rpartition(".")
        if dot:
            found.setdefault(feature, {})[kind] = Statistic(
                tensor.name, tensor.shape, _numbers(tensor, state.payload if state else None)
            )
        else:
            loose.append(tensor.name)
    return found, tuple(loose)


def _numbers(tensor: Tensor, payload: bytes | None) -> tuple[float, ...] | None:
    data, count = (payload or b"")[tensor.start : tensor.end], prod(tensor.shape)
    if payload is None or not count:
        return None
    if tensor.dtype is Dtype.BF16:
        data, code = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2)), "f"
    else:
        code = _CODES.get(tensor.dtype, "")
    layout = f"<{count}{code}"
    return struct.unpack(layout, data) if code and struct.calcsize(layout) == len(data) else None


def read_at_inference(subject: Subject, normalizer: Normalizer) -> Iterator[Read]:
    """Yield the features of an observation, or the action, that the step changes."""
    config = subject.checkpoint.value(CONFIG)
    if normalizer.step.path == POST:
        own = normalizer.features.get(ACTION)
        padded = any(step.name.startswith(_PADDING) for step in steps(subject, PRE))
        feature = None if padded else features(config.get("output_features")).get(ACTION)
        feature = feature or own
        yield from _read(normalizer, ACTION, feature.shape if feature else None, ACTION.upper())
        return
    chosen = normalizer.step.config.get("normalize_observation_keys")
    padded = any(step.name.startswith(_PADDING) for step in steps(subject, PRE))
    inputs = {} if padded else features(config.get("input_features"))
    for name, feature in normalizer.features.items():
        if feature.kind != ACTION.upper() and (not isinstance(chosen, list) or name in chosen):
            yield from _read(normalizer, name, inputs.get(name, feature).shape, feature.kind)


def _read(
    normalizer: Normalizer, name: str, shape: tuple[int, ...] | None, kind: str
) -> Iterator[Read]:
    mode = normalizer.modes.get(kind, "IDENTITY")
    if mode != "IDENTITY":
        yield Read(name, shape, kind, mode, normalizer.statistics.get(name, {}))


def reads(subject: Subject) -> Iterator[tuple[Normalizer, tuple[Read, ...]]]:
    """Yield every step that normalizes or denormalizes, with what it reads at inference."""
    for path in PROCESSORS:
        for normalizer in normalizers(subject, path):
            yield normalizer, tuple(read_at_inference(subject, normalizer))


def pairs(subject: Subject) -> Iterator[tuple[Normalizer, Read, tuple[Statistic, Statistic]]]:
    """Yield every two statistics that inference reads together, with their step and feature."""
    for normalizer, found in reads(subject):
        for read in found:
            if read.pair:
                yield normalizer, read, read.pair


def action_statistics(subject: Subject, path: str) -> dict[str, Statistic]:
    """Return the statistics of the action that a processor reads, by kind."""
    for normalizer in normalizers(subject, path):
        wanted = WANTED.get(normalizer.modes.get("ACTION", "IDENTITY"), ())
        return {
            kind: found
            for kind, found in normalizer.statistics.get(ACTION, {}).items()
            if kind in wanted
        }
    return {}


def misnamed(normalizer: Normalizer, feature: str) -> str:
    """Return the first name that looks like a statistic of `feature` under another key, or ""."""
    suffix = feature.replace(".", "_")
    for key, kinds in normalizer.statistics.items():
        if (
            key != feature
            and key.replace(".", "_").replace("-", "_").endswith(suffix)
            and key not in normalizer.features
        ):
            return next(iter(kinds.values())).name
    return ""


def alike(a: Statistic, b: Statistic) -> bool:
    """Whether two statistics are equal up to rounding to F32; unknown numbers count as equal."""
    if a.numbers is None or b.numbers is None:
        return True
    same = (
        x == y or (x != x and y != y) or isclose(x, y, rel_tol=1e-6)  # noqa: PLR0124 - NaN
        for x, y in zip(a.numbers, b.numbers, strict=False)
    )
    return len(a.numbers) == len(b.numbers) and all(same)
