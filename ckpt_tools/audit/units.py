"""What the names in one folder are: a checkpoint, files that are one each, or neither. No I/O.

They are taken as `ckpt verify` takes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.audit.naming import sentence
from ckpt_tools.checkpoint.documents import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    CONFIG,
    DIFFUSERS_WEIGHTS,
    MODEL_INDEX,
    MODULES,
    WEIGHTS,
)
from ckpt_tools.checkpoint.locate import (
    is_orbax,
    is_processor_state,
    is_variant,
    no_weights,
    orbax_refused,
    weights_in,
)
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX, shard_family
from ckpt_tools.errors import NotACheckpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ckpt_tools.audit.model import FileState

_SENTENCE_CONFIG = "config_sentence_transformers.json"
_MODULE = re.compile(r"(?:(?:query|document)_)?\d+_\w+")
_CONVENTIONAL = frozenset((WEIGHTS, ADAPTER_WEIGHTS, DIFFUSERS_WEIGHTS))
_PICKLED_MODEL = re.compile(
    r".+\.ckpt|(?:pytorch_model|adapter_model|diffusion_pytorch_model|open_clip_pytorch_model"
    r"|pytorch_lora_weights|consolidated)\b.*\.(?:bin|pth?)|(?:model|policy|checkpoint)\.pth?"
)
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl")
_TRAINING = re.compile(r"optimizer|scheduler|rng_state|random_states|scaler|training_args")
"""What trainers keep beside a model."""


class Listed(NamedTuple):
    """What is in a folder: the names of files, of folders, and of links to folders, sorted.

    `state` returns the state of a file by its name, with that as its path.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    state: Callable[[str], FileState]
    links: tuple[str, ...] = ()


class Unit(NamedTuple):
    """What a folder's names are: the folder as a whole, some of its files, or a reason."""

    whole: bool = False
    composed: bool = False
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    trouble: str = ""


def unit_of(path: str, listed: Listed) -> Unit:
    """Return what the names in a folder are, as `checkpoint.locate` and `composition` take them."""
    names = listed.files
    if _is_composed(listed):
        return Unit(whole=True, composed=True)
    if is_orbax(names):
        return Unit(trouble=sentence(orbax_refused(path)))
    weights = [
        name
        for name in names
        if name.endswith((".safetensors", INDEX_SUFFIX)) and not is_processor_state(name)
    ]
    if not weights:
        if WEIGHTS in listed.folders:
            return Unit(trouble=f"{WEIGHTS} is a folder, not a file")
        return Unit(trouble=sentence(no_weights(path, names)) if _is_pickled(names) else "")
    return _unit_of_weights(path, names, weights)


def _unit_of_weights(path: str, names: tuple[str, ...], weights: list[str]) -> Unit:
    is_described = any(name.endswith(".json") for name in names)
    try:
        weights_in(path, names)
    except NotACheckpoint:
        return Unit(parts=tuple(_parts(weights)))
    if is_described or all(map(_is_conventional, weights)):
        return Unit(whole=True)
    parts = tuple(_parts(weights))
    others = tuple(part for part in parts if part[0] != WEIGHTS)
    return Unit(whole=len(others) < len(parts), parts=others)


def _is_composed(listed: Listed) -> bool:
    if MODEL_INDEX in listed.files:
        return WEIGHTS not in listed.files
    return MODULES in listed.files and (
        _SENTENCE_CONFIG in listed.files or any(map(_MODULE.fullmatch, listed.folders))
    )


def _is_pickled(names: tuple[str, ...]) -> bool:
    """Whether pickles in a folder are a model: other programs use their endings for other data."""
    is_described = CONFIG in names or ADAPTER_CONFIG in names
    return any(
        _PICKLED_MODEL.fullmatch(name)
        or (is_described and name.endswith(_PICKLES) and not _TRAINING.match(name))
        for name in names
    )


def _is_conventional(name: str) -> bool:
    """Whether a library looks for weights under this name, so that the folder stands for them."""
    return name in _CONVENTIONAL or shard_family(name) is not None or is_variant(name)


def _parts(weights: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (name, files) of each single file, and of each index with its shards."""
    shards: dict[str, list[str]] = {}
    single: list[str] = []
    for name in weights:
        family = shard_family(name)
        if family:
            shards.setdefault(family[0], []).append(name)
        elif not name.startswith("."):  # what macOS keeps beside a file on another file system
            single.append(name)
    for name in single:
        if name.endswith(INDEX_SUFFIX):
            yield name, (name, *shards.pop(name.removesuffix(INDEX_SUFFIX), ()))
    for name in single:
        if not name.endswith(INDEX_SUFFIX):
            yield name, (name,)
    for names in shards.values():
        for name in names:
            yield name, (name,)
