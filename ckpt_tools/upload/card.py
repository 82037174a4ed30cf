"""The model card of a LeRobot policy, from what config.json and train_config.json say.

Pure. Only policy types, Hub names and numbers are taken over: no path, no name of a user's machine.
`is_filled` says what counts as a value in any card, `hub_name_in` as a name in any config.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG, TRAIN_CONFIG
from ckpt_tools.storage.hub_name import may_be_hub_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.checkpoint.model import Checkpoint

NAME = "README.md"
CODE = "CK813"
"""The rule about model cards."""

_PLACEHOLDERS = frozenset(
    (
        *("unset", "none", "null", "todo", "tbd", "fixme", "n/a", "na", "placeholder", "example"),
        *("license", "your-license", "xxx"),
    )
)
_ID = re.compile(r"[A-Za-z0-9][\w .+/@:-]*", re.ASCII)

_BASES = ("pretrained_path", "base_model_path", "pretrained_name_or_path", "vlm_model_name")
"""Keys of a policy's config that may name the model it was trained from, the closest first."""

_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_TITLE = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_FOLDERS = frozenset(("outputs", "checkpoints", "models", "datasets", "data", "runs"))
"""First segments of relative paths that look like Hub names."""

_HUB = "https://huggingface.co"


def policy_type(checkpoint: Checkpoint) -> str:
    """Return the type of a LeRobot policy that config.json names, "" for none."""
    named = checkpoint.value(CONFIG).get("type")
    return named if isinstance(named, str) and _TYPE.fullmatch(named) else ""


def card(checkpoint: Checkpoint, license_id: str, repository: str) -> str:
    """Return the card of a policy that is uploaded to `repository` under this license."""
    kind, training = policy_type(checkpoint), checkpoint.value(TRAIN_CONFIG)
    title = repository.rpartition("/")[2]
    base, dataset, steps = _base(checkpoint), _dataset(training), training.get("steps")
    front = [f"license: {license_id}", "library_name: lerobot", "pipeline_tag: robotics"]
    front += [f"tags: [robotics, lerobot, {kind}]"]
    front += [f"base_model: {base}"] * bool(base) + [f"datasets: [{dataset}]"] * bool(dataset)
    about = [f"A `{kind}` policy for [LeRobot](https://github.com/huggingface/lerobot)."]
    about += [f"It is based on [{base}]({_HUB}/{base})."] * bool(base)
    about += [f"It was trained on [{dataset}]({_HUB}/datasets/{dataset})."] * bool(dataset)
    if type(steps) is int and steps > 0:
        about.append(f"The training was configured for {steps:,} steps.")
    name = title if _TITLE.fullmatch(title) else f"{kind} policy"
    return "\n".join(("---", *front, "---", "", f"# {name}", "", *about, ""))


def is_filled(value: object) -> bool:
    """Whether a value is a name, or a list of names, and not a placeholder."""
    words = value if isinstance(value, list) else [value]
    return bool(words) and all(
        isinstance(word, str)
        and _ID.fullmatch(word) is not None
        and word.lower() not in _PLACEHOLDERS
        and "information needed" not in word.lower()
        for word in words
    )


def _base(checkpoint: Checkpoint) -> str:
    """Return the model that the policy was trained from, by its Hub name; "" if none is named."""
    config = checkpoint.value(CONFIG)
    return next((name for name in map(hub_name_in, map(config.get, _BASES)) if name), "")


def _dataset(training: Mapping[str, object]) -> str:
    """Return the Hub name of the dataset, "" if it was read from a folder of its own."""
    dataset = training.get("dataset")
    if not isinstance(dataset, dict) or dataset.get("root"):
        return ""
    return hub_name_in(dataset.get("repo_id"))


def hub_name_in(value: object) -> str:
    """Return a value of a config that is a name on the Hub, "" for a path of some machine."""
    is_name = isinstance(value, str) and "@" not in value and may_be_hub_name(value)
    return str(value) if is_name and str(value).partition("/")[0] not in _FOLDERS else ""
