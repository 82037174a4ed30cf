"""What makes a checkpoint clean.

The operations that repair what can be repaired, and sentences on what cannot. No I/O.

Only what is known to be wrong is taken out. A tensor that nobody knows stays, and is reported.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.names import fold, literal, unwrapped
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.edit.file_operations import SINGLE_FILE
from ckpt_tools.edit.operations import Cast, Merge, SetMetadata, SetValue, UnsetValue, Unwrap
from ckpt_tools.edit.teachers import with_plain_names, without_prefixes, without_teacher
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.operations import Operation
    from ckpt_tools.families.family import CleanConfig, Family

LEROBOT, FORK = "lerobot", "fork"
POLICIES = (("config.json", ""), ("train_config.json", "/policy"))
"""Where a policy's config stands: the file, and the JSON pointer in it."""


def operations(
    checkpoint: Checkpoint,
    family: Family,
    *,
    target: str = LEROBOT,
    reference: Checkpoint | None = None,
    lossy: bool = False,
) -> list[Operation]:
    """Return what makes `checkpoint` clean for `target`.

    Tensors, files, configs, and with `reference`, a normal checkpoint, its dtypes.

    Raises RecipeInvalid for a target that the family does not know.
    """
    _check_target(family.cleaning, target)
    plain = with_plain_names(checkpoint)
    found: list[Operation] = [Unwrap()] if plain is not checkpoint else []
    found += without_teacher(plain, family)
    if (
        family.cleaning
        and family.cleaning.single_file
        and [file.path for file in checkpoint.weights] != [SINGLE_FILE]
        and checkpoint.documents
    ):
        found.append(Merge())
    if family.cleaning:
        found += _configs(checkpoint, family.cleaning, target)
    return [*found, *_dtypes(plain, reference, lossy=lossy), *_metadata(plain, reference)]


def _check_target(cleaning: CleanConfig | None, target: str) -> None:
    known = (LEROBOT, FORK, *(cleaning.newer if cleaning else ()))
    if target not in known:
        raise RecipeInvalid(
            f"the target {target!r} is unknown", hint=f"use one of {', '.join(known)}"
        )


def _configs(checkpoint: Checkpoint, cleaning: CleanConfig, target: str) -> Iterator[Operation]:
    for path, base, config in policies(checkpoint):
        if not is_ours(config, base, cleaning):
            continue
        wanted = dict(cleaning.values) | (dict(cleaning.neutral) if target == FORK else {})
        for key, value in wanted.items():
            if key not in config or type(config[key]) is not type(value) or config[key] != value:
                yield SetValue(path, f"{base}/{key}", value)
        for key in config:
            if key in cleaning.reserved and key not in wanted:
                yield UnsetValue(path, f"{base}/{key}")
        for key, value in cleaning.newer.get(target, ()):
            if key in config and config[key] == value:
                yield UnsetValue(path, f"{base}/{key}")


def is_ours(config: Mapping[str, object], base: str, cleaning: CleanConfig) -> bool:
    """Whether a config is one of the family's policy: by its type, or in config.json without one.

    Another policy's is nobody's to relabel.
    """
    return config.get("type") in cleaning.types if "type" in config else not base


def policies(checkpoint: Checkpoint) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Yield (file, JSON pointer, config) of every place where the policy's config stands."""
    for path, base in POLICIES:
        document = checkpoint.document(path)
        config = (
            document.value.get(base.removeprefix("/"))
            if document and base
            else document.value
            if document
            else None
        )
        if isinstance(config, dict):
            yield path, base, config


def _dtypes(plain: Checkpoint, reference: Checkpoint | None, *, lossy: bool) -> list[Operation]:
    """Return casts to the dtypes of `reference`.

    What would lose bits is left alone unless `lossy`.
    """
    wanted: dict[Dtype, list[str]] = {}
    normal = {tensor.name: tensor for tensor in reference.tensors} if reference else {}
    for tensor in plain.tensors:
        name = without_prefixes(tensor.name)
        if (
            name in normal
            and normal[name].shape == tensor.shape
            and normal[name].dtype is not tensor.dtype
        ):
            wanted.setdefault(normal[name].dtype, []).append(literal(name))
    return [
        Cast(dtype, tuple(dict.fromkeys(chosen)), lossy=lossy, skip=not lossy)
        for dtype, chosen in wanted.items()
    ]


def _metadata(plain: Checkpoint, reference: Checkpoint | None) -> Iterator[Operation]:
    """Yield what gives every weight file the metadata of `reference`, where its files agree on one."""
    normal = {file.metadata or () for file in reference.weights} if reference else set()
    if len(normal) != 1:
        return
    wanted = dict(normal.pop())
    aliases = {alias for file in plain.weights for alias, _ in file.aliases}
    mine = [dict(file.metadata or ()) for file in plain.weights]
    for key in dict.fromkeys(
        key for metadata in mine for key in metadata if key not in wanted and key not in aliases
    ):
        yield SetMetadata(key, None)
    for key, value in wanted.items():
        if any(metadata.get(key) != value for metadata in mine):
            yield SetMetadata(key, value)


def remaining(
    after: Checkpoint, family: Family, *, target: str = LEROBOT, reference: Checkpoint | None = None
) -> tuple[str, ...]:
    """Return sentences on what is still wrong with a sanitized checkpoint, the most harmful first."""
    return (
        *_missing(after, family, reference),
        *_teacher_left(after),
        *_unlike(after, reference),
        *_relabelled(after, family),
        *_stale(after),
        *_unknown(after, family, reference),
        *_fields(after, family, target),
    )


def _missing(after: Checkpoint, family: Family, reference: Checkpoint | None) -> Iterator[str]:
    names = {tensor.name for tensor in after.tensors}
    if reference is not None:
        lacking = [tensor.name for tensor in reference.tensors if tensor.name not in names]
        if lacking:
            means = family.missing or "take them from elsewhere: ckpt plan with `take`"
            yield f"missing against the reference, and cannot be made up: {_some(lacking)}; {means}"
        return
    expected = family.expected(after)
    if not isinstance(expected, Unknown):
        lacking = [name for name in expected.tensors if name not in names]
        if lacking:
            yield f"missing, and cannot be made up: {_some(lacking)}; {family.missing}"
        return
    present = {family.component(name) for name in names}
    absent = [
        component.short
        for component in family.components
        if component.key not in present and component.key not in family.needless
    ]
    if absent and len(family.components) > 1:
        yield f"missing, and cannot be made up: {', '.join(absent)}; {family.missing}"


def _relabelled(after: Checkpoint, family: Family) -> Iterator[str]:
    contradiction = family.contradiction(after)
    if contradiction:
        yield f"dtypes of a model that was {family.profile(after)}, and {contradiction}; `--reference NORMAL` restores them"


def _teacher_left(after: Checkpoint) -> Iterator[str]:
    left = [tensor.name for tensor in after.tensors if tensor.name.startswith(TEACHER_PREFIXES)]
    if left:
        yield f"kept under a teacher's name, because the student has no counterpart: {_some(left)}; `ckpt strip` drops them"
    wrapped = [tensor.name for tensor in after.tensors if unwrapped(tensor.name) != tensor.name]
    if wrapped:
        yield f"kept with wrapper segments, because the plain names are taken: {_some(wrapped)}"


def _unlike(after: Checkpoint, reference: Checkpoint | None) -> Iterator[str]:
    normal = {tensor.name: tensor for tensor in reference.tensors} if reference else {}
    pairs = [(tensor, normal[tensor.name]) for tensor in after.tensors if tensor.name in normal]
    reshaped = [mine.name for mine, other in pairs if mine.shape != other.shape]
    if reshaped:
        yield f"of another shape than in the reference: {_some(reshaped)}"
    retyped = [
        (mine, other)
        for mine, other in pairs
        if mine.shape == other.shape and mine.dtype is not other.dtype
    ]
    if retyped:
        kinds = ", ".join(
            sorted({f"{mine.dtype} instead of {other.dtype}" for mine, other in retyped})
        )
        yield f"still {kinds}, because a cast would lose bits (--allow-lossy rounds): {_some([mine.name for mine, _ in retyped])}"


def _stale(after: Checkpoint) -> Iterator[str]:
    named = [
        file.path for file in after.others if file.path.endswith((".safetensors", INDEX_SUFFIX))
    ]
    if named:
        yield f"other weights lie beside {after.weights[0].path} and are copied as they are: {', '.join(named[:3])}{', …' * (len(named) > 3)}"  # noqa: PLR2004 - three fit a line


def _unknown(after: Checkpoint, family: Family, reference: Checkpoint | None) -> Iterator[str]:
    strange: list[str] = []
    if reference is not None:
        normal = {tensor.name for tensor in reference.tensors}
        strange = [tensor.name for tensor in after.tensors if tensor.name not in normal]
    elif family.cleaning:
        strange = [
            tensor.name for tensor in after.tensors if family.component(tensor.name) == "other"
        ]
    strange = [name for name in strange if not name.startswith(TEACHER_PREFIXES)]
    if strange:
        yield f"kept, although {'the reference does not have' if reference else 'nobody knows'} them: {_some(strange)}"


def _fields(after: Checkpoint, family: Family, target: str) -> Iterator[str]:
    if family.cleaning is None:
        return
    allowed = family.cleaning.known | (set(family.cleaning.reserved) if target == FORK else set())
    newer = dict(family.cleaning.newer.get(target, ()))
    for path, base, config in policies(after):
        place = f"{path} ({base[1:]})" if base else path
        if not is_ours(config, base, family.cleaning):
            yield f"{place} is of the type {json.dumps(config.get('type'))}, not {family.name}, and is left alone"
            continue
        strange = [key for key in config if key not in allowed]
        if strange:
            yield f"{place} has fields that stock LeRobot refuses: {', '.join(strange)}; remove them with `ckpt config unset` if they mean nothing"
        for key in newer.keys() & config.keys():
            yield f"{place} says {key}, which {target} does not know, and its value matters"


def _some(names: list[str]) -> str:
    """Return how many tensors, and of which name the first is."""
    return (
        f"{count(len(names), 'tensor')}, {'such as ' * (len(names) > 1)}{next(iter(fold(names)))}"
    )
