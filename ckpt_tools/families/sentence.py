"""Modules of sentence-transformers that have tensors of their own: what each one's config asks for.

A model of several modules is judged by its modules: a Transformer is a model of transformers, a
pooling or a normalization has no tensors, and a dense layer or a layer normalization is described
here. Read in sentence-transformers 2.2 to 6.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.expected import FLOATS
from ckpt_tools.families.family import GENERIC, Expectation, Expected, Loader, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ckpt_tools.checkpoint.model import Checkpoint

_DENSE = ("in_features", "out_features", "activation_function")
_LARGEST = 1 << 32


def _recognises(checkpoint: Checkpoint) -> bool:
    """Whether config.json is a module's, of which no other library's has the keys."""
    config = checkpoint.value(CONFIG)
    return all(key in config for key in _DENSE) or config.keys() == {"dimension"}


def _expected(checkpoint: Checkpoint) -> Expectation | Unknown:
    config = checkpoint.value(CONFIG)
    keys = ("dimension",) if "dimension" in config else ("in_features", "out_features")
    sizes = [config.get(key) for key in keys]
    for key, size in zip(keys, sizes, strict=True):
        if not isinstance(size, int) or isinstance(size, bool) or not 0 < size < _LARGEST:
            return Unknown(f"{key} in config.json must be a positive integer")
    first, last = sizes[0], sizes[-1]
    assert isinstance(first, int)  # noqa: S101 - as above
    assert isinstance(last, int)  # noqa: S101 - as above
    if "dimension" in config:
        return _of({"norm.weight": (first,), "norm.bias": (first,)})
    shapes: dict[str, tuple[int, ...]] = {"linear.weight": (last, first)}
    if config.get("bias", True):
        shapes["linear.bias"] = (last,)
    if config.get("use_residual") and first != last:
        shapes["residual.weight"] = (last, first)
    return _of(shapes)


def _of(shapes: Mapping[str, tuple[int, ...]]) -> Expectation:
    floats = {name: Expected(Dtype.F32, Dtype.F32, shape, FLOATS) for name, shape in shapes.items()}
    return Expectation(floats, "")


_REJECTS = "sentence-transformers rejects the model"
MODULE = GENERIC._replace(
    name="sentence-transformers module",
    recognises=_recognises,
    expected=_expected,
    missing=_REJECTS,
    loader=Loader("sentence-transformers", _REJECTS, _REJECTS, _REJECTS, is_strict=True),
)
"""A dense layer or a layer normalization."""
