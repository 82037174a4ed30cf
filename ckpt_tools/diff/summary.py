"""Summarizing a checkpoint: components and settings by its family, processors, dtypes."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import CONFIG
from ckpt_tools.diff.model import Group, Processor, Setting, Summary
from ckpt_tools.families.family import GENERIC
from ckpt_tools.families.kinds import Kind, kinds_of, name_of
from ckpt_tools.families.lerobot import SETTINGS
from ckpt_tools.families.registry import family_of
from ckpt_tools.strict_json.pointer import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint, Tensor
    from ckpt_tools.families.family import Family

_NORMALIZERS = ("normalizer_processor", "unnormalizer_processor")


def summarize(checkpoint: Checkpoint) -> Summary:
    """Return the summary of `checkpoint`, from headers and configs alone."""
    family = family_of(checkpoint)
    config = checkpoint.value(CONFIG)
    components = tuple(_components(checkpoint, family, config))
    return Summary(
        checkpoint=checkpoint,
        family=name_of(checkpoint, family),
        profile=family.profile(checkpoint),
        remarks=family.remarks(checkpoint),
        components=components,
        sums=tuple(_sums(components, family)),
        dtypes=tuple(_dtypes(checkpoint)),
        settings=(
            tuple(_settings(config, family, _pointers(checkpoint, family)))
            if checkpoint.document(CONFIG)
            else ()
        ),
        processors=tuple(_processors(checkpoint)),
    )


def _components(
    checkpoint: Checkpoint, family: Family, config: Mapping[str, object]
) -> Iterator[Group]:
    members: defaultdict[str, list[Tensor]] = defaultdict(list)
    for tensor in checkpoint.tensors:
        members[family.component(tensor.name)].append(tensor)
    for component in family.components:
        if component.key in members:
            yield group_of(
                component.key,
                component.title,
                members[component.key],
                trains=family.trains(component.key, config),
            )


def _sums(components: Sequence[Group], family: Family) -> Iterator[Group]:
    """Yield the totals over several components that the family names, where two or more exist."""
    for title, keys in family.sums:
        parts = [group for group in components if group.key in keys]
        if len(parts) > 1:
            dtypes: Counter[str] = Counter()
            for group in parts:
                dtypes.update(dict(group.dtypes))
            trains = {group.trains for group in parts}
            yield Group(
                key=title,
                title=title,
                tensors=sum(group.tensors for group in parts),
                parameters=sum(group.parameters for group in parts),
                nbytes=sum(group.nbytes for group in parts),
                dtypes=tuple(dtypes.most_common()),
                trains=trains.pop() if len(trains) == 1 else None,
            )


def _dtypes(checkpoint: Checkpoint) -> Iterator[Group]:
    members: defaultdict[Dtype, list[Tensor]] = defaultdict(list)
    for tensor in checkpoint.tensors:
        members[tensor.dtype].append(tensor)
    for dtype, tensors in sorted(
        members.items(), key=lambda item: -sum(tensor.nbytes for tensor in item[1])
    ):
        yield group_of(dtype.label, dtype.label, tensors)


def group_of(
    key: str, title: str, tensors: Sequence[Tensor], *, trains: bool | None = None
) -> Group:
    """Return the totals of `tensors`."""
    counts = Counter(tensor.dtype.label for tensor in tensors)
    return Group(
        key=key,
        title=title,
        tensors=len(tensors),
        parameters=sum(tensor.parameters for tensor in tensors),
        nbytes=sum(tensor.nbytes for tensor in tensors),
        dtypes=tuple(counts.most_common()),
        trains=trains,
    )


def _pointers(checkpoint: Checkpoint, family: Family) -> tuple[str, ...]:
    """Return the config values to show: the family's own, or those of any policy."""
    is_policy = Kind.POLICY in kinds_of(checkpoint)
    return SETTINGS if is_policy and family.settings == GENERIC.settings else family.settings


def _settings(
    config: Mapping[str, object], family: Family, pointers: Sequence[str]
) -> Iterator[Setting]:
    for watched in family.watched:
        value = config.get(watched.key, ABSENT)
        fine, remark = watched.evaluate(value)
        yield Setting(key=watched.key, value=value, fine=fine, remark=remark)
    for pointer in pointers:
        key = pointer.removeprefix("/")
        if key in config:
            yield Setting(key=key, value=config[key])
    for features in ("input_features", "output_features"):
        for name, feature in _objects(config.get(features)):
            yield Setting(
                key=name, value=feature.get("shape"), remark=str(feature.get("type", "")).lower()
            )


def _processors(checkpoint: Checkpoint) -> Iterator[Processor]:
    present = {file.path for file in checkpoint.states}
    for document in checkpoint.documents:
        steps = document.value.get("steps")
        if isinstance(steps, list):
            known = [step for step in steps if isinstance(step, dict)]
            states = [
                step["state_file"] for step in known if isinstance(step.get("state_file"), str)
            ]
            yield Processor(
                path=document.path,
                steps=tuple(
                    str(step.get("registry_name") or step.get("class") or "?") for step in known
                ),
                modes=tuple(mode for step in known for mode in _modes(step)),
                states=tuple((name, name in present) for name in states),
            )


def _modes(step: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (kind of feature, normalization mode) of a normalizing step."""
    config = step.get("config")
    if step.get("registry_name") in _NORMALIZERS and isinstance(config, dict):
        modes = config.get("norm_map")
        yield from (
            ((kind, str(mode)) for kind, mode in modes.items()) if isinstance(modes, dict) else ()
        )


def _objects(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    for key, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict):
            yield key, item
