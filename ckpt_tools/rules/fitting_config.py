"""The one value of config.json with which all tensors would be what the loader expects.

Where a config is another run's, or was edited, one number of it is wrong, and dozens of tensors do
not fit. Each field of the family is tried with the numbers that the tensors show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.names import is_index
from ckpt_tools.families.expected import Typed, expected
from ckpt_tools.families.family import Expectation, Unknown
from ckpt_tools.families.stored_names import by_stored_names
from ckpt_tools.rules.remedy import set_config
from ckpt_tools.strict_json.pointer import segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.family_file import FamilyFile, Field
    from ckpt_tools.rules.remedy import Remedy
    from ckpt_tools.rules.rule import Subject

_TRIES = 48
_TENSORS = 12
"""Tensors whose sizes are tried; what is wrong with the others is wrong with these."""


class Correction(NamedTuple):
    """A place in config.json, and the value with which everything fits."""

    pointer: str
    value: int | bool

    @property
    def remedy(self) -> Remedy:
        """The command that sets it; which of config and weights is right is the user's to say."""
        text = "if these are the weights that you mean: {}"
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return set_config(self.pointer, value, text)


_held: list[tuple[Checkpoint, Correction | None]] = []


def correction(subject: Subject) -> Correction | None:
    """Return the correction of config.json that explains every tensor that does not fit, if any.

    Only for families with a file. Computed once for a checkpoint, of which three rules ask.
    """
    file, there = subject.family.file, subject.checkpoint
    if file is None or file.names_only:
        return None
    for known, found in _held:
        if known is there:
            return found
    found = _correction(file, there)
    _held[:] = [(there, found)]
    return found


def _correction(file: FamilyFile, there: Checkpoint) -> Correction | None:
    tensors = {one.name: Typed(one.dtype, one.shape) for one in there.tensors}
    config = there.value(CONFIG)
    found = _expected(file, config, tensors)
    if isinstance(found, Unknown):
        return None
    for number, one in enumerate(_candidates(file, config, found, tensors)):
        if number >= _TRIES:
            return None
        changed = _with(config, one)
        if changed is not None and _fits(_expected(file, changed, tensors), tensors):
            return one
    return None


def _expected(
    file: FamilyFile, config: Mapping[str, object], tensors: Mapping[str, Typed]
) -> Expectation | Unknown:
    found = expected(file, config, tensors)
    return found if isinstance(found, Unknown) else by_stored_names(file, found, tensors)


def _fits(found: Expectation | Unknown, tensors: Mapping[str, Typed]) -> bool:
    """Whether every tensor is expected, in its shape, and none is missing."""
    if isinstance(found, Unknown):
        return False
    every = {**found.tensors, **found.optional}
    return not found.missing(tensors) and all(
        name in every and every[name].shape in (None, one.shape) for name, one in tensors.items()
    )


def _candidates(
    file: FamilyFile,
    config: Mapping[str, object],
    found: Expectation,
    tensors: Mapping[str, Typed],
) -> Iterator[Correction]:
    """Yield values for fields, the likeliest first: sizes as they are, counts, and ratios."""
    axes = list(_axes(found, tensors))
    missing = found.missing(tensors)
    more = [one for one in tensors if one not in found.tensors and one not in found.optional]
    counts = set(_counts(missing, more))
    for field in file.fields.values():
        value = _value(config, field)
        if isinstance(value, bool):
            if missing or more:
                yield Correction(field.at, not value)
        elif isinstance(value, int):
            sizes = [stored for stored, wanted in axes if wanted == value]
            ratios = [
                value * stored // wanted
                for stored, wanted in axes
                if wanted and value * stored % wanted == 0
            ]
            for one in dict.fromkeys((*sizes, *counts, *ratios)):
                if one > 0 and one != value:
                    yield Correction(field.at, one)


def _axes(found: Expectation, tensors: Mapping[str, Typed]) -> Iterator[tuple[int, int]]:
    """Yield (stored size, expected size) of axes that differ, of the first such tensors."""
    wrong = (
        (tensors[name].shape, one.shape)
        for name, one in found.tensors.items()
        if name in tensors and one.shape is not None and one.shape != tensors[name].shape
    )
    seen: set[tuple[int, int]] = set()
    for _, (stored, wanted) in zip(range(_TENSORS), wrong, strict=False):
        seen |= {(a, b) for a, b in zip(stored, wanted, strict=False) if a != b}
    yield from sorted(seen)


def _counts(missing: list[str], more: list[str]) -> Iterator[int]:
    """Yield numbers of layers: up to the first that is missing, or to the last that is stored.

    A layer has several tensors: one alone is no layer.
    """
    if len(missing) > 1:
        yield from (int(part) for part in missing[0].split(".") if is_index(part))
    if len(more) <= 1:
        return
    columns = zip(*(name.split(".") for name in more), strict=False)
    yield from (
        max(int(part) for part in column if is_index(part)) + 1
        for column in columns
        if any(map(is_index, column))
    )


def _value(config: Mapping[str, object], field: Field) -> object:
    """Return the value of a field in config.json, its default where the key is absent."""
    if not field.at or field.first or field.values:
        return None
    value: object = config
    for key in segments(field.at):
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return field.default if value is None else value


def _with(config: Mapping[str, object], one: Correction) -> dict[str, object] | None:
    """Return the config with another value at a pointer, None where that is in no object."""
    keys = segments(one.pointer)
    whole: dict[str, object] = dict(config)
    place: dict[str, object] | list[object] = whole
    for key in keys[:-1]:
        inner = place[int(key)] if isinstance(place, list) else place.get(key)
        if not isinstance(inner, dict | list):
            return None
        copy: dict[str, object] | list[object] = (
            dict(inner) if isinstance(inner, dict) else list(inner)
        )
        if isinstance(place, list):
            place[int(key)] = copy
        else:
            place[key] = copy
        place = copy
    if isinstance(place, list):
        place[int(keys[-1])] = one.value
    else:
        place[keys[-1]] = one.value
    return whole
