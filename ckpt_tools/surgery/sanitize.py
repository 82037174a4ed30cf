"""What makes a checkpoint clean: the operations that repair what can be repaired, and sentences on what cannot. No I/O.

Only what is known to be wrong is taken out. A tensor that nobody knows stays, and is reported.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ckpt_tools.compare.fold import fold
from ckpt_tools.compare.renames import unwrapped
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.families.family import TEACHER_PREFIXES
from ckpt_tools.records.operation import Cast, Drop, Merge, Rename, SetMetadata, SetValue, UnsetValue, Unwrap
from ckpt_tools.surgery.file_operations import SINGLE_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ckpt_tools.families.family import Cleaning, Family
    from ckpt_tools.records.checkpoint import Checkpoint
    from ckpt_tools.records.dtype import Dtype
    from ckpt_tools.records.operation import Operation

LEROBOT, FORK = "lerobot", "fork"
POLICIES = (("config.json", ""), ("train_config.json", "/policy"))
"""Where a policy's config stands: the file, and the JSON pointer in it."""


def operations(checkpoint: Checkpoint, family: Family, *, target: str = LEROBOT, reference: Checkpoint | None = None, lossy: bool = False) -> list[Operation]:
    """Return what makes `checkpoint` clean for `target`: tensors, files, configs, and with `reference`, a normal checkpoint, its dtypes.

    Raises RecipeInvalid for a target that the family does not know.
    """
    _check_target(family.cleaning, target)
    found: list[Operation] = []
    names = _after_unwrapping(checkpoint)
    if names != [tensor.name for tensor in checkpoint.tensors]:
        found.append(Unwrap())
    found += _without_teacher(checkpoint, family, names)
    if family.cleaning and family.cleaning.single_file and [file.path for file in checkpoint.weights] != [SINGLE_FILE] and checkpoint.documents:
        found.append(Merge())
    if family.cleaning:
        found += _configs(checkpoint, family.cleaning, target)
    return [*found, *_dtypes(checkpoint, names, reference, lossy=lossy), *_metadata(checkpoint, reference)]


def _check_target(cleaning: Cleaning | None, target: str) -> None:
    known = (LEROBOT, FORK, *(cleaning.newer if cleaning else ()))
    if target not in known:
        msg = f"the target {target!r} is unknown"
        raise RecipeInvalid(msg, hint=f"use one of {', '.join(known)}")


def _after_unwrapping(checkpoint: Checkpoint) -> list[str]:
    """Return the names as Unwrap leaves them, in order."""
    plain = {tensor.name: unwrapped(tensor.name) for tensor in checkpoint.tensors}
    counts = Counter(plain.values())
    return [new if counts[new] == 1 else name for name, new in plain.items()]


def _without_teacher(checkpoint: Checkpoint, family: Family, names: list[str]) -> Iterator[Operation]:
    """Yield what brings back weights that only the teacher's names hold, and then drops the teacher."""
    own = {name for name in names if not name.startswith(TEACHER_PREFIXES)}
    restored: set[str] = set()
    for prefix in TEACHER_PREFIXES:
        lost = _lost_to_teacher(checkpoint, family, prefix, names, own) - restored
        if lost:
            restored |= lost
            yield from _renames(prefix, lost, [name for name in names if name.startswith(prefix)])
    for prefix in TEACHER_PREFIXES:
        copies = [name for name in names if name.startswith(prefix)]
        kept = [name for name in copies if not _is_a_copy(name.removeprefix(prefix), family, own, restored)]
        dropped = [name for name in copies if name not in set(kept) and (name.removeprefix(prefix) not in restored or _restored_from(prefix, name, names))]
        aliases = any(alias.startswith(prefix) for file in checkpoint.weights for alias, _ in file.aliases)
        if copies and not kept:
            yield Drop((f"{prefix}**",))
        elif dropped or aliases:
            yield Drop(tuple(dropped) or (f"{prefix}**",))


def _restored_from(prefix: str, name: str, names: list[str]) -> bool:
    """Whether an earlier prefix holds the same tensor, so that this one is the second copy."""
    rest = name.removeprefix(prefix)
    return any(earlier + rest in names for earlier in TEACHER_PREFIXES[: TEACHER_PREFIXES.index(prefix)])


def _lost_to_teacher(checkpoint: Checkpoint, family: Family, prefix: str, names: list[str], own: set[str]) -> set[str]:
    """Return the student's names of tensors that it shared with its teacher and that only the teacher's names hold.

    A file that says so (an alias in its metadata), or of which a whole shared component is gone, tells that they were shared. Nothing else does.
    """
    if family.cleaning is None:
        return set()
    said = {alias for file in checkpoint.weights for alias, _ in file.aliases}
    present = {family.component(name) for name in own}
    rests = {name.removeprefix(prefix) for name in names if name.startswith(prefix)} - own
    shared = {rest for rest in rests if family.component(rest) in family.cleaning.shared}
    return {rest for rest in shared if rest in said or family.component(rest) not in present}


def _renames(prefix: str, lost: set[str], copies: list[str]) -> Iterator[Operation]:
    """Yield renames from the teacher's names, by the longest common part of the names where that says it."""
    stem = _common_segments(lost)
    covered = {name.removeprefix(prefix) for name in copies if name.removeprefix(prefix).startswith(stem)}
    if stem and covered == lost:
        yield Rename(f"{prefix}{stem}**", f"{stem}**")
    else:
        yield from (Rename(f"{prefix}{name}", name) for name in sorted(lost))


def _common_segments(names: Iterable[str]) -> str:
    """Return the dotted segments, with a dot at the end, that all names begin with."""
    columns = zip(*(name.split(".") for name in names), strict=False)
    common: list[str] = []
    for column in columns:
        if len(set(column)) > 1:
            break
        common.append(column[0])
    return "".join(f"{segment}." for segment in common)


def _is_a_copy(name: str, family: Family, own: set[str], restored: set[str]) -> bool:
    """Whether a teacher's tensor can go: the student has its own, or the family says that it needs none of this kind."""
    return name in own or name in restored or (family.cleaning is not None and not _needed(name, family, own))


def _needed(name: str, family: Family, own: set[str]) -> bool:
    """Whether the student would need a tensor of that name and has not a single one of its component."""
    return family.needs(name) and family.component(name) not in {family.component(other) for other in own}


def _configs(checkpoint: Checkpoint, cleaning: Cleaning, target: str) -> Iterator[Operation]:
    for path, base, config in policies(checkpoint):
        wanted = dict(cleaning.values) | (dict(cleaning.neutral) if target == FORK else {})
        if base and "type" not in config:
            continue  # a train config of something else
        for key, value in wanted.items():
            if config.get(key, wanted) is not value and config.get(key, wanted) != value:
                yield SetValue(path, f"{base}/{key}", value)
        for key in config:
            if key in cleaning.reserved and key not in wanted:
                yield UnsetValue(path, f"{base}/{key}")
        for key, value in cleaning.newer.get(target, ()):
            if key in config and config[key] == value:
                yield UnsetValue(path, f"{base}/{key}")


def policies(checkpoint: Checkpoint) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Yield (file, JSON pointer, config) of every place where the policy's config stands."""
    for path, base in POLICIES:
        document = checkpoint.document(path)
        config = document.value.get(base.removeprefix("/")) if document and base else document.value if document else None
        if isinstance(config, dict):
            yield path, base, config


def _dtypes(checkpoint: Checkpoint, names: list[str], reference: Checkpoint | None, *, lossy: bool) -> list[Operation]:
    """Return casts to the dtypes of `reference`; what would lose bits is left alone unless `lossy`."""
    wanted: dict[Dtype, list[str]] = {}
    normal = {tensor.name: tensor for tensor in reference.tensors} if reference else {}
    for tensor, name in zip(checkpoint.tensors, names, strict=True):
        for known in (name, *(name.removeprefix(prefix) for prefix in TEACHER_PREFIXES if name.startswith(prefix))):
            if known in normal and normal[known].shape == tensor.shape and normal[known].dtype is not tensor.dtype:
                wanted.setdefault(normal[known].dtype, []).append(known)
    return [Cast(dtype, tuple(dict.fromkeys(chosen)), lossy=lossy, skip=not lossy) for dtype, chosen in wanted.items()]


def _metadata(checkpoint: Checkpoint, reference: Checkpoint | None) -> Iterator[Operation]:
    """Yield what gives every weight file the metadata of `reference`, where its files agree on one."""
    normal = {file.metadata or () for file in reference.weights} if reference else set()
    if len(normal) != 1:
        return
    wanted = dict(normal.pop())
    aliases = {alias for file in checkpoint.weights for alias, _ in file.aliases}
    mine = [dict(file.metadata or ()) for file in checkpoint.weights]
    for key in dict.fromkeys(key for metadata in mine for key in metadata if key not in wanted and key not in aliases):
        yield SetMetadata(key, None)
    for key, value in wanted.items():
        if any(metadata.get(key) != value for metadata in mine):
            yield SetMetadata(key, value)


def remaining(after: Checkpoint, family: Family, *, target: str = LEROBOT, reference: Checkpoint | None = None) -> tuple[str, ...]:
    """Return sentences on what is still wrong with a sanitized checkpoint, the most harmful first."""
    return (
        *_missing(after, family, reference),
        *_teacher_left(after),
        *_unlike(after, reference),
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
    present = {family.component(name) for name in names}
    for component in family.components:
        if component.key not in present and component.key not in family.needless and len(family.components) > 1:
            yield f"the {component.short} is missing and cannot be made up; {family.missing}"


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
    retyped = [(mine, other) for mine, other in pairs if mine.shape == other.shape and mine.dtype is not other.dtype]
    if retyped:
        kinds = ", ".join(sorted({f"{mine.dtype} instead of {other.dtype}" for mine, other in retyped}))
        yield f"still {kinds}, because a cast would lose bits (--allow-lossy rounds): {_some([mine.name for mine, _ in retyped])}"


def _unknown(after: Checkpoint, family: Family, reference: Checkpoint | None) -> Iterator[str]:
    strange: list[str] = []
    if reference is not None:
        normal = {tensor.name for tensor in reference.tensors}
        strange = [tensor.name for tensor in after.tensors if tensor.name not in normal]
    elif family.cleaning:
        strange = [tensor.name for tensor in after.tensors if family.component(tensor.name) == "other"]
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
        strange = [key for key in config if key not in allowed]
        if strange:
            yield f"{place} has fields that stock LeRobot refuses: {', '.join(strange)}; remove them with `ckpt config unset` if they mean nothing"
        for key in newer.keys() & config.keys():
            yield f"{place} says {key}, which {target} does not know, and its value matters"


def _some(names: list[str]) -> str:
    """Return how many tensors, and of which name the first is."""
    return f"{len(names):,} tensor{'s' * (len(names) != 1)}, {'such as ' * (len(names) > 1)}{next(iter(fold(names)))}"
