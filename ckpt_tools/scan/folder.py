"""Lists everything in a folder and below it, with its content: `tree` lists what is there.

Only regular files are opened, so nothing can block.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ckpt_tools.errors import CkptError
from ckpt_tools.scan import hub_folder
from ckpt_tools.scan.content import TOTAL_LIMIT, inspect
from ckpt_tools.scan.entry import Entry
from ckpt_tools.scan.tree import alone, tree
from ckpt_tools.storage.files import open_regular
from ckpt_tools.storage.recording import Codec, observed
from ckpt_tools.storage.session import is_remote

if TYPE_CHECKING:
    from ckpt_tools.storage.recording import Recording


def listing(root: str, *, contents: bool = True) -> tuple[Entry, ...]:
    """Return an entry for everything in the folder `root` and below, sorted by path.

    For a folder on the Hub, `contents` says whether files are fetched and inspected. Raises
    Unreadable for a folder that cannot be listed.
    """
    return observed("entries", root, lambda: _listed(root, contents=contents), _CODEC)


def _stored(entries: tuple[Entry, ...], recording: Recording) -> list[dict[str, object]]:
    """Return entries as JSON values, without `strings`, which only the gate's rules read."""
    return [
        one._asdict()
        | {
            "head": one.head.hex(),
            "text": recording.keep_text(one.path, one.text),
            "header": recording.keep_text(one.path, one.header),
            "strings": None,
        }
        for one in entries
    ]


def _restored(value: list[dict[str, Any]], recording: Recording) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            **one
            | {
                "head": bytes.fromhex(one["head"]),
                "text": recording.kept_text(one["text"]),
                "header": recording.kept_text(one["header"]),
                "imports": tuple(one["imports"]),
            }
        )
        for one in value
    )


_CODEC = Codec(_stored, _restored)


def _listed(root: str, *, contents: bool) -> tuple[Entry, ...]:
    if is_remote(root):
        return hub_folder.entries(root) if contents else tree(root)
    found: list[Entry] = []
    held = 0
    for entry in tree(root):
        found.append(_inspected(root, entry, TOTAL_LIMIT - held))
        held += found[-1].held
    return tuple(found)


def single(path: str) -> tuple[Entry, ...]:
    """Return the entry of one file, as if it were alone in its folder."""
    if is_remote(path):
        return hub_folder.entries(path)
    return (_inspected(os.path.dirname(path), alone(path), TOTAL_LIMIT),)


def _inspected(root: str, entry: Entry, budget: int) -> Entry:
    """Return an entry with the content of the file that it is, or that its link leads to."""
    full = os.path.join(root, entry.path)
    if not (entry.is_file and os.path.isfile(full)):  # a pipe behind a link must not be opened
        return entry
    try:
        with open_regular(full) as (descriptor, size):
            found = inspect(descriptor, size, full, entry.path, budget)
    except CkptError as error:
        found = Entry(entry.path, entry.kind, unread=error.what)
    return found._replace(
        kind=entry.kind, mode=entry.mode, target=entry.target, leaves=entry.leaves
    )
