"""Local copies of what a config names on the Hub: `--base NAME=DIR`, and the user's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ckpt_tools.errors import BaseMissing, PathNotFound, UnknownSelection
from ckpt_tools.storage.hub_name import may_be_hub_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Document

type Bases = Mapping[str, str]
"""Local folders by what a config calls them: a name on the Hub, or a path of another machine."""

NO_BASES: Bases = MappingProxyType({})

HUB_CACHE = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
"""The variables that name the cache, the newer first."""

MODELS = frozenset(
    ("vlm_model_name", "vision_encoder_name", "text_encoder_name", "qwen_model_name")
)
"""Keys of policies' configs that name a model of which at least the config is needed."""

ALL = MODELS | {
    "vlm_base",
    "tokenizer_name",
    "text_tokenizer_name",
    "action_tokenizer_name",
    "base_model_name_or_path",
}
"""The same, and those that name a tokenizer, or an adapter's base."""


def parse_bases(given: Iterable[str]) -> dict[str, str]:
    """Return folders by name from `NAME=DIR`. Raises UnknownSelection, PathNotFound."""
    found: dict[str, str] = {}
    for text in (given,) if isinstance(given, str) else given:
        name, _, folder = text.rpartition("=")
        if not name or not folder:
            raise UnknownSelection(
                f"--base {text!r} is not NAME=DIR",
                hint="NAME is what the config calls it, DIR a local copy of it",
            )
        if not os.path.isdir(folder):
            raise PathNotFound("is not a folder", path=folder, hint=f"download {name} to it first")
        found[name] = os.path.abspath(folder)
    return found


def refuse_missing(documents: Iterable[Document], bases: Bases, keys: frozenset[str]) -> None:
    """Raise BaseMissing for what a file names under one of `keys` and is not on this machine.

    A library would say so too, once it is imported.
    """
    name = first_missing(documents, bases, keys)
    if name:
        raise missing(name)


def first_missing(documents: Iterable[Document], bases: Bases, keys: frozenset[str]) -> str:
    """Return the first name under one of `keys` of what is not on this machine, "" without one."""
    named = (name for document in documents for name in _named(document.value, keys))
    absent = (
        name
        for name in named
        if name not in bases and not os.path.isdir(name) and not _is_cached(name)
    )
    return next(absent, "")


def missing(name: str) -> BaseMissing:
    """Return the error for a model that is not on this machine."""
    return BaseMissing(
        f"{name} is not on this machine, and nothing is downloaded",
        hint=f"give a local copy: --base {name}=DIR",
    )


def _named(value: object, keys: frozenset[str]) -> Iterator[str]:
    """Yield the names under these keys, in nested values too."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item, keys)
    for key, item in value.items() if isinstance(value, dict) else ():
        if key in keys and isinstance(item, str) and item:
            yield item
        yield from _named(item, keys)


def _is_cached(name: str) -> bool:
    return os.path.isdir(os.path.join(own_cache(), f"models--{name.replace('/', '--')}"))


def own_cache() -> str:
    """Return the user's cache of the Hub, as huggingface_hub finds it."""
    for name in HUB_CACHE:
        if os.environ.get(name):
            return os.path.abspath(os.path.expanduser(os.environ[name]))
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = os.environ.get("HF_HOME") or os.path.join(caches, "huggingface")
    return os.path.abspath(os.path.join(os.path.expanduser(home), "hub"))


def is_on_hub(name: str) -> bool:
    """Whether a name is one on the Hub: owner/name, or the name alone of the oldest models."""
    return may_be_hub_name(f"owner/{name}" if "/" not in name else name)
