"""Sanitizing: the operations that repair a checkpoint, and the problems that remain. No I/O.

Only what is known to be wrong is removed. An unknown tensor is kept and reported.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ckpt_tools import shell
from ckpt_tools.checkpoint.documents import CONFIG, TRAIN_CONFIG, WEIGHTS
from ckpt_tools.checkpoint.names import fold, literal, unwrapped, wrappers_among
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.edit.operations import Cast, Merge, SetMetadata, SetValue, UnsetValue, Unwrap
from ckpt_tools.edit.teachers import with_plain_names, without_prefixes, without_teacher
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.families.family import TEACHER_PREFIXES, Unknown
from ckpt_tools.strict_json.pointer import joined, named_few
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.edit.operations import Operation
    from ckpt_tools.families.family import CleanConfig, Family

LEROBOT, FORK = "lerobot", "fork"
POLICIES = ((CONFIG, ""), (TRAIN_CONFIG, "/policy"))
"""Location of a policy's config: the file, and the JSON pointer in it."""

_TAKE = "`ckpt plan WHERE RECIPE` with the operation `take` adds them from another checkpoint"


REFERENCE_HINT = (
    "NORMAL is a checkpoint of the same base without the fault: the teacher, or"
    " hf://lerobot/smolvla_base"
)
"""What to write for NORMAL in the command that repairs a checkpoint."""

STANDARD = ("lerobot==0.6", "lerobot==0.6.0", "lerobot==0.6.1")
"""The releases that LEROBOT stands for."""


def targets(family: Family) -> tuple[str, ...]:
    """Return the targets whose config keys the family knows."""
    return (LEROBOT, FORK, *(family.cleaning.newer if family.cleaning else ()))


def operations(
    checkpoint: Checkpoint,
    family: Family,
    *,
    target: str = LEROBOT,
    reference: Checkpoint | None = None,
    lossy: bool = False,
) -> list[Operation]:
    """Return the operations that convert `checkpoint` to a standard one for `target`.

    They repair tensors, files and configs, and with `reference` also dtypes and metadata.

    Raises RecipeInvalid for a target that the family does not have.
    """
    cleaning = family.cleaning
    known = targets(family)
    if target not in known:
        raise RecipeInvalid(f"unknown target {target!r}", hint=f"use one of {', '.join(known)}")
    plain = with_plain_names(checkpoint, family)
    found: list[Operation] = [Unwrap()] if plain is not checkpoint else []
    found += without_teacher(plain, family)
    if cleaning:
        files = [file.path for file in checkpoint.weights]
        if cleaning.single_file and files != [WEIGHTS] and checkpoint.documents:
            found.append(Merge())
        found += _configs(checkpoint, cleaning, target)
    return [*found, *_dtypes(plain, reference, lossy=lossy), *_metadata(plain, reference)]


def _configs(checkpoint: Checkpoint, cleaning: CleanConfig, target: str) -> Iterator[Operation]:
    required = dict(cleaning.values) | (dict(cleaning.neutral) if target == FORK else {})
    for path, base, config in policies(checkpoint):
        if not is_ours(config, base, cleaning):
            continue
        for key, value in required.items():
            if key not in config or type(config[key]) is not type(value) or config[key] != value:
                yield SetValue(path, f"{base}/{key}", value)
        for key in config:
            if key in cleaning.reserved and key not in required:
                yield UnsetValue(path, f"{base}/{key}")
        for key, value in cleaning.newer.get(target, ()):
            if key in config and config[key] == value:
                yield UnsetValue(path, f"{base}/{key}")


def is_ours(config: Mapping[str, object], base: str, cleaning: CleanConfig) -> bool:
    """Whether a config belongs to the family's policy: by its type, or if config.json has none.

    The type of another policy is never changed.
    """
    return config.get("type") in cleaning.types if "type" in config else not base


def policies(checkpoint: Checkpoint) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Yield (file, JSON pointer, config) for each location of the policy's config."""
    for path, base in POLICIES:
        value = checkpoint.value(path)
        config = value.get(base.removeprefix("/")) if base else value
        if isinstance(config, dict) and checkpoint.document(path):
            yield path, base, config


def _dtypes(plain: Checkpoint, reference: Checkpoint | None, *, lossy: bool) -> list[Operation]:
    """Return casts to the dtypes of `reference`; without `lossy`, only lossless ones."""
    selected: dict[Dtype, dict[str, None]] = {}
    expected = {tensor.name: tensor for tensor in reference.tensors} if reference else {}
    for tensor in plain.tensors:
        name = without_prefixes(tensor.name)
        other = expected.get(name)
        if other and other.shape == tensor.shape and other.dtype is not tensor.dtype:
            selected.setdefault(other.dtype, {})[literal(name)] = None
    return [
        Cast(dtype, tuple(globs), lossy=lossy, skip=True, if_any=True)
        for dtype, globs in selected.items()
    ]


def _metadata(plain: Checkpoint, reference: Checkpoint | None) -> Iterator[Operation]:
    """Yield operations that restore the metadata of `reference`, if its files agree on it."""
    agreed = {file.metadata or () for file in reference.weights} if reference else set()
    if len(agreed) != 1:
        return
    expected = dict(agreed.pop())
    aliases = {alias for file in plain.weights for alias, _ in file.aliases}
    present = [dict(file.metadata or ()) for file in plain.weights]
    keys = dict.fromkeys(key for metadata in present for key in metadata)
    yield from (
        SetMetadata(key, None) for key in keys if key not in expected and key not in aliases
    )
    for key, value in expected.items():
        if any(metadata.get(key) != value for metadata in present):
            yield SetMetadata(key, value)


def remaining(
    after: Checkpoint, family: Family, *, target: str = LEROBOT, reference: Checkpoint | None = None
) -> tuple[str, ...]:
    """Describe the problems of a sanitized checkpoint that remain, the most harmful first."""
    return (
        *_missing(after, family, reference),
        *_teacher_left(after, family),
        *_unlike(after, reference),
        *_contradictory_dtypes(after, family),
        *_other_weights(after),
        *_unknown(after, family, reference),
        *_fields(after, family, target),
    )


def located(sentences: Iterable[str], where: str) -> tuple[str, ...]:
    """Return what remains with the commands about the checkpoint at `where` instead of WHERE."""
    command = re.compile(r"(ckpt [a-z]+) WHERE(?=[ `])")
    return tuple(
        command.sub(lambda found: f"{found[1]} {shell.quote(where)}", one) for one in sentences
    )


def _missing(after: Checkpoint, family: Family, reference: Checkpoint | None) -> Iterator[str]:
    names = {tensor.name for tensor in after.tensors}
    expected = family.expected(after)
    if reference is not None:
        missing = [tensor.name for tensor in reference.tensors if tensor.name not in names]
        why, means = "missing, unlike in the reference", family.missing or _TAKE
    elif not isinstance(expected, Unknown):
        missing = expected.missing(names)
        why, means = "missing", family.missing
    else:
        present = {family.component(name) for name in names}
        absent = [
            component.short
            for component in family.components
            if component.key not in present and component.key not in family.needless
        ]
        if absent and len(family.components) > 1:
            parts = ", ".join(absent)
            yield f"missing, and cannot be restored: {parts}; {family.missing}"
        return
    if missing:
        yield f"{why}, and cannot be restored: {_some(missing)}; {means}"


def _contradictory_dtypes(after: Checkpoint, family: Family) -> Iterator[str]:
    contradiction = family.contradiction(after)
    if contradiction:
        yield (
            f"dtypes of a model that was {family.profile(after)}, and {contradiction};"
            f" `ckpt sanitize WHERE --reference NORMAL` restores them; {REFERENCE_HINT}"
        )


def _teacher_left(after: Checkpoint, family: Family) -> Iterator[str]:
    names = [tensor.name for tensor in after.tensors]
    wrappers = wrappers_among(names, is_known=family.cleaning is not None)
    left = [name for name in names if name.startswith(TEACHER_PREFIXES)]
    if left:
        yield (
            "kept under a teacher's prefix, because the student has no counterpart: "
            f"{_some(left)}; `ckpt strip WHERE` removes them"
        )
    wrapped = [name for name in names if unwrapped(name, wrappers) != name]
    if wrapped:
        yield f"kept with wrapper segments, because the plain names are taken: {_some(wrapped)}"


def _unlike(after: Checkpoint, reference: Checkpoint | None) -> Iterator[str]:
    expected = {tensor.name: tensor for tensor in reference.tensors} if reference else {}
    pairs = [(tensor, expected[tensor.name]) for tensor in after.tensors if tensor.name in expected]
    reshaped = [tensor.name for tensor, other in pairs if tensor.shape != other.shape]
    if reshaped:
        yield f"shape differs from the reference: {_some(reshaped)}"
    retyped = {
        tensor.name: f"{tensor.dtype} instead of {other.dtype}"
        for tensor, other in pairs
        if tensor.shape == other.shape and tensor.dtype is not other.dtype
    }
    if retyped:
        yield (
            f"still {', '.join(sorted(set(retyped.values())))}, because a cast would lose bits"
            f" (--allow-lossy rounds, but makes nothing infinite): {_some(list(retyped))}"
        )


def _other_weights(after: Checkpoint) -> Iterator[str]:
    paths = [
        file.path for file in after.others if file.path.endswith((".safetensors", INDEX_SUFFIX))
    ]
    if paths:
        yield f"other weights beside {after.weights[0].path}, copied unchanged: {named_few(paths)}"


def _unknown(after: Checkpoint, family: Family, reference: Checkpoint | None) -> Iterator[str]:
    expected = {tensor.name for tensor in reference.tensors} if reference else set()
    unknown = [
        tensor.name
        for tensor in after.tensors
        if not tensor.name.startswith(TEACHER_PREFIXES)
        and (
            tensor.name not in expected
            if reference
            else family.cleaning and family.component(tensor.name) == "other"
        )
    ]
    if unknown:
        why = "not in the reference" if reference else f"unknown to {family.name}"
        yield f"kept, although {why}: {_some(unknown)}"


def _fields(after: Checkpoint, family: Family, target: str) -> Iterator[str]:
    if family.cleaning is None:
        return
    allowed = family.cleaning.known | (set(family.cleaning.reserved) if target == FORK else set())
    newer = dict(family.cleaning.newer.get(target, ()))
    for path, base, config in policies(after):
        place = f"{path} ({base[1:]})" if base else path
        if not is_ours(config, base, family.cleaning):
            yield (
                f"{place} has the type {json.dumps(config.get('type'))}, not {family.name},"
                " and is left unchanged"
            )
            continue
        rejected = [key for key in config if key not in allowed]
        if rejected:
            pointers = " ".join(shell.quote(f"{base}{joined([key])}") for key in rejected)
            file = f" --file {path}" if base else ""
            yield (
                f"{place} has fields that stock LeRobot rejects: {', '.join(rejected)}; if the"
                f" model does not need them, remove them: ckpt config WHERE unset {pointers}{file}"
            )
        for key in (key for key in newer if key in config):
            yield f"{place} sets {key}, which {target} does not support, to a value that matters"


def _some(names: list[str]) -> str:
    """Return the number of tensors and the folded name of the first."""
    return (
        f"{count(len(names), 'tensor')}, {'such as ' * (len(names) > 1)}{next(iter(fold(names)))}"
    )
