"""Reads files of unknown formats whose sizes agree, so that a diff compares their contents."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from ckpt_tools.diff.compare import compared_by_content
from ckpt_tools.errors import CkptError
from ckpt_tools.storage.digests import sums_of, sums_of_file
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.hub_name import is_hub_name
from ckpt_tools.storage.session import is_remote, remote_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ckpt_tools.checkpoint.model import Checkpoint, OtherFile, TensorFile

LIMIT = 1 << 26
"""Bytes up to which a file is read: a tokenizer, and not the state of an optimizer."""


def with_contents(
    a: Checkpoint, b: Checkpoint, *, limit: int | None = LIMIT
) -> tuple[Checkpoint, Checkpoint]:
    """Return both with the sums of files that only their contents tell apart.

    Files on the Hub, which knows their sums, and those above `limit` bytes stay as they are; those
    of a bucket are fetched.
    """
    wanted = {
        path
        for path, file, other in compared_by_content(a, b)
        if file.undecided(other) and (limit is None or file.size <= limit)
    }
    return _summed(a, wanted), _summed(b, wanted)


def _summed(checkpoint: Checkpoint, wanted: set[str]) -> Checkpoint:
    if not wanted or is_hub_name(checkpoint.root):
        return checkpoint

    def summed[File: (OtherFile, TensorFile)](files: Sequence[File]) -> tuple[File, ...]:
        return tuple(
            _with_sums(checkpoint.root, file) if file.path in wanted else file for file in files
        )

    return checkpoint._replace(
        weights=summed(checkpoint.weights),
        states=summed(checkpoint.states),
        others=summed(checkpoint.others),
    )


def _with_sums[File: (OtherFile, TensorFile)](root: str, file: File) -> File:
    path = os.path.join(root, file.path)
    if is_remote(root):
        with suppress(CkptError):
            sha256, git_id = sums_of(remote_storage(root).read(path, LIMIT))
            return file._replace(sha256=sha256, git_id=git_id)
        return file
    with suppress(CkptError), open_regular(path) as (descriptor, size):
        sums = sums_of_file(descriptor, size, path)
        return file._replace(size=size, sha256=sums.sha256, git_id=sums.git_id)
    return file
