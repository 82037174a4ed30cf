"""The tensors that a family's file expects under a config, and sizes that only tensors show.

A size that config.json does not have is inferred: it is the one that most tensors have, of the
model's own first, then of a teacher's copy under another prefix.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.dtype import DTYPES, Dtype
from ckpt_tools.families.expression import FLOAT, Wrong
from ckpt_tools.families.family import Expectation, Expected, Unknown
from ckpt_tools.families.inference import Inference, NotInferred
from ckpt_tools.families.template import MOST_NAMES, expand, with_indices
from ckpt_tools.families.values import Values
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ckpt_tools.families.expression import Expression, Value
    from ckpt_tools.families.family_file import Block, FamilyFile
    from ckpt_tools.families.template import Indices, Template

_LARGEST = 1 << 32
"""The limit of sizes."""

_MANY = 4
"""Tensors of another size are another model if they are more than one in so many."""

_NAME = "name"
"""In a dtype's expression, the name of the tensor."""

FLOATS = frozenset({Dtype.F32, Dtype.BF16, Dtype.F16})
"""The dtypes of weights that a loader converts, and of which none is wrong by itself."""


class Typed(NamedTuple):
    """A tensor by dtype and shape, as inference reads it."""

    dtype: Dtype
    shape: tuple[int, ...]


def expected(
    file: FamilyFile,
    config: Mapping[str, Value],
    tensors: Mapping[str, Typed] | None = None,
    given: Mapping[str, Value] | None = None,
) -> Expectation | Unknown:
    """Return what the loader expects of a model with `config`, or why that is unknown.

    `tensors` are the model's, for sizes and dtypes that config.json does not decide; `given` are
    values of fields that are known otherwise.
    """
    shapes = {name: one.shape for name, one in (tensors or {}).items()}
    values = Values(file, config, Inference(file, shapes), given)
    usual = _usual_float(tensors or {})
    try:
        values.check()
        listed = list(_listed(file, values, usual))
        ties = tuple(_ties(file, values, {name for name, _, _ in listed}))
        foreign = _foreign(file, values, shapes)
    except NotInferred as missing:
        return Unknown(f"no tensor shows {missing}, which config.json does not have")
    except Wrong as wrong:
        return Unknown(str(wrong))
    if foreign and _MANY * len(foreign) >= sum(name in shapes for name, _, _ in listed):
        return Unknown(f"{count(len(foreign), 'tensor')} of other sizes than {file.library} builds")
    return Expectation(
        {name: one for name, one, is_optional in listed if not is_optional},
        "",
        ties,
        {name: one for name, one, is_optional in listed if is_optional},
    )


def _foreign(file: FamilyFile, values: Values, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the tensors whose shapes differ only in sizes that config.json does not state.

    Where they are many, the model is not damaged but another one: scaled down, or of a fork.
    """
    if file.names_only or not shapes:
        return []
    found = []
    for block in file.blocks:
        if block.when is None or values.evaluate(block.when):
            for template, sizes in block.shapes:
                axes = [not values.is_stated(size) for size in sizes]
                if any(axes):
                    found += [
                        name
                        for name, indices in _names(template, values)
                        if name in shapes
                        and _differs_only(shapes[name], _shape(sizes, values, indices), axes)
                    ]
    return found


def _differs_only(
    stored: tuple[int, ...], wanted: tuple[int, ...] | None, axes: Sequence[bool]
) -> bool:
    """Whether two shapes of one rank differ, and only in these axes."""
    if wanted is None or len(stored) != len(wanted):
        return False
    differing = [axis for axis, (a, b) in enumerate(zip(stored, wanted, strict=True)) if a != b]
    return bool(differing) and all(axes[axis] for axis in differing)


def _usual_float(tensors: Mapping[str, Typed]) -> Dtype:
    """Return the dtype of most weights, F32 where there are none."""
    counts = Counter(one.dtype for one in tensors.values() if one.dtype in FLOATS)
    return max(counts, key=lambda dtype: (counts[dtype], dtype.bits), default=Dtype.F32)


def _listed(file: FamilyFile, values: Values, usual: Dtype) -> Iterator[tuple[str, Expected, bool]]:
    """Yield (name, what is expected, whether it may be absent) of every tensor. Raises Wrong."""
    cleaned = values.with_fields(file.clean) if file.clean else values
    total = 0
    for block in file.blocks:
        if block.when is not None and not values.evaluate(block.when):
            continue
        clean = cleaned if file.depends(block.dtype.names, file.clean) else values
        for name, one in _tensors(file, block, values, clean, usual):
            total += 1
            if total > MOST_NAMES:
                raise Wrong(f"config.json asks for more than {MOST_NAMES:,} tensors")
            yield name, one, block.optional


def _tensors(
    file: FamilyFile, block: Block, values: Values, clean: Values, usual: Dtype
) -> Iterator[tuple[str, Expected]]:
    """Yield the tensors of a block that exists, in the order of a model: layer by layer."""
    dtypes = _Dtypes(block, values, clean, usual)
    for _, alike in groupby(block.shapes, key=lambda pair: pair[0].ranges):
        group = tuple(alike)
        shapes = [
            _Shapes(sizes, template, values, is_known=not file.names_only)
            for template, sizes in group
        ]
        for row in zip(*(_names(template, values) for template, _ in group), strict=True):
            for shape, (name, indices) in zip(shapes, row, strict=True):
                if block.each is None or values.evaluate(block.each, indices):
                    yield name, dtypes.of(name, shape.of(indices), indices)


class _Shapes:
    """The shapes of a template's tensors; computed once where no index decides them."""

    def __init__(
        self, sizes: tuple[Expression, ...], template: Template, values: Values, *, is_known: bool
    ) -> None:
        self._sizes, self._values = sizes, values
        indices = template.indices
        self._is_fixed = not is_known or all(one.names.isdisjoint(indices) for one in sizes)
        self._fixed = _shape(sizes, values, {}) if is_known and self._is_fixed else None

    def of(self, indices: Indices) -> tuple[int, ...] | None:
        return self._fixed if self._is_fixed else _shape(self._sizes, self._values, indices)


def _names(template: Template, values: Values) -> Iterator[tuple[str, Indices]]:
    """Yield a template's names and indices. Raises Wrong with the keys that decide the counts."""
    try:
        yield from expand(template, values)
    except Wrong as wrong:
        counts = (one.below for one in template.ranges if one.below)
        raise values.blamed(str(wrong), *counts) from None


class _Dtypes:
    """What the tensors of one block may be stored as; computed once where no index decides it."""

    def __init__(self, block: Block, values: Values, clean: Values, usual: Dtype) -> None:
        self._block, self._usual, self._values, self._clean = block, usual, values, clean
        self._fixed: tuple[Dtype, Dtype, frozenset[Dtype]] | None = None

    def of(self, name: str, shape: tuple[int, ...] | None, indices: Indices) -> Expected:
        names = self._block.dtype.names
        if _NAME in names or not names.isdisjoint(indices):
            dtype, normal, lawful = self._computed({**indices, _NAME: name})
        else:
            dtype, normal, lawful = self._fixed = self._fixed or self._computed({})
        return Expected(dtype, normal, shape, lawful)

    def _computed(self, local: Mapping[str, Value]) -> tuple[Dtype, Dtype, frozenset[Dtype]]:
        expression, is_alike = self._block.dtype, self._clean is self._values
        dtype = self._dtype(self._values.evaluate(expression, local))
        normal = dtype if is_alike else self._dtype(self._clean.evaluate(expression, local))
        if self._block.lawful is not None:
            return dtype, normal, frozenset(DTYPES[label] for label in self._block.lawful)
        return dtype, normal, FLOATS if dtype in FLOATS else frozenset({dtype})

    def _dtype(self, label: object) -> Dtype:
        if label == FLOAT:
            return self._usual
        if not isinstance(label, str) or label not in DTYPES:
            raise Wrong(f"`{self._block.dtype.text}` is no dtype")
        return DTYPES[label]


def _shape(
    sizes: tuple[Expression, ...], values: Values, indices: Indices
) -> tuple[int, ...] | None:
    """Return a shape, None where a size of it is unknown. Raises Wrong for an impossible one."""
    try:
        found = tuple(size.evaluate(with_indices(values, indices, size)) for size in sizes)
    except NotInferred:
        return None
    except Wrong as wrong:
        raise values.blamed(str(wrong), *sizes) from None
    for expression, size in zip(sizes, found, strict=True):
        is_whole = isinstance(size, int) and not isinstance(size, bool)
        # No model has a computed size of 0: values of the config do not go together.
        if not is_whole or not (1 if expression.names else 0) <= size <= _LARGEST:
            raise values.blamed(f"a tensor of {expression.text} cannot be built", expression)
    return found


def _ties(file: FamilyFile, values: Values, listed: set[str]) -> Iterator[tuple[str, ...]]:
    """Yield the groups of names of which one is enough."""
    groups: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for place, tie in enumerate(file.ties):
        if tie.when is None or values.evaluate(tie.when):
            for template in tie.names:
                for number, (name, _) in enumerate(_names(template, values)):
                    if name in listed:
                        groups[place, number].append(name)
    yield from (tuple(names) for names in groups.values() if len(names) > 1)
