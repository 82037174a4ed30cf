"""LeRobot's gaussian_actor, in whose tensor names the cameras' names are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import (
    ACTION,
    CHANNELS,
    ENVIRONMENT,
    HEIGHT,
    SIZES,
    STATE,
    WIDTH,
    features,
    flag,
    sample,
    setting,
)
from tools.families.recipe import Field, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

_CAMERAS = ("image", "images.front", "images.side", "images.top", "images.wrist")
_LAYERS = ([65, 85], [75, 95, 105], [115], [125, 145])


def _name(camera: str) -> str:
    return camera.replace(".", "_")


def _build(drawn: Mapping[str, object]) -> Sample:
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.gaussian_actor import (
        configuration_gaussian_actor as configs,
    )
    from lerobot.policies.gaussian_actor.modeling_gaussian_actor import (
        GaussianActorPolicy,
    )

    seen = dict(drawn)
    chosen = [camera for camera in _CAMERAS if seen.get(_name(camera))]
    if not chosen:
        seen["state"] = seen.get("state") or SIZES[2]
    found = features(seen, cameras=0)
    shape = (seen.get("channels", 3), seen.get("height", 96), seen.get("width", 96))
    for camera in chosen:
        feature = PolicyFeature(FeatureType.VISUAL, shape)
        found["input_features"][f"observation.{camera}"] = feature
    settings: dict[str, object] = {**seen, **found}
    if "actor" in seen:
        settings["actor_network_kwargs"] = configs.ActorNetworkConfig(hidden_dims=seen["actor"])
    if "critic" in seen:
        settings["discrete_critic_network_kwargs"] = configs.CriticNetworkConfig(
            hidden_dims=seen["critic"]
        )
    settings["num_discrete_actions"] = seen.get("num_discrete_actions") or None
    return sample(GaussianActorPolicy, settings)


def _camera(camera: str) -> Field:
    at = f"/input_features/observation.{camera}/shape/0"
    return Field(_name(camera), at, (0, 0, 3), default=0)


_SEEN = " + ".join(f"(1 if {_name(camera)} else 0)" for camera in _CAMERAS)

ACTOR = Recipe(
    "lerobot",
    "gaussian_actor",
    (
        flag("shared_encoder", default=True),
        setting("latent_dim", 50, 66, 70, 94, default=256),
        setting("image_encoder_hidden_dim", 15, 21, 27, 39, default=32),
        setting("image_embedding_pooling_dim", 5, 6, 9, 14, default=8),
        setting("num_discrete_actions", 0, 0, 3, 4, default=0),
        Field("actor", "/actor_network_kwargs/hidden_dims", _LAYERS, default=[256, 256]),
        Field("critic", "/discrete_critic_network_kwargs/hidden_dims", _LAYERS, default=[256, 256]),
        Field("cameras", "/input_features", (), of={"type": "VISUAL"}),
        *map(_camera, _CAMERAS),
        CHANNELS,
        HEIGHT,
        WIDTH,
        STATE,
        ENVIRONMENT,
        ACTION,
    ),
    {
        "rows": "((((height - 7) // 2 + 1 - 5) // 2 + 1 - 3) // 2 + 1 - 3) // 2 + 1",
        "columns": "((((width - 7) // 2 + 1 - 5) // 2 + 1 - 3) // 2 + 1 - 3) // 2 + 1",
        "seen": _SEEN,
        "parts": "seen + (1 if state else 0) + (1 if environment else 0)",
    },
    _build,
    facts.GAUSSIAN_ACTOR,
    hints=(
        "3 * len(actor) - 1",
        "3 * len(critic) - 1",
        "actor[i // 3]",
        "actor[i // 3 - 1]",
        "critic[i // 3]",
        "critic[i // 3 - 1]",
        "seen > 0",
    ),
    samples=160,
)

RECIPES = (ACTOR,)
