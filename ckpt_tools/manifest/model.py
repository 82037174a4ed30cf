"""Manifests, and the results of checking a checkpoint against one or against the Hub.

Digests are hexadecimal. Two checkpoints with the same `content` have the same tensors, bit for bit,
under the same names, in whatever files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.dtype import Dtype
    from ckpt_tools.storage.hub_name import RemoteFile


class TensorDigest(NamedTuple):
    """A tensor with the BLAKE3 of its payload bytes."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    blake3: str


class FileDigest(NamedTuple):
    """A file with its size.

    `blake3` is of all its bytes, of a weight file of its header only: its tensors have their own.
    `sha256` is of all its bytes, "" if it was not requested.
    """

    path: str
    size: int
    blake3: str
    sha256: str = ""
    weights: bool = False


class Manifest(NamedTuple):
    """Tensors sorted by name, files by path. `content` is the digest of the tensors.

    `whole` is false if a single file was named and no others were read. `written_from` is the name
    of the checkpoint, for people: it is never compared.
    """

    written_from: str
    content: str
    whole: bool
    tensors: tuple[TensorDigest, ...]
    files: tuple[FileDigest, ...]


class Part(NamedTuple):
    """Some tensors of a checkpoint, with the content digest of them alone."""

    title: str
    tensors: int
    nbytes: int
    digest: str


class Hashed(NamedTuple):
    """A checkpoint with its manifest. `shards` are (tensor, file that it is in)."""

    where: str
    root: str
    manifest: Manifest
    parts: tuple[Part, ...]
    nbytes: int
    shards: tuple[tuple[str, str], ...]


class Difference(NamedTuple):
    """A difference from the manifest, or from the repository.

    `kind` groups similar ones; `subject` is a tensor or a file, `path` the local file that it is
    in. `what` describes it, `next` is the suggested next step.
    """

    kind: str
    subject: str
    path: str
    what: str
    next: str


class Check(NamedTuple):
    """The result of checking a checkpoint against the manifest in the file `against`.

    `content` are both content digests, the manifest's first. `files` counts the compared files
    except weight files and indexes. `remarks` are differences in the files that the same tensors
    are in, `unchecked` what was not compared and why, a sentence each.
    """

    where: str
    root: str
    against: str
    content: tuple[str, str]
    tensors: int
    files: int
    differences: tuple[Difference, ...]
    remarks: tuple[Difference, ...]
    unchecked: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the checkpoint matches the manifest."""
        return not self.differences


class LocalSums(NamedTuple):
    """The files of a checkpoint with the checksums that a repository has of them.

    Of files of the same name and size, and no others. `whole` is as in a manifest.
    """

    root: str
    whole: bool
    files: tuple[RemoteFile, ...]


class RemoteCheck(NamedTuple):
    """The result of comparing files with a repository on the Hub at one commit.

    Those `different` are on both sides. `folder` is the part of the repository that was compared,
    "" for all of it.
    """

    where: str
    root: str
    repository: str
    commit: str
    alike: tuple[str, ...]
    different: tuple[Difference, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]
    folder: str = ""

    @property
    def same(self) -> bool:
        """Whether both have the same files."""
        return not (self.different or self.only_here or self.only_there)
