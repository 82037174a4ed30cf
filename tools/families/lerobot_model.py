"""Builds LeRobot's policies on the meta device, and reads off what a checkpoint of one has."""

from __future__ import annotations

import dataclasses
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tools.families.recipe import Field, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

os.environ.setdefault("HF_HUB_OFFLINE", "1")

_LABELS = {
    "torch.float32": "F32",
    "torch.bfloat16": "BF16",
    "torch.float16": "F16",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}

SIZES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)
"""Numbers of joints and the like."""

VISUAL = {"type": "VISUAL"}
STATE = Field("state", "/input_features/observation.state/shape/0", (0, *SIZES[:6]), default=0)
ACTION = Field("action", "/output_features/action/shape/0", SIZES[3:])
ENVIRONMENT = Field(
    "environment",
    "/input_features",
    (0, 0, 0, *SIZES[4:8]),
    default=0,
    of={"type": "ENV"},
    first="/shape/0",
)
CAMERAS = Field("cameras", "/input_features", (1, 2, 3), of=VISUAL)
CHANNELS = Field(
    "channels", "/input_features", (1, 3, 4, 5), of=VISUAL, first="/shape/0", default=3
)
HEIGHT = Field(
    "height", "/input_features", (96, 120, 144, 160), of=VISUAL, first="/shape/1", default=0
)
WIDTH = Field(
    "width", "/input_features", (112, 128, 136, 152), of=VISUAL, first="/shape/2", default=0
)


def features(drawn: Mapping[str, object], cameras: int = 1) -> dict[str, dict[str, object]]:
    """Return a config's features: joints, a state of the environment, and cameras, as drawn."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    inputs: dict[str, object] = {}
    shape = (
        drawn.get("channels", 3),
        drawn.get("height", 96),
        drawn.get("width", drawn.get("height", 96)),
    )
    for number in range(int(str(drawn.get("cameras", cameras)))):
        inputs[f"observation.images.view{number}"] = PolicyFeature(FeatureType.VISUAL, shape)
    if drawn.get("state"):
        inputs["observation.state"] = PolicyFeature(FeatureType.STATE, (drawn["state"],))
    if drawn.get("environment"):
        name = "observation.environment_state"
        inputs[name] = PolicyFeature(FeatureType.ENV, (drawn["environment"],))
    outputs = {"action": PolicyFeature(FeatureType.ACTION, (drawn.get("action", 14),))}
    return {"input_features": inputs, "output_features": outputs}


def sample(policy: type, settings: Mapping[str, object]) -> Sample:
    """Return a policy with these settings of its config, on the meta device."""
    import torch

    config = _config(policy, settings)
    with torch.device("meta"), replaced(*_initializers(torch.nn.init)):
        model: Any = policy(config)
    return read(encoded(config), model)


def _initializers(module: Any) -> list[tuple[Any, str, Any]]:
    """Return stand-ins for what fills tensors with random numbers, of which there are none."""
    names = [name for name in dir(module) if name.endswith("_") and not name.startswith("_")]
    return [(module, name, lambda tensor, *_, **__: tensor) for name in names]


def _config(policy: Any, settings: Mapping[str, object]) -> Any:
    known = {field.name for field in dataclasses.fields(policy.config_class)}
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if name in known
    }
    config = policy.config_class(**given, device="cpu")
    config.device = "meta"
    return config


def encoded(config: Any) -> dict[str, object]:
    """Return config.json of a policy's config, as LeRobot writes it."""
    import draccus
    from lerobot.configs.policies import PreTrainedConfig

    written: dict[str, object] = draccus.encode(config, PreTrainedConfig)
    return written


def read(config: Mapping[str, object], model: Any) -> Sample:
    """Return what safetensors' save_model keeps of a model, which is how LeRobot saves."""
    groups: dict[int, list[str]] = {}
    state = model.state_dict(keep_vars=True)
    for name, tensor in state.items():
        groups.setdefault(id(tensor), []).append(name)
    tensors = {}
    for names in groups.values():
        kept = min(names)
        tensors[kept] = (_LABELS[str(state[kept].dtype)], tuple(state[kept].shape))
    ties = tuple(tuple(sorted(names)) for names in groups.values() if len(names) > 1)
    return Sample(config, tensors, ties)


@contextmanager
def replaced(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """Replace attributes (owner, name, stand-in) for a while: what would ask the Hub."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, other in places:
        setattr(owner, name, other)
    try:
        yield
    finally:
        for owner, name, other in before:
            setattr(owner, name, other)


def setting(name: str, *values: object, choice: bool = False, default: object = None) -> Field:
    """Return a field that config.json has at its top, by the same name."""
    return Field(name, f"/{name}", values, choice=choice, default=default)


def flag(name: str, *, default: bool) -> Field:
    """Return a field that is true or false."""
    return Field(name, f"/{name}", (False, True), choice=True, default=default)


def known(policy: Any) -> Sequence[str]:
    """Return the keys that a policy's config.json may have."""
    return sorted({"type", *(field.name for field in dataclasses.fields(policy.config_class))})


BACKBONE = setting(
    "vision_backbone",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    choice=True,
    default="resnet18",
)
