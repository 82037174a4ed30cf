"""The family that a file describes: its parts, what it expects of a checkpoint, and its loader."""

from __future__ import annotations

import re
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, cast

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.expected import FLOATS, Typed, expected
from ckpt_tools.families.family import (
    GENERIC,
    Component,
    Expectation,
    Family,
    Loader,
    Unknown,
    latest,
)
from ckpt_tools.families.family_file import load
from ckpt_tools.families.stored_names import by_stored_names, ignores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.expression import Value
    from ckpt_tools.families.family_file import FamilyFile

_OTHER = Component("other", "other", "other")
_NAMES = {
    "lerobot": "stock LeRobot",
    "transformers": "transformers",
    "diffusers": "diffusers",
    "timm": "timm",
}
_STRICT = ("rejected", "rejected", "rejected")
_LENIENT = ("random", "dropped", "rejected")
_USUAL = {"timm": _STRICT}
"""What a library's loader does with a missing, an unexpected and a misshapen tensor."""

_MISSING = {
    "random": "{} loads the checkpoint, but only warns and initializes these at random",
    "hidden": "{} hides the error and leaves these at random values",
    "rejected": "{} rejects the checkpoint",
    "refilled": "{} computes these from others",
}
_UNEXPECTED = {
    "dropped": "it drops them",
    "hidden": "it drops them",
    "rejected": "{} rejects the checkpoint",
}
_MISSHAPEN = {
    "rejected": "{} rejects the checkpoint",
    "hidden": "{} hides the error and leaves these at random values",
    "random": "{} only warns and initializes these at random",
}
_PLAIN = frozenset(
    {Dtype.BF16, Dtype.F32, Dtype.F16, Dtype.I64, Dtype.BOOL, Dtype.F64, Dtype.I32, Dtype.C64}
)
_FEW = 8
"""Tensors of other dtypes are a quantized model if they are more than one in so many."""

_SPLIT = r"(?i)(?:^|[-_./])(?:tp|mp|rank)[-_]?(?:rank[-_]?)?\d"
"""A part of the names of files with one device's share of each tensor."""


@lru_cache(maxsize=16)
def family_of_file(library: str, key: str) -> Family | None:
    """Return the family that a library calls `key`, None where there is no file of it."""
    file = load(library, key)
    if file is None:
        return None
    parts = tuple(one for one, _ in file.components)
    return GENERIC._replace(
        name=file.family,
        recognises=lambda _: False,
        components=(*parts, _OTHER) if parts else GENERIC.components,
        component=_component(file) if parts else GENERIC.component,
        profile=partial(_profile, file),
        expected=latest(partial(_expected, file)),
        decisive=GENERIC.decisive | file.decisive,
        missing=loader_of(library, file.loader).missing,
        loader=loader_of(library, file.loader),
        ignores=partial(ignores, file),
        file=file,
    )


def _component(file: FamilyFile) -> Callable[[str], str]:
    prefixes = [(prefix, one.key) for one, every in file.components for prefix in every]

    @cache
    def component(name: str) -> str:
        plain = unwrapped(name)
        return next((key for prefix, key in prefixes if plain.startswith(prefix)), _OTHER.key)

    return component


def _profile(file: FamilyFile, checkpoint: Checkpoint) -> str:
    """Return what happened to weights that are narrower than their library saves them."""
    if file.fixed_float is None:
        return ""
    dtypes = {one.dtype for one in checkpoint.tensors if one.dtype in FLOATS}
    narrow = sorted(str(dtype) for dtype in dtypes - {file.fixed_float})
    part = " in part" if file.fixed_float in dtypes else ""
    return f"rounded{part} to {' and '.join(narrow)}" if narrow else ""


def loader_of(library: str, said: Mapping[str, str]) -> Loader:
    """Return what a library's loader does, as a file says of a family, or as it usually does."""
    usual = _USUAL.get(library, _LENIENT)
    missing, unexpected, misshapen = (
        said.get(key, word)
        for key, word in zip(("missing", "unexpected", "misshapen"), usual, strict=True)
    )
    name = _NAMES[library]
    return Loader(
        name,
        _MISSING[missing].format(name),
        _UNEXPECTED[unexpected].format(name),
        _MISSHAPEN[misshapen].format(name),
        is_strict=unexpected == "rejected",
    )


def _expected(file: FamilyFile, checkpoint: Checkpoint) -> Expectation | Unknown:
    config = checkpoint.document(CONFIG)
    if config is None:
        return Unknown("there is no config.json")
    tensors = {one.name: Typed(one.dtype, one.shape) for one in checkpoint.tensors}
    reason = reason_against(checkpoint, config.value)
    if reason:
        return Unknown(reason)
    found = expected(file, config.value, tensors)
    return found if isinstance(found, Unknown) else by_stored_names(file, found, tensors)


def reason_against(checkpoint: Checkpoint, config: Mapping[str, Value]) -> str:
    """Return why the tensors are not those that the library saves of the plain model."""
    tensors = checkpoint.tensors
    if not tensors:
        return "it has no tensors"
    inner = (value for value in config.values() if isinstance(value, dict))
    for place in (config, *cast("tuple[dict[str, Value], ...]", tuple(inner))):
        for key in ("quantization_config", "compression_config"):
            if place.get(key):
                return f"config.json has a {key}"
    if _FEW * sum(one.dtype not in _PLAIN for one in tensors) > len(tensors):
        return "its weights are quantized"
    if any(re.search(_SPLIT, file.path) for file in checkpoint.weights):
        return "its tensors are split for several devices"
    return ""
