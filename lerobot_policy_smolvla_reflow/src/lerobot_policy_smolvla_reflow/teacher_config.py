"""Find the files of a teacher's checkpoint and read its config.json.

JSON only: no weights, no model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from lerobot.configs import PreTrainedConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig

from lerobot_policy_smolvla_reflow.errors import ReflowError

CONFIG_NAME = "config.json"
# Keys in the config.json of an unfinished reflow run. Stock LeRobot rejects both at any value.
RESERVED_KEYS = ("use_reflow", "teacher_model_path")


def teacher_file(path: str, revision: str | None, name: str) -> Path:
    """The local path of a checkpoint's file, downloaded from the Hub when `path` is not a folder.

    Raises ReflowError when there is no such file.
    """
    folder = Path(path).expanduser()
    if (folder / name).is_file():
        return folder / name
    if folder.is_dir():
        nested = folder / "pretrained_model"
        hint = (
            f"its subfolder has one: pass {nested}"
            if nested.is_dir()
            else "pass the folder that save_pretrained wrote"
        )
        raise ReflowError("teacher_model_path", f"the folder {path} has no {name}; {hint}.")
    try:
        return Path(hf_hub_download(path, name, revision=revision))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ReflowError(
            "teacher_model_path",
            f"{path} is neither a folder nor a Hub repository from which {name} can be downloaded "
            f"({type(error).__name__}); "
            "pass the pretrained_model folder of a SmolVLA checkpoint, or user/repository.",
        ) from error


def read_teacher_config(path: str, revision: str | None) -> SmolVLAConfig:
    """The config of a SmolVLA checkpoint.

    Raises ReflowError when it is missing, unreadable, of another policy, or of an unfinished reflow
    run.
    """
    raw = _read_object(path, teacher_file(path, revision, CONFIG_NAME))
    policy_type = raw.get("type")
    reserved = [key for key in RESERVED_KEYS if key in raw]
    if policy_type == "smolvla_reflow" or (policy_type == "smolvla" and reserved):
        raise ReflowError(
            "teacher_model_path",
            f"{path} is a reflow checkpoint that was never cleaned: its {CONFIG_NAME} has "
            f"{', '.join(reserved) or 'type smolvla_reflow'}; "
            f"run `ckpt sanitize {path}` and pass the folder it writes.",
        )
    if policy_type != "smolvla":
        raise ReflowError(
            "teacher_model_path",
            f"{path} contains a policy of type {policy_type!r}; pass a checkpoint of type "
            "'smolvla'.",
        )
    try:
        return PreTrainedConfig.from_pretrained(path, revision=revision)
    except Exception as error:
        raise ReflowError(
            "teacher_model_path",
            f"LeRobot cannot read {path}/{CONFIG_NAME} ({error}); run `ckpt sanitize {path}` and "
            "pass the folder it writes.",
        ) from error


def _read_object(path: str, file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except ValueError as error:
        raise ReflowError(
            "teacher_model_path",
            f"{path}/{file.name} is not valid JSON ({error}); pass an intact checkpoint.",
        ) from error
    if not isinstance(value, dict):
        raise ReflowError(
            "teacher_model_path",
            f"{path}/{file.name} is not a JSON object; pass an intact checkpoint.",
        )
    return value
