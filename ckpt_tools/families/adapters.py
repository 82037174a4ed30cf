"""The tensors of a LoRA adapter, as its config and the tensors of its base model give them.

Measured on PEFT 0.18.1 and 0.21.2. PEFT gives every module that `target_modules` matches two
matrices, named after the module as the base model's code names it. Files of some transformers
models have other names than their modules; then nothing is known.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.families.expected import FLOATS
from ckpt_tools.families.family import Expectation, Expected, Unknown
from ckpt_tools.families.pattern import Unsupported, pattern
from ckpt_tools.families.registry import family_of
from ckpt_tools.families.template import folded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint

type Shape = tuple[int, ...] | None
"""None where a size is unknown."""

PREFIX = "base_model.model."
_LORA = "LORA"
_RANK = 8
_EMBEDDINGS = ("embed_tokens", "lm_head")
_MATRIX = 2
_ENDINGS = re.compile(
    r"\.(?:lora_(?:embedding_)?[AB](?:\.(?:weight|bias))?|lora_magnitude_vector(?:\.weight)?)"
)
_LAYER = re.compile(r".*?\.[^.]*\.(\d+)\.")
_OTHER_NAMES = (
    *("target_parameters", "layer_replication", "megatron_config", "use_bdlora", "use_qalora"),
    *("arrow_config", "kasa_config", "velora_config", "monteclora_config", "ensure_weight_tying"),
)
"""Settings that add, share or reshape tensors in ways that are not described here."""


def base_tensors(base: Checkpoint) -> Mapping[str, Shape] | Unknown:
    """Return the shapes of a base model's tensors by name: its own, and those that it ties.

    Of a folder with a config.json alone they are what its family expects.
    """
    config = base.document(CONFIG)
    if config is not None and config.value.get("quantization_config"):
        return Unknown("the base model is quantized")
    own = {tensor.name: tensor.shape for tensor in base.tensors}
    found = family_of(base).expected(base)
    if isinstance(found, Unknown):
        return own or found
    expected = {name: one.shape for name, one in found.tensors.items()}
    tied = {name for group in found.ties for name in group}
    return {**{n: s for n, s in expected.items() if not own or n in tied}, **own}


def expected_adapter(
    config: Mapping[str, object],
    tensors: Mapping[str, tuple[int, ...]],
    base: Mapping[str, Shape],
) -> Expectation | Unknown:
    """Return what an adapter_config.json over a base model's tensors asks for, or why not.

    `tensors` are the adapter's shapes by name: they show which base class it was trained on, which
    matrices are an embedding's, and how large a vocabulary has become.
    """
    try:
        settings = _settings(config)
        modules = _named_by_adapter(_modules(_with_head(base, tensors)), tensors)
        found = dict(_expected(settings, modules, base, tensors))
    except (Unsupported, _Wrong) as wrong:
        return Unknown(str(wrong))
    lora = {name: one for name, one in found.items() if one is not None}
    optional = {
        name: _floats(shape)
        for name, shape in tensors.items()
        if name not in lora and _is_allowed(name.removeprefix(PREFIX), settings, modules)
    }
    return Expectation(lora, "adapter_config.json", (), optional)


def orphans(tensors: Iterable[str], found: Expectation) -> list[str]:
    """Return the adapter's tensors whose module the base model does not have, or not as target."""
    return [name for name in tensors if name not in found.tensors and name not in found.optional]


class _Wrong(Exception):
    """A setting that PEFT could not use, or that is not described here. The message names it."""


class _Settings(NamedTuple):
    """Settings of adapter_config.json."""

    is_target: Callable[[str], bool]
    rank: Callable[[str], int]
    is_saved: Callable[[str], bool]
    is_transposed: bool
    has_vectors: bool
    has_biases: bool
    trains_biases: bool
    trains_tokens: bool


class _Module(NamedTuple):
    """A module of the base model: its name there, and the shape of its weight."""

    name: str
    shape: Shape


# --- the config -----------------------------------------------------------------------------


def _settings(config: Mapping[str, object]) -> _Settings:
    """Return the settings. Raises _Wrong and Unsupported."""
    kind = config.get("peft_type", _LORA)
    if kind != _LORA:
        raise _Wrong(f"the tensors of {kind} adapters are not known")
    for key in _OTHER_NAMES:
        if config.get(key):
            raise _Wrong(f"{key} in adapter_config.json changes which tensors there are")
    return _Settings(
        is_target=_targets(config),
        rank=_ranks(config),
        is_saved=_any(map(_saved, _words(config, "modules_to_save"))),
        is_transposed=config.get("fan_in_fan_out") is True,
        has_vectors=config.get("use_dora") is True,
        has_biases=config.get("lora_bias") is True,
        trains_biases=config.get("bias", "none") != "none",
        trains_tokens=bool(config.get("trainable_token_indices")),
    )


def _targets(config: Mapping[str, object]) -> Callable[[str], bool]:
    """Return which modules are targets, as PEFT's `check_target_module_exists`."""
    wanted = _matches(config, "target_modules")
    excluded = _matches(config, "exclude_modules")
    saved = _any(map(_saved, _words(config, "modules_to_save")))
    layers = config.get("layers_to_transform")
    if isinstance(layers, int) and not isinstance(layers, bool):
        layers = [layers]
    chosen = layers if isinstance(layers, list) and layers else None
    listed = config.get("target_modules")
    patterns = _words(config, "layers_pattern")

    def is_target(module: str) -> bool:
        if excluded(module) or saved(module) or not wanted(module):
            return False
        if chosen is None or not isinstance(listed, list) or module in listed:
            return True
        return _layer(module, patterns) in chosen

    return is_target


def _layer(module: str, patterns: Collection[str]) -> int | None:
    if not patterns:
        match = _LAYER.match(module)
        return int(match[1]) if match else None
    for one in patterns:
        match = re.match(rf"(?:^|.*?\.){re.escape(one)}\.(\d+)\.", module)
        if match:
            return int(match[1])
    return None


def _matches(config: Mapping[str, object], key: str) -> Callable[[str], bool]:
    """Return which names a list of endings, or a regular expression, matches."""
    value = config.get(key)
    if not isinstance(value, str):
        return _any([partial(_ends, ending) for ending in _words(config, key)])
    if value.lower() == "all-linear":
        raise _Wrong(f"{key} in adapter_config.json is {value!r}, which names no module")
    return pattern(value)


def _ends(ending: str, module: str) -> bool:
    return module == ending or module.endswith(f".{ending}")


def _ranks(config: Mapping[str, object]) -> Callable[[str], int]:
    """Return the rank of each module: of the first pattern that matches, else the common one."""
    common = config.get("r", _RANK)
    given = config.get("rank_pattern")
    ranks = [
        (pattern(rf"(.*\.)?({key})"), _whole("rank_pattern", value))
        for key, value in (given if isinstance(given, dict) else {}).items()
    ]
    default = _whole("r", common)
    return lambda module: next((rank for holds, rank in ranks if holds(module)), default)


def _whole(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _Wrong(f"{key} in adapter_config.json must be a positive integer")
    return value


def _words(config: Mapping[str, object], key: str) -> list[str]:
    value = config.get(key)
    words = [value] if isinstance(value, str) else value
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _saved(word: str) -> Callable[[str], bool]:
    """Return whether a module is one that is trained in full, or in one."""
    return pattern(rf"(^|.*\.){word}($|\..*)")


def _any(tests: Iterable[Callable[[str], bool]]) -> Callable[[str], bool]:
    every = tuple(tests)
    return lambda name: any(test(name) for test in every)


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


def _named_by_adapter(
    modules: Mapping[str, _Module], tensors: Iterable[str]
) -> Mapping[str, _Module]:
    """Return the modules by their names in the adapter.

    A model within another has a prefix (`model.`, `bert.`) that it does not have alone. Raises
    _Wrong where the adapter's names are those of modules, and the base model's file has others.
    """
    own = {name for one in tensors if (name := _module_of(one))}
    firsts = dict.fromkeys(name.partition(".")[0] for name in own | modules.keys())
    views: list[Mapping[str, _Module]] = [modules]
    for first in firsts:
        views += [
            {name.removeprefix(f"{first}."): one for name, one in modules.items()},
            {f"{first}.{name}": one for name, one in modules.items()},
        ]
    best = max(views, key=lambda view: len(own & view.keys()))
    known = {folded(name) for name in best}
    tails = {_tail(name) for name in known}
    foreign = {folded(name) for name in own} - known
    if len([name for name in foreign if _tail(name) in tails]) > 1:
        raise _Wrong("the base model's file has other names than its modules")
    return best


def _module_of(tensor: str) -> str:
    """Return the module of an adapter's matrix, "" for another tensor."""
    match = _ENDINGS.search(tensor)
    return tensor[: match.start()].removeprefix(PREFIX) if match else ""


def _tail(name: str) -> str:
    return ".".join(name.split(".")[-2:])


# --- the tensors ------------------------------------------------------------------------------


def _expected(
    settings: _Settings,
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
    at: str, shape: Shape, settings: _Settings, tensors: Mapping[str, tuple[int, ...]]
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
    settings: _Settings,
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


def _is_allowed(name: str, settings: _Settings, modules: Mapping[str, _Module]) -> bool:
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
