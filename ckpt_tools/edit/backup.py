"""Backup folders of changes in place: their names, and the record of what the change did.

`<root>.backup`, `<root>.backup-2` and so on contain the replaced and the removed files, and a
record. The last one is that of the last change. This module only reads; the journal writes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from ckpt_tools.errors import CkptError, EditRefused
from ckpt_tools.storage.durable import there, writing
from ckpt_tools.storage.files import read_whole
from ckpt_tools.storage.paths import leaves_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RECORD = ".ckpt-backup.json"
_VERSION = 1
_LIMIT = 64 << 20
_DIGEST_BYTES = 16


class Record(NamedTuple):
    """What a change did: the paths it kept in the backup, and (size, time) of those it wrote."""

    kept: tuple[str, ...]
    written: Mapping[str, tuple[int, int]]

    @property
    def paths(self) -> frozenset[str]:
        """All paths that the change concerned."""
        return frozenset(self.kept) | self.written.keys()


def free(root: str) -> str:
    """Return the path of a new backup of the folder `root`, numbered after all others."""
    last = max(_numbered(root), default=0)
    return path_of(root, last + 1)


def path_of(root: str, number: int) -> str:
    """Return the path of a backup by its number."""
    return f"{root}.backup" if number == 1 else f"{root}.backup-{number}"


def numbers(root: str) -> tuple[int, ...]:
    """Return the numbers of the backups of the folder `root` that have a record."""
    return tuple(
        number
        for number in sorted(_numbered(root))
        if there(os.path.join(path_of(root, number), RECORD))
    )


def _numbered(root: str) -> Iterable[int]:
    folder, name = os.path.split(root)
    pattern = re.compile(rf"{re.escape(name)}\.backup(?:-([1-9][0-9]*))?")
    with writing(folder):
        matches = [match for found in os.listdir(folder) if (match := pattern.fullmatch(found))]
    return [int(match[1] or 1) for match in matches]


def beside(root: str, name: str) -> str:
    """Return the path of a folder beside `root`, spelled as `root` if that leads to it."""
    plain = os.path.join(os.path.dirname(root.rstrip("/")), name)
    real = os.path.join(os.path.dirname(os.path.realpath(root)), name)
    with suppress(OSError):
        return plain if os.path.samefile(plain, real) else real
    return real


def encoded(root: str, new: str, replace: Iterable[str], remove: Iterable[str]) -> bytes:
    """Return the record of a change that replaces files of `root` with those of `new`."""
    replaced = tuple(replace)
    kept = [path for path in (*replaced, *remove) if there(os.path.join(root, path))]
    written = {path: identity(os.path.join(new, path)) for path in replaced}
    document = {"version": _VERSION, "kept": kept, "written": written}
    return json.dumps(document, indent=1).encode() + b"\n"


def read(folder: str) -> Record:
    """Return the record of a backup. Raises EditRefused for a damaged one."""
    path = os.path.join(folder, RECORD)
    data = read_whole(path, _LIMIT)
    try:
        document = json.loads(data)
        record = Record(
            tuple(document["kept"]),
            {path: (int(size), int(time)) for path, (size, time) in document["written"].items()},
        )
        sound = document["version"] == _VERSION and all(map(_is_inside, record.paths))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise EditRefused(
            "not a valid record of a change",
            path=path,
            hint="copy the files that you need out of its folder",
        )
    return record


def digest(folder: str) -> str:
    """Return what identifies a backup: the digest of its record, empty without one."""
    try:
        data = read_whole(os.path.join(folder, RECORD), _LIMIT)
    except CkptError:
        return ""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def identity(path: str) -> tuple[int, int]:
    """Return the size and the time of last modification of a file, links not followed."""
    with writing(path):
        status = os.lstat(path)
    return status.st_size, status.st_mtime_ns


def _is_inside(path: object) -> bool:
    return isinstance(path, str) and path not in ("", ".") and not leaves_folder(path)
