"""Models of transformers, by `architectures` or `model_type` of config.json."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from transformers import modeling_utils
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ckpt_tools.probes.building import refuse_remote_code, replaced, without_memory
from ckpt_tools.probes.guard import RefusedError
from ckpt_tools.probes.state import Tensors, state_of, tied, with_real_buffers

_OLD_BUFFERS = (
    r"rotary_emb\.inv_freq$",
    r"\.(?:masked_bias|attn\.bias|attention\.bias)$",
    r"position_ids$",
    r"num_batches_tracked$",
)
"""Buffers that older releases saved, over which the loader passes."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from ckpt_tools.probes.state import Held

_ENDLESS = "1000000GB"


def tensors(folder: str, held: Held) -> Tensors:
    """Return what `save_pretrained` writes for the config in `folder`.

    Of the names `held`, those that `from_pretrained` takes too.
    """
    refuse_remote_code()
    values = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    model = without_memory(lambda: _model(values))
    found = saved(model)
    others = [name for name in held if name not in found.tensors]
    return _with_names(found, model, others) if others else found


def _model(values: dict[str, Any]) -> Any:
    named = next(iter(values.get("architectures") or ()), None)
    kind, is_remote = values.get("model_type"), "auto_map" in values
    model: Any = getattr(transformers, named, None) if isinstance(named, str) else None
    if not (isinstance(model, type) and issubclass(model, transformers.PreTrainedModel)):
        model = None
    if kind not in CONFIG_MAPPING or (named and model is None):
        what = (
            f"the class {named}" if named and kind in CONFIG_MAPPING else f"the model type {kind!r}"
        )
        raise RefusedError(
            "its classes are code in the repository (auto_map), which is never run here"
            if is_remote
            else f"transformers {transformers.__version__} does not have {what}"
        )
    config = CONFIG_MAPPING[kind].from_dict(
        {name: v for name, v in values.items() if name != "auto_map"}
    )
    if model is None:
        return transformers.AutoModel.from_config(config)
    if not isinstance(config, model.config_class):
        config = model.config_class.from_dict(values)
    return model._from_config(config)


def saved(model: Any) -> Tensors:
    """Return what `save_pretrained` writes of a model, in the names that it gives them."""
    with_real_buffers(model.modules())
    state = state_of(model)
    found = written(model, None)
    ties = []
    for names in tied(state):
        again = [_one(model, name, state[name]) for name in names]
        if len(set(again)) > 1 and any(name in found for name in again):
            ties.append(tuple(sorted(set(again))))
    return Tensors(found, tuple(ties))


def _with_names(found: Tensors, model: Any, others: list[str]) -> Tensors:
    """Return what is found, with what the loader does with other names."""
    state = model.state_dict()
    target = _targets(model, state)
    by_target: dict[str, list[str]] = {}
    for name in found.tensors:
        by_target.setdefault(target(name), []).append(name)
    ties = {name: names[0] for names in tied(state_of(model)) for name in names}
    for names in tied(state_of(model)):
        for kept in (one for name in names for one in by_target.get(name, ())):
            ties |= dict.fromkeys(names, kept)
    passed_over = _passed_over(model)
    reads: dict[str, list[str]] = {}
    for name in others:
        goal = target(name)
        if goal in by_target:
            reads[name] = by_target[goal]
        elif goal in state:
            reads[name] = [ties[goal]] if ties.get(goal) in found.tensors else []
        elif passed_over(goal) or passed_over(name):
            reads[name] = []
    return found._replace(reads=reads, spared=tuple(_spared(found, model, target)))


def _targets(model: Any, state: dict[str, torch.Tensor]) -> Callable[[str], str]:
    """Return what gives the name of a file's tensor in the model, as `from_pretrained` does."""
    prefix = model.base_model_prefix
    try:
        from transformers import conversion_mapping, core_model_loading  # noqa: PLC0415 - not in 4

        every = conversion_mapping.get_model_conversion_mapping(model)
    except (ImportError, AttributeError):  # transformers 4

        def plain(name: str) -> str:
            below = name.removeprefix(f"{prefix}.")
            return next((one for one in (name, below, f"{prefix}.{name}") if one in state), name)

        return plain
    renamings = [one for one in every if isinstance(one, core_model_loading.WeightRenaming)]
    converters = [one for one in every if isinstance(one, core_model_loading.WeightConverter)]
    return lambda name: str(
        core_model_loading.rename_source_key(name, renamings, converters, prefix, state)[0]
    )


def _passed_over(model: Any) -> Callable[[str], bool]:
    """Return which names the loader passes over without a warning."""
    patterns = [*(model._keys_to_ignore_on_load_unexpected or ()), *_OLD_BUFFERS]
    return re.compile("|".join(f"(?:{one})" for one in patterns)).search  # type: ignore[return-value]  # a match is true


def _spared(found: Tensors, model: Any, target: Callable[[str], str]) -> Iterator[str]:
    """Yield the names that the loader does not miss."""
    patterns = model._keys_to_ignore_on_load_missing or ()
    for name in found.tensors:
        if any(re.search(one, target(name)) for one in patterns):
            yield name


def _one(model: Any, name: str, tensor: torch.Tensor) -> str:
    """Return the name under which a tensor would be saved, were it the only one."""
    with suppress(Exception):  # where it is saved together with others only
        return next(iter(written(model, {name: tensor})), name)
    return name


def written(model: Any, state: dict[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
    """Return what `save_pretrained` hands to the safetensors library."""
    found: dict[str, torch.Tensor] = {}

    def note(tensors: dict[str, torch.Tensor], *_: object, **__: object) -> None:
        found.update(tensors)

    for part in (model.config, getattr(model, "generation_config", None)):
        if part is not None:
            object.__setattr__(part, "save_pretrained", lambda *_, **__: None)
    with replaced(modeling_utils, "safe_save_file", note), tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, state_dict=state, max_shard_size=_ENDLESS)
    return found
