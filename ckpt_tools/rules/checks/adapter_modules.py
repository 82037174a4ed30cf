"""The modules that an adapter changes: those without tensors, and those never merged."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import ADAPTER_CONFIG, CONFIG
from ckpt_tools.checkpoint.names import fold, is_index
from ckpt_tools.families.kinds import Kind
from ckpt_tools.rules.coverage import Covered, Question
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.grouping import about, amount
from ckpt_tools.rules.lora import LORA, PREFIX, config_of, is_lora, loras, peft_type, tensors_of
from ckpt_tools.rules.rule import Violation, rule
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.model import Tensor
    from ckpt_tools.rules.rule import Subject

_ENOUGH = 4
"""The fewest layers of which one can be the exception."""

_BASE_LAYER = re.compile(r"\.base_layer\.(?:weight|bias|qweight)$")


@rule(
    "CK911", "adapter-target-modules", Severity.WARNING, needs=Need.HEADERS, kinds=(Kind.ADAPTER,)
)
def adapter_target_modules(subject: Subject) -> Iterator[Violation | Covered]:
    """Modules that the adapter should change have no tensors.

    PEFT gives every module in `target_modules` a LoRA, and leaves one whose tensors are missing
    untrained, with only a warning. A layer in the middle that lacks what all others have was lost
    when the file was saved or edited. A first or last layer may be different by design, and a name
    in `target_modules` may be one that this base model does not have: these are notes.

    Compare with the run that trained the adapter, and save it again.

    Bad (modules with tensors):

        layers.{0..7}.self_attn.q_proj
        layers.{0..2,4..7}.self_attn.v_proj

    Good:

        layers.{0..7}.self_attn.q_proj
        layers.{0..7}.self_attn.v_proj
    """
    tensors, config = tensors_of(subject), config_of(subject)
    targets = config.get("target_modules")
    if not tensors or peft_type(subject) != LORA or not isinstance(targets, list):
        return
    yield Covered(Question.COMPLETENESS, "target modules")
    modules = {lora.module.removeprefix(PREFIX) for _, lora in loras(tensors) if lora.half}
    ends = {end for module in modules for end in _ends(module)}
    absent = [name for name in targets if isinstance(name, str) and name not in ends]
    if modules and absent:
        yield _absent(absent)
    if not any(config.get(key) for key in ("layers_to_transform", "exclude_modules")):
        yield from _gaps(modules)


def _ends(module: str) -> Iterator[str]:
    """Yield a module's name and every end of it after a dot, as targets are matched."""
    parts = module.split(".")
    for at in range(len(parts)):
        yield ".".join(parts[at:])


def _absent(names: list[str]) -> Violation:
    """Return that targets have no tensors; full names of layers are PEFT's own."""
    is_certain = any(is_index(part) for name in names for part in name.split("."))
    what = f"names {next(iter(fold(names)))!r}{' and others' * (len(names) > 1)}, without tensors"
    remedy = "nothing to do if the base model has no such module; else save the adapter again"
    return Violation(
        what,
        ADAPTER_CONFIG,
        "/target_modules",
        remedy,
        None if is_certain else Severity.NOTE,
    )


def _gaps(modules: set[str]) -> Iterator[Violation]:
    """Yield modules that few of the layers lack that have modules of the same parent."""
    layers: defaultdict[tuple[str, ...], dict[tuple[int, ...], set[str]]] = defaultdict(dict)
    for module in modules:
        *parents, leaf = module.split(".")
        alike = tuple("" if is_index(part) else part for part in parents)
        numbers = tuple(int(part) for part in parents if is_index(part))
        layers[alike].setdefault(numbers, set()).add(leaf)
    for alike, held in sorted(layers.items()):
        for leaf in sorted(set().union(*held.values())):
            lacking = [at for at, one in enumerate(sorted(held)) if leaf not in held[one]]
            if lacking and len(held) >= _ENOUGH and len(lacking) * _ENOUGH <= len(held):
                yield _gap(alike, leaf, sorted(held), lacking)


def _gap(
    alike: tuple[str, ...], leaf: str, held: list[tuple[int, ...]], lacking: list[int]
) -> Violation:
    """Return that the layers at the places `lacking` of `held` have no tensor for a module."""
    numbers = iter(held[lacking[0]])
    name = ".".join([*(part or str(next(numbers)) for part in alike), leaf])
    is_one_run = lacking[-1] - lacking[0] == len(lacking) - 1
    is_inside = lacking[0] > 0 and lacking[-1] < len(held) - 1
    what = (
        f"{count(len(lacking), 'module')} without tensors, which {len(held) - len(lacking)} other "
        "layers have: PEFT leaves them untrained"
    )
    return Violation(
        what,
        subject=f"{PREFIX}{name}",
        next="save the adapter again from the run that trained it",
        severity=None if is_one_run and is_inside else Severity.NOTE,
    )


@rule("CK912", "unmerged-adapter", Severity.ERROR, needs=Need.HEADERS)
def unmerged_adapter(subject: Subject) -> Iterator[Violation]:
    """A full model with the names of an adapter that was never merged.

    A PEFT model's state dict has the original weights as `base_layer.weight` and the adapter beside
    them. Loaders of the model itself know neither name: they leave these weights at random values,
    with only a warning, and drop what was trained.

    Merge the adapter, `model = model.merge_and_unload()`, and save again. Renaming alone would lose
    what was trained. A model whose config.json itself has LoRA settings may build these names.

    Bad:

        model.layers.0.self_attn.q_proj.base_layer.weight
        model.layers.0.self_attn.q_proj.lora_A.default.weight

    Good:

        model.layers.0.self_attn.q_proj.weight
    """
    tensors = subject.checkpoint.tensors
    suspect = [one for one in tensors if "base_layer" in one.name or is_lora(one.name)]
    config = subject.checkpoint.value(CONFIG)
    if not suspect or Kind.ADAPTER in subject.kinds or _has_own_lora(config):
        return
    names = {tensor.name for tensor in tensors}
    unmerged = [
        tensor
        for tensor in suspect
        if _BASE_LAYER.search(tensor.name) or _is_beside_its_weight(tensor, names)
    ]
    if unmerged:
        what = f"{amount(unmerged)} of an adapter that was never merged: loaders do not find them"
        remedy = "merge the adapter before saving: `model = model.merge_and_unload()`"
        # The repository's own code may build these names.
        yield about(unmerged, what, remedy, Severity.NOTE if "auto_map" in config else None)


def _has_own_lora(config: Mapping[str, object]) -> bool:
    """Whether config.json has settings of LoRA; the rank of compressed attention is none."""
    return any(
        "lora" in key and not key.endswith("_lora_rank") and value for key, value in config.items()
    )


def _is_beside_its_weight(tensor: Tensor, names: set[str]) -> bool:
    """Whether a matrix of LoRA has its module's own weight beside it."""
    found = loras([tensor])
    return bool(
        found
        and found[0][1].module
        and tensor.name.endswith(".weight")
        and {f"{found[0][1].module}.weight", f"{found[0][1].module}.base_layer.weight"} & names
    )
