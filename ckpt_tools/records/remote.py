"""A repository on the Hugging Face Hub as its own list of files tells, and what reading from it took."""

from __future__ import annotations

from typing import NamedTuple

OF_THE_HUB = ".gitattributes"
"""The file that the Hub adds to every repository, and that nobody has beside a checkpoint."""


class HubName(NamedTuple):
    """What a person named: the repository `owner/name`, a branch, tag or commit ("" for the main branch), and a path inside ("" for all of it)."""

    repository: str
    revision: str = ""
    path: str = ""

    @property
    def shown(self) -> str:
        """The name in full."""
        return f"hf://{self.repository}{f'@{self.revision}' * bool(self.revision)}{f'/{self.path}' * bool(self.path)}"


class RemoteFile(NamedTuple):
    """A file by its path in the repository. `sha256` is that of its content, "" where it is not stored with LFS; `blob_id` is git's id ("" if unknown).

    With LFS git keeps a pointer, and `blob_id` is the pointer's. Without, it is that of the content.
    """

    path: str
    size: int
    sha256: str = ""
    blob_id: str = ""

    @property
    def content(self) -> str:
        """What names the content, whatever the file is called: a sha256, or git's id; "" if neither is known."""
        return self.sha256 or self.blob_id


class Repository(NamedTuple):
    """A model repository at one commit. `files` are all of it, sorted by path; `path` is what was named inside, a folder or a file, "" for all.

    `cached` is the folder of this commit in this machine's cache, where the files are from it because the Hub was not to be asked; else "".
    """

    name: str
    commit: str
    files: tuple[RemoteFile, ...]
    path: str = ""
    cached: str = ""

    @property
    def root(self) -> str:
        """The repository at its commit, as a name."""
        return f"hf://{self.name}@{self.commit}"

    @property
    def below(self) -> tuple[RemoteFile, ...]:
        """The files that were named: those below `path`, with paths from there; if `path` is a file, that one."""
        if not self.path:
            return self.files
        folder = f"{self.path}/"
        inside = tuple(file._replace(path=file.path.removeprefix(folder)) for file in self.files if file.path.startswith(folder))
        return inside or tuple(file._replace(path=file.path.rpartition("/")[2]) for file in self.files if file.path == self.path)


class Transfer(NamedTuple):
    """What reading took: requests sent, bytes that came (of bodies), and the bytes of what it was read from."""

    requests: int
    received: int
    total: int
