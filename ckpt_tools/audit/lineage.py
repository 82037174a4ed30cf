"""The names of the models that a checkpoint says it derives from. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeGuard

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG
from ckpt_tools.strict_json.yaml_text import plain_yaml
from ckpt_tools.upload.card import hub_name_in, is_filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Checkpoint

_MAX_NAME = 500
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^base_model[ \t]*:.*\n(?:[ \t-].*\n)*", re.MULTILINE)


def declared_bases(
    checkpoint: Checkpoint, card: str = "", hub: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the names of its base models, each once.

    `card` is the text of README.md, `hub` is what the Hub says. LeRobot's `pretrained_path` may be
    a folder of the machine that trained, which says nothing.
    """
    return tuple(dict.fromkeys(filter(_is_name, (*_in_documents(checkpoint), *_in(card), *hub))))


def _in_documents(checkpoint: Checkpoint) -> Iterator[object]:
    yield checkpoint.value(ADAPTER_CONFIG).get("base_model_name_or_path")
    yield hub_name_in(checkpoint.value(CONFIG).get("pretrained_path"))


def _in(card: str) -> tuple[object, ...]:
    """Return what the front matter of a model card names as `base_model`; only that is parsed."""
    front = _FRONT_MATTER.match(card.replace("\r\n", "\n"))
    entry = _ENTRY.search(front[1]) if front else None
    if entry is None:
        return ()
    value, _ = plain_yaml(entry[0])
    named = value.get("base_model") if isinstance(value, dict) else None
    return tuple(named) if isinstance(named, list) else (named,)


def _is_name(value: object) -> TypeGuard[str]:
    """Whether a value is a name, or the path of an adapter's base, and not a placeholder."""
    return (
        isinstance(value, str)
        and is_filled(value.lstrip("/.~"))
        and value.isprintable()
        and len(value) <= _MAX_NAME
    )
