"""The values of a family's fields: from config.json, from their defaults, or from the tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.families.expression import Wrong, parse
from ckpt_tools.families.inference import NotInferred
from ckpt_tools.families.template import with_indices
from ckpt_tools.strict_json.pointer import ABSENT, segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.families.expression import Expression, Value
    from ckpt_tools.families.family_file import FamilyFile, Field
    from ckpt_tools.families.inference import Inference

_LARGEST = 1 << 32
_KINDS = (
    (bool, "true or false"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "an object"),
)


class Values(dict[str, "Value"]):
    """The values of fields by name, each computed when it is first asked for.

    Asking raises Wrong for a value that the family cannot have, and NotInferred for a size that no
    tensor shows.
    """

    def __init__(
        self,
        file: FamilyFile,
        config: Mapping[str, Value],
        inference: Inference,
        given: Mapping[str, Value] | None = None,
    ) -> None:
        super().__init__(given or {})
        self._file, self._config, self._inference = file, config, inference
        self._computing: set[str] = set()

    def with_fields(self, given: Mapping[str, Value]) -> Values:
        """Return the same with other values of some fields."""
        return Values(self._file, self._config, self._inference, given)

    def check(self) -> None:
        """Raise Wrong if a field with limits does not keep them, or if no model can be built."""
        for field in self._file.fields.values():
            is_limited = field.least is not None or (field.null is not None and field.has_default)
            if field.values or is_limited:
                self[field.name]  # computing it checks it
        for one in self._file.impossible:
            if self.evaluate(one.when):
                raise Wrong(one.reason.format_map(self))

    def evaluate(self, expression: Expression, indices: Mapping[str, Value] | None = None) -> Value:
        """Return an expression's value. Raises Wrong with the config's key, and NotInferred."""
        try:
            return expression.evaluate(with_indices(self, indices or {}, expression))
        except Wrong as wrong:
            raise self.blamed(str(wrong), expression) from None

    def blamed(self, what: str, *expressions: Expression) -> Wrong:
        """Return the error with the keys of config.json that decide these expressions."""
        if "in config.json" in what:
            return Wrong(what)
        names = {name for one in expressions for name in one.names}
        keys = ", ".join(sorted({key for one in names if (key := self._file.key_of(one))}))
        return Wrong(f"{keys} in config.json cannot be used: {what}" if keys else what)

    def is_stated(self, expression: Expression) -> bool:
        """Whether a number that config.json has, or that tensors show, decides an expression."""
        return any(self._states(name) for name in expression.names)

    def _states(self, name: str) -> bool:
        field = self._file.fields.get(name)
        if field is None:
            return False  # an index of a name
        if field.derived is not None:
            return self.is_stated(field.derived)
        if field.counts is not None or field.infers:
            return True
        value = self._found(field)
        if value is ABSENT or value is None:
            return isinstance(field.default, str) and self.is_stated(parse(field.default))
        return isinstance(value, int | float | list)

    def __missing__(self, name: str) -> Value:
        """Compute a field."""
        field = self._file.fields.get(name)
        if field is None or name in self._computing:
            raise Wrong(f"`{name}` is no field of the family")
        self._computing.add(name)
        try:
            value = self._computed(field)
        finally:
            self._computing.discard(name)
        self[name] = value
        return value

    def _computed(self, field: Field) -> Value:
        if field.derived is not None:
            return self._listed(field, self.evaluate(field.derived))
        if field.counts is not None:
            return len(_members(self._config, *field.counts))
        if field.infers:
            return self._inference.of(field)
        value = self._found(field)
        is_there = value is not ABSENT and value is not None
        try:
            default = self._default(field)
        except NotInferred:
            if not is_there:
                raise
            default = None
        if value is None and field.null is not None:
            value = self.evaluate(field.null)
            return self._checked(field, value, default) if value is None else value
        if not is_there:
            if not field.has_default:
                raise Wrong(f"there is no {self._file.key_of(field.name)} in config.json")
            return default
        return self._checked(field, self._listed(field, value), default)

    @staticmethod
    def _listed(field: Field, value: Value) -> Value:
        """Return the value if it is one that the family knows. Raises Wrong."""
        if field.values and value not in field.values:
            shown = value if isinstance(value, str) else repr(value)
            raise Wrong(f"no expectation for {field.name} {shown[:60]}")
        return value

    def _found(self, field: Field) -> Value:
        """Return what config.json has for a field, ABSENT for nothing."""
        if field.first is None:
            return _at(self._config, field.at)
        members = _members(self._config, *field.first)
        return _at(members[0], field.at) if members else ABSENT

    def _default(self, field: Field) -> Value:
        if isinstance(field.default, str):
            return self.evaluate(parse(field.default))
        return field.default

    def _checked(self, field: Field, value: Value, default: Value) -> Value:
        """Return the value if it has the kind of its default, and is in range. Raises Wrong."""
        kind = bool if isinstance(default, bool) else type(default)
        kinds = int | float if kind is float else kind
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = default is None or (
            isinstance(value, kinds) and isinstance(value, bool) == (kind is bool)
        )
        low, high = field.least, field.most
        if is_number and isinstance(value, int | float):
            low = -_LARGEST if low is None else low
            high = _LARGEST if high is None else high
            fits = fits and low <= value <= high
        if fits:
            return value
        words = next((word for one, word in _KINDS if kind is one), "another value")
        if kind is float and field.least is not None and field.least > 0:
            words = "a positive number"
        if field.most is not None and kind is int:
            words = f"an integer from {max(field.least or 0, -1):g} to {field.most:.0f}"
        raise Wrong(f"{self._file.key_of(field.name)} in config.json must be {words}")


def _at(config: Mapping[str, Value], pointer: str) -> Value:
    """Return the value at a JSON pointer, ABSENT where there is none."""
    value: Value = config
    for segment in segments(pointer):
        if isinstance(value, dict):
            value = value.get(segment, ABSENT)
        elif isinstance(value, list) and segment.isdecimal() and int(segment) < len(value):
            value = value[int(segment)]
        else:
            return ABSENT
    return value


def _members(
    config: Mapping[str, Value], pointer: str, wanted: Mapping[str, Value]
) -> list[Mapping[str, Value]]:
    """Return the members of an object or a list that have all wanted values."""
    value = _at(config, pointer)
    members = value.values() if isinstance(value, dict) else value
    return [
        member
        for member in (members if isinstance(value, dict | list) else ())  # type: ignore[attr-defined]  # checked
        if isinstance(member, dict) and all(member.get(key) == one for key, one in wanted.items())
    ]
