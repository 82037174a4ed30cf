"""LeRobot's pi0, pi0.5 and pi0-FAST: PaliGemma, and for the first two an action expert."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import SIZES, features, replaced, sample, setting
from tools.families.recipe import Field, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.families.recipe import Sample

_EMBEDDINGS = "model.paligemma_with_expert.paligemma.model.language_model.embed_tokens.weight"
_FIELDS = (
    setting("paligemma_variant", "gemma_2b", "gemma_300m", choice=True, default="gemma_2b"),
    setting("action_expert_variant", "gemma_300m", "gemma_2b", choice=True, default="gemma_300m"),
    setting("dtype", "float32", "bfloat16", choice=True, default="float32"),
    setting("max_action_dim", *(size + 20 for size in SIZES), default=32),
    setting("max_state_dim", *(size + 21 for size in SIZES), default=32),
    Field(
        "resolution", "/image_resolution", ([112, 112], [224, 224], [280, 280]), default=[224, 224]
    ),
)
_DERIVED = {
    "patches": "(resolution[0] // 14) * (resolution[0] // 14)",
    "width": "2048 if paligemma_variant == 'gemma_2b' else 1024",
    "mlp": "16384 if paligemma_variant == 'gemma_2b' else 4096",
    "expert_width": "2048 if action_expert_variant == 'gemma_2b' else 1024",
    "expert_mlp": "16384 if action_expert_variant == 'gemma_2b' else 4096",
}


def _build(module: str, policy: str, drawn: Mapping[str, object]) -> Sample:
    loaded: Any = import_module(f"lerobot.policies.{module}.modeling_{module}")
    settings = {**features({"state": SIZES[3], **drawn}), **drawn}
    if "resolution" in drawn:
        settings["image_resolution"] = tuple(drawn["resolution"])  # type: ignore[arg-type]  # a pair
    if module != "pi0_fast":
        return sample(getattr(loaded, policy), settings)
    # Two tokenizers, of which no tensor comes.
    nothing = SimpleNamespace(from_pretrained=lambda *_, **__: SimpleNamespace())
    places = ((loaded, "AutoProcessor", nothing), (loaded, "AutoTokenizer", nothing))
    with replaced(*places):
        return sample(getattr(loaded, policy), settings)


def _recipe(key: str, policy: str, found: Callable[[], dict[str, object]]) -> Recipe:
    return Recipe(
        "lerobot",
        key,
        _FIELDS,
        _DERIVED,
        partial(_build, key, policy),
        found,
        optional=(_EMBEDDINGS,),
        samples=12,
    )


RECIPES = (
    _recipe("pi05", "PI05Policy", facts.PI05),
    _recipe("pi0", "PI0Policy", facts.PI0),
    _recipe("pi0_fast", "PI0FastPolicy", facts.PI0_FAST),
)
