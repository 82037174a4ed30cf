"""The tensors of a LoRA adapter, as its config and the tensors of its base model give them.

Measured on PEFT 0.18.1 and 0.21.2. PEFT gives every module that `target_modules` matches two
matrices, named after the module as the base model's code names it. Files of some transformers
models have other names than their modules; where the family's file has no spelling for these,
nothing is known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.adapter_settings import Settings, Wrong, settings_of
from ckpt_tools.families.expected import FLOATS, expected
from ckpt_tools.families.family import Expectation, Expected, Unknown
from ckpt_tools.families.pattern import Unsupported
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.smolvla.expected import HUB_VLM, smolvla_file
from ckpt_tools.families.smolvla.facts import SMOLVLA
from ckpt_tools.families.spellings import names_of_modules
from ckpt_tools.families.template import folded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.families.expression import Value

type Shape = tuple[int, ...] | None
"""None where a size is unknown."""

PREFIX = "base_model.model."
_EMBEDDINGS = ("embed_tokens", "lm_head")
_MATRIX = 2
_ENDINGS = re.compile(
    r"\.(?:lora_(?:embedding_)?[AB](?:\.(?:weight|bias))?|lora_magnitude_vector(?:\.weight)?)"
)


class Base(NamedTuple):
    """A base model: the shapes of its tensors by name, and what else its modules may be called.

    `other_names` are names of tensors in a release's code by those in `shapes`.
    """

    shapes: Mapping[str, Shape]
    other_names: tuple[Mapping[str, str], ...] = ()


def base_of(checkpoint: Checkpoint) -> Base | Unknown:
    """Return a base model: its own tensors, and those that it ties.

    Of a folder with a config.json alone they are what its family expects.
    """
    config = checkpoint.value(CONFIG)
    if config.get("quantization_config"):
        return Unknown("the base model is quantized")
    shapes = _shapes(checkpoint, config)
    if isinstance(shapes, Unknown):
        return shapes
    return Base(shapes, tuple(names_of_modules(checkpoint, shapes)))


def _shapes(base: Checkpoint, config: Mapping[str, Value]) -> Mapping[str, Shape] | Unknown:
    own = {tensor.name: tensor.shape for tensor in base.tensors}
    family = family_of(base)
    file = smolvla_file() if family is SMOLVLA else family.file
    if own or file is None:
        found = family.expected(base)
    elif family is SMOLVLA and config.get("vlm_model_name") not in (None, HUB_VLM):
        return Unknown("only its weights show the sizes of its VLM")
    else:
        found = expected(file, config)
    if isinstance(found, Unknown):
        return own or found
    guesses = not own and file and any(field.infers for field in file.fields.values())
    shapes = {name: None if guesses else one.shape for name, one in found.tensors.items()}
    tied = {name for group in found.ties for name in group}
    return {**{n: s for n, s in shapes.items() if not own or n in tied}, **own}


def expected_adapter(
    config: Mapping[str, object],
    tensors: Mapping[str, tuple[int, ...]],
    base: Base,
) -> Expectation | Unknown:
    """Return what an adapter_config.json over a base model asks for, or why that is unknown.

    `tensors` are the adapter's shapes by name: they show which base class it was trained on, which
    matrices are an embedding's, and how large a vocabulary has become.
    """
    try:
        settings = settings_of(config)
        modules = _named_by_adapter(base, tensors)
        asked = dict(_expected(settings, modules, base.shapes, tensors))
    except (Unsupported, Wrong) as wrong:
        return Unknown(str(wrong))
    optional = {
        name: _floats(shape)
        for name, shape in tensors.items()
        if name not in asked and _is_allowed(name.removeprefix(PREFIX), settings, modules)
    }
    return Expectation(asked, "adapter_config.json", (), optional)


def orphans(tensors: Iterable[str], found: Expectation) -> list[str]:
    """Return the adapter's tensors whose module the base model does not have, or not as target."""
    return [name for name in tensors if name not in found.tensors and name not in found.optional]


class _Module(NamedTuple):
    """A module of the base model: its name there, and the shape of its weight."""

    name: str
    shape: Shape


# --- the base model's modules -----------------------------------------------------------------


def _modules(base: Mapping[str, Shape]) -> dict[str, _Module]:
    """Return the modules with a weight by name."""
    return {
        name.removesuffix(".weight"): _Module(name.removesuffix(".weight"), shape)
        for name, shape in base.items()
        if name.endswith(".weight")
    }


def _with_head(base: Mapping[str, Shape], tensors: Iterable[str]) -> Mapping[str, Shape]:
    """Return the tensors with a head that shares the embedding's, which files leave out."""
    has_head = any(_module_of(name).endswith("lm_head") for name in tensors)
    shared = next((n for n in base if n.endswith("embed_tokens.weight")), None)
    if not has_head or shared is None or any(name.endswith("lm_head.weight") for name in base):
        return base
    return {**base, "lm_head.weight": base[shared]}


def _named_by_adapter(base: Base, tensors: Iterable[str]) -> Mapping[str, _Module]:
    """Return the modules by their names in the adapter.

    A model within another has a prefix (`model.`, `bert.`) that it does not have alone. Raises
    Wrong where the adapter's names are those of modules, and the base model's file has others.
    """
    modules = _modules(_with_head(base.shapes, tensors))
    own = {name for one in tensors if (name := _module_of(one))}
    views = [view for names in (None, *base.other_names) for view in _views(modules, names, own)]
    best = max(views, key=lambda view: len(own & view.keys()))
    known = {folded(name) for name in best}
    tails = {_tail(name) for name in known}
    foreign = {folded(name) for name in own} - known
    if len([name for name in foreign if _tail(name) in tails]) > 1:
        raise Wrong("the base model's file has other names than its modules")
    return best


def _views(
    modules: Mapping[str, _Module], names: Mapping[str, str] | None, own: Iterable[str]
) -> Iterator[Mapping[str, _Module]]:
    """Yield the modules by other names, as they are, and with one prefix less or more."""
    view = modules
    if names is not None:
        weights = {name: names.get(f"{name}.weight", f"{name}.weight") for name in modules}
        view = {weights[name].removesuffix(".weight"): one for name, one in modules.items()}
    yield view
    for first in dict.fromkeys(name.partition(".")[0] for name in (*own, *view)):
        yield {name.removeprefix(f"{first}."): one for name, one in view.items()}
        yield {f"{first}.{name}": one for name, one in view.items()}


def _module_of(tensor: str) -> str:
    """Return the module of an adapter's matrix, "" for another tensor."""
    match = _ENDINGS.search(tensor)
    return tensor[: match.start()].removeprefix(PREFIX) if match else ""


def _tail(name: str) -> str:
    return ".".join(name.split(".")[-2:])


# --- the tensors ------------------------------------------------------------------------------


def _expected(
    settings: Settings,
    modules: Mapping[str, _Module],
    base: Mapping[str, Shape],
    tensors: Mapping[str, tuple[int, ...]],
) -> Iterator[tuple[str, Expected]]:
    """Yield (name, what is expected) of every tensor that the config asks for."""
    for name, module in modules.items():
        at = f"{PREFIX}{name}"
        if settings.is_target(name):
            yield from _matrices(at, module.shape, settings, tensors)
        elif settings.is_saved(name):
            for leaf in ("weight", "bias"):
                if f"{module.name}.{leaf}" in base:
                    shape = _resized(base[f"{module.name}.{leaf}"], tensors.get(f"{at}.{leaf}"))
                    yield f"{at}.{leaf}", _floats(shape)


def _matrices(
    at: str, shape: Shape, settings: Settings, tensors: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Expected]]:
    """Yield the two matrices of a module, and its vector or bias; none of a module without axes."""
    rank = settings.rank(at.removeprefix(PREFIX))
    if shape is not None and len(shape) < _MATRIX:
        return
    is_embedding = f"{at}.lora_embedding_A" in tensors or f"{at}.lora_embedding_B" in tensors
    names = [f"{at}.lora_{'embedding_' * is_embedding}{half}" for half in "AB"]
    names = names if is_embedding else [f"{name}.weight" for name in names]
    first, second, vector = _sizes(shape, rank, tensors.get(names[0]), settings, is_embedding)
    if at.endswith(_EMBEDDINGS):
        first = _resized(first, tensors.get(names[0]), axis=1) if is_embedding else first
        second = second if is_embedding else _resized(second, tensors.get(names[1]))
    yield names[0], _floats(first)
    yield names[1], _floats(second)
    if settings.has_vectors:
        yield f"{at}.lora_magnitude_vector", _floats(vector)
    if settings.has_biases and not is_embedding:
        yield f"{at}.lora_B.bias", _floats(None if second is None else second[:1])


def _sizes(
    shape: Shape,
    rank: int,
    seen: tuple[int, ...] | None,
    settings: Settings,
    is_embedding: bool,  # noqa: FBT001 - of a module, not a switch
) -> tuple[Shape, Shape, Shape]:
    """Return the shapes of A, B and DoRA's vector by that of the weight."""
    if shape is None:
        return None, None, None
    outputs, inputs, *kernel = shape
    if kernel:
        # a grouped convolution's weight has the inputs of one group
        groups = seen[1] // inputs if seen and len(seen) == len(shape) and inputs else 1
        ones = (1,) * len(kernel)
        if groups < 1 or rank % groups or (seen and seen[1] % inputs):
            groups = 1
        return (
            (rank, inputs * groups, *kernel),
            (outputs, rank // groups, *ones),
            (1, outputs, *ones),
        )
    if is_embedding:
        return (rank, outputs), (inputs, rank), (inputs,)
    if settings.is_transposed:
        outputs, inputs = inputs, outputs
    return (rank, inputs), (outputs, rank), (outputs,)


def _resized(shape: Shape, seen: tuple[int, ...] | None, axis: int = 0) -> Shape:
    """Return the shape with the size that is there on one axis: a head or vocabulary may differ."""
    if shape is None or seen is None or len(seen) != len(shape):
        return shape
    return (*shape[:axis], seen[axis], *shape[axis + 1 :])


def _is_allowed(name: str, settings: Settings, modules: Mapping[str, _Module]) -> bool:
    """Whether a tensor that no module asks for may be there, by its name without PEFT's prefix."""
    module, _, leaf = name.rpartition(".")
    plain = module.removesuffix(".base_layer")
    if _module_of(f".{name}"):
        return False
    if settings.trains_tokens and leaf == "trainable_tokens_delta":
        return True
    if settings.trains_biases and leaf == "bias":
        return plain in modules
    return settings.is_saved(module) or (plain.endswith(_EMBEDDINGS) and plain in modules)


def _floats(shape: Shape) -> Expected:
    return Expected(Dtype.F32, Dtype.F32, shape, FLOATS)
