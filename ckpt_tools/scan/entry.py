"""The record of one file, folder, link or special file in a checkpoint's folder."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One name in the folder or below it, relative to the root and with `/`.

    `kind` is file, folder, link, pipe, socket or device; `mode` holds the permission bits. Links
    are not followed into folders: `target` is the text of a link, `leaves` says that it leads out
    of the folder, and the other fields describe the file it leads to.

    `head` holds the first bytes. `text` is the text of a text file, None for other files and for
    large ones; `header` is the header of a safetensors file; `utf8` is false if one of them is not
    UTF-8. `strings` are the runs of printable characters near the start and the end of any other
    file, one per line, and those of two or four bytes a character in a text.

    `pickle` describes the pickle that a file is or contains by its content, "" for none, and
    `imports` what it imports, as far as that can be read without running it. `file_type` is what
    the first bytes say, "" where they do not (text has no such bytes); `is_zip` says that the file
    ends as a zip archive, whatever it starts with. `unread` is why a file was not inspected in
    full, "" where it was.
    """

    path: str
    kind: str
    size: int = 0
    mode: int = 0o644
    target: str = ""
    leaves: bool = False
    head: bytes = b""
    text: str | None = None
    utf8: bool = True
    header: str | None = None
    strings: str | None = None
    pickle: str = ""
    imports: tuple[str, ...] = ()
    unread: str = ""
    file_type: str = ""
    is_zip: bool = False

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """All readable text with its location, which is "" for the text of a text file."""
        located = (
            (self.text, ""),
            (self.header, "in its header"),
            (self.strings, "inside"),
            (self.path, "in its name"),
            (self.target, "in the link"),
        )
        return tuple((text, location) for text, location in located if text)

    @property
    def is_file(self) -> bool:
        """Whether this is a file, or a link, which uploads and loaders follow."""
        return self.kind in ("file", "link")

    @property
    def held(self) -> int:
        """Number of characters of content kept in memory."""
        return sum(len(text or "") for text in (self.text, self.header, self.strings))


NOT_UPLOADED = (".git/", ".cache/huggingface/")
"""Folders that the Hub's client never uploads, at any depth."""


def is_never_uploaded(folder: str) -> bool:
    """Whether an upload skips the folder with this path, which ends with `/`, and its contents."""
    return f"/{folder}".endswith(tuple(f"/{name}" for name in NOT_UPLOADED))
