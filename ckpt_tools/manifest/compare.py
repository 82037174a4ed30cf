"""Differences between a checkpoint and a manifest, and between local files and a repository.

Pure: everything has been read and hashed before.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.shard_index import INDEX_SUFFIX
from ckpt_tools.manifest.model import Check, Difference, RemoteCheck
from ckpt_tools.storage.hub_name import HUB_ADDED_FILES
from ckpt_tools.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.manifest.model import FileDigest, Hashed, LocalSums, Manifest, TensorDigest
    from ckpt_tools.storage.hub_name import RemoteFile, Repository

_AGAIN = "download or copy it again; if the change is intended, write the manifest again"
_HUB = "download it from the Hub again, or upload yours: `ckpt upload`"
_NEXT = {
    "missing": "download or save the checkpoint again",
    "extra": "remove it with `ckpt strip`, or write the manifest again",
    "renamed": "restore the name with `ckpt rename`, or write the manifest again",
    "dtype": "use the original; if the cast is intended, write the manifest again",
    "shape": "this tensor is of a different model: check that both names are right",
    "values": _AGAIN,
    "file": _AGAIN,
    "file missing": "download it again; if it is no longer needed, write the manifest again",
    "file extra": "remove it, or write the manifest again",
    "layout": "the tensors are the same; for identical files, copy them unchanged",
    "size": _HUB,
    "content": _HUB,
    "unknown": "let the Hub be contacted: unset HF_HUB_OFFLINE",
    "sha256": "the manifest was edited: write it again",
}


def check(hashed: Hashed, expected: Manifest, against: str, *, exact_files: bool = False) -> Check:
    """Compare a checkpoint with the manifest `expected`, read from the file `against`.

    Tensors are compared by name, whatever file they are in. A different layout in files is a
    remark, and a difference with `exact_files`.
    """
    here = hashed.manifest
    tensors = tuple(_tensors(expected.tensors, here.tensors, dict(hashed.shards)))
    layout = tuple(_files(expected, here, layout=True))
    whole = expected.whole and here.whole
    # Missing or renamed tensors change the layout too: then it is no news.
    same_layout_expected = all(difference.kind == "values" for difference in tensors)
    return Check(
        where=hashed.where,
        root=hashed.root,
        against=against,
        content=(expected.content, here.content),
        tensors=len(here.tensors),
        files=len(_by_path(here, layout=False)) if whole else 0,
        differences=(
            *tensors,
            *(_files(expected, here, layout=False) if whole else ()),
            *_sums(expected, here, same_tensors=not tensors),
            *(layout if exact_files else ()),
        ),
        remarks=layout if same_layout_expected and not exact_files else (),
        unchecked=tuple(_unchecked(expected, here)),
    )


def check_remote(where: str, local: LocalSums, remote: Repository) -> RemoteCheck:
    """Compare local files with those of a repository, or of the part of it that was named.

    Files that the Hub adds to every repository need not exist locally.
    """
    here, there = (
        {file.path: file for file in local.files},
        {file.path: file for file in remote.below},
    )
    differences = {
        path: _other(here[path], there[path]) for path in sorted(here.keys() & there.keys())
    }
    return RemoteCheck(
        where=where,
        root=local.root,
        repository=remote.name,
        commit=remote.commit,
        alike=tuple(path for path, found in differences.items() if found is None),
        different=tuple(found for found in differences.values() if found),
        only_here=tuple(sorted(here.keys() - there.keys())),
        only_there=tuple(sorted(there.keys() - here.keys() - {HUB_ADDED_FILES}))
        if local.whole
        else (),
        folder=remote.path,
    )


def _other(here: RemoteFile, there: RemoteFile) -> Difference | None:
    """Return the difference between two files of one name, None if they are the same."""
    kind, what = "content", "different content, same size"
    if here.size != there.size:
        kind, what = "size", f"{here.size:,} bytes here, {there.size:,} on the Hub"
    elif not there.content:
        kind, what = "unknown", "same size, unknown checksum"
    elif here.content == there.content:
        return None
    return _difference(kind, here.path, what, here.path)


def _difference(kind: str, subject: str, what: str, path: str = "") -> Difference:
    return Difference(kind, subject, path, what, _NEXT[kind])


def _tensors(
    expected: Iterable[TensorDigest], found: Iterable[TensorDigest], shards: dict[str, str]
) -> Iterator[Difference]:
    there, here = ({tensor.name: tensor for tensor in side} for side in (expected, found))
    renamed = _renamed(
        [there[name] for name in there.keys() - here.keys()],
        [here[name] for name in here.keys() - there.keys()],
    )
    new_names = set(renamed.values())
    for name, old in there.items():
        new = here.get(renamed.get(name, name))
        if new is None:
            yield _difference("missing", name, "missing")
        elif name in renamed:
            yield _difference("renamed", name, f"renamed to {new.name}", shards[new.name])
        elif old != new:
            yield _changed(old, new, shards[name])
    yield from (
        _difference("extra", name, "not in the manifest", shards[name])
        for name in here
        if name not in there and name not in new_names
    )


def _renamed(gone: Iterable[TensorDigest], come: Iterable[TensorDigest]) -> dict[str, str]:
    """Return the new names, by the old, of tensors that are the same except for their name.

    Several that are equal are paired in the order of their names.
    """
    candidates: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for tensor in sorted(come, key=lambda tensor: tensor.name, reverse=True):
        candidates[tensor[1:]].append(tensor.name)
    alike = (
        (tensor.name, candidates.get(tensor[1:]))
        for tensor in sorted(gone, key=lambda tensor: tensor.name)
    )
    return {name: names.pop() for name, names in alike if names}


def _changed(old: TensorDigest, new: TensorDigest, path: str) -> Difference:
    if old.dtype != new.dtype:
        return _difference(
            "dtype", old.name, f"{new.dtype} here, {old.dtype} in the manifest", path
        )
    if old.shape != new.shape:
        return _difference(
            "shape",
            old.name,
            f"shape {list(new.shape)} here, {list(old.shape)} in the manifest",
            path,
        )
    return _difference("values", old.name, "different values", path)


def _files(expected: Manifest, found: Manifest, *, layout: bool) -> Iterator[Difference]:
    """Yield the differences in `layout`, weight files and indexes, or in all other files.

    Of weight files only the headers count: metadata, order, which tensors they hold.
    """
    there, here = (_by_path(side, layout=layout) for side in (expected, found))
    missing, changed, extra = ("layout",) * 3 if layout else ("file missing", "file", "file extra")
    for path, old in there.items():
        new = here.get(path)
        if new is None:
            yield _difference(missing, path, "missing")
        elif (old.size, old.blake3, old.weights) != (new.size, new.blake3, new.weights):
            what = "different content"
            if old.weights and new.weights:
                what = "different header: metadata, order or tensors"
            elif old.size != new.size:
                what = f"different content: {new.size:,} bytes here, {old.size:,} in the manifest"
            yield _difference(changed, path, what, path)
    yield from (
        _difference(extra, path, "not in the manifest", path) for path in here if path not in there
    )


def _sums(expected: Manifest, found: Manifest, *, same_tensors: bool) -> Iterator[Difference]:
    """Yield the files whose SHA-256 in the manifest is wrong, though their bytes are the same."""
    there = {file.path: file for file in expected.files}
    for new in found.files:
        old = there.get(new.path)
        known = (
            old
            and (old.size, old.blake3, old.weights) == (new.size, new.blake3, new.weights)
            and (same_tensors or not new.weights)
        )
        if old and known and old.sha256 and new.sha256 and old.sha256 != new.sha256:
            yield _difference(
                "sha256",
                new.path,
                f"the manifest has a different SHA-256 than the same bytes have, {new.sha256}",
                new.path,
            )


def _unchecked(expected: Manifest, found: Manifest) -> Iterator[str]:
    others = len(_by_path(expected if expected.whole else found, layout=False))
    unchecked = count(others, "other file")
    if expected.whole and not found.whole:
        yield f"{unchecked} in the manifest: only a single file was named"
    elif found.whole and not expected.whole:
        yield f"{unchecked} here: the manifest describes a single file"
    if any(file.sha256 for file in expected.files) and not any(file.sha256 for file in found.files):
        yield "the SHA-256 in the manifest (use --sha256)"


def _by_path(side: Manifest, *, layout: bool) -> dict[str, FileDigest]:
    """Return the weight files and indexes, or all others."""
    return {
        file.path: file
        for file in side.files
        if (file.weights or file.path.endswith(INDEX_SUFFIX)) is layout
    }
