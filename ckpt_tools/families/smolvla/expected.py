"""The tensors that stock LeRobot expects in a SmolVLA checkpoint, by its config.json.

Sizes that only the VLM's own config has are inferred from the tensors: each is the one that most
tensors have, of the student's first, then of a teacher's, which has the same VLM.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.checkpoint.dtype import Dtype
from ckpt_tools.checkpoint.names import unwrapped
from ckpt_tools.families.family import TEACHER_PREFIXES, Expectation, Expected, Unknown
from ckpt_tools.families.smolvla.components import NORMALIZATION, OTHER, component
from ckpt_tools.families.smolvla.layout import Dimensions, dtype_of, layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor

HUB_VLM = "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"
_HUB_LAYERS = 32
_MOST_LAYERS = 512
_LARGEST = 1 << 32
"""Limits of layers and sizes, so that no config makes the tool list endless tensors."""

_WIDEST = 1_000
_TRIALS = (1_000, 100_000)
_LAYER = re.compile(r"\.layers\.(0|[1-9][0-9]{0,3})\.")
_STACKS = {
    "text_layers": ".text_model.layers.",
    "vision_layers": ".vision_model.encoder.layers.",
    "expert_layers": ".lm_expert.layers.",
}
_SYMBOLS = Dimensions(
    text_layers=1,
    text_width=1009,
    text_hidden=1013,
    query_width=1019,
    kv_width=1021,
    vocabulary=1031,
    vision_layers=1,
    vision_width=1033,
    vision_hidden=1039,
    patch_size=1049,
    patches=1051,
    connector_width=1061,
    expert_layers=1,
    expert_width_multiplier=7.0,
    state_dim=1063,
    action_dim=1069,
)
"""Sizes that all differ, so that a shape made from them shows which size each of its axes is."""

_INFERRED = (
    "text_width",
    "text_hidden",
    "query_width",
    "kv_width",
    "vocabulary",
    "vision_width",
    "vision_hidden",
    "patch_size",
    "patches",
    "connector_width",
)


class _Wrong(Exception):
    """A config value that LeRobot could not use; the message names it."""


class _Settings(NamedTuple):
    """Settings of config.json."""

    vlm_layers: int
    expert_layers: int
    multiplier: float
    every: int
    state_dim: int
    action_dim: int
    hub_vlm: bool


@lru_cache(maxsize=2)
def expected(checkpoint: Checkpoint) -> Expectation | Unknown:
    """Return the tensors that stock LeRobot expects in `checkpoint`, or why they are unknown."""
    config = checkpoint.document(CONFIG)
    if config is None:
        return Unknown("there is no config.json")
    try:
        dimensions = _dimensions(checkpoint, _settings(config.value))
    except _Wrong as wrong:
        return Unknown(str(wrong))
    value = config.value.get("load_vlm_weights")
    loads = value is not None and value is not False and value != "false"
    tensors = {
        name: Expected(
            _dtype(name, dimensions[0], loads=loads), _dtype(name, dimensions[0], loads=True), shape
        )
        for name, shape in _shapes(dimensions)
    }
    return Expectation(tensors, f"load_vlm_weights {'true' if loads else 'false'}")


def _shapes(
    dimensions: tuple[Dimensions, Dimensions],
) -> Iterable[tuple[str, tuple[int, ...] | None]]:
    """Return (name, shape); the shape is None where it depends on an unknown size."""
    for (name, shape), (_, other) in zip(layout(dimensions[0]), layout(dimensions[1]), strict=True):
        yield name, shape if shape == other else None


def _dtype(name: str, dimensions: Dimensions, *, loads: bool) -> Dtype:
    """Return the dtype that LeRobot gives a tensor.

    Keys and values of the expert's layers that attend to the VLM are in F32.
    """
    match = re.fullmatch(r".*\.lm_expert\.layers\.([0-9]+)\.self_attn\.[kv]_proj\.weight", name)
    if match is None:
        return dtype_of(name, load_vlm_weights=loads)
    every = dimensions.self_attention_every
    return Dtype.BF16 if every > 0 and int(match[1]) % every == 0 else Dtype.F32


# --- the config -------------------------------------------------------------------------


def _settings(config: Mapping[str, object]) -> _Settings:
    """Return the settings of `config`, with LeRobot's defaults. Raises _Wrong."""
    mode = config.get("attention_mode", "cross_attn")
    if not isinstance(mode, str):
        raise _Wrong("attention_mode in config.json must be a string")
    every = _whole(config, "self_attn_every_n_layers", 2, low=-_LARGEST)
    return _Settings(
        vlm_layers=_whole(config, "num_vlm_layers", 16, low=-_LARGEST, high=_MOST_LAYERS),
        expert_layers=_whole(config, "num_expert_layers", -1, low=-_LARGEST, high=_MOST_LAYERS),
        multiplier=_multiplier(config),
        # Without cross-attention every layer attends to itself.
        every=every if "cross" in mode else 1,
        state_dim=_whole(config, "max_state_dim", 32, low=1),
        action_dim=_whole(config, "max_action_dim", 32, low=1),
        hub_vlm=config.get("vlm_model_name", HUB_VLM) == HUB_VLM,
    )


def _whole(
    config: Mapping[str, object], key: str, default: int, *, low: int, high: int = _LARGEST
) -> int:
    """Return an integer of the config. Raises _Wrong for another type, or one out of range."""
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _Wrong(f"{key} in config.json must be an integer from {max(low, -1)} to {high}")
    return value


def _multiplier(config: Mapping[str, object]) -> float:
    """Return the width of the expert relative to the text model. Raises _Wrong."""
    value = config.get("expert_width_multiplier", Dimensions().expert_width_multiplier)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _WIDEST:
        raise _Wrong("expert_width_multiplier in config.json must be a positive number")
    return value


# --- the tensors -------------------------------------------------------------------------


def _dimensions(checkpoint: Checkpoint, settings: _Settings) -> tuple[Dimensions, Dimensions]:
    """Return the sizes of the policy twice; the two differ in the sizes that are unknown."""
    own, teachers = _by_owner(checkpoint.tensors)
    if not own and not teachers:
        raise _Wrong("it has no tensor of a SmolVLA")
    votes = {**_sizes(teachers), **_sizes(own)}
    layers = {**_layers(teachers), **_layers(own)}
    text = _text_layers(settings, _layers(own), layers)
    if settings.expert_layers > 0 and text % settings.expert_layers:
        raise _Wrong(
            f"the VLM's {text} layers are not a multiple of num_expert_layers "
            f"({settings.expert_layers})"
        )
    known = {
        "text_layers": text,
        "expert_layers": settings.expert_layers if settings.expert_layers > 0 else text,
        "vision_layers": layers.get("vision_layers", Dimensions().vision_layers),
        "self_attention_every": settings.every,
        "state_dim": settings.state_dim,
        "action_dim": settings.action_dim,
    }
    first, second = ({name: votes.get(name, trial) for name in _INFERRED} for trial in _TRIALS)
    return (
        Dimensions(**known, **first, expert_width_multiplier=settings.multiplier),
        Dimensions(**known, **second, expert_width_multiplier=settings.multiplier),
    )


def _by_owner(
    tensors: Iterable[Tensor],
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Return the shapes of the student's tensors and of a teacher's, by the student's names."""
    own: dict[str, tuple[int, ...]] = {}
    teachers: dict[str, tuple[int, ...]] = {}
    for tensor in tensors:
        name = unwrapped(tensor.name)
        prefix = next((prefix for prefix in TEACHER_PREFIXES if name.startswith(prefix)), "")
        plain = name.removeprefix(prefix)
        if component(plain) not in (OTHER, NORMALIZATION):
            (teachers if prefix else own).setdefault(plain, tensor.shape)
    return own, teachers


@cache
def _axes() -> dict[str, tuple[str, ...]]:
    """Return the size of each axis of a tensor by its name in layer 0, "" if the config has it."""
    fields = {value: field for field, value in _SYMBOLS._asdict().items() if field in _INFERRED}
    return {name: tuple(fields.get(size, "") for size in shape) for name, shape in layout(_SYMBOLS)}


def _sizes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the most frequent sizes; of two that are equally frequent, the larger."""
    votes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for name, shape in shapes.items():
        axes = _axes().get(_LAYER.sub(".layers.0.", name, count=1), ())
        for field, size in zip(axes, shape, strict=False):
            if field and len(axes) == len(shape) and 0 < size < _LARGEST:
                votes[field][size] += 1
    return {
        field: max(counts, key=lambda size: (counts[size], size)) for field, counts in votes.items()
    }


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the number of layers of each stack, without strays far above the others."""
    found: dict[str, int] = {}
    for field, stack in _STACKS.items():
        numbers = {
            int(match[1]) for name in shapes if stack in name and (match := _LAYER.search(name))
        }
        # A layer far above the others is a stray, not the top of a model.
        most = max((number for number in numbers if number < 2 * len(numbers)), default=-1)
        if most >= 0:
            found[field] = min(most + 1, _MOST_LAYERS)
    return found


def _text_layers(settings: _Settings, own: Mapping[str, int], layers: Mapping[str, int]) -> int:
    """Return how many layers of the VLM LeRobot keeps: those of the config, or all."""
    if settings.vlm_layers <= 0:
        known = (
            _HUB_LAYERS
            if settings.hub_vlm
            else layers.get("text_layers", layers.get("expert_layers", 0))
        )
        if not known:
            raise _Wrong(
                "config.json keeps all layers of the VLM, and no tensor shows how many it has"
            )
        return known
    text, expert = own.get("text_layers"), own.get("expert_layers")
    # A smaller VLM than SmolVLM2 has no more to keep. Then the expert has as few.
    if (
        not settings.hub_vlm
        and text is not None
        and text < settings.vlm_layers
        and (settings.expert_layers > 0 or text == expert)
    ):
        return text
    return settings.vlm_layers
