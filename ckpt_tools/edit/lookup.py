"""What planning reads from this machine."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from ckpt_tools.checkpoint.read import DOCUMENT_LIMIT, other_file, read, tensor_file
from ckpt_tools.edit.model import SourceFile
from ckpt_tools.storage.files import open_regular, read_whole, remote_not_supported
from ckpt_tools.storage.session import is_remote
from ckpt_tools.strict_json.parse import decode_utf8
from ckpt_tools.values import cast

if TYPE_CHECKING:
    from ckpt_tools.checkpoint.model import Checkpoint, OtherFile, TensorFile


class Lookup:
    """Checkpoints and files on this machine. What casts would lose is remembered."""

    def __init__(self) -> None:
        self.loses_nothing = cache(cast.loses_nothing)
        self.overflow = cache(cast.overflow)

    def read(self, where: str) -> Checkpoint:
        """Return the checkpoint at `where`, with an absolute root.

        Raises RemoteNotSupported for one on the Hub: planning reads payload, and applying copies
        files.
        """
        if is_remote(where):
            raise remote_not_supported(where)
        checkpoint = read(where)
        return checkpoint._replace(root=os.path.abspath(checkpoint.root))

    def identity(self, path: str) -> SourceFile | None:
        """Return size and time of the file at `path`; None for a broken link.

        Raises PathNotFound, NotAFile or Unreadable.
        """
        if os.path.islink(path) and not os.path.exists(path):
            return None
        with open_regular(path) as (descriptor, size):
            return SourceFile(os.path.abspath(path), size, os.fstat(descriptor).st_mtime_ns)

    def text(self, path: str) -> str:
        """Return the text of the JSON file at `path`."""
        return decode_utf8(read_whole(path, DOCUMENT_LIMIT))

    def state(self, path: str) -> TensorFile:
        """Return the file of processor state at `path`."""
        return tensor_file(*os.path.split(path), keep_payload=True)

    def other(self, path: str) -> OtherFile:
        """Return the file at `path`, whose format is not read."""
        return other_file(*os.path.split(path))
