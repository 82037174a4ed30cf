"""The verbs that hash: manifest, check_manifest, check_remote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckpt_tools.api._paths import as_text
from ckpt_tools.families.components import parts
from ckpt_tools.manifest import build
from ckpt_tools.manifest import compare as comparison
from ckpt_tools.manifest.model import Hashed, Part
from ckpt_tools.progress import Progress, ignore
from ckpt_tools.storage import hub_api
from ckpt_tools.storage.hub_name import SCHEME, is_hub_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ckpt_tools.api._paths import AnyPath
    from ckpt_tools.checkpoint.model import Checkpoint
    from ckpt_tools.manifest.model import Check, Manifest, RemoteCheck


def manifest(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    *,
    sha256: bool = False,
    write: AnyPath | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Hashed:
    """Return the checkpoint at `where` with its manifest: digests of every tensor and every file.

    Reads every byte once; `threads` read, by default one for each core. `progress` is called with
    the bytes done since the last call, `expect` before with the total. With `sha256`, the SHA-256
    of every file too, which is its id on the Hub. The manifest is written to `write`, a new file or
    an older manifest, which is not part of the checkpoint even if it is inside. Raises a CkptError
    that names the file; then nothing was written.
    """
    where, write = as_text(where), as_text(write)
    if write is not None:
        build.refuse_unwritable(write)  # before minutes are spent on hashing
    checkpoint, found = build.manifest_of(
        where,
        sha256=sha256,
        without=write or "",
        threads=threads,
        progress=Progress(progress, expect),
    )
    if write is not None:
        build.write_manifest(found, write)
    return _hashed(checkpoint, found)


def check_manifest(  # noqa: PLR0913 - options by keyword
    where: AnyPath,
    against: AnyPath,
    *,
    sha256: bool = False,
    exact_files: bool = False,
    threads: int | None = None,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> Check:
    """Check the checkpoint at `where` against the manifest in the file `against`.

    Tensors may be in other files; with `exact_files` the weight files have to be identical, and
    with `sha256` their SHA-256 is compared too. `threads` read, by default one for each core.
    `progress` is called with the bytes done since the last call, `expect` before with the total.
    Raises ManifestInvalid, or a CkptError that names the file.
    """
    where, against = as_text(where), as_text(against)
    expected = build.read_manifest(against)
    checkpoint, found = build.manifest_of(
        where, sha256=sha256, without=against, threads=threads, progress=Progress(progress, expect)
    )
    return comparison.check(_hashed(checkpoint, found), expected, against, exact_files=exact_files)


def check_remote(
    where: AnyPath,
    repository: str,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] = ignore,
    expect: Callable[[int], None] = ignore,
) -> RemoteCheck:
    """Compare the files at `where` with those of `repository` on the Hub, by checksum.

    `repository` is owner/name or owner/name@revision. Nothing is downloaded: the Hub lists the
    SHA-256 of files stored with LFS, and git's id of others. `threads` read, by default one for
    each core. `progress` is called with the bytes done since the last call, `expect` before with
    the total. Raises a CkptError that names the file or the repository.
    """
    where = as_text(where)
    name = repository if is_hub_name(repository) else f"{SCHEME}{repository}"
    remote = hub_api.repository(name, complete=True)
    hub_api.refuse_empty(remote)
    local = build.sums_like(
        where, remote.below, threads=threads, progress=Progress(progress, expect)
    )
    return comparison.check_remote(where, local, remote)


def _hashed(checkpoint: Checkpoint, found: Manifest) -> Hashed:
    digests = {tensor.name: tensor for tensor in found.tensors}
    return Hashed(
        where=checkpoint.where,
        root=checkpoint.root,
        manifest=found,
        parts=tuple(
            Part(
                title,
                len(members),
                sum(tensor.nbytes for tensor in members),
                build.content_of(digests[tensor.name] for tensor in members),
            )
            for title, members in parts(checkpoint)
        ),
        nbytes=sum(tensor.nbytes for tensor in checkpoint.tensors),
        shards=tuple((tensor.name, tensor.shard) for tensor in checkpoint.tensors),
    )
