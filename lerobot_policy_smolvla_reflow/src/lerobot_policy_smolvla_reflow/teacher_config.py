"""Finds a teacher's files, judges its config.json, and says which of its fields the student adopts.

JSON only: no weights, no model.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from lerobot.configs import PreTrainedConfig, parser
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_smolvla_reflow.errors import ReflowError

if TYPE_CHECKING:
    from lerobot_policy_smolvla_reflow.configuration_smolvla_reflow import SmolVLAReflowConfig

CONFIG_NAME = "config.json"
RESERVED_KEYS = ("use_reflow", "teacher_model_path")
"""What a config.json of an unfinished reflow run holds. Stock LeRobot refuses both at any value."""

ADOPTED = (
    "n_obs_steps", "input_features", "normalization_mapping", "chunk_size", "max_state_dim", "max_action_dim",
    "resize_imgs_with_padding", "empty_cameras", "adapt_to_pi_aloha", "use_delta_joint_actions_aloha", "tokenizer_max_length",
    "add_image_special_tokens", "attention_mode", "prefix_length", "pad_language_to", "num_expert_layers", "num_vlm_layers",
    "self_attn_every_n_layers", "expert_width_multiplier", "min_period", "max_period",
)  # fmt: skip
"""Fields that fix tensor shapes or what a tensor means: the student's must be the teacher's."""

DEFAULTED = ("n_action_steps", "num_steps", "vlm_model_name")
"""Fields whose default is the teacher's and that a student may set otherwise.

How it acts, and where its copy of the VLM's files lies.
"""


def teacher_file(path: str, revision: str | None, name: str) -> Path:
    """The local path of one file of the teacher, fetched from the Hub when `path` is not a folder.

    Raises ReflowError when there is none.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        if (folder / name).is_file():
            return folder / name
        nested = folder / "pretrained_model"
        hint = (
            f"its subfolder holds one: pass {nested}"
            if nested.is_dir()
            else "pass the folder that save_pretrained wrote"
        )
        raise ReflowError("teacher_model_path", f"the folder {path} holds no {name}; {hint}.")
    try:
        return Path(hf_hub_download(path, name, revision=revision))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ReflowError(
            "teacher_model_path",
            f"{path} is neither a folder nor a Hub repository from which {name} can be fetched ({type(error).__name__}); "
            "pass the pretrained_model folder of a SmolVLA checkpoint, or user/repository.",
        ) from error


def read_teacher_config(path: str, revision: str | None) -> SmolVLAConfig:
    """The teacher's config.

    Raises ReflowError when it is missing, unreadable, not a SmolVLA's, or that of an unfinished
    reflow run.
    """
    raw = _read_json(path, teacher_file(path, revision, CONFIG_NAME))
    kind = raw.get("type")
    dirty = [key for key in RESERVED_KEYS if key in raw]
    if kind == "smolvla_reflow" or (kind == "smolvla" and dirty):
        raise ReflowError(
            "teacher_model_path",
            f"{path} is a reflow checkpoint that was never cleaned: its config.json has {', '.join(dirty) or 'type smolvla_reflow'}; "
            f"run `ckpt sanitize {path}` and pass the folder it writes.",
        )
    if kind != "smolvla":
        raise ReflowError(
            "teacher_model_path",
            f"{path} holds a policy of type {kind!r}; pass a checkpoint of type 'smolvla'.",
        )
    try:
        config = PreTrainedConfig.from_pretrained(path, revision=revision)
    except Exception as error:
        raise ReflowError(
            "teacher_model_path",
            f"LeRobot cannot read {path}/config.json ({error}); run `ckpt sanitize {path}` and pass the folder it writes.",
        ) from error
    assert isinstance(config, SmolVLAConfig)
    return config


def _read_json(path: str, file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except ValueError as error:
        raise ReflowError(
            "teacher_model_path",
            f"{path}/{file.name} is not JSON ({error}); pass an intact checkpoint.",
        ) from error
    if not isinstance(value, dict):
        raise ReflowError(
            "teacher_model_path",
            f"{path}/{file.name} is not a JSON object; pass an intact checkpoint.",
        )
    return value


def adopt(config: SmolVLAReflowConfig, teacher: SmolVLAConfig) -> None:
    """Sets `config`'s architecture to the teacher's, in place.

    Raises ReflowError that names the first field given another value.
    """
    for name in (*ADOPTED, *DEFAULTED):
        theirs = getattr(teacher, name)
        if not _given(config, name):
            setattr(config, name, theirs)
        elif name in ADOPTED and _plain(getattr(config, name)) != _plain(theirs):
            raise ReflowError(
                name,
                f"{getattr(config, name)!r} was given, but the teacher was built with {theirs!r} and its student must be the same; leave policy.{name} out.",
            )


def _given(config: SmolVLAReflowConfig, name: str) -> bool:
    """True when the field was set by the caller.

    It differs from its default, or the command line names it.
    """
    field = next(field for field in dataclasses.fields(config) if field.name == name)
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    return (
        _plain(getattr(config, name)) != _plain(default)
        or parser.parse_arg(f"policy.{name}") is not None
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
