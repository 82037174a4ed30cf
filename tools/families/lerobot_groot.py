"""LeRobot's GR00T N1.7, whose sizes are in the config of its base model and in LeRobot's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.families import lerobot_facts as facts
from tools.families.lerobot_model import features, flag, replaced, sample, setting
from tools.families.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.families.recipe import Sample

_BASE = "nvidia/GR00T-N1.7-3B"


def _build(drawn: Mapping[str, object]) -> Sample:
    from lerobot.policies.groot import groot_n1_7, modeling_groot

    def base(**_: object) -> object:
        return groot_n1_7.GR00TN17(groot_n1_7.GR00TN17Config(), load_backbone_weights=False)

    settings = {**features({"state": 14}), **drawn}
    with replaced((modeling_groot.GR00TN17, "from_pretrained", base)):
        return sample(modeling_groot.GrootPolicy, settings)


RECIPES = (
    Recipe(
        "lerobot",
        "groot",
        (
            setting("base_model_path", _BASE, choice=True, default=_BASE),
            flag("model_params_fp32", default=True),
        ),
        {},
        _build,
        facts.GROOT,
        samples=4,
    ),
)
