"""Writing one text file: afterwards, also after a power cut, there is the old file (or none, where there was none) or the new one, whole."""

from __future__ import annotations

import os
from contextlib import suppress

from ckpt_tools.errors import CkptError, NoSpace, WriteFailed
from ckpt_tools.store.durable import create, remove, rename, sync, sync_folder, there, write_all, writing


def replace_text(path: str, text: str) -> None:
    """Put a new file with `text` in UTF-8 in the place of the file at `path`, with its permissions. A link is replaced, never the file it leads to.

    Raises WriteFailed; then what was there is there unchanged.
    """
    _put(path, text, new=False)


def put_text(path: str, text: str) -> None:
    """As `replace_text`, also where there is no file yet."""
    _put(path, text, new=not there(path))


def _put(path: str, text: str, *, new: bool) -> None:
    folder, _ = os.path.split(path)
    temporary = os.path.join(folder, f".ckpt-{os.urandom(8).hex()}.tmp")
    try:
        with writing(path):
            status = None if new else os.stat(path)
        _write(temporary, text, status)
        rename(temporary, path)
        sync_folder(folder or ".")
    except WriteFailed as error:
        error.path = path
        error.next = "free some space" if isinstance(error, NoSpace) else "ask for write access to the file's folder, and check the disk"
        raise
    finally:
        # Gone already where all went well.
        with suppress(CkptError):
            remove(temporary)


def _write(temporary: str, text: str, status: os.stat_result | None) -> None:
    descriptor = create(temporary, 0o600 if status else 0o666)
    try:
        if status:
            _keep_owner(descriptor, status, temporary)
        write_all(descriptor, text.encode(), temporary)
        sync(descriptor, temporary)
    finally:
        os.close(descriptor)


def _keep_owner(descriptor: int, status: os.stat_result, temporary: str) -> None:
    with writing(temporary):
        # Another's file stays theirs where we may say so, which is where root edits it.
        with suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, status.st_mode & 0o777)
