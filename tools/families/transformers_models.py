"""Builds transformers models at toy size, and reads what the library saves of them.

What the recipes of `transformers_*.py` share. A model whose draws leave fields out has the
library's defaults, which may be large: it is built on the meta device, and what would be saved is
asked of the functions that save_pretrained calls.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tools.families.recipe import NOTHING, Field, Recipe, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_EXPRESSIONS: Mapping[str, str] = MappingProxyType({})
ARCHITECTURE = "architecture"
LOADER = {"missing": "random", "unexpected": "dropped", "misshapen": "rejected"}
"""What from_pretrained does with tensors that do not fit."""

# Numbers of different fields have no factors in common, so that a size shows where it comes from.
VOCAB = (61, 67, 71, 73, 79, 83, 89, 97, 101, 103)
HIDDEN = (24, 40, 56, 88, 104, 120)
INNER = (27, 33, 39, 51, 57, 63, 69, 87, 93)
LAYERS = (1, 2, 3, 4)
HEADS = (2, 4, 8)
KV_HEADS = (1, 3, 5, 7)
BOOLS = (False, True)

LABELS = (
    Field(
        "id2label", "/id2label", (None, {"0": "a"}, {"0": "a", "1": "b", "2": "c"}), default="null"
    ),
    Field("num_labels", "/num_labels", (None,), default=2),
)
"""The names of classes; a config with two of them has none."""

CLASSES = {"labels": "len(id2label) if id2label else num_labels"}

type Tensors = dict[str, tuple[str, tuple[int, ...]]]


def recipe(  # noqa: PLR0913 - what a family consists of
    key: str,
    architectures: Sequence[str],
    fields: Sequence[Field],
    *,
    prefix: str = "",
    derived: Mapping[str, str] = NO_EXPRESSIONS,
    fixed: Mapping[str, object] = NOTHING,
    extra: Mapping[str, object] = NOTHING,
    hints: Sequence[str] = (),
    samples: int = 0,
    two_classes: Sequence[str] = (),
) -> Recipe:
    """Return the recipe of a `model_type`.

    `prefix` is what its loader adds to names or removes from them (`base_model_prefix`), `fixed`
    are values of all its configs, by pointer. `two_classes` are architectures that refuse another
    number of classes.
    """
    choice = Field(ARCHITECTURE, "/architectures/0", tuple(architectures), choice=True)
    pointers = {field.name: field.at for field in fields}

    def build(drawn: Mapping[str, object]) -> Sample:
        config = dict(fixed)
        config |= {pointers[name]: value for name, value in drawn.items() if name in pointers}
        if drawn[ARCHITECTURE] in two_classes:
            config["/id2label"] = None
        whole = pointers.keys() <= drawn.keys()
        return built(key, str(drawn[ARCHITECTURE]), config, saved=whole)

    return Recipe(
        library="transformers",
        key=key,
        fields=(choice, *fields),
        derived=derived,
        build=build,
        extra={
            **({"prefix": prefix} if prefix else {}),
            **extra,
            "decisive": list(dict.fromkeys(at.split("/")[1] for at in pointers.values())),
            "loader": LOADER,
        },
        hints=tuple(hints),
        samples=samples,
    )


def components(*parts: tuple[str, str, tuple[str, ...]]) -> list[dict[str, object]]:
    """Return components (key, title, prefixes) as a file has them."""
    return [
        {"key": key, "title": title, "short": title, "prefixes": list(prefixes)}
        for key, title, prefixes in parts
    ]


def built(key: str, architecture: str, values: Mapping[str, object], *, saved: bool) -> Sample:
    """Build a model of a config with these values by pointer; those that are None are left out.

    With `saved` it is saved and read back, else built on the meta device.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    given: dict[str, object] = {"model_type": key}
    for pointer, value in values.items():
        if value is not None:
            put(given, pointer, copy.deepcopy(value))
    config = transformers.AutoConfig.for_model(key).from_dict(given)
    with torch.device("cpu" if saved else "meta"):
        model = getattr(transformers, architecture)(config)
    if saved:
        with tempfile.TemporaryDirectory(dir=_memory()) as folder:
            model.save_pretrained(folder)
            with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
                written = json.load(file)
            tensors = header(os.path.join(folder, "model.safetensors"))
    else:
        written, tensors = {**given, "architectures": [architecture]}, would_save(model)
    for pointer, value in values.items():
        if value is None:
            drop(written, pointer)
    return Sample(written, tensors, shared(model))


def header(path: str) -> Tensors:
    """Return dtype and shape by name of a safetensors file."""
    with open(path, "rb") as file:
        entries = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    entries.pop("__metadata__", None)
    return {name: (one["dtype"], tuple(one["shape"])) for name, one in entries.items()}


def would_save(model: Any) -> Tensors:
    """Return what save_pretrained would write of a model on the meta device."""
    from transformers.core_model_loading import revert_weight_conversion
    from transformers.modeling_utils import (
        remove_tied_weights_from_state_dict,
    )

    state = model.state_dict()
    for name in model._keys_to_ignore_on_save or ():  # noqa: SLF001 - as save_pretrained does
        state.pop(name, None)
    state = revert_weight_conversion(model, remove_tied_weights_from_state_dict(state, model))
    return {name: (_label(str(one.dtype)), tuple(one.shape)) for name, one in state.items()}


def shared(model: Any) -> tuple[tuple[str, ...], ...]:
    """Return the names, as files have them, of each group that is one parameter."""
    from transformers.core_model_loading import revert_weight_conversion

    groups: dict[int, list[str]] = {}
    for name, one in model.named_parameters(remove_duplicate=False):
        renamed = next(iter(revert_weight_conversion(model, {name: one})))
        groups.setdefault(id(one), []).append(renamed)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def put(config: dict[str, object], pointer: str, value: object) -> None:
    """Set a value at a JSON pointer; its objects are made."""
    *parents, last = pointer.removeprefix("/").split("/")
    for key in parents:
        config = config.setdefault(key, {})  # type: ignore[assignment]  # objects, as made here
    config[last] = value


def drop(config: dict[str, Any], pointer: str) -> None:
    """Remove the key at a JSON pointer, if there is one."""
    *parents, last = pointer.removeprefix("/").split("/")
    for key in parents:
        config = config.get(key, {})
    config.pop(last, None)


@cache
def _memory() -> str | None:
    """Return a folder in memory, None where there is none."""
    folder = os.path.join(os.sep, "dev", "shm")
    return folder if os.path.isdir(folder) else None


def _label(dtype: str) -> str:
    return {
        "torch.float32": "F32",
        "torch.bfloat16": "BF16",
        "torch.float16": "F16",
        "torch.int64": "I64",
        "torch.bool": "BOOL",
    }[dtype]
