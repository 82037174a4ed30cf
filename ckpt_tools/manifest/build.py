"""Building manifests from the files of a checkpoint, and manifest files on disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from blake3 import blake3

from ckpt_tools.checkpoint.locate import locate
from ckpt_tools.checkpoint.read import read, tensor_file
from ckpt_tools.errors import (
    ChangedDuringRead,
    FormatError,
    IndexInvalid,
    ManifestInvalid,
    NotAFile,
    located,
)
from ckpt_tools.manifest import format as codec
from ckpt_tools.manifest.digests import DigestRequest, digest_files
from ckpt_tools.manifest.model import FileDigest, LocalSums, Manifest, TensorDigest
from ckpt_tools.progress import SILENT, Progress
from ckpt_tools.storage.address import is_address
from ckpt_tools.storage.durable import ensure_writable, refuse_overwriting, replace_text
from ckpt_tools.storage.files import list_folder, read_whole, remote_not_supported
from ckpt_tools.storage.hub_name import RemoteFile, is_hub_name
from ckpt_tools.storage.identity import identity_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ckpt_tools.checkpoint.model import Checkpoint, TensorFile
    from ckpt_tools.manifest.digests import Digests
    from ckpt_tools.storage.identity import FileIdentity

LIMIT = 256 << 20
"""A manifest of 100,000 tensors has 20 MB."""

_IGNORED = ("/.git/", "/.cache/huggingface/")
"""Folders that download tools create beside a checkpoint; `hf upload` leaves them out too."""


def content_of(tensors: Iterable[TensorDigest]) -> str:
    """Return the content digest of tensors, whatever their order."""
    return blake3(codec.content_bytes(tensors)).hexdigest()


# --- building -------------------------------------------------------------------------------------


def manifest_of(
    where: str,
    *,
    sha256: bool = False,
    without: str = "",
    threads: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Checkpoint, Manifest]:
    """Return the checkpoint at `where` and its manifest. Every byte of its files is read, once.

    With `sha256`, the SHA-256 of every file too. The file `without`, a manifest inside the folder,
    is left out. Raises a CkptError that names the file: ChangedDuringRead if it was written to
    meanwhile.
    """
    identities = _identities(where, without)
    checkpoint = _read(where)
    weights = _weights(checkpoint, identities)
    requests = {
        path: _request(
            os.path.join(checkpoint.root, path), identity, weights.get(path), sha256=sha256
        )
        for path, identity in sorted(identities.items())
    }
    found = dict(
        zip(
            requests,
            digest_files(requests.values(), threads=threads, progress=progress),
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
        for path, one in requests.items()
    )
    return checkpoint, Manifest(
        _name_of(where), content_of(tensors), os.path.isdir(where), tensors, files
    )


def sums_like(
    where: str,
    files: Iterable[RemoteFile],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> LocalSums:
    """Return the files of the checkpoint at `where` with their checksums.

    Each with the kind of checksum that the one of `files` with its path and size has. Raises as
    `manifest_of`.
    """
    known = {(file.path, file.size): file for file in files}
    identities = _identities(where, "")
    checkpoint = _read(where)
    _weights(checkpoint, identities)
    requests = {}
    for path, identity in sorted(identities.items()):
        like = known.get((path, identity.size), RemoteFile(path, identity.size))
        requests[path] = DigestRequest(
            os.path.join(checkpoint.root, path),
            identity,
            sha256=bool(like.sha256),
            git=bool(like.blob_id and not like.sha256),
        )
    found = zip(
        requests.items(),
        digest_files(requests.values(), threads=threads, progress=progress),
        strict=True,
    )
    sums = tuple(
        RemoteFile(path, one.identity.size, digests.sha256, digests.git_id)
        for (path, one), digests in found
    )
    return LocalSums(checkpoint.root, os.path.isdir(where), sums)


def _identities(where: str, without: str) -> dict[str, FileIdentity]:
    """Return the identities, before anything is read, of the files to hash.

    All of a folder, or the one that was named.
    """
    if is_hub_name(where) or is_address(where):
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
    """Yield every file in the folder `root` and below.

    Raises NotAFile for a link to a folder, Unreadable for a folder that cannot be listed.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for name in list_folder(os.path.join(root, below)):
            path = f"{below}{name}"
            full = os.path.join(root, path).removesuffix("/")
            _refuse_undecodable(full)
            if not path.endswith("/"):
                yield path
            elif os.path.islink(full):
                raise NotAFile(
                    "a symbolic link to a folder",
                    path=full,
                    hint="replace the link by the folder itself, or remove it",
                )
            elif not f"/{path}".endswith(_IGNORED):
                waiting.append(path)


def _refuse_undecodable(path: str) -> None:
    """Refuse a name that is not Unicode: JSON cannot represent it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise NotAFile("the file name is not UTF-8", path=path, hint="rename it") from None


def _read(where: str) -> Checkpoint:
    """Return the checkpoint; one whose configs are invalid, without them.

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
    """Return the weight files by path, and add those outside the folder to `identities`."""
    weights = {os.path.normpath(file.path): file for file in checkpoint.weights}
    for path in weights.keys() - identities.keys():
        full = os.path.join(checkpoint.root, path)
        identities[path] = identity_at(full)
        if tensor_file(checkpoint.root, weights[path].path) != weights[path]:
            raise ChangedDuringRead("changed while it was read", path=full)
    return weights


def _request(
    full: str, identity: FileIdentity, file: TensorFile | None, *, sha256: bool
) -> DigestRequest:
    start = file.payload_start if file else identity.size
    tensors = ((start + one.start, one.nbytes) for one in (file.tensors if file else ()))
    return DigestRequest(full, identity, ((0, start), *tensors), sha256=sha256)


def _entries(file: TensorFile, digests: Digests) -> Iterator[TensorDigest]:
    for tensor, digest in zip(file.tensors, digests.ranges[1:], strict=True):
        yield TensorDigest(tensor.name, tensor.dtype, tensor.shape, digest.hex())


def _name_of(where: str) -> str:
    """Return the last part of a checkpoint's path: the rest is specific to this machine."""
    return os.path.basename(os.path.abspath(where)).encode("utf-8", "replace").decode()


# --- files ----------------------------------------------------------------------------------------


def read_manifest(path: str) -> Manifest:
    """Read the manifest at `path`.

    Raises ManifestInvalid, also if its content digest does not match its tensors, or as reading
    does.
    """
    data = read_whole(path, LIMIT, "a manifest")
    with located(path):
        found = codec.parse(data)
        if content_of(found.tensors) != found.content:
            raise ManifestInvalid(
                "does not match the listed tensors: the file was edited or damaged",
                subject="/content",
            )
    return found


def refuse_unwritable(path: str) -> None:
    """Raise what writing a manifest to `path` would raise: only an older one is replaced."""
    refuse_overwriting(path, "manifest", read_manifest, ManifestInvalid)
    ensure_writable(path)


def write_manifest(manifest: Manifest, path: str) -> None:
    """Write a manifest to `path`, a new file or an older manifest, atomically.

    Raises WriteFailed.
    """
    refuse_unwritable(path)
    replace_text(path, codec.text(manifest))
