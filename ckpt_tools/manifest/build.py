"""Manifests made from the files of a folder, and manifests on the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.locate import locate
from ckpt_tools.checkpoint.read import read, tensor_file
from ckpt_tools.errors import (
    ChangedDuringRead,
    FormatError,
    IndexInvalid,
    JsonInvalid,
    ManifestInvalid,
    NotAFile,
    Unreadable,
)
from ckpt_tools.manifest import format as codec
from ckpt_tools.manifest.digests import DigestRequest, blake3, digest_files
from ckpt_tools.manifest.model import FileDigest, LocalSums, Manifest, TensorDigest
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.storage.durable import put_text, there
from ckpt_tools.storage.files import read_whole, remote_not_supported
from ckpt_tools.storage.hub_name import RemoteFile, is_hub_name
from ckpt_tools.storage.identity import identity_at
from ckpt_tools.strict_json.parse import decode_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Checkpoint, Tensor, TensorFile
    from ckpt_tools.manifest.digests import Digests
    from ckpt_tools.storage.identity import FileIdentity

LIMIT = 256 << 20
"""A manifest of 100,000 tensors has 20 MB."""

IGNORED = (".git", ".cache/huggingface")
"""Folders that belong to who fetched the files, not to the checkpoint.

`hf upload` leaves them out too.
"""


def content_of(tensors: Iterable[TensorDigest]) -> str:
    """Return the content digest of tensors, whatever their order."""
    return blake3(codec.content_bytes(tensors)).hex()


# --- made -----------------------------------------------------------------------------------------


def manifest_of(
    where: str,
    *,
    sha256: bool = False,
    without: str = "",
    threads: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Checkpoint, Manifest]:
    """Return the checkpoint at `where` and its manifest. Every byte of its files is read, once.

    With `sha256`, the SHA-256 of every file too. The file `without`, a manifest that lies beside,
    is left out. Raises a CkptError that names the file: ChangedDuringRead where somebody wrote to
    one meanwhile.
    """
    identities = _identities(where, without)
    checkpoint = _read(where)
    weights = _weights(checkpoint, identities)
    wanted = {
        path: _wanted(
            os.path.join(checkpoint.root, path), identity, weights.get(path), sha256=sha256
        )
        for path, identity in sorted(identities.items())
    }
    found = dict(
        zip(
            wanted,
            digest_files(wanted.values(), threads=threads, progress=progress),
            strict=True,
        )
    )
    tensors = tuple(
        sorted(
            (entry for path, file in weights.items() for entry in _entries(file, found[path])),
            key=lambda entry: entry.name,
        )
    )
    files = tuple(
        FileDigest(
            path,
            one.identity.size,
            found[path].ranges[0].hex(),
            found[path].sha256,
            path in weights,
        )
        for path, one in wanted.items()
    )
    return checkpoint, Manifest(
        _called(where), content_of(tensors), os.path.isdir(where), tensors, files
    )


def sums_like(
    where: str,
    files: Iterable[RemoteFile],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> LocalSums:
    """Return the files of the checkpoint at `where`, each with the sum that is known of the one of `files` with its path and size. Raises as `manifest_of`."""
    known = {(file.path, file.size): file for file in files}
    identities = _identities(where, "")
    checkpoint = _read(where)
    _weights(checkpoint, identities)
    wanted = {}
    for path, identity in sorted(identities.items()):
        like = known.get((path, identity.size), RemoteFile(path, identity.size))
        wanted[path] = DigestRequest(
            os.path.join(checkpoint.root, path),
            identity,
            sha256=bool(like.sha256),
            git=bool(like.blob_id and not like.sha256),
        )
    found = zip(
        wanted.items(),
        digest_files(wanted.values(), threads=threads, progress=progress),
        strict=True,
    )
    sums = tuple(
        RemoteFile(path, one.identity.size, digests.sha256, digests.git_id)
        for (path, one), digests in found
    )
    return LocalSums(checkpoint.root, os.path.isdir(where), sums)


def _identities(where: str, without: str) -> dict[str, FileIdentity]:
    """Return the files to hash as they are before anything is read of them.

    All of a folder, or the one that was named.
    """
    if is_hub_name(where):
        raise remote_not_supported(where)
    location = locate(where)
    if is_hub_name(location.root):
        raise remote_not_supported(where)
    paths = (
        _files_below(location.root)
        if location.whole_folder
        else (*location.weights, *((location.index_file,) if location.index_file else ()))
    )
    full = {path: os.path.join(location.root, path) for path in paths}
    left_out = os.path.realpath(without) if without else ""
    return {
        path: identity_at(name)
        for path, name in full.items()
        if not left_out or os.path.realpath(name) != left_out
    }


def _files_below(root: str) -> Iterator[str]:
    """Yield every file of the folder `root` and below.

    Raises NotAFile for what is none, Unreadable for a folder that cannot be listed.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for name, is_folder, is_link in _inside(os.path.join(root, below)):
            path = f"{below}{name}"
            _refuse_unsayable(root, path)
            if is_folder and is_link:
                raise NotAFile(
                    "is a link to a folder, which may lead anywhere",
                    path=os.path.join(root, path),
                    hint="put the folder itself there, or remove the link",
                )
            if not is_folder:
                yield path
            elif not f"/{path}".endswith(tuple(f"/{ignored}" for ignored in IGNORED)):
                waiting.append(f"{path}/")


def _inside(folder: str) -> list[tuple[str, bool, bool]]:
    try:
        with os.scandir(folder or ".") as entries:
            return [
                (entry.name, os.path.isdir(entry.path), entry.is_symlink()) for entry in entries
            ]
    except OSError as error:
        raise Unreadable(
            (error.strerror or str(error)).lower(),
            path=folder,
            hint="what cannot be listed cannot be hashed: ask for read access",
        ) from None


def _refuse_unsayable(root: str, path: str) -> None:
    """Refuse a name that is no Unicode: JSON has no way to spell it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise NotAFile(
            "has a name that is not UTF-8", path=os.path.join(root, path), hint="rename it"
        ) from None


def _read(where: str) -> Checkpoint:
    """Return the checkpoint; one with a config that is none without its configs.

    They are hashed, and need not be understood.
    """
    try:
        return read(where)
    except IndexInvalid:
        raise
    except FormatError:
        location = locate(where)
        named = location.index_file or (location.weights[0] if len(location.weights) == 1 else "")
        return read(os.path.join(location.root, named) if named else where)._replace(where=where)


def _weights(checkpoint: Checkpoint, identities: dict[str, FileIdentity]) -> dict[str, TensorFile]:
    """Return the weight files by path, those that only the index names marked too."""
    weights = {os.path.normpath(file.path): file for file in checkpoint.weights}
    for path in weights.keys() - identities.keys():
        full = os.path.join(checkpoint.root, path)
        identities[path] = identity_at(full)
        if tensor_file(checkpoint.root, weights[path].path) != weights[path]:
            raise ChangedDuringRead("changed while it was read", path=full)
    return weights


def _wanted(
    full: str, identity: FileIdentity, file: TensorFile | None, *, sha256: bool
) -> DigestRequest:
    start = file.payload_start if file else identity.size
    tensors = ((start + tensor.start, tensor.nbytes) for tensor in _in_order(file))
    return DigestRequest(full, identity, ((0, start), *tensors), sha256=sha256)


def _in_order(file: TensorFile | None) -> list[Tensor]:
    return sorted(file.tensors, key=lambda tensor: (tensor.start, tensor.end)) if file else []


def _entries(file: TensorFile, digests: Digests) -> Iterator[TensorDigest]:
    for tensor, digest in zip(_in_order(file), digests.ranges[1:], strict=True):
        yield TensorDigest(tensor.name, tensor.dtype, tensor.shape, digest.hex())


def _called(where: str) -> str:
    """Return the last part of where a checkpoint is: the rest is of the machine."""
    return os.path.basename(os.path.abspath(where)).encode("utf-8", "replace").decode()


# --- on the disk ----------------------------------------------------------------------------------


def read_manifest(path: str) -> Manifest:
    """Return what the manifest at `path` says.

    Raises ManifestInvalid, also where its content digest does not follow from its tensors, or as
    reading does.
    """
    data = read_whole(path, LIMIT, "a manifest")
    try:
        found = codec.parse(decode_utf8(data))
    except JsonInvalid as error:
        raise ManifestInvalid(error.what, subject=error.subject, path=path) from None
    except ManifestInvalid as error:
        raise error.at(path) from None
    if content_of(found.tensors) != found.content:
        raise ManifestInvalid(
            "is not the digest of the tensors that are listed: the file was edited or damaged",
            subject="/content",
            path=path,
        )
    return found


def refuse_other(path: str) -> None:
    """Raise ManifestInvalid if there is something at `path` that is no manifest.

    Only a manifest is written over.
    """
    if not there(path):
        return
    try:
        read_manifest(path)
    except ManifestInvalid as error:
        error.what = f"is there already, and no manifest: {error.what}"
        error.next = "name another file, or move the old one away"
        raise


def write_manifest(manifest: Manifest, path: str) -> None:
    """Write a manifest to `path`, a new file or an older manifest.

    After a crash there is the old one, the new one, or none. Raises WriteFailed.
    """
    refuse_other(path)
    put_text(path, codec.text(manifest))
