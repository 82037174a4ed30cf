"""JSON pointers (RFC 6901) and dotted paths, and errors for values that do not exist."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, cast

from ckpt_tools.errors import PointerInvalid
from ckpt_tools.strict_json.parse import escape, kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ckpt_tools.strict_json.parse import Json

_INDEX = re.compile("0|[1-9][0-9]{0,8}")
_LONGEST = 80
_MOST = 2000
_NAMED = 5


def segments(pointer: str) -> list[str]:
    """Return the keys and indexes of a pointer, unescaped; none for the whole document.

    Raises PointerInvalid for an invalid pointer.
    """
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise PointerInvalid(
            "is not a JSON pointer: one starts with /, or is empty for the whole document",
            subject=pointer,
            hint=f"write /{pointer.replace('.', '/')}",
        )
    if re.search("~(?![01])", pointer):
        raise PointerInvalid(
            "contains a ~ that escapes nothing",
            subject=pointer,
            hint="in a JSON pointer, write ~0 for ~ and ~1 for /",
        )
    return [segment.replace("~1", "/").replace("~0", "~") for segment in pointer[1:].split("/")]


def joined(keys: Iterable[str]) -> str:
    """Return the pointer of a path of keys and indexes."""
    return "".join(f"/{escape(key)}" for key in keys)


def resolve(value: Json, pointer: str) -> Json:
    """Return the value at `pointer` in `value`.

    Raises PointerInvalid with the last existing parent, and the key that may be meant.
    """
    path = segments(pointer)
    for depth, segment in enumerate(path):
        if isinstance(value, dict) and segment in value:
            value = value[segment]
        elif isinstance(value, list) and _INDEX.fullmatch(segment) and int(segment) < len(value):
            value = value[int(segment)]
        else:
            raise _lost(pointer, value, joined(path[:depth]), segment)
    return value


def from_words(value: Json, words: str) -> str:
    """Return the pointer of `words`: a pointer, or keys and indexes with dots between them.

    Keys may contain dots themselves. If nothing matches, `words` name a new key, without a dot, of
    the value before their last dot. Raises PointerInvalid if several values match.
    """
    if not words or words.startswith("/"):
        return joined(segments(words))
    parent, dot, key = words.rpartition(".")
    found = list(_ways(value, words, "")) or [
        f"{place}/{escape(key)}" for place in (_ways(value, parent, "") if dot else ("",))
    ]
    if len(found) > 1:
        raise PointerInvalid(
            f"is ambiguous: it can mean {' or '.join(found[:_NAMED])}",
            subject=words,
            hint="write one of them",
        )
    return found[0] if found else joined(words.split("."))


def changes_type(before: object, after: object) -> bool:
    """Whether a value is replaced by one of another JSON type; null and ABSENT have none."""
    values = (before, after)
    if any(value is None or value is ABSENT for value in values):
        return False
    return kind(cast("Json", before)) != kind(cast("Json", after))


MISSPELLED = 0.8
"""How similar a misspelled field is to the one that is meant: `one_step` is no `num_steps`."""


def nearest(word: str, known: Sequence[str], *, cutoff: float = 0.6) -> str:
    """Return the most similar name in `known` to a misspelled one, "" if none is similar.

    `cutoff` is the least similarity, from 0 to 1.
    """
    if len(word) > _LONGEST:
        return ""
    names = [name for name in known[:_MOST] if len(name) <= _LONGEST]
    same = (name for name in names if name.casefold() == word.casefold())
    return next(iter((*get_close_matches(word, names, 1, cutoff), *same)), "")


def named_few(names: Sequence[str]) -> str:
    """Return the first names of a list, as one line."""
    return ", ".join(names[:_NAMED]) + ", …" * (len(names) > _NAMED)


def _ways(value: Json, words: str, at: str) -> Iterator[str]:
    """Yield every pointer whose keys, joined with dots, are `words`."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in inner:
        name = str(key)
        if words == name:
            yield f"{at}/{escape(name)}"
        elif words.startswith(f"{name}."):
            yield from _ways(item, words[len(name) + 1 :], f"{at}/{escape(name)}")


def _lost(pointer: str, value: Json, at: str, segment: str) -> PointerInvalid:
    place = at or "the top"
    if isinstance(value, dict):
        like = nearest(segment, list(value))
        keys = f"its keys are {named_few(list(value))}" if value else f"{place} is an empty object"
        hint = f"did you mean {at}/{escape(like)}?" if like else keys
        return PointerInvalid(
            f"no key {json.dumps(segment, ensure_ascii=False)} at {place}",
            subject=pointer,
            hint=hint,
        )
    if isinstance(value, list):
        hint = (
            f"its items are {at}/0 to {at}/{len(value) - 1}; to append, set {at}/-"
            if value
            else f"to append, set {at}/-"
        )
        return PointerInvalid(
            f"{place} is a list of {len(value):,}, and {segment!r} is not an index of it",
            subject=pointer,
            hint=hint,
        )
    return PointerInvalid(
        f"{place} is {kind(value)} and has no keys",
        subject=pointer,
        hint=f"use {at} itself" if at else "use '' for the whole file",
    )


class Absent(Enum):
    """The type of ABSENT, the value of a key that does not exist, as opposed to null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        """Return the word for reports."""
        return self.value


ABSENT = Absent.ABSENT
