"""What lies in a checkpoint's folder, whatever it is.

Files, folders, links, pipes, and of text files the text.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One name in the folder or below it, relative to the root and with `/`.

    Links are not followed.

    `kind` is file, folder, link, pipe, socket or device. `mode` are the permission bits. `target`
    is where a link leads, as it is written, and `leaves` says that it leads out of the folder.
    `head` are the first bytes of a file (of what a link leads to), `text` all of a text file, None
    for others and for large ones. `header` is the header of a safetensors file, as text. `utf8` is
    false for a text, or a header, that had to be patched to be read. `strings` are the runs of
    printable characters near the start and the end of any other file, a line each, and those of two
    or four bytes a character in a text.

    `pickle` says in words what kind of pickle, or container of pickles, a file is by its content,
    "" for none that was recognised; `imports` are the names that it imports, as far as they can be
    read without running it. `unread` says why a file was not looked into, or not completely, ""
    where it was. `content` is what a file is by its first bytes, "" where they do not say (text has
    no such bytes); `is_zip` says that a zip archive ends where it does, whatever it starts with.
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
    content: str = ""
    is_zip: bool = False

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Everything here that can be read, as (text, where it stands.

        "" for the text of a text file).
        """
        places = (
            (self.text, ""),
            (self.header, "in its header"),
            (self.strings, "inside"),
            (self.path, "in its name"),
            (self.target, "in the link"),
        )
        return tuple((text, place) for text, place in places if text)


IGNORED = (".git/", ".cache/huggingface/")
"""Folders that the Hub's client leaves out of every upload, wherever they lie."""


def is_left_out(folder: str) -> bool:
    """Whether an upload leaves the folder of that path, which ends with `/`, out with all that is in it."""
    return f"/{folder}".endswith(tuple(f"/{ignored}" for ignored in IGNORED))
