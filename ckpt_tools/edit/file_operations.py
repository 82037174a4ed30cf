"""Operations on files: config values, metadata, shards, other files.

Each changes a draft and tells what it did, None for nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.documents import DOCUMENTS
from ckpt_tools.checkpoint.names import Selection, natural_key
from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX, shard_family
from ckpt_tools.edit.model import Safety, Step
from ckpt_tools.errors import RecipeInvalid
from ckpt_tools.storage.paths import leaves_folder
from ckpt_tools.strict_json import edit as strict_json_edit
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.edit.draft import Lookup, Metadata, PlanDraft
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

SINGLE_FILE = "model.safetensors"
INDEX_FILE = f"model{INDEX_SUFFIX}"
_WORK = ".ckpt-work"
_WIDTH = 60


def set_value(draft: PlanDraft, operation: SetValue, _lookup: Lookup) -> Step | None:
    """Set a value in a JSON file."""
    edit = lambda text: strict_json_edit.set_value(text, operation.pointer, operation.value)  # noqa: E731 - said twice it would be longer
    return _edit(
        draft, operation.path, edit, f"set {operation.pointer} to {_spelled(operation.value)}"
    )


def _spelled(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def unset_value(draft: PlanDraft, operation: UnsetValue, _lookup: Lookup) -> Step | None:
    """Remove a value from a JSON file."""
    return _edit(
        draft,
        operation.path,
        lambda text: strict_json_edit.unset_value(text, operation.pointer),
        f"remove {operation.pointer}",
    )


def rename_key(draft: PlanDraft, operation: RenameKey, _lookup: Lookup) -> Step | None:
    """Rename a key in a JSON file."""
    edit = lambda text: strict_json_edit.rename_key(text, operation.pointer, operation.to)  # noqa: E731 - said twice it would be longer
    return _edit(draft, operation.path, edit, f"rename {operation.pointer} to {operation.to}")


def _edit(draft: PlanDraft, path: str, edit: Callable[[str], str], what: str) -> Step | None:
    if path not in draft.texts:
        raise RecipeInvalid(
            "is no JSON file of the checkpoint that can be edited",
            subject=path,
            hint=f"it has {', '.join(sorted(draft.texts)) or 'none'}",
        )
    text = edit(draft.texts[path])
    if text == draft.texts[path]:
        return None
    draft.texts[path] = text
    return Step(f"{path}: {what}", Safety.SAFE)


def set_metadata(draft: PlanDraft, operation: SetMetadata, _lookup: Lookup) -> Step | None:
    """Set or remove a key of the weight files' metadata."""
    changed = False
    for shard, metadata in draft.metadata.items():
        found = _with(metadata, operation.key, operation.value)
        if found != metadata:
            draft.metadata[shard] = found
            draft.touch(shard)
            changed = True
    what = (
        f"set the metadata {operation.key} to {_spelled(operation.value)}"
        if operation.value is not None
        else f"remove the metadata {operation.key}"
    )
    return Step(what, Safety.SAFE) if changed else None


def _with(metadata: Metadata, key: str, wanted: str | None) -> Metadata:
    if wanted is None:
        left = tuple(pair for pair in metadata or () if pair[0] != key)
        return metadata if left == (metadata or ()) else left or None
    if any(name == key for name, _ in metadata or ()):
        return tuple((name, wanted if name == key else old) for name, old in metadata or ())
    return (*(metadata or ()), (key, wanted))


def merge(draft: PlanDraft, _operation: Merge, _lookup: Lookup) -> Step | None:
    """Put all weights into one file."""
    if draft.index is None and list(draft.metadata) == [SINGLE_FILE]:
        return None
    files = count(len(draft.metadata), "weight file")
    lost = _place(draft, dict.fromkeys(draft.tensors, SINGLE_FILE))
    draft.index = None
    text = f"put {files} into one, {SINGLE_FILE}"
    return Step(
        text,
        Safety.UNSAFE if lost else Safety.SAFE,
        len(draft.tensors),
        draft.nbytes(draft.tensors),
        lost,
    )


def reshard(draft: PlanDraft, operation: Reshard, _lookup: Lookup) -> Step | None:
    """Split the weights into files of at most so many bytes."""
    groups = _split(draft, operation.max_bytes)
    shards = (
        [SINGLE_FILE]
        if len(groups) == 1
        else [
            f"model-{number:05}-of-{len(groups):05}.safetensors"
            for number in range(1, len(groups) + 1)
        ]
    )
    placed = {name: shard for shard, group in zip(shards, groups, strict=True) for name in group}
    index = INDEX_FILE if len(groups) > 1 else None
    if index == draft.index and all(
        draft.tensors[name].shard == shard for name, shard in placed.items()
    ):
        return None
    lost = _place(draft, placed)
    draft.index = index
    text = f"split the weights into {len(groups)} of at most {operation.max_bytes:,} bytes"
    return Step(
        text,
        Safety.UNSAFE if lost else Safety.SAFE,
        len(draft.tensors),
        draft.nbytes(draft.tensors),
        lost,
    )


def _split(draft: PlanDraft, max_bytes: int) -> list[list[str]]:
    """Return groups of names in natural order, each as full as it gets."""
    groups: list[list[str]] = []
    room = 0
    for name in sorted(draft.tensors, key=natural_key):
        held = draft.tensors[name]
        nbytes = held.nbytes
        if not groups or nbytes > room:
            groups.append([])
            room = max_bytes
        groups[-1].append(name)
        room -= nbytes
    return groups


def _place(draft: PlanDraft, placed: dict[str, str]) -> tuple[str, ...]:
    """Assign tensors to weight files; every file gets the metadata of all that there were.

    Return what of it is lost: a key has one value.
    """
    union: dict[str, str] = {}
    values: dict[str, set[str]] = {}
    for metadata in draft.metadata.values():
        for key, one in metadata or ():
            values.setdefault(key, set()).add(one)
    for metadata in draft.metadata.values():
        union = {**dict(metadata or ()), **union}
    before = set(draft.metadata)
    draft.metadata = dict.fromkeys(dict.fromkeys(placed.values()), tuple(union.items()) or None)
    draft.touch(*before, *draft.metadata)
    draft.tensors = {
        name: held._replace(shard=placed[name]) for name, held in draft.tensors.items()
    }
    return tuple(
        f"metadata {key}: {_spelled(union[key])} is kept of {len(found)} values"
        for key, found in values.items()
        if len(found) > 1
    )


def renumber(draft: PlanDraft) -> None:
    """Leave out weight files that operations have emptied, and close the gaps in the names of the others, which say how many there are."""
    filled = {held.shard for held in draft.tensors.values()} | draft.intact
    left = [shard for shard in draft.metadata if shard in filled]
    if len(left) == len(draft.metadata):
        return
    family = shard_family(left[0])
    names = {shard: shard for shard in left}
    if family and len(left) == 1:
        names, draft.index = {left[0]: SINGLE_FILE}, None
    elif family:
        names = {
            shard: f"{family[0]}-{number:05}-of-{len(left):05}.safetensors"
            for number, shard in enumerate(left, 1)
        }
    draft.touch(*(name for pair in names.items() if pair[0] != pair[1] for name in pair))
    draft.metadata = {names[shard]: draft.metadata[shard] for shard in left}
    draft.tensors = {
        name: held._replace(shard=names[held.shard]) for name, held in draft.tensors.items()
    }


def drop_file(draft: PlanDraft, operation: DropFile, _lookup: Lookup) -> Step | None:
    """Leave out other files."""
    selection = Selection(operation.select)
    gone = sorted(path for path in (*draft.files, *draft.texts) if path.rstrip("/") in selection)
    for path in gone:
        draft.files.pop(path, None)
        draft.texts.pop(path, None)
    return (
        Step(f"drop {count(len(gone), 'file')}", Safety.UNSAFE, details=tuple(gone))
        if gone
        else None
    )


def copy_file(draft: PlanDraft, operation: CopyFile, lookup: Lookup) -> Step:
    """Put a file into the checkpoint."""
    path = operation.path
    if leaves_folder(path) or "/" in path or path in ("", ".", _WORK):
        raise RecipeInvalid(
            "does not name a file in the checkpoint's folder",
            subject=path,
            hint="a plain name such as README.md is expected",
        )
    if path.endswith((".safetensors", INDEX_SUFFIX)):
        raise RecipeInvalid(
            "would be a weight file or an index",
            subject=path,
            hint="`take` takes tensors from another checkpoint",
        )
    there = path in draft.files or path in draft.texts
    draft.files.pop(path, None)
    draft.texts.pop(path, None)
    if path in DOCUMENTS:
        draft.texts[path] = lookup.text(operation.source)
    else:
        source = lookup.identity(operation.source)
        if source is None:
            raise RecipeInvalid(
                "is a link that leads nowhere",
                subject=operation.source,
                hint="name the file itself",
            )
        draft.files[path] = source.path
    return Step(
        f"{'replace' if there else 'add'} {path} from {operation.source}",
        Safety.UNSAFE if there else Safety.SAFE,
    )
