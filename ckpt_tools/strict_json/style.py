"""The format of a JSON text: lines, indentation, blanks and escapes of new values."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ckpt_tools.strict_json.parse import Json
    from ckpt_tools.strict_json.spans import Member

_OBJECT, _LIST, _NESTED = "object", "list", "list of containers"


class Container(NamedTuple):
    """An object or a list that is not empty.

    Where it stands and where its children do, and the blanks before the first and after the last of
    them.
    """

    member: Member
    children: tuple[Member, ...]
    lead: str
    tail: str

    @property
    def in_lines(self) -> bool:
        """Whether its children begin on a line of their own."""
        return "\n" in self.lead


class Style(NamedTuple):
    """What a writer repeats.

    `unit` is one level of indentation. `comma` stands before a line's end, `between` between items
    on one line, `colon` between key and value. `ascii`: other characters are escaped, as Python's
    json does, in a text that has none of them raw. `flat` are the kinds of containers that stand on
    one line.
    """

    unit: str
    newline: str
    comma: str
    between: str
    colon: str
    ascii: bool
    flat: frozenset[str]


def begin(member: Member) -> int:
    """Return where a member begins: at its key, or at its value where it has none."""
    return member.key[0] if member.key[1] else member.value[0]


def end(member: Member) -> int:
    """Return where a member ends."""
    return member.value[1]


def parent(pointer: str) -> str:
    """Return the pointer of what holds `pointer`."""
    return pointer.rpartition("/")[0]


def containers(text: str, found: Mapping[str, Member]) -> dict[str, Container]:
    """Return the containers of `text` that are not empty, by pointer."""
    children: dict[str, list[Member]] = {}
    for pointer, member in found.items():
        if pointer:
            children.setdefault(parent(pointer), []).append(member)
    return {pointer: _container(text, found[pointer], inner) for pointer, inner in children.items()}


def style_of(text: str, laid_out: Mapping[str, Container], near: str) -> Style:
    """Return the style of `text`.

    What differs from place to place as it is nearest above the pointer `near`.
    """
    outwards = [laid_out[pointer] for pointer in _outwards(near) if pointer in laid_out]
    order = [*outwards, *laid_out.values()]
    gaps = [gap for container in order for gap in between(text, container)]
    line_ends = (gap.partition("\n")[0].rstrip("\r") for gap in gaps if "\n" in gap)
    colons = (
        text[child.key[1] : child.value[0]]
        for container in order
        for child in container.children
        if child.key[1]
    )
    colon = next((colon for colon in colons if "\n" not in colon), ": ")
    guess = ", " if colon.endswith(" ") else ","
    return Style(
        unit=next((_unit(text, container) for container in order if container.in_lines), "  "),
        newline="\r\n" if text[max(0, text.find("\n") - 1) :].startswith("\r\n") else "\n",
        comma=next((head for head in line_ends if head.strip() == ","), ","),
        between=next((gap for gap in gaps if "\n" not in gap), guess),
        colon=colon,
        ascii=only_ascii(text),
        flat=_flat(text, laid_out),
    )


def between(text: str, container: Container) -> Iterator[str]:
    """Yield what stands between each two children of a container, last first."""
    for left, right in zip(container.children[-2::-1], container.children[:0:-1], strict=True):
        yield text[end(left) : begin(right)]


def only_ascii(text: str) -> bool:
    """Whether `text` has no raw characters that Python's json would escape."""
    return text.isascii() and "\x7f" not in text


def line_indent(text: str, at: int) -> str:
    """Return the blanks with which the line that holds the character `at` begins."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def written(value: Json, style: Style, indent: str | None) -> str:
    """Return `value` as text, its inner lines indented beneath `indent`.

    On one line if that is None.
    """
    if not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=style.ascii)
    outer = None if indent is None or kind_of(value) in style.flat else indent
    deeper = None if outer is None else outer + style.unit
    if isinstance(value, dict):
        items = [
            json.dumps(key, ensure_ascii=style.ascii) + style.colon + written(item, style, deeper)
            for key, item in value.items()
        ]
    else:
        items = [written(item, style, deeper) for item in value]
    opener, closer = "{}" if isinstance(value, dict) else "[]"
    if outer is None or deeper is None:
        return f"{opener}{style.between.join(items)}{closer}"
    line = f"{style.newline}{deeper}"
    return f"{opener}{line}{f'{style.comma}{line}'.join(items)}{style.newline}{outer}{closer}"


def kind_of(value: Json) -> str:
    """Return which kind of container a value is; kinds are laid out alike."""
    if isinstance(value, list):
        return _NESTED if any(isinstance(item, dict | list) for item in value) else _LIST
    return _OBJECT


def _container(text: str, member: Member, children: Sequence[Member]) -> Container:
    first, last = children[0], children[-1]
    return Container(
        member,
        tuple(children),
        text[member.value[0] + 1 : begin(first)],
        text[end(last) : end(member) - 1],
    )


def _outwards(pointer: str) -> Iterator[str]:
    return (pointer.rsplit("/", dropped)[0] for dropped in range(pointer.count("/") + 1))


def _unit(text: str, container: Container) -> str:
    inner, outer = container.lead.rpartition("\n")[2], line_indent(text, container.member.value[0])
    return inner.removeprefix(outer)


def _flat(text: str, laid_out: Mapping[str, Container]) -> frozenset[str]:
    """Return the kinds of containers that are mostly on one line where they could be on several."""
    votes: Counter[str] = Counter()
    for pointer, container in laid_out.items():
        around = laid_out.get(parent(pointer))
        if pointer and (around is None or around.in_lines):
            votes[_kind_at(text, container)] += 1 if container.in_lines else -1
    return frozenset(kind for kind, balance in votes.items() if balance < 0)


def _kind_at(text: str, container: Container) -> str:
    if text[container.member.value[0]] == "{":
        return _OBJECT
    return _NESTED if any(text[child.value[0]] in "{[" for child in container.children) else _LIST
