"""What a checkpoint holds, written down as digests.

And what holding another, or the Hub's files, against it tells. Digests are hexadecimal.

Two checkpoints with the same `content` have the same tensors, bit for bit, under the same names,
however they lie in files.
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

    `blake3` is of all its bytes; of a weight file, of its header, and the digests of its tensors
    say the rest.

    `sha256` is of all its bytes, "" where it was not asked for.
    """

    path: str
    size: int
    blake3: str
    sha256: str = ""
    weights: bool = False


class Manifest(NamedTuple):
    """Tensors sorted by name, files by path. `content` is the digest of the tensors.

    `whole` is false where a single file was named, and nothing beside it was read. `written_from`
    is what the checkpoint was called, for people to read: nothing is held against it.
    """

    written_from: str
    content: str
    whole: bool
    tensors: tuple[TensorDigest, ...]
    files: tuple[FileDigest, ...]


class Part(NamedTuple):
    """Some tensors of a checkpoint, with the content digest that they would have alone."""

    title: str
    tensors: int
    nbytes: int
    digest: str


class Hashed(NamedTuple):
    """A checkpoint with its manifest. `shards` are (tensor, file that it lies in)."""

    where: str
    root: str
    manifest: Manifest
    parts: tuple[Part, ...]
    nbytes: int
    shards: tuple[tuple[str, str], ...]


class Difference(NamedTuple):
    """Something that is not what the manifest says.

    `kind` groups what is alike; `subject` is a tensor or a file, `path` the file that it lies in
    here.

    `what` says it in words, `next` what to do about it.
    """

    kind: str
    subject: str
    path: str
    what: str
    next: str


class Check(NamedTuple):
    """A checkpoint held against the manifest in the file `against`.

    `content` are both content digests, the manifest's first.

    `files` counts those that were compared, weight files and indexes left out. `remarks` are
    differences in how the same tensors lie in files, `unchecked` what was not compared and why, a
    sentence each.
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
        """Whether the checkpoint is what the manifest says."""
        return not self.differences


class LocalSums(NamedTuple):
    """The files of a checkpoint with the sums that a repository tells of those of the same name and size, and no others. `whole` is as in a manifest."""

    root: str
    whole: bool
    files: tuple[RemoteFile, ...]


class RemoteCheck(NamedTuple):
    """The files of a checkpoint held against a repository on the Hub at one commit.

    Those `different` are on both sides.
    """

    where: str
    root: str
    repository: str
    commit: str
    alike: tuple[str, ...]
    different: tuple[Difference, ...]
    only_here: tuple[str, ...]
    only_there: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether both have the same files."""
        return not (self.different or self.only_here or self.only_there)
