"""The installed versions of libraries, by their packages' metadata: nothing is imported."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution, distributions
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import LibraryMissing
from ckpt_tools.families.lerobot import POLICIES
from ckpt_tools.live.source import LEROBOT

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from ckpt_tools.live.source import Source

_BESIDE = {
    LEROBOT: ("torch", "torchvision", "transformers", "diffusers"),
    "transformers": ("torch",),
    "diffusers": ("torch",),
    "timm": ("torch",),
}
"""Packages that a library builds models with; lerobot's are optional but for torch."""

_EXTRAS = {
    "diffusion": "diffusion",
    "eo1": "eo1",
    "evo1": "evo1",
    "fastwam": "fastwam",
    "gaussian_actor": "hilserl",
    "groot": "groot",
    "lingbot_va": "lingbot-va",
    "molmoact2": "molmoact2",
    "multi_task_dit": "multi-task-dit",
    "pi0": "pi",
    "pi05": "pi",
    "pi0_fast": "pi",
    "smolvla": "smolvla",
    "vla_jepa": "vla-jepa",
    "wall_x": "wallx",
    "xvla": "xvla",
}
"""The extras of lerobot that policies need, by type."""

_PLUGIN = "lerobot_policy_"


class Versions(NamedTuple):
    """Packages and their versions; `changes`: one is installed from a folder that can change."""

    packages: tuple[tuple[str, str], ...]
    changes: bool

    def __str__(self) -> str:
        """Return the library's own: "timm 1.0.31"."""
        return " ".join(self.packages[0])


def installed(source: Source) -> Versions:
    """Return the versions of what would build the model. Raises LibraryMissing."""
    found = [_needed(source.library, source)]
    for name in _BESIDE[source.library]:
        try:
            found.append(distribution(name))
        except PackageNotFoundError:
            if name == "torch":
                raise _missing(name, f"pip install {name}") from None
    if source.library == LEROBOT and source.name not in POLICIES:
        found += sorted(_plugins(), key=lambda one: one.name)
    return Versions(
        tuple((one.name.lower(), one.version) for one in found), any(map(_is_editable, found))
    )


def command(source: Source) -> str:
    """Return the command that installs what builds the model."""
    if source.library != LEROBOT:
        return f"pip install {source.library}"
    extra = _EXTRAS.get(source.name)
    if extra:
        return f'pip install "lerobot[{extra}]"'
    is_plugin = source.name not in POLICIES
    return "pip install lerobot" + f", and the plugin that has {source.name}" * is_plugin


def _needed(library: str, source: Source) -> Distribution:
    try:
        return distribution(library)
    except PackageNotFoundError:
        raise _missing(library, command(source)) from None


def _missing(library: str, how: str) -> LibraryMissing:
    return LibraryMissing(f"{library} is not installed", hint=f"install it beside ckpt: {how}")


def _plugins() -> list[Distribution]:
    named = ((one.metadata["Name"] or "", one) for one in distributions())
    return [one for name, one in named if name.replace("-", "_").startswith(_PLUGIN)]


def _is_editable(one: Distribution) -> bool:
    text = one.read_text("direct_url.json")
    try:
        origin = json.loads(text) if text else {}
    except ValueError:
        return True
    return bool(isinstance(origin, dict) and (origin.get("dir_info") or {}).get("editable"))
