"""What an adapter_config.json of PEFT asks for: which modules, in which rank.

Expressions in it are matched by `pattern`, never by Python's engine.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.families.pattern import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

_LORA = "LORA"
_RANK = 8
_LAYER = re.compile(r".*?\.[^.]*\.(\d+)\.")
_OTHER_NAMES = (
    *("target_parameters", "layer_replication", "megatron_config", "use_bdlora", "use_qalora"),
    *("arrow_config", "kasa_config", "velora_config", "monteclora_config", "ensure_weight_tying"),
)
"""Settings that add, share or reshape tensors in ways that are not described here."""


class Wrong(Exception):
    """A setting that PEFT could not use, or that is not described here. The message names it."""


class Settings(NamedTuple):
    """Settings of adapter_config.json."""

    is_target: Callable[[str], bool]
    rank: Callable[[str], int]
    is_saved: Callable[[str], bool]
    is_transposed: bool
    has_vectors: bool
    has_biases: bool
    trains_biases: bool
    trains_tokens: bool


def settings_of(config: Mapping[str, object]) -> Settings:
    """Return the settings. Raises Wrong and Unsupported."""
    kind = config.get("peft_type", _LORA)
    if kind != _LORA:
        raise Wrong(f"the tensors of {kind} adapters are not known")
    for key in _OTHER_NAMES:
        if config.get(key):
            raise Wrong(f"{key} in adapter_config.json changes which tensors there are")
    return Settings(
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
        raise Wrong(f"{key} in adapter_config.json is {value!r}, which names no module")
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
        raise Wrong(f"{key} in adapter_config.json must be a positive integer")
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
