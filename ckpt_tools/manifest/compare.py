"""A checkpoint's manifest held against one that was written before.

A folder's files against a repository's. Pure: all has been read and hashed before.
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

_AGAIN = "fetch or copy it again; if the change is meant, write the manifest again"
_HUB = "fetch it from the Hub again, or upload yours: `ckpt upload`"
_NEXT = {
    "missing": "fetch or save the checkpoint again",
    "extra": "`ckpt strip` drops it; if it belongs there, write the manifest again",
    "renamed": "`ckpt rename` gives it the old name; if the new one is meant, write the manifest again",
    "dtype": "it was cast or saved otherwise: take the original; if the change is meant, write the manifest again",
    "shape": "it is of another model: check that you have named the right two",
    "values": _AGAIN,
    "file": _AGAIN,
    "file missing": "fetch it again; if it is not wanted any more, write the manifest again",
    "file extra": "remove it; if it belongs there, write the manifest again",
    "layout": "the tensors are the same; to have the very files, copy them as they are",
    "size": _HUB,
    "content": _HUB,
    "unknown": "ask the Hub itself: unset HF_HUB_OFFLINE",
    "sha256": "the manifest was edited: write it again",
}


def check(hashed: Hashed, expected: Manifest, against: str, *, exact_files: bool = False) -> Check:
    """Return in what the checkpoint differs from the manifest `expected`, read from the file `against`.

    Tensors are compared by name, whatever file they lie in. How they lie in files is a remark, and
    a difference with `exact_files`.
    """
    here = hashed.manifest
    tensors = tuple(_tensors(expected.tensors, here.tensors, dict(hashed.shards)))
    layout = tuple(_layout(expected, here))
    files = tuple(_files(expected, here)) if expected.whole and here.whole else ()
    # Other tensors lie in files otherwise; that goes without saying.
    telling = all(difference.kind == "values" for difference in tensors)
    return Check(
        where=hashed.where,
        root=hashed.root,
        against=against,
        content=(expected.content, here.content),
        tensors=len(here.tensors),
        files=len(_by_path(here, layout=False)) if expected.whole and here.whole else 0,
        differences=(
            *tensors,
            *files,
            *_sums(expected, here, same_tensors=not tensors),
            *(layout if exact_files else ()),
        ),
        remarks=layout if telling and not exact_files else (),
        unchecked=tuple(_unchecked(expected, here)),
    )


def check_remote(where: str, local: LocalSums, remote: Repository) -> RemoteCheck:
    """Return in what local files differ from those of a repository, or of the part of it that was named.

    What the Hub itself adds to every repository is not missed here.
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
    )


def _other(here: RemoteFile, there: RemoteFile) -> Difference | None:
    """Return how two files of one name differ, None if they do not."""
    if here.size != there.size:
        return _difference(
            "size", here.path, f"{here.size:,} bytes here, {there.size:,} on the Hub", here.path
        )
    if not there.content:
        return _difference(
            "unknown", here.path, "of the same size, and its sum is not known", here.path
        )
    if here.content != there.content:
        return _difference("content", here.path, "other content of the same size", here.path)
    return None


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
            yield _difference("missing", name, "missing here")
        elif name in renamed:
            yield _difference("renamed", name, f"called {new.name} here", shards[new.name])
        elif old != new:
            yield _changed(old, new, shards[name])
    yield from (
        _difference("extra", name, "not in the manifest", shards[name])
        for name in here
        if name not in there and name not in new_names
    )


def _renamed(gone: Iterable[TensorDigest], come: Iterable[TensorDigest]) -> dict[str, str]:
    """Return the new names, by the old, of tensors that are the same but for their name.

    Of several that are alike, in the order of their names.
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
    return _difference("values", old.name, "other values", path)


def _layout(expected: Manifest, found: Manifest) -> Iterator[Difference]:
    """Yield how the tensors lie in files otherwise.

    In others, or in the same under another header (metadata, order).
    """
    there, here = (_by_path(side, layout=True) for side in (expected, found))
    for path, old in there.items():
        new = here.get(path)
        if new is None:
            yield _difference("layout", path, "missing here")
        elif (old.size, old.blake3, old.weights) != (new.size, new.blake3, new.weights):
            what = (
                "another header: other metadata, order or tensors"
                if new.weights and old.weights
                else "other content"
            )
            yield _difference("layout", path, what, path)
    yield from (
        _difference("layout", path, "not in the manifest", path)
        for path in here
        if path not in there
    )


def _files(expected: Manifest, found: Manifest) -> Iterator[Difference]:
    """Yield the configs, processors and other files that are not the same."""
    there, here = (_by_path(side, layout=False) for side in (expected, found))
    for path, old in there.items():
        new = here.get(path)
        if new is None:
            yield _difference("file missing", path, "missing here")
        elif (old.size, old.blake3) != (new.size, new.blake3):
            size = (
                f": {new.size:,} bytes here, {old.size:,} in the manifest"
                if new.size != old.size
                else ""
            )
            yield _difference("file", path, f"other content{size}", path)
    yield from (
        _difference("file extra", path, "not in the manifest", path)
        for path in here
        if path not in there
    )


def _sums(expected: Manifest, found: Manifest, *, same_tensors: bool) -> Iterator[Difference]:
    """Yield the files with the very bytes that the manifest tells, of which it names another SHA-256."""
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
                f"the manifest names another SHA-256 than that of the bytes that it tells, {new.sha256}",
                new.path,
            )


def _unchecked(expected: Manifest, found: Manifest) -> Iterator[str]:
    others = len(_by_path(expected if expected.whole else found, layout=False))
    unchecked = count(others, "other file")
    if expected.whole and not found.whole:
        yield f"{unchecked} of the manifest: a single file was named, and nothing beside it is read"
    elif found.whole and not expected.whole:
        yield f"{unchecked} here: the manifest was written of a single file"
    if any(file.sha256 for file in expected.files) and not any(file.sha256 for file in found.files):
        yield "the SHA-256 that the manifest names: --sha256 compares them too"


def _by_path(side: Manifest, *, layout: bool) -> dict[str, FileDigest]:
    """Return the weight files and indexes, or all others."""
    return {
        file.path: file
        for file in side.files
        if (file.weights or file.path.endswith(INDEX_SUFFIX)) is layout
    }
