"""Spellings that were read in a library's source, because its old releases do not run here."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from ckpt_tools.families.template import parse_template

type Json = dict[str, Any]

_RELEASES = ["0.3.3", "0.4.4", "0.5.1", "0.6.1"]
_PALIGEMMA = "model.paligemma_with_expert.paligemma."
_MOVED = {
    "model.language_model.": "language_model.model.",
    "lm_head.": "language_model.lm_head.",
    "model.vision_tower.": "vision_tower.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}
"""The beginnings since transformers 4.52, and before, after `_PALIGEMMA`.

LeRobot 0.3.3 translates old names in `from_pretrained` of pi0; 0.4 to 0.6 do not.
"""


def entries(data: str) -> dict[str, list[Json]]:
    """Return the spellings of pi0 and SmolVLA; `data` is the folder of the families' files."""
    with open(os.path.join(data, "lerobot", "pi0.json"), encoding="utf-8") as file:
        blocks = json.load(file)["tensors"]
    now = [_star(name) for block in blocks for name in block["shapes"]]
    pairs = [[_old(name), name] for name in dict.fromkeys(now)]
    shared: Json = {"architecture": None, "releases": _RELEASES, "tensors": 778}
    old = {"since": "0.3.3", "until": "0.3.3", "written": {}, "read": _RELEASES[:1]}
    new = {"since": "0.3.3", "until": "0.6.1", "read": _RELEASES}
    later = _RELEASES[1:]
    one: Json = {
        "architecture": None,
        "releases": later,
        "since": later[0],
        "until": later[-1],
        "written": {"state_dict": later},
        "read": later,
        "tensors": 500,
    }
    return {
        "lerobot/smolvla": [one],
        "lerobot/pi0": [
            shared | old | {"names": [[one, one] for one, _ in pairs]},
            shared | new | {"written": {"state_dict": _RELEASES}, "names": pairs},
        ],
    }


def _star(template: str) -> str:
    pieces = parse_template(template).pieces
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", "*".join(pieces))


def _old(name: str) -> str:
    rest = name.removeprefix(_PALIGEMMA)
    for new, old in _MOVED.items():
        if rest != name and rest.startswith(new):
            return _PALIGEMMA + old + rest.removeprefix(new)
    return name
