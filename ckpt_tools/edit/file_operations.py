"""Operations on files: config values, metadata, shards, other files.

Each modifies a draft and returns the step that it made, None if it changed nothing. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import DOCUMENTS, WEIGHTS, WEIGHTS_INDEX, WORK
from ckpt_tools.checkpoint.names import natural_key
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX, shard_family
from ckpt_tools.edit.matching import check_matched, selected
from ckpt_tools.edit.model import PlanStep, Safety
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.strict_json import edit
from ckpt_tools.text import count, value

if TYPE_CHECKING:
    from ckpt_tools.edit.draft import Metadata, PlanDraft
    from ckpt_tools.edit.lookup import Lookup
    from ckpt_tools.edit.operations import (
        CopyFile,
        DropFile,
        Merge,
        RenameKey,
        Reshard,
        SetMetadata,
        SetValue,
        UnsetValue,
    )


def set_value(draft: PlanDraft, operation: SetValue, _lookup: Lookup) -> PlanStep | None:
    """Set a value in a JSON file."""
    text = edit.set_value(_text(draft, operation.file), operation.pointer, operation.value)
    return _edited(
        draft, operation.file, text, f"set {operation.pointer} to {value(operation.value)}"
    )


def unset_value(draft: PlanDraft, operation: UnsetValue, _lookup: Lookup) -> PlanStep | None:
    """Remove a value from a JSON file."""
    text = edit.unset_value(_text(draft, operation.file), operation.pointer)
    return _edited(draft, operation.file, text, f"remove {operation.pointer}")


def rename_key(draft: PlanDraft, operation: RenameKey, _lookup: Lookup) -> PlanStep | None:
    """Rename a key in a JSON file."""
    text = edit.rename_key(_text(draft, operation.file), operation.pointer, operation.to)
    return _edited(draft, operation.file, text, f"rename {operation.pointer} to {operation.to}")


def _text(draft: PlanDraft, path: str) -> str:
    if path not in draft.texts:
        raise RecipeInvalid(
            "not an editable JSON file of the checkpoint",
            subject=path,
            hint=f"editable files: {', '.join(sorted(draft.texts)) or 'none'}",
        )
    return draft.texts[path]


def _edited(draft: PlanDraft, path: str, text: str, change: str) -> PlanStep | None:
    if text == draft.texts[path]:
        return None
    draft.texts[path] = text
    return PlanStep(f"{path}: {change}", Safety.SAFE)


def set_metadata(draft: PlanDraft, operation: SetMetadata, _lookup: Lookup) -> PlanStep | None:
    """Set or remove a key of the weight files' metadata."""
    key, new = operation.key, operation.value
    changed = {
        shard: found
        for shard, metadata in draft.metadata.items()
        if (found := _with(metadata, key, new)) != metadata
    }
    draft.metadata |= changed
    draft.touch(*changed)
    change = f"remove metadata {key}" if new is None else f"set metadata {key} to {value(new)}"
    return PlanStep(change, Safety.SAFE) if changed else None


def _with(metadata: Metadata, key: str, new: str | None) -> Metadata:
    pairs = dict(metadata or ())
    if new is not None:
        return tuple((pairs | {key: new}).items())
    return (
        tuple(pair for pair in pairs.items() if pair[0] != key) or None
        if key in pairs
        else metadata
    )


def merge(draft: PlanDraft, _operation: Merge, _lookup: Lookup) -> PlanStep | None:
    """Merge all weights into one file."""
    if draft.index is None and list(draft.metadata) == [WEIGHTS]:
        return None
    text = f"merge {count(len(draft.metadata), 'weight file')} into {WEIGHTS}"
    return _place(draft, dict.fromkeys(draft.tensors, WEIGHTS), None, text)


def reshard(draft: PlanDraft, operation: Reshard, _lookup: Lookup) -> PlanStep | None:
    """Split the weights into shards of at most so many bytes."""
    groups = _split(draft, operation.max_size)
    total = len(groups)
    shards = [shard_name("model", number, total) for number in range(1, total + 1)]
    shards, index = (shards, WEIGHTS_INDEX) if total > 1 else ([WEIGHTS], None)
    placed = {name: shard for shard, group in zip(shards, groups, strict=True) for name in group}
    if index == draft.index and all(
        draft.tensors[name].shard == shard for name, shard in placed.items()
    ):
        return None
    text = (
        f"split the weights into {count(total, 'file')}"
        f" of at most {count(operation.max_size, 'byte')}"
    )
    return _place(draft, placed, index, text)


def shard_name(stem: str, number: int, total: int) -> str:
    """Return the name of a shard as the Hub spells it; numbers start at 1."""
    return f"{stem}-{number:05}-of-{total:05}.safetensors"


def _split(draft: PlanDraft, max_size: int) -> list[list[str]]:
    """Return groups of names in natural order, each as full as possible."""
    groups: list[list[str]] = []
    free = 0
    for name in sorted(draft.tensors, key=natural_key):
        nbytes = draft.tensors[name].nbytes
        if not groups or nbytes > free:
            groups.append([])
            free = max_size
        groups[-1].append(name)
        free -= nbytes
    return groups


def _place(draft: PlanDraft, placed: dict[str, str], index: str | None, text: str) -> PlanStep:
    """Assign tensors to weight files; each gets the metadata of all former files.

    Without an `index`, also the text in the metadata of the former one. Where these have several
    values for a key, the first is kept and the step is unsafe.
    """
    every = [dict(metadata or ()) for metadata in draft.metadata.values()]
    former = draft.checkpoint.shard_index
    if former and index is None:  # one file has no index to keep them
        every.append({key: text for key, text in former.metadata if isinstance(text, str)})
    union: dict[str, str] = {}
    for metadata in every:
        union = metadata | union
    values = {key: {one[key] for one in every if key in one} for key in union}
    lost = [
        f"metadata {key}: {value(union[key])} is kept of {len(found)} values"
        for key, found in values.items()
        if len(found) > 1
    ]
    step = draft.step(text, draft.tensors, unsafe=bool(lost), details=lost)
    before = tuple(draft.metadata)
    draft.metadata = dict.fromkeys(placed.values(), tuple(union.items()) or None)
    draft.touch(*before, *draft.metadata)
    draft.tensors = {
        name: tensor._replace(shard=placed[name]) for name, tensor in draft.tensors.items()
    }
    draft.index = index
    return step


def renumber(draft: PlanDraft) -> None:
    """Remove weight files that have become empty, and renumber the others without a gap."""
    filled = {tensor.shard for tensor in draft.tensors.values()} | draft.intact
    left = [shard for shard in draft.metadata if shard in filled]
    if len(left) == len(draft.metadata):
        return
    family = shard_family(left[0])
    names = {shard: shard for shard in left}
    if family and len(left) == 1:
        names, draft.index = {left[0]: WEIGHTS}, None
    elif family:
        names = {
            shard: shard_name(family[0], number, len(left)) for number, shard in enumerate(left, 1)
        }
    draft.touch(*(name for pair in names.items() if pair[0] != pair[1] for name in pair))
    draft.metadata = {names[shard]: draft.metadata[shard] for shard in left}
    draft.tensors = {
        name: tensor._replace(shard=names[tensor.shard]) for name, tensor in draft.tensors.items()
    }


def drop_file(draft: PlanDraft, operation: DropFile, _lookup: Lookup) -> PlanStep | None:
    """Remove other files."""
    files = {path.rstrip("/"): path for path in (*draft.files, *draft.texts)}
    if not operation.if_any:
        check_matched(operation.select, files, "file")
    gone = sorted(files[path] for path in selected(operation.select, files))
    for path in gone:
        _forget(draft, path)
    text = f"drop {count(len(gone), 'file')}"
    return PlanStep(text, Safety.UNSAFE, details=tuple(gone)) if gone else None


def copy_file(draft: PlanDraft, operation: CopyFile, lookup: Lookup) -> PlanStep:
    """Copy a file into the checkpoint."""
    path = operation.path
    if leaves_folder(path) or "/" in path or path in ("", ".", WORK):
        raise RecipeInvalid(
            "not the name of a file in the checkpoint's folder",
            subject=path,
            hint="give a plain name such as README.md",
        )
    if path.endswith((".safetensors", INDEX_SUFFIX)):
        raise RecipeInvalid(
            "copy-file cannot add a weight file or an index",
            subject=path,
            hint="`take` takes tensors from another checkpoint",
        )
    replaced = _forget(draft, path)
    if path in DOCUMENTS:
        draft.texts[path] = lookup.text(operation.source)
    else:
        source = lookup.identity(operation.source)
        if source is None:
            raise RecipeInvalid(
                "broken link", subject=operation.source, hint="give the path of the file itself"
            )
        draft.files[path] = source.path
    return PlanStep(
        f"{'replace' if replaced else 'add'} {path} from {operation.source}",
        Safety.UNSAFE if replaced else Safety.SAFE,
    )


def _forget(draft: PlanDraft, path: str) -> bool:
    """Remove a file that is not a weight file from the draft; return whether there was one."""
    return any([draft.files.pop(path, None) is not None, draft.texts.pop(path, None) is not None])
