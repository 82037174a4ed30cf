"""Edits of strict JSON text: set, remove or rename one value, and keep every other byte.

Key order, the spelling of numbers, indentation, escapes, line ends and the end of the file stay.
New values are formatted like their neighbours (see `style`). Adding a key and removing it again
gives the same text, except for an empty object or list that was spread over several lines: an
emptied one becomes `{}`, as Python's json and others write it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.errors import EditRefused, JsonInvalid, PointerInvalid
from ckpt_tools.strict_json.parse import Json, parse
from ckpt_tools.strict_json.pointer import joined, resolve, segments
from ckpt_tools.strict_json.spans import spans
from ckpt_tools.strict_json.style import (
    begin,
    between,
    containers,
    end,
    kind_of,
    line_indent,
    only_ascii,
    parent,
    style_of,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.strict_json.spans import Member
    from ckpt_tools.strict_json.style import Container, Style

APPEND = "-"
"""The index after a list's last (RFC 6901, section 4)."""


def set_value(text: str, pointer: str, value: object) -> str:
    """Set the value at `pointer`; a text that has that value already, in any spelling, stays.

    A new key is added at the end of its object, `-` at the end of its list. Raises PointerInvalid
    if the parent does not exist, EditRefused for a key or value that is not strict JSON, and
    JsonInvalid for text that is not.
    """
    _refuse_other_than_utf8(pointer)
    document, new = parse(text), strict(value, pointer)
    path = segments(pointer)
    holder = resolve(document, joined(path[:-1]))
    if path and (
        (isinstance(holder, dict) and path[-1] not in holder)
        or (isinstance(holder, list) and path[-1] == APPEND)
    ):
        done = _appended(text, path, new, is_object=isinstance(holder, dict))
    elif _spelled(resolve(document, pointer)) == _spelled(new):
        return text
    else:
        done = _replaced(text, joined(path), new)
    _check_depth(done, pointer)
    return done


def _refuse_other_than_utf8(pointer: str) -> None:
    try:
        pointer.encode()
    except UnicodeEncodeError:
        raise EditRefused(
            "is not UTF-8, as keys of JSON are", subject=pointer, hint="name another key"
        ) from None


def unset_value(text: str, pointer: str) -> str:
    """Remove the member or item at `pointer`, its comma and its line.

    Raises PointerInvalid if there is none, or JsonInvalid.
    """
    resolve(parse(text), pointer)
    if not pointer:
        raise PointerInvalid(
            "the whole document cannot be removed",
            subject=pointer,
            hint="name a key in it, or remove the file",
        )
    at = joined(segments(pointer))
    container = containers(text, spans(text))[parent(at)]
    position = next(index for index, child in enumerate(container.children) if child.pointer == at)
    first, last = _removed(container, position)
    return text[:first] + _blank_left(container) + text[last:]


def rename_key(text: str, pointer: str, to: str) -> str:
    """Rename the key at `pointer` to `to`; its position and its value stay.

    Raises PointerInvalid for an item of a list or a name that is taken.
    """
    document = parse(text)
    resolve(document, pointer)
    path = segments(pointer)
    holder = resolve(document, joined(path[:-1]))
    if not path or not isinstance(holder, dict):
        raise PointerInvalid("is not a key", subject=pointer, hint="name a key of an object")
    if to == path[-1]:
        return text
    if to in holder:
        raise PointerInvalid(
            f"{joined([*path[:-1], to])} already exists",
            subject=pointer,
            hint="remove that first, or choose another name",
        )
    _refuse_other_than_utf8(to)
    first, last = spans(text)[joined(path)].key
    return text[:first] + json.dumps(to, ensure_ascii=only_ascii(text)) + text[last:]


def strict(value: object, pointer: str = "") -> Json:
    """Return `value` if JSON can represent it exactly.

    Raises EditRefused for NaN, for other types, and for values that a strict reader would refuse.
    """
    try:
        read = parse(json.dumps(value, allow_nan=False))
    except JsonInvalid as error:
        raise _not_json(pointer, error.what) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise _not_json(pointer, str(error).partition("\n")[0]) from None
    if read != value:
        raise _not_json(pointer, "it would be read back as another value")
    return read


def _not_json(pointer: str, why: str) -> EditRefused:
    return EditRefused(
        f"the new value is not strict JSON: {why}",
        subject=pointer,
        hint="use null, true, false, a finite number, text, a list or an object",
    )


def _spelled(value: Json) -> str:
    """Return the same text for equal values only; 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def _check_depth(text: str, pointer: str) -> None:
    try:
        parse(text)
    except JsonInvalid as error:
        raise _not_json(pointer, error.what) from None


def _replaced(text: str, pointer: str, value: Json) -> str:
    found = spans(text)
    laid_out = containers(text, found)
    first, last = found[pointer].value
    return (
        text[:first]
        + written(value, *_look_of(text, laid_out, found[pointer], value))
        + text[last:]
    )


def _look_of(
    text: str, laid_out: Mapping[str, Container], member: Member, value: Json
) -> tuple[Style, str | None]:
    """Return the style and the indentation for `value` at the position of `member`.

    Those of the container that it replaces, else of its neighbours.
    """
    old, around = (
        laid_out.get(member.pointer),
        laid_out.get(parent(member.pointer)) if member.pointer else None,
    )
    style = style_of(text, laid_out, member.pointer)
    if (
        old is not None
        and isinstance(value, dict | list)
        and isinstance(value, dict) == (text[member.value[0]] == "{")
    ):
        in_lines = old.in_lines
        style = style._replace(flat=style.flat - {kind_of(value)})
    else:
        in_lines = (
            old.in_lines
            if around is None and old is not None
            else around is not None and around.in_lines
        )
    return style, line_indent(text, begin(member)) if in_lines else None


def _appended(text: str, path: list[str], value: Json, *, is_object: bool) -> str:
    at = joined(path[:-1])
    found = spans(text)
    laid_out = containers(text, found)
    style = style_of(text, laid_out, at)
    if at not in laid_out:
        return _filled(text, laid_out, found[at], style, path[-1] if is_object else None, value)
    container = laid_out[at]
    last = container.children[-1]
    gap = _gap(text, container, style)
    if is_object:
        style = style._replace(colon=_colon(text, last, style))
    indent = (
        line_indent(f"{text[: end(last)]}{gap}x", end(last) + len(gap)) if "\n" in gap else None
    )
    return (
        text[: end(last)]
        + gap
        + _member(path[-1] if is_object else None, value, style, indent)
        + text[end(last) :]
    )


def _member(key: str | None, value: Json, style: Style, indent: str | None) -> str:
    name = "" if key is None else json.dumps(strict(key), ensure_ascii=style.ascii) + style.colon
    return name + written(value, style, indent)


def _colon(text: str, sibling: Member, style: Style) -> str:
    own = text[sibling.key[1] : sibling.value[0]]
    return style.colon if "\n" in own else own


def _gap(text: str, container: Container, style: Style) -> str:
    """Return the text between the last child of a container and a new one.

    As before the last child, without empty lines.
    """
    own = next(between(text, container), None)
    if own is None:
        return (
            f"{style.comma}{style.newline}{container.lead.rpartition('\n')[2]}"
            if container.in_lines
            else style.between
        )
    head, line, _ = own.partition("\n")
    short = f"{head}{line}{own.rpartition('\n')[2]}" if line else own
    return short if short.strip() == "," else own


def _filled(  # noqa: PLR0913, PLR0917 - a position and what is added
    text: str,
    laid_out: Mapping[str, Container],
    member: Member,
    style: Style,
    key: str | None,
    value: Json,
) -> str:
    """Add a first child to the empty container `member`."""
    first, last = member.value
    blank, around = (
        text[first + 1 : last - 1],
        laid_out.get(parent(member.pointer)) if member.pointer else None,
    )
    kind = kind_of({} if key is not None else [value])
    if "\n" not in blank and (blank or around is None or not around.in_lines or kind in style.flat):
        inside = f"{blank}{_member(key, value, style, None)}{blank}"
    else:
        indent = line_indent(text, first)
        deeper = indent + style.unit
        inside = (
            f"{style.newline}{deeper}{_member(key, value, style, deeper)}{style.newline}{indent}"
        )
    return text[: first + 1] + inside + text[last - 1 :]


def _removed(container: Container, position: int) -> tuple[int, int]:
    """Return the span to remove with a child.

    Up to the next one, or from the previous one, or the whole contents of the container.
    """
    children = container.children
    if len(children) == 1:
        return container.member.value[0] + 1, end(container.member) - 1
    if position + 1 < len(children):
        return begin(children[position]), begin(children[position + 1])
    return end(children[position - 1]), end(children[position])


def _blank_left(container: Container) -> str:
    """Return the blanks that stay in an emptied container: those of `{ "a": 1 }`, else none."""
    emptied = (
        len(container.children) == 1 and not container.in_lines and container.lead == container.tail
    )
    return container.lead if emptied else ""
